# SPDX-License-Identifier: Apache-2.0
"""FreqFusion (TPAMI 2024, arXiv:2408.12879) under its published names, signatures and state-dict keys."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .. import fusion
from ..fusion.sizes import crop_to
from .naming import alias, publish_names
from .similarity_sampler import PublishedSampler


class FreqFusion(fusion.FreqFusion):
    """The published module: same constructor, call, return value and state-dict keys.

    ``forward(hr_feat, lr_feat)`` returns ``(mask_lr, hr_feat, lr_feat)``. Unlike the published code it takes any size
    whose half, rounded up or down, is that of ``lr_feat``, ``up_group`` above 1 and ``use_high_pass=False`` in every
    path; unknown arguments are errors.

    Args:
        hr_channels: channels of ``hr_feat``.
        lr_channels: channels of ``lr_feat``.
        scale_factor: 1, the only value the published code runs with.
        lowpass_kernel: side of the low-pass kernels, odd.
        highpass_kernel: side of the high-pass kernels, odd.
        up_group: channel groups with kernels of their own.
        encoder_kernel: side of encoders and sampler convolutions, odd.
        encoder_dilation: dilation of the encoders.
        compressed_channels: channels of the guides.
        align_corners: with ``semi_conv=False`` and a mode other than nearest.
        upsample_mode: with ``semi_conv=False``, for ``lr_feat``: ``"nearest"`` or ``"bilinear"``.
        feature_resample: use the sampler; the published default is off, the paper's method has it on.
        feature_resample_group: channel groups of the sampler.
        comp_feat_upsample: upsample the kernels' logits by predicted kernels.
        use_high_pass: predict high-pass kernels.
        use_low_pass: without effect, as published.
        hr_residual: add the high-pass part to ``hr_feat``.
        semi_conv: encode the two guides apart.
        hamming_window: window the kernels.
        feature_resample_norm: GroupNorm on the sampler's guides.
        direction_feat: ``"sim_concat"`` (published for FPN, Mask2Former) or ``"sim"`` (SegNeXt): the shapes of the
            sampler's weights. By default that of the published file, here ``"sim_concat"``.

    Raises:
        ValueError: ``scale_factor`` is not 1, even kernels, groups that do not divide the channels, unknown modes.
    """

    built_in: ClassVar[dict[str, Any]] = {}
    """Options of the native module that are what they are, whatever the arguments."""
    published_direction_feat: ClassVar[str] = "sim_concat"

    sampler_class = PublishedSampler
    compress_hr = alias("hr_channel_compressor")
    compress_lr = alias("lr_channel_compressor")
    lowpass_encoder = alias("content_encoder")
    highpass_encoder = alias("content_encoder2")
    sampler = alias("dysampler")
    hamming_lowpass: Tensor
    hamming_highpass: Tensor

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        scale_factor: int = 1,
        lowpass_kernel: int = 5,
        highpass_kernel: int = 3,
        up_group: int = 1,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        compressed_channels: int = 64,
        align_corners: bool = False,
        upsample_mode: str = "nearest",
        feature_resample: bool = False,
        feature_resample_group: int = 4,
        comp_feat_upsample: bool = True,
        use_high_pass: bool = True,
        use_low_pass: bool = True,
        hr_residual: bool = True,
        semi_conv: bool = True,
        hamming_window: bool = True,
        feature_resample_norm: bool = True,
        direction_feat: str | None = None,
    ) -> None:
        if scale_factor != 1:
            raise ValueError(f"FreqFusion: scale_factor must be 1, got {scale_factor}")
        given: dict[str, Any] = {
            "compressed_channels": compressed_channels,
            "lowpass_kernel": lowpass_kernel,
            "highpass_kernel": highpass_kernel,
            "up_group": up_group,
            "encoder_kernel": encoder_kernel,
            "encoder_dilation": encoder_dilation,
            "semi_conv": semi_conv,
            "comp_feat_upsample": comp_feat_upsample,
            "upsample_mode": upsample_mode,
            "use_high_pass": use_high_pass,
            "hr_residual": hr_residual,
            "hamming_window": hamming_window,
            "feature_resample": feature_resample,
            "feature_resample_group": feature_resample_group,
            "feature_resample_norm": feature_resample_norm,
            "direction_feat": direction_feat or self.published_direction_feat,
        }
        super().__init__(hr_channels, lr_channels, **given | self.built_in)
        self.align_corners, self.hamming_window = align_corners, hamming_window
        self._publish()

    def _publish(self) -> None:
        """Give parts and buffers their published names."""
        publish_names(
            self,
            {
                "compress_hr": "hr_channel_compressor",
                "compress_lr": "lr_channel_compressor",
                "lowpass_encoder": "content_encoder",
                "highpass_encoder": "content_encoder2",
                "sampler": "dysampler",
            },
        )
        for own, published in (("lowpass_window", "hamming_lowpass"), ("highpass_window", "hamming_highpass")):
            window = self._buffers.pop(own)
            self.register_buffer(published, torch.ones(1) if window is None else window[None, None])

    @property
    def lowpass_window(self) -> Tensor | None:  # type: ignore[override]  # a buffer there, the published buffer here
        """The published low-pass window buffer, if it is used."""
        return self.hamming_lowpass if self.hamming_window else None

    @property
    def highpass_window(self) -> Tensor | None:  # type: ignore[override]  # as above
        """The published high-pass window buffer, if it is used."""
        return self.hamming_highpass if self.hamming_window else None

    def forward(  # type: ignore[override]  # the published call returns the kernels too
        self, hr_feat: Tensor, lr_feat: Tensor, use_checkpoint: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fuse two levels.

        Args:
            hr_feat: fine features, [B, hr_channels, H, W].
            lr_feat: coarse features, [B, lr_channels, h, w].
            use_checkpoint: recompute the module in the backward pass to save memory.

        Returns:
            Low-pass kernels [B, k*k*up_group, H, W], fine features [B, hr_channels, H, W], coarse ones [B, lr_channels,
            H, W].
        """
        self._check(hr_feat, lr_feat)
        height, width = hr_feat.shape[-2:]
        maps = self._complete(hr_feat, lr_feat)
        if use_checkpoint:
            outputs = checkpoint(self.fuse_with_kernels, *maps, use_reentrant=False)
        else:
            outputs = self.fuse_with_kernels(*maps)
        mask, hr_out, lr_up = (crop_to(output, height, width) for output in outputs)
        return mask, hr_out, lr_up

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        corners = None if self.upsample_mode == "nearest" else self.align_corners
        return F.interpolate(x, size=like.shape[-2:], mode=self.upsample_mode, align_corners=corners)
