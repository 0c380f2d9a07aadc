# SPDX-License-Identifier: Apache-2.0
"""The semantic high-frequency loss against loops over label pixels."""

import numpy as np
import pytest
import torch

from dealias.losses import SemanticHighFrequencyLoss, semantic_high_frequency_loss
from dealias.ops.warp import Warp

IGNORED = 255


def around(height, width, y, x, reach):
    return ((r, c) for r, c in np.ndindex(height, width) if abs(r - y) <= reach and abs(c - x) <= reach)


def by_loops(attention, labels):
    """The loss of one image whose label grid is a whole multiple of the attention's; numpy float64."""
    height, width = labels.shape
    known, edge, band = np.ones((height, width)), np.zeros((height, width)), np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        window = [labels[place] for place in around(height, width, y, x, 1)]
        known[y, x] = IGNORED not in window
        edge[y, x] = known[y, x] and any(label != labels[y, x] for label in window)
    for y, x in np.ndindex(height, width):
        band[y, x] = known[y, x] and any(edge[place] for place in around(height, width, y, x, 2))
    if not known.any():
        return 0.0
    mean = band.sum() / known.sum()
    step, total = height // attention.shape[0], 0.0
    for i, j in np.ndindex(*attention.shape):
        cell = slice(i * step, (i + 1) * step), slice(j * step, (j + 1) * step)
        count = known[cell].sum()
        if count:
            wanted = band[cell].sum() / count / mean if mean else 1.0
            total += count * (attention[i, j] - wanted) ** 2
    return total / known.sum()


def label_maps(batch=2, height=24, width=32):
    """A few rectangles, one of them ignored."""
    generator = np.random.default_rng(0)
    labels = np.zeros((batch, height, width), dtype=np.int64)
    for image in labels:
        for label in (1, 2, 3, IGNORED):
            y, x = generator.integers(0, height - 6), generator.integers(0, width - 6)
            image[y : y + 5, x : x + 6] = label
    return torch.from_numpy(labels)


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_equals_a_loop_over_pixels(step):
    labels = label_maps()
    attention = torch.rand(2, 1, 24 // step, 32 // step) + 0.5
    expected = np.mean([by_loops(a[0].double().numpy(), y.numpy()) for a, y in zip(attention, labels, strict=True)])
    assert semantic_high_frequency_loss([attention], labels).item() == pytest.approx(expected, rel=1e-5)


def test_several_attentions_are_averaged():
    labels = label_maps()
    attentions = [torch.rand(2, 1, *size) for size in ((24, 32), (12, 16), (6, 8))]
    alone = [semantic_high_frequency_loss([attention], labels).item() for attention in attentions]
    assert SemanticHighFrequencyLoss()(attentions, labels).item() == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize("size", [(23, 37), (100, 90), (5, 3), (1, 1)], ids=str)
def test_any_sizes(size):
    attention = torch.rand(2, 1, 7, 9, requires_grad=True)
    loss = semantic_high_frequency_loss([attention], label_maps()[:, : size[0], : size[1]])
    loss.backward()
    assert loss.isfinite() and attention.grad.isfinite().all()


def test_is_zero_for_what_is_wanted():
    labels = torch.zeros(1, 8, 16, dtype=torch.long)
    labels[..., 8:] = 1
    wanted = torch.zeros(1, 1, 8, 16)
    wanted[..., 5:11] = 16 / 6  # two pixels of edge and two more on each side
    assert semantic_high_frequency_loss([wanted], labels).item() < 1e-10
    assert semantic_high_frequency_loss([wanted.flip(3).roll(1, 3)], labels).item() > 0.1


def test_an_image_without_edges_wants_one_everywhere():
    labels = torch.full((1, 8, 8), 3)
    assert semantic_high_frequency_loss([torch.ones(1, 1, 4, 4)], labels).item() == 0
    assert semantic_high_frequency_loss([torch.full((1, 1, 4, 4), 3.0)], labels).item() == pytest.approx(4.0)


def test_ignored_pixels_are_no_edges_and_do_not_count():
    labels = torch.zeros(1, 12, 12, dtype=torch.long)
    labels[:, 4:8, 4:8] = IGNORED
    attention = torch.ones(1, 1, 12, 12)
    attention[..., 3:9, 3:9] = 50.0  # what is ignored, and the pixels next to it
    assert semantic_high_frequency_loss([attention], labels).item() == 0
    attention[..., 2, 2] = 50.0
    assert semantic_high_frequency_loss([attention], labels).item() > 1


def test_all_ignored_gives_zero_and_no_gradient():
    attention = torch.rand(2, 1, 4, 4, requires_grad=True)
    loss = semantic_high_frequency_loss([attention], torch.full((2, 8, 8), IGNORED))
    loss.backward()
    assert loss.item() == 0 and not attention.grad.any()


def test_a_single_line_counts_on_a_coarse_grid():
    labels = torch.zeros(1, 64, 64, dtype=torch.uint8)
    labels[:, :, 33] = 7
    attention = torch.ones(1, 1, 4, 4, requires_grad=True)
    semantic_high_frequency_loss([attention], labels).backward()
    assert (attention.grad[..., 2] < 0).all()  # more of it wanted where the line is
    assert (attention.grad[..., [0, 3]] > 0).all()


def test_deeper_attentions_lie_behind_the_warps_before_them():
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[..., 3:] = 1
    across = torch.arange(15, -1, -1.0).expand(16, 16)
    mirror = Warp(torch.stack([across, across.flip(0, 1).T])[None], size=(16, 16))
    attentions = [torch.rand(1, 1, 16, 16), torch.rand(1, 1, 8, 8)]
    mirrored = labels.flip(2)
    expected = [
        semantic_high_frequency_loss([attentions[0]], labels),
        semantic_high_frequency_loss([attentions[1]], mirrored),
    ]
    actual = semantic_high_frequency_loss(attentions, labels, warps=[mirror, mirror])
    assert actual.item() == pytest.approx(sum(expected).item() / 2, rel=1e-5)
    assert abs(actual - semantic_high_frequency_loss(attentions, labels)) > 1e-3


def test_half_precision_attention_gives_a_float32_loss():
    attention = torch.rand(2, 1, 6, 8).bfloat16()
    assert semantic_high_frequency_loss([attention], label_maps()).dtype == torch.float32


def test_wrong_arguments_are_named():
    labels, attention = label_maps(), torch.ones(2, 1, 6, 8)
    with pytest.raises(ValueError, match=r"integers \[B, H, W\], got torch.float32"):
        semantic_high_frequency_loss([attention], labels.float())
    with pytest.raises(ValueError, match=r"got \[\(2, 1, 6, 8\), \(1, 1, 6, 8\)\]"):
        semantic_high_frequency_loss([attention, attention[:1]], labels)
    with pytest.raises(ValueError, match=r"at least one, got \[\]"):
        semantic_high_frequency_loss([], labels)
    with pytest.raises(ValueError, match="got 1 for 2"):
        warp = Warp(torch.zeros(2, 2, 6, 8), (6, 8))
        semantic_high_frequency_loss([attention, attention], labels, warps=[warp])
