# SPDX-License-Identifier: Apache-2.0
"""How far the logits of an exported network are from those of the network itself, at several sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCES = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference that is passed over, as a share of the largest logit."""


class SizeCheck(NamedTuple):
    """What came of images of one size.

    Attributes:
        shape: of the images, [B, C, H, W].
        largest: largest magnitude of the network's logits.
        difference: largest difference of logits.
        agreement: share of pixels with the same class.
        passed: whether the difference is within the tolerance.
    """

    shape: tuple[int, ...]
    largest: float
    difference: float
    agreement: float
    passed: bool


def tolerance_of(dtype: torch.dtype) -> float:
    """The usual tolerance for networks that compute in ``dtype``."""
    return TOLERANCES[dtype]


@torch.inference_mode()
def check_sizes(
    exported: Callable[[Tensor], Tensor],
    network: Callable[[Tensor], Tensor],
    shapes: Sequence[tuple[int, int, int, int]],
    tolerance: float,
) -> Iterator[SizeCheck]:
    """Compare two functions from images to logits on noise, one shape after the other.

    Args:
        exported: in whatever precision, gives float32.
        network: float32, in evaluation mode.
        shapes: of the images.
        tolerance: largest difference that passes, as a share of the largest logit of the images.

    Raises:
        ValueError: the exported function gives another shape.
    """
    for index, shape in enumerate(shapes):
        images = torch.randn(shape, generator=torch.Generator().manual_seed(index))
        expected, found = network(images), exported(images)
        if found.shape != expected.shape:
            raise ValueError(f"the exported network gives {tuple(found.shape)} instead of {tuple(expected.shape)}")
        largest, difference = expected.abs().max().item(), (found - expected).abs().max().item()
        agreement = (found.argmax(1) == expected.argmax(1)).float().mean().item()
        yield SizeCheck(shape, largest, difference, agreement, difference <= tolerance * largest)
