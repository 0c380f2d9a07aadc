# SPDX-License-Identifier: Apache-2.0
"""Bring an image into the form that a network takes, and run it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from dealias.analysis import LayerError
from dealias.data import evaluation_transform

from .network import Subject

Size = tuple[int, int]
"""Height and width."""


def preparation(subject: Subject, size: Size | None) -> v2.Transform:
    """The transform from pixels to what the network takes."""
    return evaluation_transform(subject.mean, subject.std, size or subject.size)


def run(subject: Subject, sample: Any) -> Any:
    """The network's output for a prepared sample.

    Raises:
        ValueError: it does not take such an image.
    """
    image: Tensor = sample["image"].as_subclass(Tensor)
    device = next(subject.network.parameters()).device
    try:
        return subject.network(image[None].to(device))
    except (torch.OutOfMemoryError, LayerError):
        raise
    except (RuntimeError, AssertionError, ValueError) as error:  # how networks object to a size
        size = f"{image.shape[1]} x {image.shape[2]}"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{subject.name} does not take {sample['name']}, {size} (height x width): {reason}; try another --size"
        ) from error
