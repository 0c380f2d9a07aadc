# SPDX-License-Identifier: Apache-2.0
"""Modules with weights that matter, and their outputs as plain tensors."""

from collections.abc import Callable

import pytest
from torch import Tensor, nn

from dealias.modulation import ARS


class Parts(nn.Module):
    """An ARS that returns tensors only, for checks and graphs."""

    def __init__(self, ars: ARS) -> None:
        super().__init__()
        self.ars = ars

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, warp, attention = self.ars(x)
        return features, warp.map, attention


@pytest.fixture
def parts() -> Callable[..., nn.Module]:
    return Parts


@pytest.fixture
def stir() -> Callable[[nn.Module], nn.Module]:
    """``stir(module)``: the module with random weights, so that nothing is as it starts."""

    def stirred(module: nn.Module, std: float = 0.3) -> nn.Module:
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=std)
        return module

    return stirred
