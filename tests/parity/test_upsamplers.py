# SPDX-License-Identifier: Apache-2.0
"""The compared upsamplers against recorded numbers of the published modules: keys, outputs, all gradients.

CARAFE's records are tested with FreqFusion's. Where the published code has several classes, the record's description or
the shapes of its weights tell which one made it.
"""

import re

import pytest
import torch
from torch import nn

from dealias import compat

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@DTYPES
@pytest.mark.records("10_dysample")
def test_dysample(record, dtype, follows):
    module = compat.DySample(**record["config"])
    follows(record, dtype, module, lambda x: {"out": module(x)})


@DTYPES
@pytest.mark.records("10_fade")
def test_fade(record, dtype, follows):
    module = fade_class(record)(**record["config"])
    follows(record, dtype, module, lambda en, de: {"out": module(en, de)})


def fade_class(record):
    weights = record["state_dict"]
    if "kernel_generator.conv2_kernels" in weights:
        order = re.search(r"h2l_(mmcv|torch)", record["what"]).group(1)
        return lambda **options: compat.FADEHighToLow(**options, order=order)
    if "gate_generator.conv.weight" not in weights:
        return compat.SemiShiftUp
    depthwise = weights["ker_generator.content_encoder.weight"].shape[1] == 1
    return compat.FADELite if depthwise else compat.FADE


@DTYPES
@pytest.mark.records("10_sapa")
def test_sapa(record, dtype, follows):
    published = compat.SAPAExp if "SAPAExp" in record["what"] else compat.SAPA
    module = published(**record["config"])
    follows(record, dtype, module, lambda y, x: {"out": module(y, x)})


@DTYPES
@pytest.mark.records("10_a2u")
def test_a2u(record, dtype, follows):
    """Gradients in float64 only: those of U and V cancel, and the written float32 differences are selected ones."""
    config = record["config"]
    if "in_channels" in config:
        module = compat.A2U(**config)

        def run(guide, low):
            return {"up": module(guide, low)}

    else:
        module = compat.InterChannelUpDown(**config)
        side, groups = config["up_kernel_size"], config["downupsample_group"]

        def run(guide, low=None):
            down, up = module(guide)
            outputs = {"kernel_down": down, "kernel_up": up}
            outputs["down"] = compat.bidownsample_naive(guide, down, 2 * side, groups, 2)
            if low is not None:
                outputs["up"] = compat.biupsample_naive(low, up, side, groups, 2)
            return outputs

    follows(record, dtype, module, run, gradients=dtype == torch.float64)


@DTYPES
@pytest.mark.records("10_indexnet", exclude=("10_indexnet_decoder",))
def test_indexnet(record, dtype, follows):
    if "sigmoid(index_up)" in record["what"]:
        upsampler = compat.DoubleSigmoidIndexNet(**record["config"])
        follows(record, dtype, upsampler, lambda guide, low: {"up": upsampler(guide, low)})
        return
    module = index_class(record)(**record["config"])

    def run(guide, low=None):
        down, up = module(guide)
        outputs = {"index_down": down, "index_up": up, "down": compat.index_pool(guide, down)}
        if low is not None:
            outputs["up"] = up * nn.functional.interpolate(low, size=guide.shape[-2:], mode="nearest")
        return outputs

    follows(record, dtype, module, run)


@DTYPES
@pytest.mark.records("10_indexnet_decoder")
def test_indexnet_decoder(record, dtype, follows):
    config = dict(record["config"])
    block = index_class(record)(*(config.pop(name) for name in ("inp", "use_nonlinear", "use_context")))
    inputs, outputs = config.pop("decoder_inp"), config.pop("decoder_oup")
    module = nn.ModuleDict({"index": block, "dec": compat.IndexedUpsamlping(inputs, outputs, **config)})

    def run(guide, low):
        _, index_up = module["index"](guide)
        return {"out": module["dec"](low, guide, index_up)}

    follows(record, dtype, module, run)


def index_class(record):
    return getattr(compat, re.search(r"\w+IndexBlock", record["what"]).group())
