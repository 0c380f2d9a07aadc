# SPDX-License-Identifier: Apache-2.0
"""How much a network's answer changes when its input moves by a few pixels.

A network that samples without aliasing answers a moved image with the moved answer. Two windows of one image,
``shift`` pixels apart along both axes, show the same pixels; their answers are compared where they overlap. Shifts that
are multiples of the stem's stride show what the deeper levels do; smaller ones show the stem alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShiftChange:
    """Change of the answer under one shift, as fractions.

    Attributes:
        shift: pixels, right and down.
        logits: root mean square of the difference / root mean square of the logits.
        labels: share of pixels whose largest logit is another class.
    """

    shift: int
    logits: float
    labels: float


@torch.no_grad()
def shift_change(
    network: Callable[[Tensor], Tensor], batches: Iterable[Tensor], shift: int, margin: int = 0, multiple: int = 32
) -> ShiftChange:
    """Compare the logits of two windows ``shift`` pixels apart on their overlap.

    The windows are as large as the images allow, in multiples of ``multiple``, so that both have the alignment that the
    network was made for. With L the logits of the first window moved by the shift, L' those of the second and both cut
    to the overlap: logits = rms(L' - L) / rms(L), labels = mean(argmax L' != argmax L), over all images.

    Args:
        network: images [B, C, h, w] -> logits [B, K, h, w]; put it in evaluation mode before.
        batches: images [B, C, H, W], float, as the network takes them.
        shift: pixels, at least 1.
        margin: pixels on each side of the overlap that are left out, for the influence of the window's border.
        multiple: the window's height and width are multiples of this.

    Raises:
        ValueError: no batch, or an image too small for a window and its overlap.
    """
    difference = power = changed = count = 0.0
    for images in batches:
        window = [(size - shift) // multiple * multiple for size in images.shape[-2:]]
        if min(window) - shift - 2 * margin < 1:
            raise ValueError(
                f"images {tuple(images.shape[-2:])} are too small for windows in multiples of {multiple}, "
                f"shift {shift} and margin {margin}"
            )
        first, second = (_overlap(network, images, offset, shift, window, margin) for offset in (0, shift))
        difference += (second - first).double().square().sum().item()
        power += first.double().square().sum().item()
        changed += (second.argmax(1) != first.argmax(1)).sum().item()
        count += first.numel() / first.shape[1]
    if not count:
        raise ValueError("no images to shift")
    return ShiftChange(shift, (difference / power) ** 0.5, changed / count)


def _overlap(
    network: Callable[[Tensor], Tensor], images: Tensor, offset: int, shift: int, window: list[int], margin: int
) -> Tensor:
    """Logits of the window at ``offset``, cut to what the windows at 0 and ``shift`` share."""
    height, width = window
    logits = network(images[..., offset : offset + height, offset : offset + width])
    start = shift - offset + margin
    return logits[..., start : start + height - shift - 2 * margin, start : start + width - shift - 2 * margin]
