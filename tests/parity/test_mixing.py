# SPDX-License-Identifier: Apache-2.0
"""FreqMix and its bottleneck against recorded numbers of the published modules: keys, outputs, all gradients."""

import pytest
import torch
from torch import nn

from dealias import compat

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@DTYPES
@pytest.mark.records("05_frequency_mix")
def test_frequency_mix(record, dtype, follows):
    assert record["cases"]
    for number, case in enumerate(record["cases"]):
        single = {"keys": list(case["state_dict"]), "inputs": {"x": case["x"]}}
        module = compat.FrequencyMix(**case["config"])
        follows(case | single | written_differences(record, number), dtype, module, as_out(module))


@DTYPES
@pytest.mark.records("05_ny_bottleneck")
def test_bottleneck(record, dtype, follows):
    options = dict(record["config"])
    if any(key.startswith("downsample.") for key in record["keys"]):
        width, out = options["inplanes"], options["planes"] * compat.NyBottleneck.expansion
        options["downsample"] = nn.Sequential(
            nn.Conv2d(width, out, 1, options.get("stride", 1), bias=False), nn.BatchNorm2d(out)
        )
    module = compat.NyBottleneck(**options)
    follows(record, dtype, module, as_out(module))


def as_out(module):
    return lambda x: {"out": module(x)}


def written_differences(record, number):
    """The float32-float64 differences of one case.

    Those of a layer's weight and bias stand for the rounding of one and the same gradient, that of the layer's output,
    and either can be small by chance: both count as the larger.
    """
    ending = f".{number}"
    found = {key.removesuffix(ending): d for key, d in record["fp32_vs_fp64"].items() if key.endswith(ending)}
    largest = {}
    for key, difference in found.items():
        layer = key.rpartition(".")[0]
        largest[layer] = max(difference["max_abs"], largest.get(layer, 0.0))
    return {"fp32_vs_fp64": {key: {"max_abs": largest[key.rpartition(".")[0]]} for key in found}}
