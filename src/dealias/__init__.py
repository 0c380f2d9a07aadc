# SPDX-License-Identifier: Apache-2.0
"""dealias: dense prediction in PyTorch that treats sampling as signal processing.

Names are imported when they are first used, so that the command line answers at once and the modules need torch alone.

>>> import torch
>>> from dealias.fusion import FreqFusion
>>> fuse = FreqFusion(hr_channels=64, lr_channels=64)
>>> fine, coarse = fuse(torch.rand(1, 64, 32, 32), torch.rand(1, 64, 16, 16))
>>> fine.shape == coarse.shape
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .fusion import create_fusion, list_fusions
    from .models import create_model, list_models

__version__ = "0.1.0"

__all__ = ["create_fusion", "create_model", "list_fusions", "list_models"]

_MODULES = {"create_fusion": "fusion", "list_fusions": "fusion", "create_model": "models", "list_models": "models"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
