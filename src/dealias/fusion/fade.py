# SPDX-License-Identifier: Apache-2.0
"""FADE: fusing the assets of decoder and encoder for task-agnostic upsampling (ECCV 2022, arXiv:2207.10392)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import reassemble_softmax
from .base import Fusion
from .init import init_xavier


class FADE(Fusion):
    """Upsample ``lr`` with kernels that both maps predict, and let a gate mix ``hr`` in where detail is wanted.

    The semi-shift convolution: 1x1 convolutions compress both maps to guides h and l, one 3x3 encoder E sees both, each
    on its own grid. ``gate`` is a 1x1 convolution of ``lr``::

        kernels = softmax(E(h) + nearest(E(l)));  up = reassemble(lr, kernels)
        g = sigmoid(nearest(gate(lr)));  lr_up = g * hr + (1 - g) * up

    ``hr`` itself passes through. With unequal channels, where the paper defines no gate, a 1x1 convolution brings
    ``hr`` to ``lr_channels`` inside it. See :class:`~dealias.fusion.Fusion` for shapes and sizes. Zero border.

    Args:
        hr_channels: channels of ``hr``.
        lr_channels: channels of ``lr``.
        kernel_size: side of the upsampling kernels, odd.
        compressed_channels: channels of the guides; FADE-Lite has as many as taps.
        lite: FADE-Lite: the encoder is depthwise.
        gated: ``False``: no gate, ``lr_up = up``.
        high_to_low: how E(h) is computed. The published high-to-low code convolves four shifted copies of h at stride
            2. ``"mmcv"``: each copy gives one sub-pixel, which is the plain convolution above. ``"torch"``: as in the
            published pure-torch file, whose sub-pixels take turns through the channels of all copies; only for weights
            made with it.

    Raises:
        ValueError: an even kernel, or an unknown ``high_to_low``.
    """

    factor = 2
    gate: nn.Module | None
    align: nn.Module | None

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        kernel_size: int = 5,
        compressed_channels: int = 64,
        lite: bool = False,
        gated: bool = True,
        high_to_low: str = "mmcv",
    ) -> None:
        super().__init__(hr_channels, lr_channels)
        if kernel_size % 2 == 0:
            raise ValueError(f"FADE: kernel_size must be odd, got {kernel_size}")
        if high_to_low not in ("mmcv", "torch"):
            raise ValueError(f"FADE: high_to_low must be 'mmcv' or 'torch', got {high_to_low!r}")
        self.kernel_size, self.high_to_low = kernel_size, high_to_low
        taps = kernel_size**2
        guide = taps if lite else compressed_channels
        self.register_module("gate", nn.Conv2d(lr_channels, 1, 1) if gated else None)
        self.compress_hr = nn.Conv2d(hr_channels, guide, 1)
        self.compress_lr = nn.Conv2d(lr_channels, guide, 1, bias=False)
        self.encoder = nn.Conv2d(guide, taps, 3, padding=1, groups=guide if lite else 1)
        aligned = gated and hr_channels != lr_channels
        self.register_module("align", nn.Conv2d(hr_channels, lr_channels, 1) if aligned else None)
        init_xavier(self)

    def fuse(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Upsample lr [B, Cl, h, w] by kernels from it and hr [B, Ch, 2h, 2w]; ``hr`` is returned as it is."""
        size = hr.shape[-2:]
        coarse = self._encode(self.compress_lr(lr), stride=1, padding=1)
        logits = self._encode_fine(self.compress_hr(hr)) + F.interpolate(coarse, size=size, mode="nearest")
        lr_up = reassemble_softmax(lr, logits, self.kernel_size, scale=2)
        if self.gate is None:
            return hr, lr_up
        gate = torch.sigmoid(F.interpolate(self.gate(lr), size=size, mode="nearest"))
        detail = hr if self.align is None else self.align(hr)
        return hr, gate * detail + (1 - gate) * lr_up

    def _encode_fine(self, guide: Tensor) -> Tensor:
        if self.high_to_low == "mmcv":
            return self._encode(guide, stride=1, padding=1)
        sub_pixels = [self._encode(copy, stride=2, padding=0) for copy in interleaved_copies(guide)]
        return F.pixel_shuffle(torch.stack(sub_pixels, dim=2).flatten(1, 2), 2)

    def _encode(self, guide: Tensor, stride: int, padding: int) -> Tensor:
        weight, bias = self._encoder_weights()
        return F.conv2d(guide, weight, bias, stride, padding, groups=guide.shape[1] // weight.shape[1])

    def _encoder_weights(self) -> tuple[Tensor, Tensor | None]:
        return self.encoder.weight, self.encoder.bias


def interleaved_copies(guide: Tensor) -> tuple[Tensor, ...]:
    """Four maps whose channels take turns through four shifted copies: map s, channel c is channel 4c + s of them all.

    Args:
        guide: [B, C, H, W].

    Returns:
        Four maps [B, C, H + 1, W + 1], zero outside the copies.
    """
    shifts = ((1, 0, 1, 0), (0, 1, 1, 0), (1, 0, 0, 1), (0, 1, 0, 1))
    copies = torch.cat([F.pad(guide, shift) for shift in shifts], dim=1)
    return copies.unflatten(1, (guide.shape[1], 4)).unbind(2)
