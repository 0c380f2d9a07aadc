# SPDX-License-Identifier: Apache-2.0
"""Initial weights that the published fusions share."""

from __future__ import annotations

from torch import nn


def init_xavier(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases in every convolution of ``module``."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def init_kernel_encoder(module: nn.Module) -> None:
    """Weights of standard deviation 0.001 and zero biases: every predicted kernel starts as its window's mean."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=0.001)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
