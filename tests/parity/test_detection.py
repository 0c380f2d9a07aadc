# SPDX-License-Identifier: Apache-2.0
"""FreqFusion's neck for detectors against recorded numbers of the published one."""

import re

import pytest
import torch

from dealias.compat import FreqFusionCARAFEFPN


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.records("08_mmdet_fpn")
def test_neck(record_path, record, dtype, load_record, recipe_weights, within):
    inputs = record["inputs"]
    if isinstance(inputs, str):
        inputs = load_record(record_path.with_name(inputs.split()[-1]))["inputs"]
    neck = FreqFusionCARAFEFPN(**record["config"])
    assert list(neck.state_dict()) == record["keys"]
    weights = record["state_dict"] if "state_dict" in record else neck.state_dict() | recipe_weights(record)
    neck.load_state_dict(weights, strict=True)
    parameters = sum(p.numel() for p in neck.parameters())
    assert parameters == record.get("n_params", parameters)
    neck.to(dtype).eval()
    features = {name: x.to(dtype).requires_grad_("cotangents" in record) for name, x in inputs.items()}
    maps = neck(list(features.values()))
    names = sorted({name.partition("_")[0] for name in record["outputs"]}, key=lambda name: int(name[1:]))
    outputs = dict(zip(names, maps, strict=True))
    for name, recorded in record["outputs"].items():
        level, _, thinned = name.partition("_")
        exact = record.get("outputs64", {}).get(name) if dtype == torch.float64 else None
        found = thin(outputs[level], thinned)
        if exact is None:
            within(found, recorded, record["fp32_vs_fp64"][f"outputs.{level}"]["max_abs"])
        else:
            within(found, exact, None)
    if "cotangents" in record:
        sum((outputs[name] * x.to(dtype)).sum() for name, x in record["cotangents"].items()).backward()
        for name, recorded in record["grads"].items():
            within(features[name].grad, recorded, record["fp32_vs_fp64"][f"grads.{name}"]["max_abs"])


def thin(x, how):
    """Every Nth channel or pixel of a map, as ``everyNch`` or ``everyNpx`` say."""
    if not how:
        return x
    step, axis = re.fullmatch(r"every(\d+)(ch|px)", how).groups()
    return x[:, :: int(step)] if axis == "ch" else x[..., :: int(step), :: int(step)]
