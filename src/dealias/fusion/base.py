# SPDX-License-Identifier: Apache-2.0
"""The interface of every upsampler: bring a coarse map to the grid of a fine one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .sizes import crop_to, extend_to


class Fusion(nn.Module, ABC):
    """Bring ``lr`` to the grid of ``hr``: ``(hr, lr) -> (hr', lr_up)``.

    ``hr`` has shape [B, hr_channels, H, W] and ``lr`` [B, lr_channels, h, w]. ``hr'`` keeps the shape of ``hr``;
    ``lr_up`` has shape [B, lr_channels, H, W]. Adding or concatenating the two is the caller's business.

    A method with a fixed ratio sets :attr:`factor`. It then accepts every H and W whose ``factor``-th part, rounded up
    or down, is h and w: both maps are first completed to an exact ratio by repeating their last row and column, and the
    result is cropped. At an exact ratio nothing is completed, so the published result is unchanged. Other ratios raise.

    Args:
        hr_channels: channels of ``hr``.
        lr_channels: channels of ``lr``.
    """

    factor: int | None = None
    """The method's fixed ratio of sizes; ``None``: any size."""

    def __init__(self, hr_channels: int, lr_channels: int) -> None:
        super().__init__()
        self.hr_channels, self.lr_channels = hr_channels, lr_channels

    def forward(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse the two maps.

        Args:
            hr: fine features, [B, hr_channels, H, W].
            lr: coarse features, [B, lr_channels, h, w].

        Returns:
            ``hr'`` [B, hr_channels, H, W] and ``lr_up`` [B, lr_channels, H, W].

        Raises:
            ValueError: ranks, batch sizes, channels or the ratio of sizes are not what the method takes.
        """
        self._check(hr, lr)
        height, width = hr.shape[-2:]
        hr_out, lr_up = self.fuse(*self._complete(hr, lr))
        return crop_to(hr_out, height, width), crop_to(lr_up, height, width)

    @abstractmethod
    def fuse(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Do the method's work; with a :attr:`factor`, ``hr`` is exactly ``factor`` times as large as ``lr``."""

    def _complete(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Repeat last rows and columns until ``hr`` is exactly ``factor`` times as large as ``lr``."""
        if self.factor is None:
            return hr, lr
        h, w = (-(-size // self.factor) for size in hr.shape[-2:])
        return extend_to(hr, h * self.factor, w * self.factor), extend_to(lr, h, w)

    def _check(self, hr: Tensor, lr: Tensor) -> None:
        name = type(self).__name__
        if hr.ndim != 4 or lr.ndim != 4 or hr.shape[0] != lr.shape[0]:
            raise ValueError(
                f"{name}: hr and lr must be [B, C, H, W] with one batch size, "
                f"got {tuple(hr.shape)} and {tuple(lr.shape)}"
            )
        if hr.shape[1] != self.hr_channels or lr.shape[1] != self.lr_channels:
            raise ValueError(
                f"{name}: hr and lr must have {self.hr_channels} and {self.lr_channels} channels, "
                f"got {hr.shape[1]} and {lr.shape[1]}"
            )
        self._check_ratio(name, hr.shape[-2:], lr.shape[-2:])

    def _check_ratio(self, name: str, fine: torch.Size, coarse: torch.Size) -> None:
        if self.factor is None or torch.compiler.is_exporting():  # a condition on symbolic sizes would limit the graph
            return
        rounded_up = tuple(-(-size // self.factor) for size in fine)
        pairs = zip(fine, rounded_up, coarse, strict=True)
        if not all(0 < small and size // self.factor <= small <= largest for size, largest, small in pairs):
            raise ValueError(f"{name}: hr {tuple(fine)} needs lr {rounded_up} (or rounded down), got {tuple(coarse)}")


class Unguided(Fusion):
    """A method that looks at ``lr`` only: ``hr`` gives the size and passes through unchanged."""

    def fuse(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Upsample ``lr`` [B, lr_channels, h, w] to the size of ``hr``; ``hr`` is returned as it is."""
        return hr, self.upsample(lr, (hr.shape[-2], hr.shape[-1]))

    @abstractmethod
    def upsample(self, lr: Tensor, size: tuple[int, int]) -> Tensor:
        """Resample ``lr`` [B, lr_channels, h, w] to [B, lr_channels, *size]."""


FusionFactory = Callable[[int, int], Fusion]
"""``(hr_channels, lr_channels) -> Fusion``: what decoders take."""
