# SPDX-License-Identifier: Apache-2.0
"""Adversarial images: the change of every value is bounded, and follows the gradient of the loss uphill.

FGSM: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", arXiv:1412.6572. PGD: Madry et al., "Towards
Deep Learning Models Resistant to Adversarial Attacks", arXiv:1706.06083.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

GREY_LEVELS = 255
"""Bounds of attacks are in grey levels: 1 is 1/255 of the range of an image."""

_OVERSHOOT = 2.5

Model = Callable[[Tensor], Tensor]
"""Images [B, C, H, W] of 0 to 1 to logits [B, classes] or [B, classes, H, W]; normalisation belongs to it."""


def fgsm(model: Model, images: Tensor, labels: Tensor, epsilon: float, ignore_index: int = -100) -> Tensor:
    """Fast gradient sign method: one step of ``epsilon`` along the sign of the loss's gradient, cut to 0 to 1.

    The loss is the sum of the cross entropies of all labels, so that an image's result does not depend on the others.
    Gradients are computed whatever the caller's mode, and those of the model's parameters are left alone.

    Args:
        model: see :data:`Model`; in evaluation mode, or batch norms would mix the images.
        images: [B, C, H, W], 0 to 1.
        labels: class ids, [B], or [B, H, W] of pixels, which all are attacked together.
        epsilon: largest change of a value in grey levels, of which there are 255; not negative.
        ignore_index: label that counts nowhere.

    Returns:
        Attacked images, of the same shape and dtype, 0 to 1.

    Raises:
        ValueError: ``epsilon`` is negative, or images are not of 0 to 1.
    """
    _check(images, epsilon)
    gradient = _gradient(model, images, labels, ignore_index)
    return (images + epsilon / GREY_LEVELS * gradient.sign()).clamp(0, 1)


def pgd(
    model: Model,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    steps: int = 10,
    step_size: float | None = None,
    seed: int | None = 0,
    ignore_index: int = -100,
) -> Tensor:
    """Projected gradient descent in the maximum norm: steps along the gradient's sign, each cut to the allowed changes.

    Loss, gradients and the other arguments are those of :func:`fgsm`.

    Args:
        model: see :data:`Model`.
        images: [B, C, H, W], 0 to 1.
        labels: class ids, [B] or [B, H, W].
        epsilon: largest change of a value in grey levels; not negative.
        steps: number of steps, at least 1.
        step_size: of one step in grey levels; ``None``: 2.5 epsilon / steps, which reaches every allowed change from
            every start.
        seed: of the start, which is drawn uniformly from the allowed changes and is the same on all devices; ``None``:
            from the images themselves.
        ignore_index: label that counts nowhere.

    Returns:
        Attacked images, of the same shape and dtype, 0 to 1.

    Raises:
        ValueError: a value is out of range, or images are not of 0 to 1.
    """
    _check(images, epsilon)
    if steps < 1 or (step_size is not None and step_size <= 0):
        raise ValueError(f"pgd needs at least one step and a positive step_size, got {steps} and {step_size}")
    bound = epsilon / GREY_LEVELS
    step = _OVERSHOOT * bound / steps if step_size is None else step_size / GREY_LEVELS
    lowest, highest = (images - bound).clamp(min=0), (images + bound).clamp(max=1)
    attacked = images
    if seed is not None:
        draws = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
        attacked = images + bound * (2 * draws.to(images) - 1)
    for _ in range(steps):
        attacked = attacked.clamp(lowest, highest)
        attacked = attacked + step * _gradient(model, attacked, labels, ignore_index).sign()
    return attacked.clamp(lowest, highest)


def _gradient(model: Model, images: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Gradient of the loss with respect to the images."""
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        loss = F.cross_entropy(model(images).float(), labels, ignore_index=ignore_index, reduction="sum")
        return torch.autograd.grad(loss, images)[0]


def _check(images: Tensor, epsilon: float) -> None:
    if epsilon < 0:
        raise ValueError(f"epsilon must not be negative, got {epsilon}")
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"images must be of 0 to 1, got {images.min():.3f} to {images.max():.3f}")
