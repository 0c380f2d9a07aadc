# SPDX-License-Identifier: Apache-2.0
"""The published neck beyond what was recorded of it: sizes, levels, norms, and what it refuses."""

import pytest
import torch

from dealias.compat import FreqFusion, FreqFusionCARAFEFPN

CHANNELS = (4, 5, 6, 7)


def build(channels=CHANNELS, num_outs=5, **options):
    options = {"compress_ratio": 4, "feature_resample": True, "feature_resample_group": 4} | options
    return FreqFusionCARAFEFPN(list(channels), 32, num_outs, **options)


def maps(height, width, count=4):
    sizes = [(-(-height // s), -(-width // s)) for s in (1, 2, 4, 8)]
    return [torch.randn(2, c, *size) for c, size in zip(CHANNELS[:count], sizes, strict=False)]


@pytest.mark.parametrize(
    ("resample", "norm", "count"), [(True, True, 9_072_072), (True, False, 9_071_048), (False, True, 8_863_368)]
)
def test_published_parameters(resample, norm, count):
    options = {"feature_resample": resample, "feature_resample_norm": norm, "feature_resample_group": 4}
    with torch.device("meta"):
        neck = FreqFusionCARAFEFPN([256, 512, 1024, 2048], 256, num_outs=5, **options)
    assert sum(p.numel() for p in neck.parameters()) == count


@pytest.mark.parametrize("size", [(8, 8), (13, 22), (9, 31), (17, 15)])
def test_any_size(size):
    neck, features = build(), maps(*size)
    levels = neck([x.requires_grad_() for x in features])
    last = features[-1].shape[-2:]
    expected = [x.shape[-2:] for x in features] + [tuple(-(-n // 2) for n in last)]
    assert [tuple(x.shape) for x in levels] == [(2, 32, *s) for s in expected]
    levels[0].square().sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in features)


def test_top_down_path():
    """The further level is fused too, and every level passes one convolution more."""
    neck, features = build().eval(), maps(16, 16)
    laterals = [conv.conv(x) for conv, x in zip(neck.lateral_convs, [*features, features[-1]], strict=True)]
    for i in (3, 2, 1, 0):
        _, hr, up = neck.alignment[i](laterals[i], laterals[i + 1])
        laterals[i] = hr + up
    for conv, level, found in zip(neck.fpn_convs, laterals, neck(features), strict=True):
        torch.testing.assert_close(found, conv.conv(level))


def test_number_of_levels():
    assert len(build(num_outs=4).alignment) == 4  # as published: the last one is idle
    neck, features = build(num_outs=7), maps(16, 24)
    sizes = [tuple(x.shape[-2:]) for x in neck(features)]
    assert sizes == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2), (1, 1), (1, 1)]
    assert neck.lateral_convs[4].conv.in_channels == 7 and neck.lateral_convs[5].conv.in_channels == 32
    middle = build(num_outs=2, start_level=1, end_level=2)
    assert [tuple(x.shape[-2:]) for x in middle(features)] == [(8, 12), (4, 6)]
    assert [conv.conv.in_channels for conv in middle.lateral_convs] == [5, 6]
    late = build(num_outs=4, start_level=1)
    assert [tuple(x.shape[-2:]) for x in late(features)] == [(8, 12), (4, 6), (2, 3), (1, 2)]


def test_norms_and_activations():
    neck = build(norm_cfg={"type": "GN", "num_groups": 8, "requires_grad": True}, act_cfg={"type": "ReLU"})
    assert {key for key in neck.state_dict() if key.startswith("lateral_convs.0.")} == {
        f"lateral_convs.0.{name}" for name in ("conv.weight", "gn.weight", "gn.bias")
    }
    assert all(x.min() >= 0 for x in neck(maps(8, 8)))
    neck = build(norm_cfg={"type": "BN"}, act_cfg={"type": "ReLU"}, order=("act", "conv", "norm")).eval()
    assert "fpn_convs.4.bn.running_mean" in neck.state_dict()
    first, x = neck.lateral_convs[0], maps(8, 8)[0]
    torch.testing.assert_close(first(x), first.bn(first.conv(x.relu())))


def test_options_reach_the_fusions():
    neck = build(lowpass_kernel=3, semi_conv=False, use_high_pass=False, compress_ratio=2, feature_resample_group=8)
    expected = FreqFusion(
        32,
        32,
        compressed_channels=32,
        lowpass_kernel=3,
        semi_conv=False,
        use_high_pass=False,
        feature_resample=True,
        feature_resample_group=8,
    )
    shapes = {key: value.shape for key, value in expected.state_dict().items()}
    assert {key: value.shape for key, value in neck.alignment[3].state_dict().items()} == shapes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_outs": 3}, "levels 0 to 3 of 4 do not give num_outs=3"),
        ({"end_level": 2}, "levels 0 to 2 of 4 do not give num_outs=5"),
        ({"start_level": 4}, "no levels 4 to 3 among 4 maps"),
        ({"norm_cfg": {"type": "IN"}}, "type 'BN', 'SyncBN' or 'GN', got"),
        ({"act_cfg": {"type": "GELU"}}, "act_cfg must be None or"),
        ({"order": ("norm", "conv", "act")}, "order must be"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_wrong_number_of_maps():
    with pytest.raises(ValueError, match="needs 4 maps, got 3"):
        build()(maps(8, 8, count=3))
