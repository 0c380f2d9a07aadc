# SPDX-License-Identifier: Apache-2.0
"""Attacks against closed forms of linear models, their bounds, and what they must leave alone."""

import pytest
import torch
from torch import nn

from dealias.robustness import fgsm, pgd

SHAPE = (6, 3, 8, 9)


@pytest.fixture
def images():
    """Grey in the middle, and values at both ends, where the range cuts changes off."""
    images = 0.3 + 0.4 * torch.rand(SHAPE)
    images[:, :, 0], images[:, :, 1] = 0.0, 1.0
    return images


@pytest.fixture
def linear():
    """Two classes by a weighted sum: the loss always grows along the sign of the difference of their weights."""
    weight = 0.02 * torch.randn(2, *SHAPE[1:]).sign() * torch.tensor([1.0, 0.5])[:, None, None, None]
    return lambda x: (x[:, None] * weight).sum((2, 3, 4)), weight


@pytest.fixture
def network():
    """Two convolutions and a head, with batch norm."""
    body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 3, 2))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_fgsm_of_a_linear_model_is_known(images, linear, epsilon):
    model, weight = linear
    towards = (weight[1 - LABELS] - weight[LABELS]).sign()
    expected = (images + epsilon / 255 * towards).clamp(0, 1)
    torch.testing.assert_close(fgsm(model, images, LABELS, epsilon), expected)


@pytest.mark.parametrize(("steps", "seed"), [(1, None), (4, 0), (10, 7)])
def test_pgd_ends_in_the_same_corner_from_every_start(images, linear, steps, seed):
    model, weight = linear
    towards = (weight[1 - LABELS] - weight[LABELS]).sign()
    expected = (images + 4 / 255 * towards).clamp(0, 1)
    torch.testing.assert_close(pgd(model, images, LABELS, 4.0, steps, seed=seed), expected)


def test_pgd_takes_steps_of_the_given_size(images, linear):
    model, weight = linear
    towards = (weight[1 - LABELS] - weight[LABELS]).sign()
    found = pgd(model, images, LABELS, 8.0, steps=3, step_size=2.0, seed=None)
    expected = images
    for _ in range(3):
        expected = (expected + 2 / 255 * towards).clamp(0, 1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 16.0])
def test_changes_stay_within_their_bounds(images, network, epsilon):
    labels = torch.arange(6) % 5
    for attacked in (fgsm(network, images, labels, epsilon), pgd(network, images, labels, epsilon, steps=3)):
        assert (attacked - images).abs().max() <= epsilon / 255 + 1e-6
        assert attacked.min() >= 0 and attacked.max() <= 1 and not attacked.requires_grad
        assert epsilon > 0 or torch.equal(attacked, images)


def test_attacks_raise_the_loss_and_steps_raise_it_further(images, network):
    def loss(x):
        return nn.functional.cross_entropy(network(x), labels)

    labels = network(images).argmax(1)
    attacked = fgsm(network, images, labels, 16.0), pgd(network, images, labels, 16.0, steps=20)
    assert loss(images) < loss(attacked[0]) < loss(attacked[1])


def test_an_image_does_not_depend_on_the_others(images, network):
    labels = torch.arange(6) % 5
    for attack in (fgsm, lambda *arguments: pgd(*arguments, steps=3, seed=None)):
        together = attack(network, images, labels, 4.0)
        alone = torch.cat([attack(network, images[i : i + 1], labels[i : i + 1], 4.0) for i in range(6)])
        assert (together - alone).abs().gt(1e-6).float().mean() < 1e-3  # signs of gradients near zero may differ


def test_starts_follow_from_the_seed(images, network):
    labels = torch.arange(6) % 5
    first, again, other = (pgd(network, images, labels, 4.0, 1, 0.1, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    moved = (first - images)[:, :, 2:]
    assert moved.abs().max() > 3 / 255 and abs(moved.mean()) < 0.5 / 255


def test_weights_statistics_and_random_numbers_are_left_alone(images, network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    with torch.no_grad():
        pgd(network, images, torch.arange(6) % 5, 4.0, steps=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


def test_pixels_that_are_ignored_change_nothing(images):
    pointwise = nn.Conv2d(3, 4, 1)
    labels = torch.randint(4, (6, 8, 9))
    labels[:, :, :4] = 255
    for attacked in (
        fgsm(pointwise, images, labels, 4.0, 255),
        pgd(pointwise, images, labels, 4.0, seed=None, ignore_index=255),
    ):
        changed = (attacked != images).any(1)
        assert not changed[:, :, :4].any() and changed[:, 2:, 4:].all()


def test_wrong_arguments_are_refused(images, network):
    with pytest.raises(ValueError, match="epsilon must not be negative, got -1"):
        fgsm(network, images, LABELS, -1)
    with pytest.raises(ValueError, match=r"images must be of 0 to 1, got -0\.500 to 0\.500"):
        pgd(network, images - 0.5, LABELS, 1)
    for options in ({"steps": 0}, {"step_size": 0.0}):
        with pytest.raises(ValueError, match="at least one step and a positive step_size"):
            pgd(network, images, LABELS, 1, **options)
