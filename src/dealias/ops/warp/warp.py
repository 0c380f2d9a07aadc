# SPDX-License-Identifier: Apache-2.0
"""A warp as a value: the map of coordinates, what it is a map of, and what can be done with it (arXiv:2507.11893)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..point_sample import point_sample
from .grid import Size, pixel_centres, rescale_points
from .mesh import count_flips, mesh_inverse, mesh_locate
from .newton import newton_locate

METHODS = ("mesh", "newton")
"""How a warp is inverted: on triangles between pixels, or by Newton's method on its bilinear interpolation."""


@dataclass(frozen=True, eq=False)
class Warp:
    """For each pixel of a warped grid, where it looks in a source grid.

    Points are (x, y) in pixels of the grid that is named, pixel centres at integers; a grid of another size over the
    same area has half-pixel centres (``align_corners=False``). Sampling is bilinear, and outside of a grid its border
    pixels repeat.

    Args:
        map: u, [B, 2, H, W], in pixels of the source grid, float32 or float64: bfloat16 cannot hold 128.5.
        size: (height, width) of the source grid.

    Raises:
        ValueError: the map is not such a tensor or the size has no pixels.

    >>> x = torch.tensor([[[[1.0, 11.0, 21.0]]]])
    >>> mirror = Warp(torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])[None, :, None], size=(1, 3))
    >>> mirror.apply(x).flatten().round()
    tensor([21., 11.,  1.])
    """

    map: Tensor
    size: Size

    def __post_init__(self) -> None:
        shape = tuple(self.map.shape)
        if len(shape) != 4 or shape[1] != 2 or 0 in shape[2:] or self.map.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"Warp: map must be float32 or float64 [B, 2, H, W], H and W at least 1, got {self.map.dtype} {shape}"
            )
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"Warp: size must be (height, width), at least 1 each, got {tuple(self.size)}")

    @property
    def grid_size(self) -> Size:
        """(H, W) of the warped grid."""
        return self.map.shape[2], self.map.shape[3]

    def apply(self, x: Tensor) -> Tensor:
        """Warp features: ``out(p) = x(u(p))``, with gradients to the features and to the map.

        Args:
            x: [B, C, h, w], any floating dtype, on the source grid or on another one over the same area.

        Returns:
            [B, C, H, W], dtype of ``x`` (under autocast too), sampled in float32 at least.

        Raises:
            ValueError: ``x`` is not floating or its batch is not that of the map.
        """
        if x.ndim != 4 or x.shape[0] != self.map.shape[0] or not x.is_floating_point():
            raise ValueError(
                f"Warp.apply: x must be floating [B, C, h, w] with the batch of the map {tuple(self.map.shape)}, "
                f"got {x.dtype} {tuple(x.shape)}"
            )
        return sample(x, self.map, self.size)

    def locate(self, points: Tensor, method: str = "mesh") -> Tensor:
        """Where points of the source are on the warped grid: p with u(p) = point.

        Where the map does not reach, the result is on the border of the warped grid or close to it.

        Args:
            points: [B, 2, h, w], in pixels of the source grid, dtype of the map.
            method: ``"mesh"`` inverts the map as linear on two triangles per cell of four pixels, without a gradient
                to the map; ``"newton"`` as bilinear between pixels, with gradients to map and points.

        Returns:
            [B, 2, h, w], in pixels of the warped grid, x in 0..W-1 and y in 0..H-1.

        Raises:
            ValueError: the points are not such a tensor or the method is unknown.
        """
        _check_method(method)
        if points.ndim != 4 or points.shape[:2] != self.map.shape[:2] or points.dtype != self.map.dtype:
            raise ValueError(
                f"Warp.locate: points must be [B, 2, h, w] with batch and dtype of the map {self.map.dtype} "
                f"{tuple(self.map.shape)}, got {points.dtype} {tuple(points.shape)}"
            )
        return (mesh_locate if method == "mesh" else newton_locate)(self.map, points, self.size)

    def inverse(self, size: Size | None = None, method: str = "mesh") -> Warp:
        """The warp back: ``inverse.apply(warped)`` has the warped features in the geometry of the source again.

        Args:
            size: (height, width) of the grid over the source to bring them to, by default the source grid.
            method: as in :meth:`locate`.

        Raises:
            ValueError: the method is unknown or the size has no pixels.
        """
        _check_method(method)
        size = self.size if size is None else size
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"Warp.inverse: size must be (height, width), at least 1 each, got {tuple(size)}")
        places = mesh_inverse(self.map, self.size, size)
        if method == "newton":
            points = rescale_points(pixel_centres(size, self.map.shape[0], self.map), size, self.size)
            places = newton_locate(self.map, points, self.size, start=places)
        return Warp(places, self.grid_size)

    def compose(self, other: Warp) -> Warp:
        """This warp, then ``other``, as one: its ``apply(x)`` is near ``other.apply(self.apply(x))`` and blurs once.

        Args:
            other: its source is the warped grid of this one, or another grid over the same area.

        Raises:
            ValueError: the batches differ.
        """
        if other.map.shape[0] != self.map.shape[0]:
            raise ValueError(
                f"Warp.compose: maps need the same batch, got {tuple(self.map.shape)} and {tuple(other.map.shape)}"
            )
        return Warp(sample(self.map, other.map, other.size), self.size)

    def jacobian(self) -> Tensor:
        """Derivatives of the map by central differences, one-sided at borders.

        Returns:
            [B, 2, 2, H, W], ``[:, i, j]`` the derivative of source coordinate i by warped place j, both (x, y). Along
            an axis of one pixel that of the unwarped grid.
        """
        return torch.stack([_derivative(self.map, 0), _derivative(self.map, 1)], dim=2)

    def flips(self) -> Tensor:
        """How many triangles of the mesh lie the wrong way round in the source: [B], int64; 0 where nothing folds."""
        return count_flips(self.map)

    def detach(self) -> Warp:
        """The same warp without gradients to the map."""
        return Warp(self.map.detach(), self.size)


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"Warp: method must be one of {', '.join(METHODS)}, got {method!r}")


def sample(x: Tensor, points: Tensor, size: Size) -> Tensor:
    """Bilinear values of ``x`` [B, C, h, w] at ``points`` [B, 2, H, W] of a grid of ``size`` over it, in its dtype."""
    height, width = x.shape[2:]
    return point_sample(x, rescale_points(points, size, (height, width))[:, None]).to(x.dtype)


def _derivative(values: Tensor, axis: int) -> Tensor:
    """By x (0) or y (1)."""
    dim = 3 - axis
    if values.shape[dim] == 1:
        identity = values.new_zeros(2, 1, 1)
        identity[axis] = 1
        return identity.expand_as(values)
    steps = values.diff(dim=dim)
    first, last = steps.narrow(dim, 0, 1), steps.narrow(dim, -1, 1)
    return (torch.cat([first, steps], dim) + torch.cat([steps, last], dim)) / 2
