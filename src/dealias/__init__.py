# SPDX-License-Identifier: Apache-2.0
"""dealias: dense prediction in PyTorch that treats sampling as signal processing.

>>> import torch
>>> from dealias.fusion import FreqFusion
>>> fuse = FreqFusion(hr_channels=64, lr_channels=64)
>>> fine, coarse = fuse(torch.rand(1, 64, 32, 32), torch.rand(1, 64, 16, 16))
>>> fine.shape == coarse.shape
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .fusion import create_fusion, list_fusions

if TYPE_CHECKING:
    from .models import create_model, list_models

__version__ = "0.1.0"

__all__ = ["create_fusion", "create_model", "list_fusions", "list_models"]


def __getattr__(name: str) -> Any:
    """Import models on first use: they need timm and torchvision, which the modules alone do not."""
    if name in ("create_model", "list_models"):
        from . import models

        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
