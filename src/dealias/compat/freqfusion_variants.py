# SPDX-License-Identifier: Apache-2.0
"""The variants of FreqFusion, DSConv-FF and DWT-FF, under their published names, signatures and state-dict keys."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ..fusion.attention import SpatialAttention
from ..fusion.init import init_xavier
from ..fusion.wavelet import WaveletSplit, band_kernels
from .freqfusion import FreqFusion
from .naming import alias, publish_names


class FreqFusionDSConv(FreqFusion):
    """The published DSConv-FF: :class:`FreqFusion` with separable encoders, its arguments and its return value.

    ``direction_feat`` is ``"sim"`` by default. As in the published code all convolutions start Xavier-uniform, those of
    the encoders too. Unlike there, ``encoder_dilation`` may be other than 1; it dilates the depthwise convolutions.
    """

    built_in: ClassVar[dict[str, Any]] = {"encoder": "separable"}
    published_direction_feat = "sim"

    def _publish(self) -> None:
        super()._publish()
        self._modules["dysampler"] = self._modules.pop("dysampler")  # published behind the encoders
        init_xavier(self)


class FreqFusionDWT(FreqFusion):
    """The published DWT-FF: :class:`FreqFusion` with a Haar transform, its arguments and its return value.

    ``direction_feat`` is ``"sim"`` by default. As in the published code ``semi_conv`` and ``comp_feat_upsample`` are
    True whatever is given, and both outputs go through self-attention over the whole map, whose time grows with the
    square of the number of pixels, with dropout 0.1 in training (here of the attention's weights).
    """

    built_in: ClassVar[dict[str, Any]] = {"decomposition": "haar", "semi_conv": True, "comp_feat_upsample": True}
    published_direction_feat = "sim"
    detail_encoder = alias("content_encoder3")
    wavelet = alias("dwt")

    def _publish(self) -> None:
        super()._publish()
        publish_names(self, {"detail_encoder": "content_encoder3", "wavelet": "dwt"})
        self.dwt, self.attention = _PublishedWavelet(), SpatialAttention(dropout=0.1)


class _PublishedWavelet(WaveletSplit):
    """The Haar transform with the published buffers: taps for columns and for rows, shaped as kernels."""

    h0_col: Tensor
    h1_col: Tensor
    h0_row: Tensor
    h1_row: Tensor

    def __init__(self) -> None:
        super().__init__("haar")
        self._buffers.clear()
        for name, taps in haar_buffers().items():
            self.register_buffer(name, taps)

    def kernels(self) -> Tensor:
        """The kernels of the four bands from the published buffers, [4, 2, 2]."""
        columns, rows = torch.cat([self.h0_col, self.h1_col]), torch.cat([self.h0_row, self.h1_row])
        return band_kernels(columns.flatten(1), rows.flatten(1))


def haar_buffers() -> dict[str, Tensor]:
    """The published buffers of the Haar transform: low (h0) and high (h1) taps for columns and rows, as kernels."""
    split = WaveletSplit("haar")
    taps = {"h0": split.low, "h1": split.high}
    shapes = {"col": (1, 1, 2, 1), "row": (1, 1, 1, 2)}
    return {f"{name}_{axis}": taps[name].reshape(shape).clone() for axis, shape in shapes.items() for name in taps}
