# SPDX-License-Identifier: Apache-2.0
"""Operators against recorded numbers of the published code, outputs and gradients."""

import pytest
import torch

from dealias import compat


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.records("01_")
def test_carafe(record, dtype, within):
    for case in record["cases"]:
        x, masks = (case[name].to(dtype).requires_grad_() for name in ("features", "masks"))
        out = compat.carafe(x, masks, case["kernel_size"], case["group"], case["up"])
        grads = torch.autograd.grad(out, (x, masks), case["cotangent"].to(dtype))
        within(out, case["output64"], None if dtype == torch.float64 else case["max_abs_vs_fp64"][0])
        for grad, name, bound in zip(
            grads, ("grad_features", "grad_masks"), _bounds(case["max_abs_vs_fp64"]), strict=True
        ):
            within(grad, case[name], bound)


def _bounds(written):
    """Recorded float32 errors of output and gradients; older records have one number for both gradients."""
    return written[1:] if len(written) == 3 else [written[1], written[1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.records("04_compute_similarity")
def test_similarity(record, dtype, within):
    for index, case in enumerate(record["cases"]):
        x = case["x"].to(dtype).requires_grad_()
        out = compat.compute_similarity(x, case["k"], case["dilation"], case["sim"])
        (grad,) = torch.autograd.grad(out, x, case["cotangents"]["out"].to(dtype))
        bounds = {key: record["fp32_vs_fp64"][f"{key}.{index}"]["max_abs"] for key in ("outputs.out", "grads.x")}
        within(out, case["outputs64"]["out"], None if dtype == torch.float64 else bounds["outputs.out"])
        within(grad, case["grads"]["x"], bounds["grads.x"])
