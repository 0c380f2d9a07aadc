# SPDX-License-Identifier: Apache-2.0
"""Guided attention against a loop over fine pixels and coarse ones, at integer and other ratios."""

import itertools

import pytest
import torch

from dealias.fusion import Bilinear, GuidedAttention
from dealias.testing import FUSION_CHECKS, assert_close

RATIOS = [
    pytest.param((10, 14), (5, 7), id="2"),
    pytest.param((13, 11), (5, 7), id="2.6-and-1.6"),
    pytest.param((12, 16), (3, 4), id="4"),
    pytest.param((16, 24), (2, 3), id="8"),
    pytest.param((28, 42), (2, 3), id="14"),
    pytest.param((7, 22), (3, 3), id="2.3-and-7.3"),
    pytest.param((4, 9), (9, 4), id="smaller-and-larger"),
    pytest.param((6, 1), (1, 1), id="one-coarse-pixel"),
]


def fresh(hr_channels=3, lr_channels=2, **options):
    """A fusion in double precision, away from its initial weights."""
    torch.manual_seed(0)
    fusion = GuidedAttention(hr_channels, lr_channels, **options).double()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return fusion


def maps(fine, coarse, channels=(3, 2), batch=1):
    return (torch.randn(batch, c, *size, dtype=torch.float64) for c, size in zip(channels, (fine, coarse), strict=True))


def affine(vector, conv):
    return conv.weight[:, :, 0, 0] @ vector + conv.bias


def embedding(fusion, hr):
    """The embedding of every fine pixel, [H, W] lists of vectors."""
    height, width = hr.shape[-2:]
    first, around = fusion.embed[0], fusion.embed[2]
    inner = [[affine(hr[0, :, y, x], first).relu() for x in range(width)] for y in range(height)]
    out = [[around.bias.clone() for _ in range(width)] for _ in range(height)]
    for y in range(height):
        for x in range(width):
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    if 0 <= y + i < height and 0 <= x + j < width:
                        out[y][x] += around.weight[:, 0, i + 1, j + 1] * inner[y + i][x + j]
    return out


def covered(cell, coarse, fine):
    """The fine pixels that a coarse one covers, at least in part."""
    return range(cell * fine // coarse, -(-(cell + 1) * fine // coarse))


def keys(fusion, embedded, lr, fine):
    (height, width), (h, w) = fine, lr.shape[-2:]
    out = {}
    for r in range(h):
        for c in range(w):
            inside = [embedded[y][x] for y in covered(r, h, height) for x in covered(c, w, width)]
            gamma, beta = affine(lr[0, :, r, c], fusion.modulation).chunk(2)
            out[r, c] = (1 + gamma) * torch.stack(inside).mean(0) + beta
    return out


def window(pixel, fine, coarse, reach):
    """The coarse pixels around the one in which a fine pixel's centre lies."""
    home = [(2 * i + 1) * small // (2 * big) for i, small, big in zip(pixel, coarse, fine, strict=True)]
    around = [range(max(0, i - reach), min(size, i + reach + 1)) for i, size in zip(home, coarse, strict=True)]
    return list(itertools.product(*around))


def attend(fusion, query, key, lr, near, centre):
    """One fine pixel of the result; ``centre`` is its own in coarse pixels, and ``near`` those around it."""
    weight = torch.zeros(len(near), dtype=torch.float64)
    for head in range(fusion.heads):
        block = slice(head * len(query) // fusion.heads, (head + 1) * len(query) // fusion.heads)
        cosines = torch.stack([torch.cosine_similarity(query[block], key[p][block], dim=0) for p in near])
        squared = [sum((a - b) ** 2 for a, b in zip(p, centre, strict=True)) for p in near]
        squared = torch.tensor(squared, dtype=torch.float64)
        logits = fusion.similarity_weight[head] * cosines - fusion.distance_weight[head] * squared
        weight += logits.softmax(0) / fusion.heads
    return torch.stack([lr[0, :, r, c] for r, c in near], dim=1) @ weight


@torch.no_grad()
@pytest.mark.parametrize(("fine", "coarse"), RATIOS)
def test_every_pixel_attends_to_those_around_it(fine, coarse):
    fusion = fresh(window=3, embedding_channels=6, heads=2)
    hr, lr = maps(fine, coarse)
    embedded = embedding(fusion, hr)
    key = keys(fusion, embedded, lr, fine)
    expected = torch.empty(1, 2, *fine, dtype=torch.float64)
    for y, x in itertools.product(*map(range, fine)):
        centre = [(i + 0.5) * small / big - 0.5 for i, small, big in zip((y, x), coarse, fine, strict=True)]
        near = window((y, x), fine, coarse, reach=1)
        expected[0, :, y, x] = attend(fusion, embedded[y][x], key, lr, near, centre)
    hr_out, lr_up = fusion(hr, lr)
    assert hr_out is hr
    assert_close(lr_up, expected)


@torch.no_grad()
@pytest.mark.parametrize(("fine", "coarse"), RATIOS)
def test_results_stay_within_the_window(fine, coarse):
    """Means of the window: between its extremes, so that a constant stays constant up to the border."""
    fusion = fresh(window=5, embedding_channels=8)
    hr, lr = maps(fine, coarse, batch=2)
    up = fusion(hr, lr)[1]
    for y, x in itertools.product(*map(range, fine)):
        near = torch.stack([lr[..., r, c] for r, c in window((y, x), fine, coarse, reach=2)])
        assert (up[..., y, x] <= near.amax(0) + 1e-12).all()
        assert (up[..., y, x] >= near.amin(0) - 1e-12).all()
    assert_close(fusion(hr, torch.full_like(lr, 3.0))[1], torch.full_like(up, 3.0))


@pytest.mark.parametrize(("fine", "coarse"), [((6, 8), (3, 4)), ((7, 5), (3, 3)), ((3, 9), (4, 2))])
def test_gradients(fine, coarse):
    fusion = fresh(window=3, embedding_channels=4, heads=2)
    inputs = [x.requires_grad_() for x in maps(fine, coarse, batch=2)]
    assert torch.autograd.gradcheck(lambda hr, lr: fusion(hr, lr)[1], inputs)
    fusion(*inputs)[1].square().sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in (*inputs, *fusion.parameters()))


@torch.no_grad()
@pytest.mark.parametrize(("fine", "coarse"), [((48, 48), (24, 24)), ((60, 66), (15, 11))])
def test_starts_close_to_bilinear_where_the_guide_is_flat(fine, coarse):
    torch.manual_seed(0)
    lr = torch.nn.functional.avg_pool2d(torch.randn(1, 4, *(n + 4 for n in coarse)), 5, 1)
    hr = torch.ones(1, 3, *fine)
    up, expected = GuidedAttention(3, 4)(hr, lr)[1], Bilinear(3, 4)(hr, lr)[1]
    inside = (..., *(slice(2 * big // small, -2 * big // small) for big, small in zip(fine, coarse, strict=True)))
    assert (up - expected)[inside].abs().max() < 0.1 * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_starts_by_keeping_to_one_side_of_an_edge_of_the_guide(scale):
    """The edge of the guide lies within the coarse pixels, which mix both sides; bilinear blurs it, this does not."""
    torch.manual_seed(0)
    fusion = GuidedAttention(4, 1)
    left, right = torch.tensor([3.0, 0.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.0, 3.0])
    size, edge = 8 * scale, 4 * scale
    hr = torch.stack([left] * edge + [right] * (size - edge), dim=1)[None, :, None].expand(1, 4, size, size)
    truth = (torch.arange(size) >= edge).float().expand(1, 1, size, size)
    lr = torch.nn.functional.avg_pool2d(truth, scale)
    guided, blurred = ((up(hr, lr)[1] - truth).abs().mean() for up in (fusion, Bilinear(4, 1)))
    assert guided < 0.6 * blurred


def kept_bytes(fusion, fine, coarse):
    """What is kept for the backward pass, without what the inputs hold anyway."""
    hr, lr = torch.randn(1, 8, *fine, requires_grad=True), torch.randn(1, 8, *coarse, requires_grad=True)
    storages = {}

    def keep(x):
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        out = fusion(hr, lr)[1]
    del storages[hr.untyped_storage().data_ptr()]
    return sum(storages.values()), out


def test_memory_grows_with_the_number_of_fine_pixels():
    """Full attention would keep sixteen times as much for maps of twice the side."""
    fusion = GuidedAttention(8, 8)
    small, _ = kept_bytes(fusion, (64, 64), (16, 16))
    large, out = kept_bytes(fusion, (128, 128), (32, 32))
    higher, _ = kept_bytes(fusion, (128, 128), (8, 8))
    assert large < 4.1 * small
    assert higher < 1.1 * large
    taps, embedded = fusion.window**2, 64
    assert large < (2 * fusion.heads * taps + 6 * embedded) * out[0, 0].numel() * out.element_size()


@pytest.mark.parametrize("check", ["sizes", "gradients", "precisions", "layouts", "state_dict", "errors", "constant"])
def test_options_keep_the_contract(check):
    torch.manual_seed(0)
    FUSION_CHECKS[check](lambda: GuidedAttention(5, 7, window=3, embedding_channels=12, heads=1))


def test_one_exported_graph_for_all_ratios():
    fusion = GuidedAttention(3, 4).eval()
    any_size = dict.fromkeys((2, 3), torch.export.Dim.DYNAMIC)
    example = tuple(x.float() for x in maps((24, 32), (6, 8), (3, 4)))
    exported = torch.export.export(fusion, example, dynamic_shapes={"hr": any_size, "lr": any_size}).module()
    for fine, coarse in (((24, 32), (12, 16)), ((42, 56), (3, 4)), ((33, 50), (9, 6)), ((5, 7), (9, 10))):
        inputs = [x.float() for x in maps(fine, coarse, (3, 4))]
        assert_close(exported(*inputs)[1], fusion(*inputs)[1])


@pytest.mark.parametrize(("channels", "expected"), [(64, 13_128), (256, 49_992)])
def test_parameters(channels, expected):
    assert sum(p.numel() for p in GuidedAttention(channels, channels).parameters()) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [({"window": 4}, "window=4"), ({"heads": 3}, "heads=3, embedding_channels=64"), ({"heads": 0}, "heads=0")],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        GuidedAttention(8, 8, **options)
