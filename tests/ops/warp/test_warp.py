# SPDX-License-Identifier: Apache-2.0
"""Warps as values: sampling, composition, inversion and undoing several of them, against other ways to the same."""

import pytest
import torch
import torch.nn.functional as F

from dealias.ops.point_sample import point_sample_reference
from dealias.ops.warp import Warp, demodulate, saliency_map
from dealias.testing import assert_close

METHODS = ["mesh", "newton"]


def grid(height, width, batch=1):
    x, y = torch.meshgrid(torch.arange(float(width)), torch.arange(float(height)), indexing="xy")
    return torch.stack([x, y]).repeat(batch, 1, 1, 1)


def smooth(size, batch=2, channels=2):
    """A field that bilinear interpolation represents well."""
    return F.interpolate(torch.randn(batch, channels, 4, 4), size, mode="bicubic", align_corners=False)


def crowded(size, batch=2, sigma=3.0):
    return Warp(saliency_map(torch.exp(smooth(size, batch, 1)), sigma=sigma), size)


def assert_same_map(actual, expected, atol):
    assert actual.shape == expected.shape and (actual - expected).abs().max() < atol


def test_apply_samples_at_the_map():
    x, points = torch.randn(2, 3, 7, 9), torch.rand(2, 2, 5, 4) * 10 - 1
    assert_close(Warp(points, (7, 9)).apply(x), point_sample_reference(x, points[:, None]))


def test_apply_lays_other_grids_over_the_source():
    """A pixel p of a grid is at 2p + 1/2 on one twice as fine over the same area."""
    warp, fine = crowded((6, 8)), torch.randn(2, 3, 12, 16)
    assert_close(warp.apply(fine), Warp(warp.map * 2 + 0.5, (12, 16)).apply(fine))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_apply_keeps_the_dtype(dtype):
    warp, x = crowded((9, 200)), torch.randn(2, 4, 9, 200).to(dtype)
    expected = point_sample_reference(x.double(), warp.map[:, None].double()).to(dtype)
    assert_close(warp.apply(x), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(warp.apply(x), expected)
    assert_close(warp.apply(x.to(memory_format=torch.channels_last)), expected)


def test_apply_has_gradients_to_features_and_map():
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    points = torch.randint(0, 3, (2, 2, 3, 3)) + 0.2 + 0.6 * torch.rand(2, 2, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, u: Warp(u, (4, 5)).apply(x), (x, points.requires_grad_()))


def test_compose_is_one_warp_after_the_other():
    first, second = crowded((40, 44)), crowded((40, 44))
    both = first.compose(second)
    assert both.size == (40, 44) and both.grid_size == (40, 44)
    assert_same_map(second.apply(first.map), both.map, 1e-5)
    coarse = crowded((20, 22))
    assert_same_map(coarse.apply(first.map), first.compose(coarse).map, 1e-5)
    ramp = grid(40, 44, batch=2)  # of which bilinear sampling is exact
    assert_same_map(both.apply(ramp), second.apply(first.apply(ramp)), 1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_inverse_undoes_the_warp(method):
    warp = crowded((48, 40))
    inverse = warp.inverse(method=method)
    assert inverse.size == (48, 40) and inverse.grid_size == (48, 40)
    assert_same_map(inverse.apply(warp.map), grid(48, 40, 2), {"newton": 1e-3, "mesh": 0.1}[method])
    assert_same_map(warp.locate(grid(48, 40, 2), method), inverse.map, 1e-3)
    x = smooth((48, 40))
    assert (inverse.apply(warp.apply(x)) - x).abs().mean() < 0.02 * x.abs().mean()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (13, 80), (96, 21)])
def test_inverse_has_any_size(method, size):
    """It is what resizing the source would show, here of the coordinates: half-pixel centres, borders repeated."""
    warp = crowded((48, 40))
    x, y = grid(*size, batch=2).unbind(1)
    x, y = (x + 0.5) * 40 / size[1] - 0.5, (y + 0.5) * 48 / size[0] - 0.5
    expected = torch.stack([x.clamp(0, 39), y.clamp(0, 47)], dim=1)
    assert_same_map(warp.inverse(size, method).apply(warp.map), expected, {"newton": 1e-3, "mesh": 0.1}[method])


@pytest.mark.parametrize(("method", "error"), [("mesh", 0.3), ("newton", 1e-2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_demodulation_through_three_warps(method, error, stride):
    """Coordinates of the last grid, brought back, are where three inverses lead; the maps lead them to the source."""
    sizes = [(64 // stride**i, 56 // stride**i) for i in range(3)]
    warps = [crowded(size) for size in sizes]
    points = demodulate(grid(*sizes[2], batch=2), warps, (64, 56), method)
    for warp, finer in zip(reversed(warps), (sizes[1], sizes[0], sizes[0]), strict=True):
        points = point_sample_reference(warp.map, points[:, None])
        scale = finer[0] / warp.size[0]
        points = (points + 0.5) * scale - 0.5
    margin = 0 if stride == 1 else 12  # where the border pixels of the coarsest grid repeat
    inside = (slice(None), slice(None), slice(margin, 64 - margin), slice(margin, 56 - margin))
    assert (points - grid(64, 56, batch=2))[inside].abs().max() < error


def test_demodulation_composes_inverses_shallowest_first():
    warps = [crowded((20, 24)), crowded((10, 12))]
    features = torch.randn(2, 3, 5, 6)
    points = warps[0].inverse((33, 31), "newton").map
    points = warps[1].locate((points + 0.5) / 2 - 0.5, "newton")
    expected = point_sample_reference(features, ((points + 0.5) / 2 - 0.5)[:, None])
    assert torch.allclose(demodulate(features, warps, (33, 31), "newton"), expected, atol=1e-4)
    assert demodulate(features.half(), warps, (33, 31)).dtype == torch.float16


def test_demodulation_without_warps_resizes():
    x = torch.randn(2, 3, 5, 6)
    expected = F.interpolate(x, (11, 9), mode="bilinear", align_corners=False)
    assert torch.equal(demodulate(x, [], (11, 9)), expected)


@pytest.mark.parametrize(("method", "reaches_maps"), [("mesh", False), ("newton", True)])
def test_demodulation_gradients(method, reaches_maps):
    saliency = torch.rand(2, 1, 12, 12, requires_grad=True)
    features = torch.randn(2, 3, 12, 12, requires_grad=True)
    warp = Warp(saliency_map(saliency, sigma=2.0), (12, 12))
    demodulate(features, [warp, warp], (20, 20), method).square().sum().backward()
    assert features.grad.abs().sum() > 0
    assert (saliency.grad is not None and bool(saliency.grad.abs().sum() > 0)) == reaches_maps


def test_jacobian_and_flips():
    x, y = grid(6, 7).unbind(1)
    shear = Warp(torch.stack([2 * x + 3 * y, 0.5 * y], dim=1), (6, 7))
    assert_close(shear.jacobian(), torch.tensor([[2.0, 3.0], [0.0, 0.5]])[..., None, None].expand(1, -1, -1, 6, 7))
    assert shear.flips().tolist() == [0]
    quadratic = Warp(torch.stack([x**2, y], dim=1), (6, 37))
    assert_close(quadratic.jacobian()[0, 0, 0, 0], torch.tensor([1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 11.0]))
    assert_close(Warp(torch.zeros(1, 2, 1, 1), (1, 1)).jacobian()[0, :, :, 0, 0], torch.eye(2))
    assert Warp(grid(6, 7).flip(3), (6, 7)).flips().tolist() == [2 * 5 * 6]


def test_no_images():
    warp = Warp(torch.zeros(0, 2, 4, 5), (4, 5))
    assert warp.apply(torch.zeros(0, 3, 4, 5)).shape == (0, 3, 4, 5)
    assert warp.jacobian().shape == (0, 2, 2, 4, 5)
    for method in METHODS:
        assert demodulate(torch.zeros(0, 3, 4, 5), [warp, warp], (8, 9), method).shape == (0, 3, 8, 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Warp(torch.zeros(1, 3, 4, 4), (4, 4)), r"\(1, 3, 4, 4\)"),
        (lambda: Warp(torch.zeros(1, 2, 4, 4).half(), (4, 4)), "torch.float16"),
        (lambda: Warp(torch.zeros(1, 2, 4, 4), (0, 4)), r"\(0, 4\)"),
        (lambda: crowded((4, 4)).apply(torch.zeros(3, 1, 4, 4)), r"\(3, 1, 4, 4\)"),
        (lambda: crowded((4, 4)).locate(torch.zeros(2, 2, 4, 4), "delaunay"), "mesh, newton, got 'delaunay'"),
        (lambda: crowded((4, 4)).locate(torch.zeros(1, 2, 4, 4)), r"\(1, 2, 4, 4\)"),
        (lambda: crowded((4, 4)).inverse((0, 3)), r"\(0, 3\)"),
        (lambda: crowded((4, 4)).inverse(method="exact"), "got 'exact'"),
        (lambda: crowded((4, 4)).compose(crowded((4, 4), batch=1)), "same batch"),
        (lambda: demodulate(torch.zeros(1, 1, 4, 4), [crowded((4, 4))], (4, 4)), r"\(1, 1, 4, 4\)"),
        (lambda: demodulate(torch.zeros(2, 1, 4, 4), [crowded((4, 4))], (4, 0)), r"\(4, 0\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
