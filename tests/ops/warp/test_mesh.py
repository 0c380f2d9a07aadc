# SPDX-License-Identifier: Apache-2.0
"""The mesh inverse against a search through all triangles, scipy's Delaunay triangulation, and the map itself."""

import numpy as np
import pytest
import torch
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay
from torch import Tensor

from dealias.ops.warp import count_flips, mesh_inverse, mesh_locate, saliency_map
from dealias.testing import assert_close

SIZES = [(7, 9), (8, 5), (2, 2), (1, 6), (5, 1), (1, 1)]


def random_map(size, dtype=torch.float64, spread=2.0, batch=2, sigma=1.5):
    return saliency_map(torch.exp(spread * torch.randn(batch, 1, *size, dtype=dtype)), sigma=sigma)


def pixel_grid(size, dtype=torch.float64):
    y, x = torch.meshgrid(*(torch.arange(n, dtype=dtype) for n in size), indexing="ij")
    return torch.stack([x, y])[None]


def triangles(size):
    """(i, j) of the corners of all triangles, as the docstring of mesh_locate cuts the cells."""
    for j in range(size[0] - 1):
        for i in range(size[1] - 1):
            yield (i, j), (i + 1, j), (i, j + 1)
            yield (i + 1, j + 1), (i, j + 1), (i + 1, j)


def search_all_triangles(mesh, point):
    """Position of a point [2] in the triangle of a mesh [2, H, W] where its smallest barycentric weight is largest."""
    found, best = None, -np.inf
    for corners in triangles(mesh.shape[1:]):
        places = np.array(corners, dtype=float).T
        vertices = np.stack([mesh[:, j, i] for i, j in corners], 1)
        weights = np.linalg.solve(np.vstack([vertices, np.ones(3)]), np.append(point, 1))
        if weights.min() > best:
            found, best = places @ weights, weights.min()
    assert best > -1e-9, "the mesh does not cover the point"
    return found


def triangle_map(u: Tensor, p: Tensor) -> Tensor:
    """The piecewise affine map itself, at positions [B, 2, h, w] of the warped grid."""
    height, width = u.shape[2:]
    i, j = p[:, 0].floor().clamp(0, width - 2), p[:, 1].floor().clamp(0, height - 2)
    a, b = (p[:, 0] - i)[:, None], (p[:, 1] - j)[:, None]
    index = (j * width + i).long().flatten(1)[:, None].expand(-1, 2, -1)
    first, right, below, last = (
        u.flatten(2).gather(2, index + step).view(p.shape) for step in (0, 1, width, width + 1)
    )
    upper = first + a * (right - first) + b * (below - first)
    return torch.where(a + b <= 1, upper, last + (1 - a) * (below - last) + (1 - b) * (right - last))


@pytest.mark.parametrize("size", SIZES[:3])
def test_equals_a_search_through_all_triangles(size):
    torch.manual_seed(0)
    u = random_map(size)
    points = torch.rand(2, 2, 3, 8, dtype=torch.float64) * torch.tensor([size[1] - 1, size[0] - 1.0]).view(2, 1, 1)
    found = mesh_locate(u, points, size).flatten(2)
    for b in range(2):
        for k, point in enumerate(points[b].flatten(1).T.numpy()):
            np.testing.assert_allclose(found[b, :, k].numpy(), search_all_triangles(u[b].numpy(), point), atol=1e-9)


@pytest.mark.parametrize("target", [(13, 4), (1, 1), (20, 31)])
@pytest.mark.parametrize("size", SIZES)
def test_a_regular_grid_is_located_as_its_points_are(size, target):
    torch.manual_seed(1)
    u = random_map(size)
    y, x = torch.meshgrid(
        *((torch.arange(m).double() + 0.5) * n / m - 0.5 for n, m in zip(size, target, strict=True)), indexing="ij"
    )
    points = torch.stack([x, y]).expand(2, -1, -1, -1)
    inverse = mesh_inverse(u, size, target)
    assert inverse.shape == (2, 2, *target) and inverse.dtype == torch.float64
    assert_close(inverse, mesh_locate(u, points, size))
    if min(size) > 1:
        limit = torch.tensor([size[1] - 1, size[0] - 1]).view(2, 1, 1)
        assert_close(triangle_map(u, inverse), points.clamp(min=0).minimum(limit))


def adversarial(kind, ratio, size=48):
    if kind == "pixels":
        return torch.exp(torch.rand(2, 1, size, size, dtype=torch.float64) * np.log(ratio))
    if kind == "dots":
        return torch.where(torch.rand(2, 1, size, size) < 0.1, ratio, 1.0).double()
    if kind == "blocks":
        return (
            torch.where(torch.rand(2, 1, size // 8, size // 8) < 0.3, ratio, 1.0)
            .double()
            .repeat_interleave(8, 2)
            .repeat_interleave(8, 3)
        )
    return 1 + ratio * (torch.eye(size) + torch.eye(size).roll(9, 0)).expand(2, 1, -1, -1).double()


@pytest.mark.parametrize("sigma", [None, 4.0, 6.0, 12.0])
@pytest.mark.parametrize("kind", ["pixels", "dots", "blocks", "diagonals"])
def test_every_point_is_found_however_uneven_the_map(kind, sigma):
    torch.manual_seed(2)
    for ratio in (10, 1e3, 1e6):
        u = saliency_map(adversarial(kind, ratio), sigma=sigma)
        whole = count_flips(u) == 0
        for found in (mesh_inverse(u, (48, 48)), mesh_locate(u, pixel_grid((48, 48)).expand(2, -1, -1, -1), (48, 48))):
            assert 0 <= found.min() and found.max() <= 47
            error = (triangle_map(u, found) - pixel_grid((48, 48))).abs()
            assert error[whole].numel() == 0 or error[whole].max() < 1e-6
        if ratio <= 1e3:
            single = mesh_inverse(u.float(), (48, 48)).double()
            assert (triangle_map(u, single) - pixel_grid((48, 48))).abs()[whole].max() < 1e-3


@pytest.mark.parametrize("sigma", [None, 6.0])
def test_agrees_with_scipy(sigma):
    torch.manual_seed(3)
    size = (40, 33)
    u = random_map(size, torch.float32, spread=1.0, sigma=sigma)
    found = mesh_inverse(u, size).numpy()
    ours = {frozenset(j * size[1] + i for i, j in corners) for corners in triangles(size)}
    places = pixel_grid(size)[0].flatten(1).T.numpy()
    shared = 0
    for b in range(2):
        delaunay = Delaunay(u[b].flatten(1).T.double().numpy())
        theirs = LinearNDInterpolator(delaunay, places)(places).T.reshape(2, *size)
        simplex = delaunay.find_simplex(places)
        agrees = np.array([frozenset(delaunay.simplices[s]) in ours for s in simplex]).reshape(size) & (
            simplex.reshape(size) >= 0
        )
        difference = np.abs(found[b] - theirs)
        assert difference[:, agrees].max() < 1e-3
        assert np.nanmax(difference) < 0.02 * max(size)
        shared += agrees.sum()
    assert shared > 0.3 * found[:, 0].size


def test_a_point_outside_goes_to_the_border():
    u = random_map((6, 7))[:1]
    points = torch.tensor([[-3.0, 2.2, 9.0, 9.0], [2.5, -1.0, 1.5, 9.0]]).double()[None, :, None]
    limited = torch.tensor([[0.0, 2.2, 6.0, 6.0], [2.5, 0.0, 1.5, 5.0]]).double()[None, :, None]
    found = mesh_locate(u, points, (6, 7))
    assert_close(found, mesh_locate(u, limited, (6, 7)))
    assert_close(triangle_map(u, found), limited)
    inner = pixel_grid((3, 3)) + 2  # a mesh that covers a part of a source of 8 x 8
    beside = torch.tensor([0.5, 7.0]).double().view(1, 2, 1, 1)
    assert mesh_locate(inner, beside, (8, 8)).flatten().tolist() == [0, 2]


def test_flips_are_counted():
    still = pixel_grid((4, 5))
    pulled = still.clone()
    pulled[0, 0, 1, 1] = 2.5  # vertex (1, 1) beyond its right neighbour: the two triangles at their edge turn
    doubled = still.clone()
    doubled[0, 0, :, 2] = 1.0  # triangles without area
    swapped = still.clone()
    swapped[:, 0, :, 1:3] = still[:, 0, :, 1:3].flip(-1)
    mirrored = still.flip(-1)
    maps = torch.cat([still, pulled, doubled, swapped, mirrored])
    assert count_flips(maps).tolist() == [0, flips_by_hand(pulled), 0, flips_by_hand(swapped), 2 * 3 * 4]
    assert count_flips(maps).dtype == torch.int64 and flips_by_hand(pulled) == 2
    assert count_flips(pixel_grid((1, 5))).tolist() == [0]


def flips_by_hand(u):
    return sum(
        np.linalg.det(np.vstack([np.stack([u[0, :, j, i] for i, j in corners], 1), np.ones(3)])) < -1e-12
        for corners in triangles(u.shape[2:])
    )


def test_folded_meshes_stay_finite_and_in_range():
    torch.manual_seed(4)
    size = (9, 12)
    still = pixel_grid(size)
    nowhere = torch.full_like(still, 5.0)
    huge = torch.randn_like(still) * 1e30
    maps = torch.cat([still + 3 * torch.randn(6, 2, *size), still.flip(-1), still.flip(-2), nowhere, huge])
    limit = torch.tensor([11.0, 8.0]).view(2, 1, 1)
    for dtype in (torch.float32, torch.float64):
        u = maps.to(dtype)
        for shift in (0, -100, 1e30):
            points = (still + shift).to(dtype).expand(len(u), -1, -1, -1)
            for found in (mesh_inverse(u, size, (17, 5)), mesh_locate(u, points, size)):
                assert found.isfinite().all() and (found >= 0).all() and (found <= limit).all()


def test_a_fold_does_not_reach_far():
    u = pixel_grid((16, 16))
    folded = u.clone()
    folded[0, 0, 7, 7] = 9.0
    error = (mesh_inverse(folded, (16, 16)) - u).abs().sum(1)[0]
    assert error[:6].max() == error[9:].max() == error[:, :6].max() == error[:, 11:].max() == 0 and error.max() < 3


def test_positions_have_no_gradient_but_values_do():
    u = random_map((6, 6), torch.float32).requires_grad_()
    found = mesh_inverse(u, (6, 6), (9, 9))
    assert not found.requires_grad and not mesh_locate(u, found.detach(), (6, 6)).requires_grad


def test_compiles_and_exports_for_any_batch():
    class Back(torch.nn.Module):
        def forward(self, u, points):
            return mesh_inverse(u, (12, 10), (5, 7)), mesh_locate(u, points, (12, 10)), count_flips(u)

    u, points = random_map((12, 10), torch.float32), torch.rand(2, 2, 3, 4) * 9
    expected = Back()(u, points)
    compiled = torch.compile(Back(), backend="aot_eager", fullgraph=True)
    for actual, wanted in zip(compiled(u, points), expected, strict=True):
        assert torch.equal(actual, wanted)
    batch = torch.export.Dim("batch", min=2, max=16)
    program = torch.export.export(Back(), (u, points), dynamic_shapes=({0: batch}, {0: batch}))
    more, more_points = random_map((12, 10), torch.float32, batch=3), torch.rand(3, 2, 3, 4) * 9
    for actual, wanted in zip(program.module()(more, more_points), Back()(more, more_points), strict=True):
        assert torch.equal(actual, wanted)


def test_an_empty_batch():
    u = torch.zeros(0, 2, 4, 5)
    assert mesh_inverse(u, (4, 5), (3, 3)).shape == (0, 2, 3, 3)
    assert mesh_locate(u, torch.zeros(0, 2, 1, 2), (4, 5)).shape == (0, 2, 1, 2) and count_flips(u).shape == (0,)


def test_one_row_is_inverted_along_it():
    u = torch.tensor([[0.0, 1.0, 4.0], [0.0, 0.0, 0.0]]).view(1, 2, 1, 3)
    assert mesh_inverse(u, (1, 5))[0, 0, 0].tolist() == pytest.approx([0, 1, 4 / 3, 5 / 3, 2])
    assert mesh_inverse(u.flip(1).mT, (5, 1))[0, 1, :, 0].tolist() == pytest.approx([0, 1, 4 / 3, 5 / 3, 2])
    assert torch.equal(mesh_inverse(u[..., :1], (1, 1), (2, 2)), torch.zeros(1, 2, 2, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mesh_inverse(torch.zeros(1, 3, 4, 4), (4, 4)), r"\[B, 2, H, W\].*\(1, 3, 4, 4\)"),
        (lambda: mesh_inverse(torch.zeros(1, 2, 0, 4), (4, 4)), "not empty"),
        (lambda: count_flips(torch.zeros(1, 2, 4, 4).half()), "float16"),
        (lambda: mesh_inverse(torch.zeros(1, 2, 4, 4), (4, 0)), r"source grid.*\(4, 0\)"),
        (lambda: mesh_inverse(torch.zeros(1, 2, 4, 4), (4, 4), (0, 3)), r"positive, got \(0, 3\)"),
        (lambda: mesh_locate(torch.zeros(1, 2, 4, 4), torch.zeros(2, 2, 1, 1), (4, 4)), r"\[1, 2, h, w\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
