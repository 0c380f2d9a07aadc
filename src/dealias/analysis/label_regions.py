# SPDX-License-Identifier: Apache-2.0
"""Parts of a label map: the interior of its classes, the band around edges, and how deep a pixel lies in its class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dealias.ops.label_edges import check_width, dilate, label_edges
from dealias.ops.windows import at, overlap


@dataclass(frozen=True)
class Regions:
    """What of one label map is compared with what. Classes with an interior are numbered from 0, by label.

    Attributes:
        size: height and width of the map.
        reach: how deep pixels are looked at, in pixels.
        labels: label of each class with an interior, ascending.
        interior: of each of these, the positions of its interior pixels in the flattened map.
        pixels: positions of the pixels of these classes that are compared, [P].
        own: class of each, [P].
        in_band: whether it lies in the band around edges, [P].
        depth: distance in pixels to the nearest pixel of another label, rounded up, 1 to ``reach``; 0: farther, [P].
        other: class of that pixel; -1: it has no interior, or is farther, [P].
    """

    size: tuple[int, int]
    reach: int
    labels: tuple[int, ...]
    interior: tuple[Tensor, ...]
    pixels: Tensor
    own: Tensor
    in_band: Tensor
    depth: Tensor
    other: Tensor


@dataclass(frozen=True)
class RegionRule:
    """How label maps are divided.

    An edge pixel has one of its four neighbours in another class. The band is all edge pixels, dilated by a square;
    what is outside of it is interior. Pixels that may be in the band only because of an ignored one are removed from
    both: all those within ``band // 2 + 1`` pixels of it, diagonals included.

    Attributes:
        ignore_index: label of pixels without ground truth.
        size: height and width that label maps are brought to first, by the nearest label; ``None``: as they are.
        band: side of the square in pixels, odd; 5 in the paper.
        reach: how far from edges, in pixels, classes are looked at to measure the displacement of boundaries.
    """

    ignore_index: int = 255
    size: tuple[int, int] | None = None
    band: int = 5
    reach: int = 8

    def __post_init__(self) -> None:
        check_width(self.band)
        if self.reach < 1:
            raise ValueError(f"the reach must be at least 1 pixel, got {self.reach}")

    def divide(self, labels: Tensor) -> list[Regions]:
        """Divide label maps.

        Args:
            labels: [B, H, W], any integer type.

        Raises:
            ValueError: shape or type.
        """
        if labels.ndim != 3 or labels.is_floating_point() or labels.is_complex():
            raise ValueError(f"labels must be integers [B, H, W], got {labels.dtype} {tuple(labels.shape)}")
        if self.size is not None:
            resized = functional.interpolate(labels[:, None].double(), self.size, mode="nearest-exact")
            labels = resized[:, 0]
        return [self._divide(of_image) for of_image in labels.long().contiguous()]

    def _divide(self, labels: Tensor) -> Regions:
        ignored = dilate(labels == self.ignore_index, self.band + 2)
        in_band = dilate(label_edges(labels), self.band)
        interior = torch.where(in_band | ignored, self.ignore_index, labels)
        known = [label for label in interior.unique().tolist() if label != self.ignore_index]
        classes = _numbered(labels, known)
        distance, nearest = nearest_other(labels, self.reach)
        depth = torch.where(distance.isfinite() & (nearest != self.ignore_index), distance, 0).ceil().long()
        compared = (in_band | (depth > 0)) & ~ignored & (classes >= 0)
        return Regions(
            size=(labels.shape[0], labels.shape[1]),
            reach=self.reach,
            labels=tuple(known),
            interior=tuple((interior == label).flatten().nonzero()[:, 0] for label in known),
            pixels=compared.flatten().nonzero()[:, 0],
            own=classes[compared],
            in_band=in_band[compared],
            depth=depth[compared],
            other=torch.where(depth > 0, _numbered(nearest, known), -1)[compared],
        )


def nearest_other(labels: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """The nearest pixel with another label, for every pixel.

    Euclidean, exact: first along the column; then a pixel of the same row either has another label itself, or the same,
    and then what its column knows holds for this pixel, too. Of equally near pixels any may be taken.

    Args:
        labels: [H, W], int64.
        reach: farther pixels are not looked for.

    Returns:
        Distance [H, W] in pixels between centres, float32, infinite beyond ``reach``; and the label found there [H, W].

    >>> distance, label = nearest_other(torch.tensor([[7, 7, 7, 2]]), reach=2)
    >>> distance.tolist(), label[0, 1:].tolist()
    ([[inf, 2.0, 1.0, 1.0]], [2, 2, 7])
    """
    height, width = labels.shape
    column = labels.new_full(labels.shape, torch.inf, dtype=torch.float32), labels.clone()
    for step in _steps(reach):
        here, there = overlap(step, 0, height, width)
        differs = at(labels, here) != at(labels, there)
        squares = torch.where(differs, float(step**2), torch.inf)
        _keep_nearer(column, here, squares, at(labels, there))
    found = column[0].clone(), column[1].clone()
    for step in _steps(reach):
        here, there = overlap(0, step, height, width)
        same = at(labels, here) == at(labels, there)
        squares = step**2 + torch.where(same, at(column[0], there), 0.0)
        _keep_nearer(found, here, squares, torch.where(same, at(column[1], there), at(labels, there)))
    distance = found[0].sqrt()
    return distance.masked_fill(distance > reach, torch.inf), found[1]


def _steps(reach: int) -> list[int]:
    return [sign * step for step in range(1, reach + 1) for sign in (-1, 1)]


def _keep_nearer(known: tuple[Tensor, Tensor], where: tuple[slice, slice], squares: Tensor, labels: Tensor) -> None:
    """Replace squared distances and labels in a part of the map where something nearer was found."""
    best, found = (at(each, where) for each in known)
    is_nearer = squares < best
    best.copy_(torch.where(is_nearer, squares, best))
    found.copy_(torch.where(is_nearer, labels, found))


def _numbered(labels: Tensor, known: list[int]) -> Tensor:
    """The number of each label among the known ones, which are ascending; -1 for others."""
    if not known:
        return torch.full_like(labels, -1)
    ids = torch.tensor(known, device=labels.device)
    numbers = torch.searchsorted(ids, labels).clamp(max=len(known) - 1)
    return torch.where(ids[numbers] == labels, numbers, -1)
