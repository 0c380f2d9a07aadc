# SPDX-License-Identifier: Apache-2.0
"""Edges and bands against loops over pixels and against scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from dealias.metrics import boundary_regions, dilate, label_edges

SHAPES = [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (2, 2), (7, 5), (16, 21)]


def edges_by_loops(labels: np.ndarray, edges: str) -> np.ndarray:
    height, width = labels.shape
    found = np.zeros(labels.shape, dtype=bool)
    for y in range(height):
        for x in range(width):
            neighbours = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            if edges == "exact":
                inside = [(v, u) for v, u in neighbours if 0 <= v < height and 0 <= u < width]
                found[y, x] = any(labels[v, u] != labels[y, x] for v, u in inside)
            else:
                mirrored = [(mirror(v, height), mirror(u, width)) for v, u in neighbours]
                found[y, x] = sum(int(labels[place]) for place in mirrored) != 4 * int(labels[y, x])
    return found


def mirror(index: int, size: int) -> int:
    if size == 1:
        return 0
    return abs(index) if index < size else 2 * size - 2 - index


@pytest.mark.parametrize("edges", ["exact", "released"])
@pytest.mark.parametrize("shape", SHAPES)
def test_edges_equal_loops(label_pairs, shape, edges):
    _, labels = label_pairs((3, *shape))
    expected = np.stack([edges_by_loops(image, edges) for image in labels.numpy()])
    for dtype in (torch.uint8, torch.int16, torch.int64):
        found = label_edges(labels.to(dtype), edges)
        assert found.dtype == torch.bool
        assert np.array_equal(found.numpy(), expected)


def test_released_edges_equal_scipy_laplacian(label_pairs):
    _, labels = label_pairs((1, 60, 47), classes=19)
    expected = ndimage.laplace(labels[0].numpy().astype(np.float64), mode="mirror") != 0
    assert np.array_equal(label_edges(labels[0], "released").numpy(), expected)


def test_released_edges_miss_what_exact_edges_find():
    labels = torch.tensor([[4, 5, 6], [4, 5, 6], [4, 5, 6]])
    assert label_edges(labels, "exact").all()
    assert not label_edges(labels, "released")[:, 1].any()


def test_released_edges_take_ids_as_bytes():
    assert not label_edges(torch.tensor([[-1, 255, 511]]), "released").any()
    assert label_edges(torch.tensor([[-1, 255, 511]]), "exact").all()


def test_a_constant_map_has_no_edge_at_the_border():
    for edges in ("exact", "released"):
        assert not label_edges(torch.full((2, 5, 4), 255), edges).any()


@pytest.mark.parametrize("width", [1, 3, 5, 7, 15, 31])
@pytest.mark.parametrize("shape", SHAPES)
def test_dilation_equals_scipy(shape, width):
    rng = np.random.default_rng(width)
    mask = rng.random(shape) < 0.05
    square = np.ones((width, width), dtype=bool)
    expected = ndimage.binary_dilation(mask, square)
    assert np.array_equal(dilate(torch.from_numpy(mask), width).numpy(), expected)


def test_dilation_keeps_the_eight_masks_of_a_byte_apart():
    mask = (torch.rand(2, 20, 31, 8, generator=torch.Generator().manual_seed(0)) < 0.03).to(torch.uint8)
    places = 2 ** torch.arange(8)
    packed = (mask * places).sum(-1).to(torch.uint8)
    expected = torch.stack([dilate(mask[..., bit], 5) for bit in range(8)], dim=-1)
    assert torch.equal(dilate(packed, 5), (expected * places).sum(-1).to(torch.uint8))


def test_inputs_stay_as_they_are_and_need_not_be_contiguous(label_pairs):
    preds, target = label_pairs((2, 12, 9))
    kept = preds.clone(), target.clone()
    regions = boundary_regions(preds, target, width=3)
    assert torch.equal(preds, kept[0])
    assert torch.equal(target, kept[1])
    transposed = boundary_regions(preds.mT, target.mT, width=3)
    assert torch.equal(transposed, regions.mT)


@pytest.mark.parametrize("edges", ["exact", "released"])
def test_regions_are_both_bands(label_pairs, edges):
    preds, target = label_pairs((2, 17, 14))
    regions = boundary_regions(preds, target, edges, width=3)
    assert torch.equal(regions & 1 != 0, dilate(label_edges(preds, edges), 3))
    assert torch.equal(regions & 2 != 0, dilate(label_edges(target, edges), 3))


def test_bad_options():
    labels = torch.zeros(3, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"'sobel'.*exact, released"):
        label_edges(labels, "sobel")
    for width in (0, 2, -1):
        with pytest.raises(ValueError, match=f"odd and positive, found {width}"):
            dilate(labels != 0, width)
    with pytest.raises(ValueError, match=r"bool or uint8, found torch\.int64"):
        dilate(labels, 3)
