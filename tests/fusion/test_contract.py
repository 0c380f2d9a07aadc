# SPDX-License-Identifier: Apache-2.0
"""Every fusion keeps the promises of the interface."""

import pytest
import torch

from dealias.fusion import create_fusion, list_fusions
from dealias.testing import FUSION_CHECKS

NOT_NORMALISED = {
    "deconv": "free weights and a bias",
    "pixel_shuffle": "free weights and a bias",
    "indexnet": "the index scales every pixel by 0-1",
    "fade": "the gate mixes the fine map in",
}
"""Fusions that do not keep a constant, by name: what there is instead of kernels that sum to 1."""


@pytest.mark.parametrize("check", FUSION_CHECKS)
@pytest.mark.parametrize("name", list_fusions())
def test_contract(name, check):
    if check == "constant" and name in NOT_NORMALISED:
        pytest.skip(NOT_NORMALISED[name])
    torch.manual_seed(0)
    options = {"compressed_channels": 16} if name in ("carafe", "freqfusion") else {}
    FUSION_CHECKS[check](lambda: create_fusion(name, 32, 24, **options))


@pytest.mark.parametrize("name", list_fusions())
def test_gradients_are_finite_under_autocast(name):
    torch.manual_seed(0)
    fusion = create_fusion(name, 32, 24)
    hr, lr = torch.randn(2, 32, 13, 10, requires_grad=True), torch.randn(2, 24, 7, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        hr_out, lr_up = fusion(hr, lr)
    (hr_out.float().square().mean() + lr_up.float().square().mean()).backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (hr, lr, *fusion.parameters()))
