# SPDX-License-Identifier: Apache-2.0
"""Logits of an image of any size, window by window from top to bottom: never more of it than one row of windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dealias.train.inference import window_starts

_ROWS = 16
"""Rows that are handed out at a time."""


def sliding_rows(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    prepare: Callable[[Tensor], Tensor],
    window: tuple[int, int],
    stride: tuple[int, int],
    mirrored: bool = False,
) -> Iterator[tuple[slice, Tensor]]:
    """Average the logits of overlapping windows with equal weights, as :func:`dealias.train.predict_logits` does.

    Sums of logits are kept for as many rows as a window has: 4 bytes times classes, rows and the image's width.

    Args:
        network: normalised images [1, C, h, w] to logits [1, classes, h, w].
        image: [C, H, W].
        prepare: a part of the image, [C, h, w], to a normalised one.
        window: height and width of the windows, pixels; cut to the image.
        stride: distance of windows, pixels.
        mirrored: predict the image mirrored left to right; logits are mirrored back.

    Yields:
        Rows of the image, from top to bottom without gaps, and their logits [1, classes, rows, W], float32.
    """
    height, width = image.shape[-2:]
    high, wide = min(window[0], height), min(window[1], width)
    tops, lefts = window_starts(height, high, stride[0]), window_starts(width, wide, stride[1])
    total, count = torch.zeros(()), torch.zeros(())
    for top, following in zip(tops, [*tops[1:], height], strict=True):
        for left in lefts:
            part = image[:, top : top + high, _columns(left, wide, width, mirrored)]
            part = prepare(part.flip(-1) if mirrored else part)
            logits = network(part[None]).float()
            if total.dim() == 0:
                total = logits.new_zeros(*logits.shape[:2], high, width)
                count = logits.new_zeros(high, width)
            total[..., left : left + wide] += logits
            count[:, left : left + wide] += 1
        done = following - top
        for first in range(0, done, _ROWS):
            rows = slice(first, min(first + _ROWS, done))
            mean = total[:, :, rows] / count[rows]
            yield slice(top + rows.start, top + rows.stop), mean.flip(-1) if mirrored else mean
        _move_up(total, done)
        _move_up(count, done)


def _columns(left: int, wide: int, width: int, mirrored: bool) -> slice:
    """The columns of a window; of a mirrored image's window, where they are in the image itself."""
    return slice(width - left - wide, width - left) if mirrored else slice(left, left + wide)


def _move_up(x: Tensor, rows: int) -> None:
    """Drop the first rows of x [..., H, W], move the others to the top and fill up with zeros."""
    kept = x[..., rows:, :].clone()
    x[..., : kept.shape[-2], :] = kept
    x[..., kept.shape[-2] :, :] = 0
