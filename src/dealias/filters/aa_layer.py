# SPDX-License-Identifier: Apache-2.0
"""Any prefilter as the anti-aliasing layer that timm's networks take: filter and decimation in one module."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from .base import Prefilter
from .identity import Identity
from .registry import prefilter_class


class Step(nn.Module):
    """Keep every ``stride``-th row and column, the first ones among them.

    A module, so that a probe finds it and measures what arrives at it: the filtered map.

    Args:
        stride: step, pixels.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Decimate x [B, C, H, W] to [B, C, ceil(H / stride), ceil(W / stride)]."""
        return x[..., :: self.stride, :: self.stride]


class Decimation(nn.Sequential):
    """Filter a map and take a step.

    Args:
        prefilter: [B, C, H, W] to the same shape.
        stride: step, pixels.
    """

    def __init__(self, prefilter: nn.Module, stride: int) -> None:
        super().__init__(OrderedDict(prefilter=prefilter, step=Step(stride)))

    def __reduce__(self) -> tuple[Any, ...]:
        # copied and pickled as this class: those made below have no name to be found by
        return Decimation.__new__, (Decimation,), self.__dict__


def as_aa_layer(prefilter: str | type[Prefilter], **options: Any) -> type[nn.Module]:
    """A class for the ``aa_layer`` argument of timm's networks: ``(channels, stride=2, device=None, dtype=None)``.

    timm gives the strided convolutions of its blocks stride 1 and puts this layer after them (and after a stem's max
    pool of stride 1), so it filters and takes the step. It leaves a stem's convolution and 1x1 shortcuts of stride 2
    unfiltered; :func:`~dealias.filters.antialias_` finds those. timm keeps the class in the network, which therefore
    cannot be pickled whole: save its state dict.

    Args:
        prefilter: a name from :func:`~dealias.filters.list_prefilters` or a :class:`~dealias.filters.Prefilter` class.
        options: its options. Without ``cutoff`` that of ``"daf"`` is the Nyquist frequency of the coarse grid,
            ``0.5 / stride``: the step adds no channels.

    Raises:
        ValueError: unknown prefilter or option.

    >>> as_aa_layer("daf")(channels=8)(torch.zeros(1, 8, 7, 10)).shape
    torch.Size([1, 8, 4, 5])
    """
    method = prefilter_class(prefilter, options)

    class AntialiasingLayer(Decimation):
        """The prefilter in timm's form."""

        def __init__(
            self,
            channels: int,
            stride: int = 2,
            device: torch.device | str | None = None,
            dtype: torch.dtype | None = None,
        ) -> None:
            if stride == 1:  # timm dilates instead of stepping
                super().__init__(Identity(channels, stride), stride)
                return
            step = nn.Conv2d(channels, channels, 1, stride, groups=channels, device="meta")
            super().__init__(method.before(step, **options).to(device=device, dtype=dtype), stride)

    return AntialiasingLayer
