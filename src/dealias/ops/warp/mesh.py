# SPDX-License-Identifier: Apache-2.0
"""Inverse of a sampling map, exact on the regular mesh's fixed triangulation, by sorted searches instead of walks.

The pixels of the warped grid, moved to where they look, are the vertices of a mesh over the source grid. Its rows are
polylines one above the other, its columns polylines side by side. A row is the graph of a function as long as it runs
from left to right, so that two bisections, along a row and over the rows, find the pair of rows around a point; the
columns around it are found alike, and the two strips cross in the cell that holds it. One of the cell's two triangles
gives the position: what SFM (arXiv:2507.11893) takes from a Delaunay triangulation of every image, for a batch at once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def mesh_inverse(map: Tensor, source: tuple[int, int], size: tuple[int, int] | None = None) -> Tensor:
    """Where each pixel of a regular grid over the source lies on the warped grid.

    The same as :func:`mesh_locate` at the centres of the pixels, several times faster: all points of a column share
    their searches.

    Args:
        map: [B, 2, H, W], for every pixel of the warped grid (x, y) in source pixels; float32 or float64.
        source: (height, width) of the source grid.
        size: (height, width) of the grid laid over the source, of any size; as the source by default.

    Returns:
        [B, 2, *size], (x, y) in pixels of the warped grid, 0..W-1 and 0..H-1, dtype of ``map``; without gradients.

    Raises:
        ValueError: shape or dtype of ``map``, or an empty grid.
    """
    _check(map, source)
    height, width = source if size is None else size
    if min(height, width) < 1:
        raise ValueError(f"mesh_inverse: size must be positive, got {(height, width)}")
    mesh = _with_two_lines(map.detach())
    across, down = _Axis(width, source[1]), _Axis(height, source[0])
    sideways = mesh.mT.contiguous()
    row = _strips_around_grid(mesh[:, 0], mesh[:, 1], across, down).mT.contiguous()
    column = _strips_around_grid(sideways[:, 1], sideways[:, 0], down, across)
    points = torch.stack(torch.broadcast_tensors(across.centres(mesh), down.centres(mesh)[:, None]))
    return _within(_position(mesh, row, column, points), map)


def mesh_locate(map: Tensor, points: Tensor, size: tuple[int, int]) -> Tensor:
    """Where points of the source lie on the warped grid: the inverse of the map, interpolated in the mesh's triangles.

    Every cell (i, j)..(i+1, j+1) of the warped grid is cut from (i+1, j) to (i, j+1); within each triangle the map is
    affine and inverted exactly, up to rounding in the source's pixels. Exact for every point, however uneven the map,
    as long as x grows along the rows of the map, y along its columns, and no triangle is reversed
    (:func:`count_flips`), as in the maps of :func:`~dealias.ops.warp.saliency_map`. Where a mesh does fold, a point may
    have several positions or none: the result is on one of the rows and columns that enclose it, always the same.

    A point outside the mesh gets a position on its border: it is first limited to the source's pixel centres, then
    to the ends of the rows, the first and the last row, and to the same of the columns.

    Args:
        map: [B, 2, H, W], for every pixel of the warped grid (x, y) in source pixels; float32 or float64.
        points: [B, 2, h, w], (x, y) in source pixels, computed in the dtype of ``map``.
        size: (height, width) of the source grid.

    Returns:
        [B, 2, h, w], (x, y) in pixels of the warped grid, 0..W-1 and 0..H-1, finite, dtype of ``map``; no gradients.

    Raises:
        ValueError: shapes, dtype of ``map``, or an empty grid.

    >>> columns = torch.tensor([0.0, 1.0, 4.0]).expand(1, 2, 3)
    >>> stretched = torch.stack([columns, torch.tensor([[0.0], [1.0]]).expand(1, 2, 3)], 1)
    >>> mesh_locate(stretched, torch.tensor([2.5, 0.25]).reshape(1, 2, 1, 1), (2, 5)).flatten().tolist()
    [1.5, 0.25]
    """
    _check(map, size)
    if points.ndim != 4 or points.shape[:2] != (map.shape[0], 2):
        raise ValueError(f"mesh_locate: points must be [{map.shape[0]}, 2, h, w], got shape {tuple(points.shape)}")
    return _mesh_locate(map.detach(), points.detach().to(map.dtype), *size)


@torch.library.custom_op("dealias::mesh_locate", mutates_args=())
def _mesh_locate(map: Tensor, points: Tensor, height: int, width: int) -> Tensor:
    """One operator, so that a compiled graph does not hold the hundreds of steps of its bisections."""
    mesh = _with_two_lines(map)
    x, y = points[:, 0].clamp(0, width - 1), points[:, 1].clamp(0, height - 1)
    row = _strips_around_points(mesh[:, 0], mesh[:, 1], x, y)
    column = _strips_around_points(mesh[:, 1].mT, mesh[:, 0].mT, y, x)
    return _within(_position(mesh, row, column, torch.stack([x, y], 1)), map)


@_mesh_locate.register_fake
def _(map: Tensor, points: Tensor, height: int, width: int) -> Tensor:
    return map.new_empty(points.shape)


def count_flips(map: Tensor) -> Tensor:
    """Number of triangles of the mesh whose orientation the map reverses: 0 where it can be inverted everywhere.

    Args:
        map: as in :func:`mesh_locate`.

    Returns:
        [B], int64, at most 2 (H-1) (W-1); triangles without area do not count.

    Raises:
        ValueError: shape or dtype of ``map``.
    """
    _check(map, (1, 1))
    map = map.detach()
    first, right, below, last = map[..., :-1, :-1], map[..., :-1, 1:], map[..., 1:, :-1], map[..., 1:, 1:]
    doubled_areas = _cross(right - first, below - first), _cross(below - last, right - last)
    return torch.stack(doubled_areas, 1).lt(0).flatten(1).sum(1)


class _Axis(NamedTuple):
    """``size`` pixels of a grid over ``extent`` pixels of the source, along one axis."""

    size: int
    extent: int

    def centres(self, like: Tensor) -> Tensor:
        """In pixels of the source and limited to their centres: [size]."""
        order = torch.arange(self.size, dtype=like.dtype, device=like.device)
        return ((order + 0.5) * (self.extent / self.size) - 0.5).clamp_(0, self.extent - 1)

    def place(self, values: Tensor) -> Tensor:
        """For every centre the last of ``values`` [..., N] that is not above it, but 0..N-2: int32 [..., size].

        Every value is noted at the first centre that it is not above; a running maximum does the rest.
        """
        length = values.shape[-1]
        centre = ((values + 0.5) * (self.size / self.extent) - 0.5).ceil_().long().clamp_(0, self.size)
        order = torch.arange(length, dtype=torch.int32, device=values.device).expand_as(values)
        noted = order.new_zeros(*values.shape[:-1], self.size + 1).scatter_reduce_(-1, centre, order, "amax")
        return noted[..., :-1].cummax(-1).values.clamp_(max=length - 2)


def _strips_around_grid(across: Tensor, along: Tensor, x: _Axis, y: _Axis) -> Tensor:
    """For every point (x, y) of a grid the polyline below it, not the last: int32 [B, x.size, y.size].

    Polyline k has the vertices (across[:, k], along[:, k]), [B, lines, vertices]. Its heights at all x come first, then
    the place of y among the heights of all lines.
    """
    batch, lines, vertices = across.shape
    vertex = x.place(across)
    first = torch.arange(0, across.numel(), vertices, dtype=vertex.dtype, device=vertex.device)
    heights = _height(across.reshape(-1), along.reshape(-1), vertex + first.view(batch, lines, 1), x.centres(across))
    return y.place(heights.mT)


def _strips_around_points(across: Tensor, along: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """As :func:`_strips_around_grid`, for points x, y [B, h, w]: int32 [B, h, w]; bisects along each line, too."""
    batch, lines, vertices = across.shape
    flat = across.reshape(-1), along.reshape(-1)
    steps = _halvings(vertices - 1)
    length = 2 * steps[0] if steps else 1
    segments = F.pad(across[..., :-1], (0, length - (vertices - 1)), value=torch.inf).reshape(-1)
    first_line = torch.arange(0, batch * lines, lines, dtype=torch.int32, device=x.device).view(batch, 1, 1)

    def passes_below(line: Tensor) -> Tensor:
        line = first_line + line
        index = line * length
        for step in steps:
            index = torch.add(index, _take(segments[step:], index) <= x, alpha=step)
        return _height(*flat, index - line * (length - vertices), x) <= y

    strip = torch.zeros_like(x, dtype=torch.int32)
    for step in _halvings(lines - 1):
        candidate = (strip + step).clamp_(max=lines - 2)
        strip = torch.maximum(strip, candidate * passes_below(candidate))
    return strip


def _halvings(count: int) -> list[int]:
    """Powers of two, falling to 1, whose sums reach every index of ``count``: the steps of a bisection."""
    return [1 << bit for bit in reversed(range((count - 1).bit_length()))]


def _height(across: Tensor, along: Tensor, vertex: Tensor, x: Tensor) -> Tensor:
    """Height at ``x`` of the segment that starts at ``vertex``; that of its nearer end beyond the ends."""
    left, right = _take(across, vertex), _take(across, vertex + 1)
    share = (x - left).div_((right - left).clamp_(min=torch.finfo(x.dtype).tiny)).clamp_(0, 1)
    return torch.lerp(_take(along, vertex), _take(along, vertex + 1), share)


def _position(mesh: Tensor, row: Tensor, column: Tensor, points: Tensor) -> Tensor:
    """Barycentric position of points [..., 2, h, w] in their cells (row, column) [B, h, w]: [B, 2, h, w].

    The cell's diagonal decides between the corners beside it; the areas that a point spans with the sides of its
    triangle are the weights of the corners opposite to these.
    """
    batch, _, height, width = mesh.shape
    flat = mesh.reshape(-1)
    plane = torch.arange(0, mesh.numel(), height * width, dtype=row.dtype, device=row.device).view(batch, 2, 1, 1)
    corner = plane + (row * width + column)[:, None]
    right, below = (_take(flat, corner + step).sub_(points) for step in (1, width))
    beside = _cross(right, below)
    to_other = (beside < 0).to(corner.dtype) * (width + 1)
    other = _take(flat, corner + to_other[:, None]).sub_(points)
    to_right, to_below = _cross(below, other), _cross(other, right)
    whole = beside + to_right + to_below
    shared = beside.clamp_(max=0)  # the last corner is both right and below
    across, down = (((weight + shared) / whole).nan_to_num_(0).clamp_(0, 1) for weight in (to_right, to_below))
    return torch.stack([across.add_(column), down.add_(row)], 1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _take(values: Tensor, index: Tensor) -> Tensor:
    return values.index_select(0, index.reshape(-1)).view(index.shape)


def _with_two_lines(map: Tensor) -> Tensor:
    """The mesh, contiguous; one row or column of vertices is repeated a pixel further, since a cell needs two."""
    for axis in (0, 1):
        if map.shape[3 - axis] == 1:
            step = torch.eye(2, dtype=map.dtype, device=map.device)[axis].view(2, 1, 1)
            map = torch.cat([map, map + step], 3 - axis)
    return map.contiguous()


def _within(found: Tensor, map: Tensor) -> Tensor:
    """Positions limited to the warped grid, of which the only row or column may have been repeated."""
    height, width = map.shape[2:]
    if min(height, width) > 1:
        return found
    return torch.stack([found[:, 0].clamp(max=width - 1), found[:, 1].clamp(max=height - 1)], 1)


def _check(map: Tensor, size: tuple[int, int]) -> None:
    if map.ndim != 4 or map.shape[1] != 2 or min(map.shape[2:]) < 1:
        raise ValueError(f"a sampling map must be [B, 2, H, W], not empty, got shape {tuple(map.shape)}")
    if map.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"a sampling map must be float32 or float64, got {map.dtype}")
    if min(size) < 1:
        raise ValueError(f"the source grid's size must be positive, got {tuple(size)}")
