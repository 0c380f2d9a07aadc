# SPDX-License-Identifier: Apache-2.0
"""FADE (ECCV 2022, arXiv:2207.10392) under its published names, signatures and state-dict keys.

The published code is two files, low-to-high and high-to-low, each with a class ``FADE`` and with keys of its own. Here
the second is :class:`FADEHighToLow`.
"""

from __future__ import annotations

from torch import Tensor, nn

from .. import fusion
from .naming import alias, publish_names


class FADE(fusion.FADE):
    """The published module: ``forward(en, de)``, en fine and de coarse, gives de at the size of en.

    Args:
        in_channels_en: channels of en.
        in_channels_de: channels of de; ``None``: those of en, which a gate needs.
        scale: 2, the only ratio of sizes the published code runs with.
        up_kernel_size: side of the upsampling kernels, odd.

    Raises:
        ValueError: another ``scale``, unequal channels with a gate, or an even kernel.
    """

    _lite, _gated = False, True

    gate = alias("gate_generator.conv")
    compress_hr = alias("ker_generator.compressor_en")
    compress_lr = alias("ker_generator.compressor_de")
    encoder = alias("ker_generator.content_encoder")

    def __init__(
        self, in_channels_en: int, in_channels_de: int | None = None, scale: int = 2, up_kernel_size: int = 5
    ) -> None:
        in_channels_de = _checked_channels(type(self).__name__, in_channels_en, in_channels_de, scale, self._gated)
        super().__init__(in_channels_en, in_channels_de, up_kernel_size, lite=self._lite, gated=self._gated)
        publish_names(
            self,
            {
                "gate": "gate_generator.conv",
                "compress_hr": "ker_generator.compressor_en",
                "compress_lr": "ker_generator.compressor_de",
                "encoder": "ker_generator.content_encoder",
            },
        )

    def forward(self, en: Tensor, de: Tensor) -> Tensor:  # type: ignore[override]  # the published call returns one map
        """Upsample de [B, in_channels_de, h, w] to the size of en [B, in_channels_en, 2h, 2w]."""
        return super().forward(en, de)[1]


class FADELite(FADE):
    """The published light module, with a depthwise encoder; arguments and call are those of :class:`FADE`."""

    _lite = True


class SemiShiftUp(FADE):
    """The published module without a gate; arguments and call are those of :class:`FADE`, channels may differ."""

    _gated = False


class FADEHighToLow(fusion.FADE):
    """``FADE`` of the published high-to-low files: ``forward(en, de)`` as in :class:`FADE`.

    Args:
        in_channels_en: channels of en.
        in_channels_de: channels of de; ``None``: those of en, which the gate needs.
        scale: 2, the only ratio of sizes the published code runs with.
        up_kernel_size: side of the upsampling kernels, odd.
        order: which of the two files made the weights, ``"mmcv"`` or ``"torch"``; they give different results, see
            :class:`dealias.fusion.FADE`. Unlike the mmcv file, ``"mmcv"`` takes maps that are not square.

    Raises:
        ValueError: another ``scale``, unequal channels, an even kernel, or an unknown ``order``.
    """

    gate = alias("gate_generator.conv")
    compress_hr = alias("kernel_generator.conv1_en")
    compress_lr = alias("kernel_generator.conv1_de")
    kernel_generator: nn.Module

    def __init__(
        self,
        in_channels_en: int,
        in_channels_de: int | None = None,
        scale: int = 2,
        up_kernel_size: int = 5,
        order: str = "mmcv",
    ) -> None:
        in_channels_de = _checked_channels("FADEHighToLow", in_channels_en, in_channels_de, scale, gated=True)
        super().__init__(in_channels_en, in_channels_de, up_kernel_size, high_to_low=order)
        encoder = self.encoder
        del self.encoder
        publish_names(
            self,
            {
                "gate": "gate_generator.conv",
                "compress_hr": "kernel_generator.conv1_en",
                "compress_lr": "kernel_generator.conv1_de",
            },
        )
        published = {"weight": "conv2_kernels", "bias": "conv2_bias"}
        for name, parameter in encoder.named_parameters():
            self.kernel_generator.register_parameter(published[name], parameter)

    def forward(self, en: Tensor, de: Tensor) -> Tensor:  # type: ignore[override]  # the published call returns one map
        """Upsample de [B, in_channels_de, h, w] to the size of en [B, in_channels_en, 2h, 2w]."""
        return super().forward(en, de)[1]

    def _encoder_weights(self) -> tuple[Tensor, Tensor]:
        return self.kernel_generator.get_parameter("conv2_kernels"), self.kernel_generator.get_parameter("conv2_bias")


def _checked_channels(name: str, fine: int, coarse: int | None, scale: int, gated: bool) -> int:
    """The channels of the coarse map, after the checks that the published modules share."""
    coarse = fine if coarse is None else coarse
    if scale != 2 or (gated and coarse != fine):
        raise ValueError(
            f"{name}: scale must be 2, and a gate needs two maps of one number of channels; "
            f"got {scale}, {fine} and {coarse}"
        )
    return coarse
