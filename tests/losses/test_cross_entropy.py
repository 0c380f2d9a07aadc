# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from dealias.losses import SegmentationLoss, cross_entropy


def by_hand(logits, target, ignore_index, average):
    """Loop over pixels in numpy float64."""
    logits, target = logits.double().numpy(), target.numpy()
    total, valid = 0.0, 0
    for b, y, x in np.ndindex(*target.shape):
        if target[b, y, x] != ignore_index:
            column = logits[b, :, y, x]
            total += np.log(np.exp(column).sum()) - column[target[b, y, x]]
            valid += 1
    return total / (target.size if average == "pixels" else valid)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 4, (3, 5, 7), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.3] = 255
    return torch.randn(3, 4, 5, 7, generator=generator), target


@pytest.mark.parametrize("average", ["pixels", "valid"])
def test_equals_a_loop_over_pixels(batch, average):
    logits, target = batch
    assert cross_entropy(logits, target, average=average).item() == pytest.approx(by_hand(logits, target, 255, average))


def test_auxiliary_logits_add_their_weighted_loss(batch):
    logits, target = batch
    expected = by_hand(logits, target, 255, "pixels") + 0.4 * by_hand(2 * logits, target, 255, "pixels")
    assert SegmentationLoss()(logits, target, 2 * logits).item() == pytest.approx(expected)


@pytest.mark.parametrize("average", ["pixels", "valid"])
def test_a_batch_without_valid_pixels_gives_zero(batch, average):
    logits = batch[0].requires_grad_()
    loss = cross_entropy(logits, torch.full((3, 5, 7), 255), average=average)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_ignored_pixels_get_no_gradient(batch):
    logits, target = batch[0].requires_grad_(), batch[1]
    cross_entropy(logits, target).backward()
    assert torch.equal(logits.grad.abs().sum(1) > 0, target != 255)


def test_is_computed_in_float32(batch):
    logits, target = batch
    rounded = logits.bfloat16()
    loss = cross_entropy(rounded, target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_hand(rounded.float(), target, 255, "pixels"), rel=1e-6)


def test_losses_of_halves_average_to_that_of_the_whole(batch):
    logits, target = batch[0][:2], batch[1][:2]
    halves = [cross_entropy(logits[i : i + 1], target[i : i + 1]) for i in range(2)]
    assert (target[0] != 255).sum() != (target[1] != 255).sum()
    assert (sum(halves) / 2).item() == pytest.approx(cross_entropy(logits, target).item(), rel=1e-6)


def test_wrong_shapes_and_averages_are_named(batch):
    logits, target = batch
    with pytest.raises(ValueError, match=r"\(3, 4, 5, 7\) and \(3, 5, 6\)"):
        cross_entropy(logits, target[..., :-1])
    with pytest.raises(ValueError, match="'mean'"):
        cross_entropy(logits, target, average="mean")
