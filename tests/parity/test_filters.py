# SPDX-License-Identifier: Apache-2.0
"""Blur, adaptive blur and FLC pooling against recorded numbers of the published layers: keys, outputs, gradients."""

import pytest
import torch

from dealias import compat
from dealias.ops.spectrum import kept_band

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@DTYPES
@pytest.mark.records("05_downsample_blur")
def test_blur(record, dtype, within):
    check(compat.Downsample, record, dtype, within)


@DTYPES
@pytest.mark.records("05_downsample_pasa")
def test_adaptive_blur(record, dtype, within):
    check(compat.Downsample_PASA_group_softmax, record, dtype, within)


@DTYPES
@pytest.mark.records("05_flc_pooling")
def test_flc_pooling(record, dtype, within):
    check(compat.FLC_Pooling, record, dtype, within)


@pytest.mark.records("05_flc_pooling")
def test_published_mask(record):
    for case in record["cases"]:
        if "mask_rows_cols" in case:
            sizes = case["x"].shape[-2:]
            kept = [kept_band(size, case["config"]["freq_thres"], released=True) for size in sizes]
            starts = [first + size // 2 for (first, _), size in zip(kept, sizes, strict=True)]
            ends = [start + count for start, (_, count) in zip(starts, kept, strict=True)]
            assert (starts[0], ends[0], starts[1], ends[1]) == tuple(case["mask_rows_cols"])


def check(layer, record, dtype, within):
    for index, case in enumerate(record["cases"]):
        module = layer(**case["config"])
        assert list(module.state_dict()) == list(case.get("state_dict", {}))
        module.load_state_dict(case.get("state_dict", {}), strict=True)
        module.to(dtype).eval()
        x = case["x"].to(dtype).requires_grad_()
        out = module(x)
        written = {key: value["max_abs"] for key, value in record["fp32_vs_fp64"].items()}
        within(out, case["outputs"]["out"], written[f"outputs.out.{index}"])
        if "cotangents" not in case:
            continue
        leaves = {"grads.x": x} | {f"param_grads.{name}": p for name, p in module.named_parameters()}
        grads = torch.autograd.grad((out * case["cotangents"]["out"].to(dtype)).sum(), list(leaves.values()))
        for (key, _), grad in zip(leaves.items(), grads, strict=True):
            group, name = key.split(".", 1)
            within(grad, case[group][name], written[f"{key}.{index}"])
