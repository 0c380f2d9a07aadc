# SPDX-License-Identifier: Apache-2.0
"""Every fusion keeps the promises of the interface."""

import pytest
import torch

from dealias.fusion import create_fusion, list_fusions
from dealias.testing import FUSION_CHECKS


@pytest.mark.parametrize("check", FUSION_CHECKS)
@pytest.mark.parametrize("name", list_fusions())
def test_contract(name, check):
    torch.manual_seed(0)
    options = {"compressed_channels": 16} if name in ("carafe", "freqfusion") else {}
    FUSION_CHECKS[check](lambda: create_fusion(name, 32, 24, **options))
