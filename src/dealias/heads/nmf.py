# SPDX-License-Identifier: Apache-2.0
"""Non-negative matrix factorisation as a layer, the core of Hamburger (ICLR 2021, arXiv:2109.04553)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-6


class NMF(nn.Module):
    """Replace a non-negative map by one of low rank: ``X ~ D C^T``, X the map as a matrix of channels x pixels.

    From random bases D, columns of length 1, and ``C = softmax(X^T D)`` over the bases, multiplicative updates (Lee and
    Seung), C before D, lower ``|X - D C^T|``::

        C <- C * (X^T D) / (C D^T D);    D <- D * (X C) / (D C^T C)

    and one more update of C ends them. Gradients pass through all updates, as in the published SegNeXt, or through that
    last one alone (the paper's one-step gradient).

    Training draws new bases for every image from torch's random numbers on the CPU, whatever the device. Evaluation
    uses the same bases for every image, so that a result depends on nothing but weights and image. (The published code
    draws anew there too, so that no two results agree: ``seed=None``.)

    Computed in float32 at least, whatever the precision of the map.

    Args:
        channels: channels of the map, divisible by ``groups``.
        rank: columns of D.
        groups: channel groups that are factorised apart.
        train_steps: updates in training, without the last one.
        eval_steps: updates in evaluation, without the last one.
        seed: of the bases in evaluation; None: draw them anew.
        one_step_gradient: let gradients pass through the last update only.

    Raises:
        ValueError: a number below 1, or groups that do not divide the channels.

    >>> x = torch.rand(2, 8, 5, 7)
    >>> low_rank = NMF(8, rank=1).eval()(x)
    >>> low_rank.shape, int(torch.linalg.matrix_rank(low_rank[0].flatten(1)))
    (torch.Size([2, 8, 5, 7]), 1)
    """

    bases: Tensor | None

    def __init__(
        self,
        channels: int,
        rank: int = 16,
        groups: int = 1,
        train_steps: int = 6,
        eval_steps: int = 7,
        seed: int | None = 0,
        one_step_gradient: bool = False,
    ) -> None:
        super().__init__()
        if min(channels, rank, groups, train_steps, eval_steps) < 1 or channels % groups:
            raise ValueError(
                "NMF: all numbers must be at least 1 and groups divide channels, "
                f"got {channels=}, {rank=}, {groups=}, {train_steps=}, {eval_steps=}"
            )
        self.channels, self.train_steps, self.eval_steps = channels, train_steps, eval_steps
        self.one_step_gradient = one_step_gradient
        self._shape = (groups, channels // groups, rank)
        bases = None
        if seed is not None:
            generator = torch.Generator("cpu").manual_seed(seed)
            bases = torch.rand(1, *self._shape, generator=generator, device="cpu")
        self.register_buffer("bases", bases, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Factorise and multiply again.

        Args:
            x: [B, channels, H, W], not negative.

        Returns:
            The product D C^T, not negative; shape and dtype of ``x``.

        Raises:
            ValueError: another rank or number of channels.
        """
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"NMF: needs x [B, {self.channels}, H, W], got {tuple(x.shape)}")
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        with torch.autocast(x.device.type, enabled=False):
            data = wide.flatten(2).unflatten(1, self._shape[:2])
            bases, coefficients = self.factorise(data, self._initial_bases(x.shape[0]).to(data))
            return (bases @ coefficients.mT).flatten(1, 2).unflatten(2, x.shape[2:]).to(x.dtype)

    def factorise(self, data: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
        """Factorise every group of every image.

        Args:
            data: X, [B, groups, D, N], not negative, N pixels.
            bases: where to start, [B or 1, groups, D, rank], not negative, of any length.

        Returns:
            D [B, groups, D, rank] and C [B, groups, N, rank].
        """
        bases = F.normalize(bases, dim=-2)
        coefficients = (data.mT @ bases).softmax(-1)
        for _ in range(self.train_steps if self.training else self.eval_steps):
            coefficients = _update(coefficients, data.mT, bases)
            bases = _update(bases, data, coefficients)
        if self.one_step_gradient:
            bases, coefficients = bases.detach(), coefficients.detach()
        return bases, _update(coefficients, data.mT, bases)

    def _initial_bases(self, batch: int) -> Tensor:
        if self.training or self.bases is None:
            return torch.rand(batch, *self._shape, device="cpu")
        return self.bases


def _update(factor: Tensor, data: Tensor, other: Tensor) -> Tensor:
    """Change ``factor`` so that ``factor @ other.mT`` comes closer to ``data``."""
    return factor * (data @ other) / (factor @ (other.mT @ other) + _EPSILON)
