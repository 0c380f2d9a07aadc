# SPDX-License-Identifier: Apache-2.0
"""The Newton inverse: it undoes the map to rounding, between pixels too, and has the gradient of an inverse."""

import pytest
import torch

from dealias.ops.point_sample import point_sample_reference
from dealias.ops.warp import mesh_locate, newton_locate, saliency_map


def points_within(size, count=1, shape=(40, 40), dtype=torch.float32):
    height, width = size
    points = torch.rand(count, 2, *shape, dtype=dtype) * torch.tensor([width - 1, height - 1])[:, None, None]
    points[:, 0, 0], points[:, 1, :, 0] = 0, height - 1  # borders belong to it
    return points


def value(map, positions):
    return point_sample_reference(map, positions[:, None])


@pytest.mark.parametrize("sigma", [None, 4.0, 6.0, 12.0])
@pytest.mark.parametrize("power", [1, 3])
def test_undoes_maps_of_saliencies(sigma, power):
    """Noise, and discs a hundred times as salient as what surrounds them, on a grid of 96 x 80 pixels."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(80.0), indexing="ij")
    disc = 0.05 + 5 * (((x - 30) ** 2 + (y - 40) ** 2 < 200) | ((x - 65) ** 2 + (y - 70) ** 2 < 100))
    map = saliency_map(torch.stack([10 ** (power * torch.rand(96, 80)), disc])[:, None], sigma=sigma)
    points = points_within((96, 80), count=2)
    found = newton_locate(map, points, (96, 80))
    assert (value(map, found) - points).abs().max() < 1e-4
    assert (found - mesh_locate(map, points, (96, 80))).abs().max() < 0.5


def test_starts_anywhere():
    map = saliency_map(torch.rand(1, 1, 12, 14, dtype=torch.float64) + 0.5, sigma=2.0)
    points = points_within((12, 14), dtype=torch.float64)
    for guess in (torch.zeros_like(points), torch.full_like(points, 100.0), points):
        found = newton_locate(map, points, (12, 14), start=guess)
        assert torch.allclose(value(map, found), points, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 1), (2, 2)])
def test_smallest_maps(size):
    map = saliency_map(torch.rand(2, 1, *size) + 0.1, sigma=1.0)
    points = points_within(size, count=2, shape=(5, 3))
    found = newton_locate(map, points, size)
    assert (value(map, found) - points).abs().max() < 1e-5


def test_no_images():
    assert newton_locate(torch.rand(0, 2, 4, 4), torch.rand(0, 2, 3, 5), (4, 4)).shape == (0, 2, 3, 5)


def test_points_outside_are_on_the_border():
    map = saliency_map(torch.rand(1, 1, 9, 9) + 0.1, sigma=1.0)
    points = torch.tensor([[-3.0, 20.0, 4.0], [4.0, 4.0, 20.0]]).reshape(1, 2, 1, 3).requires_grad_()
    found = newton_locate(map, points, (9, 9))
    limited = newton_locate(map, points.detach().clamp(0, 8), (9, 9))
    assert torch.equal(found, limited)
    assert found[0, 0, 0].tolist()[:2] == [0.0, 8.0] and found[0, 1, 0, 2] == 8
    found[0, 0, 0, :2].sum().backward()
    assert (points.grad[0, 0, 0, :2] == 0).all()


@pytest.mark.parametrize("name", ["random", "constant", "mirror", "steep"])
def test_folded_maps_stay_finite_and_in_range(name):
    size = (10, 13)
    mirror = saliency_map(torch.ones(2, 1, *size)).flip(3)
    map = {
        "random": torch.randn(2, 2, *size) * 30,
        "constant": torch.full((2, 2, *size), 3.0),
        "mirror": mirror,
        "steep": saliency_map(torch.where(torch.rand(2, 1, *size) > 0.95, 1e6, 1.0)),
    }[name].requires_grad_()
    points = (torch.randn(2, 2, 20, 20) * 20).requires_grad_()
    found = newton_locate(map, points, size)
    assert found.isfinite().all() and found.min() >= 0
    assert found[:, 0].max() <= 12 and found[:, 1].max() <= 9
    found.sum().backward()
    assert map.grad.isfinite().all() and points.grad.isfinite().all()


def test_gradients():
    """To the map and to the points, the latter well inside of the cells, where the bilinear map has no kinks."""
    map = saliency_map(torch.rand(1, 1, 4, 5, dtype=torch.float64) + 0.5, sigma=1.5)
    positions = torch.randint(0, 3, (1, 2, 1, 3)) + 0.2 + 0.6 * torch.rand(1, 2, 1, 3, dtype=torch.float64)
    points = value(map, positions).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, p: newton_locate(m, p, (4, 5)), (map.requires_grad_(), points))


def test_needs_no_gradients_to_give_the_same():
    map, points = saliency_map(torch.rand(1, 1, 8, 8) + 0.1), points_within((8, 8), shape=(4, 4))
    with_gradients = newton_locate(map.clone().requires_grad_(), points, (8, 8))
    assert with_gradients.requires_grad and torch.equal(with_gradients, newton_locate(map, points, (8, 8)))


@pytest.mark.parametrize(
    ("map", "points", "start"),
    [
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2), None),
        (torch.zeros(2, 2, 4, 4), torch.zeros(1, 2, 2, 2), None),
        (torch.zeros(1, 2, 4, 4).half(), torch.zeros(1, 2, 2, 2).half(), None),
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2).double(), None),
        (torch.zeros(1, 2, 0, 4), torch.zeros(1, 2, 2, 2), None),
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 4, 4)),
    ],
)
def test_bad_input_is_named(map, points, start):
    with pytest.raises(ValueError, match="newton_locate: "):
        newton_locate(map, points, (4, 4), start=start)
