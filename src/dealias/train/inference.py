# SPDX-License-Identifier: Apache-2.0
"""Logits of whole images: in one piece or window by window, from one view or several."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Size = int | tuple[int, int]
"""Height and width in pixels, or both at once."""

MIN_SIZE = 32
"""Scaled views are at least this high and wide, in pixels: what :class:`dealias.models.SegmentationModel` needs."""


@dataclass(frozen=True)
class InferenceSettings:
    """How images are predicted, see :func:`predict_logits`.

    Args:
        window: height and width of the sliding window in pixels; null for whole images.
        stride: distance of windows; null for two thirds of the window.
        scales: sizes of the views relative to the image.
        flip: predict every view mirrored as well.
    """

    window: Size | None = None
    stride: Size | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False


def predict_logits(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    window: Size | None = None,
    stride: Size | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Tensor:
    """Logits of images of any size, with test-time augmentation if wanted.

    Where windows overlap, their logits are averaged with equal weights. Several views (scales, mirrored or not) are
    averaged as probabilities, each brought to the image's size as logits before its softmax; their logits are the
    logarithm of that mean.

    Args:
        model: images [B, C, h, w] to logits [B, classes, h, w].
        images: normalised images, [B, C, H, W].
        window: height and width of the sliding window in pixels; None for the whole image at once. A window larger than
            a view is cut to it; the last window of a row or column is moved inwards to end at the border.
        stride: distance of windows in pixels, at most ``window``; None for two thirds of it.
        scales: sizes of the views relative to the image, bilinear (with antialiasing where they shrink).
        flip: take every view mirrored left to right as well.

    Returns:
        Logits [B, classes, H, W], float32.

    Raises:
        ValueError: no scale, a scale that is not positive, or a stride that is not between 1 and the window.
    """
    if not scales or min(scales) <= 0:
        raise ValueError(f"scales must be one or more positive numbers, got {tuple(scales)}")
    windows = window_and_stride(window, stride)
    views = [(scale, mirrored) for scale in scales for mirrored in ((False, True) if flip else (False,))]
    if views == [(1.0, False)]:
        return _sliding(model, images, windows)
    mean = torch.zeros(())
    for scale, mirrored in views:
        logits = _view_logits(model, images, windows, scale, mirrored)
        mean = mean.to(logits.device) + logits.softmax(dim=1) / len(views)
    return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()


def label_maps(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Class ids, (B, *size), int64, of logits (B, classes, H, W), which are resized (bilinearly) if need be."""
    return (logits if logits.shape[-2:] == size else _resize(logits, size, antialias=False)).argmax(dim=1)


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of windows that together cover ``length`` pixels; one window if it is at least as long.

    >>> window_starts(10, 4, 3)
    [0, 3, 6]
    >>> window_starts(11, 4, 3)
    [0, 3, 6, 7]
    """
    last = max(length - window, 0)
    return [min(index * stride, last) for index in range(math.ceil(last / stride) + 1)]


def window_and_stride(window: Size | None, stride: Size | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Height and width of a window and of its steps; None without a window.

    Raises:
        ValueError: a stride that is not between 1 and the window, or one without a window.

    >>> window_and_stride(512, None)
    ((512, 512), (342, 342))
    """
    if window is None:
        if stride is not None:
            raise ValueError(f"a stride ({stride}) needs a window")
        return None
    window = _pair(window)
    stride = (-(-2 * window[0] // 3), -(-2 * window[1] // 3)) if stride is None else _pair(stride)
    if not (1 <= stride[0] <= window[0] and 1 <= stride[1] <= window[1]):
        raise ValueError(f"stride must be between 1 and the window {window}, got {stride}")
    return window, stride


def _view_logits(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    windows: tuple[tuple[int, int], tuple[int, int]] | None,
    scale: float,
    mirrored: bool,
) -> Tensor:
    """Logits of a scaled, maybe mirrored view, at the size and in the orientation of ``images``."""
    size = images.shape[-2:]
    scaled = tuple(max(round(length * scale), MIN_SIZE) for length in size) if scale != 1.0 else tuple(size)
    view = images if scaled == tuple(size) else _resize(images, scaled, antialias=True)
    view = view.flip(-1) if mirrored else view
    logits = _sliding(model, view, windows)
    logits = logits.flip(-1) if mirrored else logits
    return logits if scaled == tuple(size) else _resize(logits, tuple(size), antialias=False)


def _sliding(
    model: Callable[[Tensor], Tensor], images: Tensor, windows: tuple[tuple[int, int], tuple[int, int]] | None
) -> Tensor:
    """Logits of ``images``, averaged over windows."""
    height, width = images.shape[-2:]
    if windows is None:
        return model(images).float()
    (window_height, window_width), (down, right) = windows
    tops, lefts = window_starts(height, window_height, down), window_starts(width, window_width, right)
    if len(tops) == len(lefts) == 1:
        return model(images).float()
    total, count = torch.zeros(()), images.new_zeros(height, width, dtype=torch.float32)
    for top in tops:
        for left in lefts:
            area = (..., slice(top, top + window_height), slice(left, left + window_width))
            logits = model(images[area]).float()
            if total.dim() == 0:
                total = logits.new_zeros(*logits.shape[:2], height, width)
            total[area] += logits
            count[area] += 1
    return total / count


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _resize(x: Tensor, size: tuple[int, ...], antialias: bool) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=antialias)
