# SPDX-License-Identifier: Apache-2.0
"""ARS, adaptive resampling: sample densely where frequencies are high (SFM, TPAMI 2025, arXiv:2507.11893)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..ops.warp import Warp, saliency_map
from ..ops.warp.gaussian import gaussian_window
from ..ops.warp.grid import pixel_centres
from .attention import NormFactory, PyramidAttention, image_norm


class Modulation(NamedTuple):
    """What :class:`ARS` makes of a map.

    Attributes:
        features: the map on the warped grid, [B, C, H, W].
        warp: where each pixel of that grid looks in the map; its inverse brings the map back.
        attention: how densely each place of the map is sampled, [B, 1, H, W], positive, mean 1 per image.
    """

    features: Tensor
    warp: Warp
    attention: Tensor


class ARS(nn.Module):
    """Resample a map so that places of high attention take more pixels, which lowers their frequencies.

    The attention is that of :class:`~dealias.modulation.attention.PyramidAttention`, the sampling points u are those of
    :func:`~dealias.ops.warp.saliency_map`, the result is the map at u, bilinear. Placed before a layer with a stride.

    A new module is the identity: its attention is 1 everywhere, and u differs from the regular grid by rounding only
    (1e-5 pixels), so that it can be put into a trained network. What trains first is the last 1x1 convolution of the
    attention, by its gradient through u; then everything.

    Args:
        channels: channels of the map.
        sigma: of the Gaussian behind u, pixels; how far attention is felt.
        fwhm: its full width at half maximum instead; with neither, the published 3 pixels.
        window: side of the square that the Gaussian is cut off to, odd; see :func:`~dealias.ops.warp.saliency_map`.
        learn_sigma: train sigma, as the exponential of a parameter. The window stays as it is.
        bins: sides of the pooled maps of the attention.
        norm: makes the normalisation of these from their channels; per image by default.

    Raises:
        ValueError: no channels, bins below 1, both widths, or a width or window out of range.

    >>> x = torch.rand(1, 16, 9, 12)
    >>> features, warp, attention = ARS(16)(x)
    >>> bool((features - x).abs().max() < 1e-5), warp.map.shape, attention.shape
    (True, torch.Size([1, 2, 9, 12]), torch.Size([1, 1, 9, 12]))
    """

    log_sigma: nn.Parameter | None

    def __init__(
        self,
        channels: int,
        sigma: float | None = None,
        fwhm: float | None = None,
        window: int | None = None,
        learn_sigma: bool = False,
        bins: Sequence[int] = (1, 2, 3, 7),
        norm: NormFactory = image_norm,
    ) -> None:
        super().__init__()
        width, self.window = gaussian_window(sigma, fwhm, window, "ARS")
        self.initial_sigma = float(width)
        self.attention = PyramidAttention(channels, bins, norm)
        log_sigma = nn.Parameter(torch.tensor(math.log(self.initial_sigma))) if learn_sigma else None
        self.register_parameter("log_sigma", log_sigma)

    @property
    def sigma(self) -> float | Tensor:
        """Of the Gaussian, pixels: a number, or a tensor [] where it is learned."""
        if self.log_sigma is None:
            return self.initial_sigma
        return self.log_sigma.to(torch.promote_types(self.log_sigma.dtype, torch.float32)).exp()

    def forward(self, x: Tensor) -> Modulation:
        """Resample x [B, channels, H, W], any H and W; features keep its shape and dtype.

        Raises:
            ValueError: another rank or another number of channels.
        """
        attention = self.attention(x)
        warp = self._warp(attention)
        return Modulation(warp.apply(x), warp, attention)

    def shifts(self, x: Tensor) -> Tensor:
        """How far from itself each pixel looks, u(p) - p: [B, channels, H, W] to [B, 2, H, W], (x, y) in pixels."""
        warp = self._warp(self.attention(x))
        return warp.map - pixel_centres(warp.size, x.shape[0], warp.map)

    def _warp(self, attention: Tensor) -> Warp:
        points = saliency_map(attention, sigma=self.sigma, window=self.window)
        return Warp(points, size=(attention.shape[-2], attention.shape[-1]))

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        sigma = self.sigma
        text = f"{sigma.item():.3g} (learned)" if isinstance(sigma, Tensor) else f"{sigma:.3g}"
        return f"sigma={text}, window={self.window}"
