# SPDX-License-Identifier: Apache-2.0
"""Edges in label maps, and their dilation: where sampling errors show (arXiv:2403.09065, arXiv:2408.12879)."""

import torch
from torch import Tensor
from torch.nn import functional

EDGE_KINDS = ("exact", "released")


def label_edges(labels: Tensor, edges: str = "exact") -> Tensor:
    """Pixels on an edge between two labels, an edge being two pixels wide (one on each side).

    ``"exact"``: any of the four neighbours has another label. ``"released"``: the 4-neighbour Laplacian of the ids,
    taken as bytes and reflected at the border without repeating it, is not zero; this is how the published tables were
    made. It misses a pixel whose neighbours cancel (ids 4, 5, 6 in a row). An ignored id counts as a label in both.
    The border of the image is no edge.

    Args:
        labels: ids, (..., H, W), any integer type.
        edges: ``"exact"`` or ``"released"``.

    Returns:
        (..., H, W), bool.

    Raises:
        ValueError: ``edges`` is unknown.

    >>> label_edges(torch.tensor([[4, 4, 5, 6, 6]])).int()
    tensor([[0, 1, 1, 1, 0]], dtype=torch.int32)
    >>> label_edges(torch.tensor([[4, 4, 5, 6, 6]]), "released").int()
    tensor([[0, 1, 0, 1, 0]], dtype=torch.int32)
    """
    check_edges(edges)
    if edges == "exact":
        return _differing_neighbours(labels)
    return _laplacian(labels.to(torch.uint8).to(torch.int16)) != 0


def _differing_neighbours(labels: Tensor) -> Tensor:
    """Pixels that differ from one of their four neighbours inside the image, (..., H, W), bool."""
    differing = torch.zeros(labels.shape, dtype=torch.uint8, device=labels.device)
    for dim in (-2, -1):
        count = labels.size(dim) - 1
        if count < 1:
            continue
        differs = (labels.narrow(dim, 0, count) != labels.narrow(dim, 1, count)).view(torch.uint8)
        differing.narrow(dim, 0, count).bitwise_or_(differs)
        differing.narrow(dim, 1, count).bitwise_or_(differs)
    return differing.view(torch.bool)


def _laplacian(ids: Tensor) -> Tensor:
    """Second differences along rows plus columns, (..., H, W); mirrored at the border, which is not repeated."""
    laplacian = torch.zeros_like(ids)
    for dim in (-2, -1):
        step = ids.diff(dim=dim)
        count = step.size(dim)
        if count == 0:
            continue
        laplacian.narrow(dim, 0, count).add_(step)
        laplacian.narrow(dim, 1, count).sub_(step)
        laplacian.narrow(dim, 0, 1).add_(step.narrow(dim, 0, 1))
        laplacian.narrow(dim, count, 1).sub_(step.narrow(dim, count - 1, 1))
    return laplacian


def dilate(mask: Tensor, width: int) -> Tensor:
    """Dilation by a ``width`` x ``width`` square; outside the image is empty.

    The window doubles with every pass, so that a width of 15 costs four passes along each axis.

    Args:
        mask: (..., H, W), bool, or uint8 whose eight bits are eight masks dilated at once.
        width: side of the square in pixels, odd.

    Returns:
        (..., H, W), dtype of ``mask``.

    Raises:
        ValueError: ``width`` is not odd and positive, or ``mask`` is neither bool nor uint8.

    >>> dilate(torch.tensor([[True, False, False, False]]), width=3)
    tensor([[ True,  True, False, False]])
    """
    check_width(width)
    if mask.dtype not in (torch.bool, torch.uint8):
        raise ValueError(f"dilate expects a mask of bool or uint8, found {mask.dtype}")
    radius = width // 2
    # Bytes are three times as fast as bools here, with the same bits.
    bits = functional.pad(mask.view(torch.uint8), (radius, radius, radius, radius))
    for dim in (-2, -1):
        bits = running_or(bits, width, dim)
    return bits.view(mask.dtype)


def running_or(bits: Tensor, width: int, dim: int) -> Tensor:
    """Bitwise or over every window of ``width`` along ``dim``, which shrinks by ``width - 1``."""
    window = 1
    while window < width:
        shift = min(window, width - window)
        count = bits.size(dim) - shift
        bits = bits.narrow(dim, 0, count) | bits.narrow(dim, shift, count)
        window += shift
    return bits


def check_edges(edges: str) -> None:
    """Raises ValueError for an unknown kind of edges, naming the known ones."""
    if edges not in EDGE_KINDS:
        raise ValueError(f"unknown edges {edges!r}, expected one of {', '.join(EDGE_KINDS)}")


def check_width(width: int) -> None:
    """Raises ValueError for a width that has no centre pixel."""
    if width < 1 or width % 2 == 0:
        raise ValueError(f"the width must be odd and positive, found {width}")
