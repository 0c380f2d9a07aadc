# SPDX-License-Identifier: Apache-2.0
"""Backbones whose batch norms and first stages do not learn, as detectors use them."""

from __future__ import annotations

from timm.layers import FrozenBatchNormAct2d, freeze_batch_norm_2d
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from .stages import Stage

_BATCH_NORMS = (nn.modules.batchnorm._BatchNorm, FrozenBatchNorm2d, FrozenBatchNormAct2d)


def freeze_batch_norms(network: nn.Module) -> None:
    """Replace every 2-D batch norm, in place, by ``(x - mean) / sqrt(var + eps) * weight + bias`` with fixed numbers.

    Args:
        network: its statistics and weights are kept as they are, as buffers under the same names.

    Raises:
        ValueError: the network has none.
    """
    if not any(isinstance(module, _BATCH_NORMS) for module in network.modules()):
        raise ValueError(f"{type(network).__name__} has no batch norms to freeze")
    freeze_batch_norm_2d(network)


def set_norm_epsilon(network: nn.Module, epsilon: float) -> None:
    """Give every batch norm, frozen or not, another ``eps``, in place."""
    for module in network.modules():
        if isinstance(module, _BATCH_NORMS):
            module.eps = epsilon


def freeze_stages(encoder: nn.Module, stages: list[Stage], count: int) -> None:
    """Let the first parts of a backbone keep their weights: no gradients for them.

    Statistics of batch norms still follow the images in training; :func:`freeze_batch_norms` stops that.

    Args:
        encoder: the backbone.
        stages: those that lead to strides 8, 16 and 32.
        count: 0: none; 1: all up to stride 4; 2, 3 and 4: with the stages up to strides 8, 16 and 32.

    Raises:
        ValueError: another count.
    """
    if not 0 <= count <= len(stages) + 1:
        raise ValueError(f"frozen_stages must be 0 to {len(stages) + 1}, got {count}")
    if count == 0:
        return
    learning = {p for stage in stages[count - 1 :] for module in stage.modules for p in module.parameters()}
    for parameter in encoder.parameters():
        parameter.requires_grad_(parameter in learning and parameter.requires_grad)
