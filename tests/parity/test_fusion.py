# SPDX-License-Identifier: Apache-2.0
"""FreqFusion, its variants, its sampler and CARAFE against recorded numbers of the published modules.

Keys, outputs and all gradients are compared. The record names constructor arguments, weights and inputs; the shapes of
the weights tell ``direction_feat``, which the published constructor does not expose.
"""

import pytest
import torch

from dealias import compat

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@DTYPES
@pytest.mark.records("02_")
def test_freqfusion(record, dtype, follows):
    if "REFLECT" in record["what"]:
        pytest.skip("made with the published fallback that reflects at borders; the method's border is zero")
    options = dict(record["config"])
    if "dysampler.offset.weight" in record["state_dict"]:
        seen, window = record["state_dict"]["dysampler.offset.weight"].shape[1], 3**2 - 1
        options["direction_feat"] = "sim" if seen == window else "sim_concat"
    module = compat.FreqFusion(**options)
    follows(record, dtype, module, named(module, "mask_lr", "hr_feat", "lr_feat"))


@DTYPES
@pytest.mark.records("03_")
def test_freqfusion_variants(record, dtype, follows):
    published = compat.FreqFusionDWT if "dwt.h0_col" in record["keys"] else compat.FreqFusionDSConv
    module = published(**record["config"])
    follows(record, dtype, module, named(module, "mask_lr", "hr_feat", "lr_feat"))


@DTYPES
@pytest.mark.records("04_sampler")
def test_sampler(record, dtype, follows):
    module = compat.LocalSimGuidedSampler(**record["config"])
    follows(record, dtype, module, named(module, "out"))


@DTYPES
@pytest.mark.records("10_carafepack")
def test_carafe_pack(record, dtype, follows):
    module = compat.CARAFEPack(**record["config"])
    follows(record, dtype, module, named(module, "out"))


def named(module, *names):
    """A call of the module that gives its outputs by name."""

    def run(**inputs):
        returned = module(**inputs)
        return dict(zip(names, returned if isinstance(returned, tuple) else (returned,), strict=True))

    return run
