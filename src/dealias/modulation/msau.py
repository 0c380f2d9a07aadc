# SPDX-License-Identifier: Apache-2.0
"""MSAU, multi-scale adaptive upsampling: back from a warped grid (SFM, TPAMI 2025, arXiv:2507.11893)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import kernel_normalize, reassemble
from ..ops.warp import Warp, demodulate
from .attention import NormFactory

_SIDE = 3
_TAPS = _SIDE**2


class MSAU(nn.Module):
    """Bring a map, or what a head predicted from it, from a warped grid to a regular one, and let distant pixels agree.

    Demodulation: values and a first relation r_0, nine channels that a 3x3 convolution, norm and ReLU find in the
    features, are sampled through the inverses of all warps straight to the size asked for
    (:func:`~dealias.ops.warp.demodulate`). Only these nine channels of the features leave the warped grid.

    Multi-scale relation, with y_0 the demodulated values and one step per dilation d::

        r_i = norm(3x3 convolution of r_{i-1}, dilation d)
        m_i = sum over the 3x3 taps t, d pixels apart: softmax(r_i)_t y_{i-1}(. + d t)
        y_i = y_{i-1} + gate_i (m_i - y_{i-1})                  (without gates: y_i = m_i)

    One kernel for all channels of the values. Border pixels repeat wherever something beyond the border is needed.

    A new module with gates only demodulates: they start at 0, so that a trained network keeps its predictions. They
    train first, then everything. Without them it starts as a blur over all dilations.

    Args:
        channels: channels of the features.
        dilations: pixels of the result between the taps of each step.
        gated: learn one gate per step.
        norm: makes the normalisation of a relation from its nine channels.
        method: how warps are inverted, ``"mesh"`` or ``"newton"``; see :class:`~dealias.ops.warp.Warp`.

    Raises:
        ValueError: no channels, or a dilation below 1.

    >>> upsample = MSAU(16).eval()
    >>> upsample(torch.rand(1, 16, 6, 8), warps=(), size=(24, 32), values=torch.rand(1, 5, 6, 8)).shape
    torch.Size([1, 5, 24, 32])
    """

    gates: nn.Parameter | None

    def __init__(
        self,
        channels: int,
        dilations: Sequence[int] = (1, 2, 4, 8, 16),
        gated: bool = True,
        norm: NormFactory = nn.BatchNorm2d,
        method: str = "mesh",
    ) -> None:
        super().__init__()
        if channels < 1 or min(dilations, default=1) < 1:
            raise ValueError(f"MSAU: channels and dilations must be at least 1, got {channels} and {dilations}")
        self.channels, self.dilations, self.method = channels, tuple(dilations), method
        self.relation = nn.Sequential(_convolution(channels, 1), norm(_TAPS), nn.ReLU(inplace=True))
        self.steps = nn.ModuleList(nn.Sequential(_convolution(_TAPS, d), norm(_TAPS)) for d in self.dilations)
        self.register_parameter("gates", nn.Parameter(torch.zeros(len(self.dilations))) if gated else None)

    def forward(
        self, features: Tensor, warps: Sequence[Warp], size: tuple[int, int], values: Tensor | None = None
    ) -> Tensor:
        """Demodulate and refine.

        Args:
            features: what relations are found in, [B, channels, h, w].
            warps: those between the image and the features, shallowest first; the last one's grid, or one after a
                stride, is that of the features. None of them: a bilinear resize.
            size: of the result, any.
            values: what is brought back, such as logits, [B, C, h, w]; by default the features.

        Returns:
            [B, C, *size], dtype of ``values``.

        Raises:
            ValueError: the shapes are not as above.
        """
        values = features if values is None else values
        if features.ndim != 4 or features.shape[1] != self.channels or values.ndim != 4:
            raise ValueError(
                f"MSAU: needs features [B, {self.channels}, h, w] and values [B, C, h, w], "
                f"got {tuple(features.shape)} and {tuple(values.shape)}"
            )
        if (features.shape[0], *features.shape[2:]) != (values.shape[0], *values.shape[2:]):
            raise ValueError(
                f"MSAU: features and values must lie on one grid, got {tuple(features.shape)} and {tuple(values.shape)}"
            )
        relation = self.relation(features)
        both = demodulate(torch.cat([relation, values], dim=1), warps, size, self.method)
        relation, refined = both.split([_TAPS, values.shape[1]], dim=1)
        relation = relation.to(features.dtype)
        for index, (dilation, step) in enumerate(zip(self.dilations, self.steps, strict=True)):
            relation = step(relation)
            mixed = _mix(refined, relation, dilation)
            refined = mixed if self.gates is None else refined + self.gates[index] * (mixed - refined)
        return refined.to(values.dtype)


def _convolution(channels: int, dilation: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, _TAPS, _SIDE, padding=dilation, dilation=dilation, padding_mode="replicate", bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _mix(y: Tensor, logits: Tensor, dilation: int) -> Tensor:
    """Sum every pixel's 3x3 taps, ``dilation`` apart, with its own softmax weights: y [B, C, H, W] to the same."""
    height, width = y.shape[-2:]
    border = (dilation, dilation, dilation, dilation)
    kernels = F.pad(kernel_normalize(logits, _SIDE), border)
    mixed = reassemble(F.pad(y, border, mode="replicate"), kernels.to(y.dtype), dilation=dilation)
    return mixed[..., dilation : dilation + height, dilation : dilation + width]
