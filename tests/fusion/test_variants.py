# SPDX-License-Identifier: Apache-2.0
"""The options of the compared upsamplers keep the promises of the interface too, and name what is wrong."""

import pytest
import torch

from dealias.fusion import create_fusion
from dealias.testing import FUSION_CHECKS

VARIANTS = [
    ("dysample", {"style": "shuffle_first"}),
    ("dysample", {"groups": 3, "dynamic_scope": True}),
    ("indexnet", {"index": "one_to_one", "nonlinear": False}),
    ("indexnet", {"index": "many_to_one", "context": False}),
    ("indexnet", {"nonlinear": False, "context": False}),
    ("a2u", {"shared": False, "encoder_kernel": 5, "kernel_size": 5, "norm_groups": 8}),
    ("a2u", {"groups": 4, "norm_groups": 6}),
    ("fade", {"gated": False}),
    ("fade", {"gated": False, "lite": True, "kernel_size": 3}),
    ("fade", {"high_to_low": "torch", "compressed_channels": 16}),
    ("sapa", {"similarity": "inner"}),
    ("sapa", {"similarity": "gated", "embed_value": True}),
    ("sapa", {"similarity": "concat", "bias": False, "kernel_size": 3}),
]

QUICK_CHECKS = ("sizes", "gradients", "precisions", "layouts", "state_dict", "errors")


def label(value):
    return value if isinstance(value, str) else "-".join(f"{key}={option}" for key, option in value.items())


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=label)
def test_options_keep_the_contract(name, options):
    torch.manual_seed(0)
    for check in QUICK_CHECKS:
        FUSION_CHECKS[check](lambda: create_fusion(name, 24, 24, **options))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a2u", {"groups": 4, "norm_groups": 6}),
        ("fade", {"gated": False}),
        ("fade", {"gated": False, "high_to_low": "torch"}),
        ("sapa", {"similarity": "inner"}),
        ("sapa", {"similarity": "gated"}),
    ],
    ids=label,
)
def test_normalised_kernels_keep_a_constant(name, options):
    FUSION_CHECKS["constant"](lambda: create_fusion(name, 24, 24, **options))


@pytest.mark.parametrize("name", ["dysample", "dysample+", "dysample-s+", "sapa"])
@pytest.mark.parametrize(("scale", "lr_size"), [(3, (4, 6)), (4, (3, 4))])
def test_other_ratios(name, scale, lr_size):
    fusion = create_fusion(name, 8, 144, scale=scale)
    hr_out, lr_up = fusion(torch.randn(2, 8, 12, 16), torch.randn(2, 144, *lr_size))
    assert hr_out.shape == (2, 8, 12, 16) and lr_up.shape == (2, 144, 12, 16)


@pytest.mark.parametrize(
    ("name", "channels", "options", "message"),
    [
        ("dysample", (8, 8), {"style": "lp"}, "'linear_first' or 'shuffle_first', got 'lp'"),
        ("dysample", (8, 6), {}, "groups=4, lr_channels=6"),
        ("dysample-s+", (8, 24), {"scale": 3}, r"scale\*\*2 too; got scale=3"),
        ("indexnet", (8, 8), {"index": "o2o"}, "got 'o2o'"),
        ("indexnet", (8, 4), {"index": "many_to_one"}, "hr_channels=8 equal to lr_channels=4"),
        ("a2u", (48, 8), {}, "hr_channels=48 and norm_groups=32; give norm_groups a divisor"),
        ("a2u", (32, 8), {"kernel_size": 4}, "odd"),
        ("a2u", (32, 8), {"groups": 3}, "groups=3, lr_channels=8"),
        ("fade", (8, 8), {"kernel_size": 4}, "odd, got 4"),
        ("fade", (8, 8), {"high_to_low": "jax"}, "got 'jax'"),
        ("sapa", (8, 8), {"similarity": "cosine"}, "inner, bilinear, concat, gated; got 'cosine'"),
        ("sapa", (8, 4), {"similarity": "inner"}, "hr_channels=8 equal to lr_channels=4"),
        ("sapa", (8, 4), {"scale": 0}, "scale=0"),
    ],
)
def test_wrong_options_are_named(name, channels, options, message):
    with pytest.raises(ValueError, match=message):
        create_fusion(name, *channels, **options)
