# SPDX-License-Identifier: Apache-2.0
"""FreqFusion: frequency-aware feature fusion (TPAMI 2024, arXiv:2408.12879).

Three parts (figure 3 of the paper): an adaptive low-pass filter that upsamples ``lr`` (ALPF), an adaptive high-pass
filter that adds detail to ``hr`` (AHPF), and an offset generator that resamples ``lr`` towards similar pixels. The
variants of Enhanced FreqFusion are options: separable encoders, a wavelet split before them, attention at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import kernel_normalize, reassemble_softmax
from .attention import spatial_attention
from .base import Fusion
from .init import init_xavier
from .joint import convolve_jointly
from .kernel_encoder import init_last_layer, kernel_encoder
from .similarity_sampler import SimilaritySampler
from .wavelet import WaveletSplit


class FreqFusion(Fusion):
    """Frequency-aware fusion of two neighbouring pyramid levels; the defaults are the paper's FPN configuration.

    Both maps are compressed to guides h and l by 1x1 convolutions. Two encoders, L for low-pass and H for high-pass
    kernels, see both guides; N is the softmax over a kernel's taps, under a Hamming window; ``up(x, m)`` reassembles x
    with kernels m at twice the size, ``low(x, m)`` at the same::

        m0 = H(h);  h <- 2h - low(h, N(m0))
        a = L(h);   m_low = a + up(L(l), N(a))
        m_high = m0 + up(H(l), N(m_low))
        lr_up = sampler(h, l, up(lr, N(m_low)));  hr' = 2 hr - low(hr, N(m_high))

    With a decomposition, m0 is what a third encoder makes of the three bands of detail of h, and a what L makes of its
    low band, both brought to the grid of h by nearest.

    See :class:`~dealias.fusion.Fusion` for shapes and sizes. Zero border in filters and convolutions, border pixels
    repeat in the sampler.

    Args:
        hr_channels: channels of ``hr``, divisible by ``up_group``.
        lr_channels: channels of ``lr``, divisible by ``up_group`` and ``feature_resample_group``.
        compressed_channels: channels of the guides; by default an eighth of both maps' channels, as in the published
            pyramids, in whole eights and at least 16.
        lowpass_kernel: side of the low-pass kernels, odd.
        highpass_kernel: side of the high-pass kernels, odd.
        up_group: channel groups with kernels of their own.
        encoder_kernel: side of the encoders' and the sampler's convolutions, odd.
        encoder_dilation: dilation of the encoders' convolutions.
        semi_conv: each encoder sees the two guides apart, as above. ``False``: the resized ``l`` is added to ``h``
            first; ``lr`` is resized and filtered at full size, and, without the sampler, any ratio of sizes works.
        comp_feat_upsample: bring L(l) and H(l) to the fine grid with predicted kernels, as above. ``False``: by
            nearest, and ``h`` stays as it is.
        upsample_mode: how ``semi_conv=False`` resizes ``lr``, ``"nearest"`` or ``"bilinear"``; ``l`` by nearest, as
            published.
        use_high_pass: ``False``: no H; ``h`` and ``hr`` stay as they are.
        hr_residual: ``False``: ``hr'`` is the high-pass part alone, ``hr - low(hr, N(m_high))``.
        hamming_window: window the kernels.
        feature_resample: use the sampler.
        feature_resample_group: channel groups of the sampler.
        feature_resample_norm: GroupNorm on the sampler's guides.
        direction_feat: what the sampler's direction sees, ``"sim_concat"`` or ``"sim"`` (SegNeXt); see
            :class:`~dealias.fusion.similarity_sampler.SimilaritySampler`.
        encoder: ``"conv"``, or ``"separable"``: a depthwise and a 1x1 convolution.
        decomposition: None; ``"haar"``, another orthogonal wavelet's name (of PyWavelets, which must be installed then)
            or its taps: see :class:`~dealias.fusion.wavelet.WaveletSplit`. With ``semi_conv`` and
            ``comp_feat_upsample`` only.
        attention: None; spatial self-attention in both outputs, ``"full"``, over the whole map, or ``"window"``, within
            squares of 32 pixels per side, which is the same up to that size and cheap above: see
            :class:`~dealias.fusion.attention.SpatialAttention`.

    Raises:
        ValueError: even kernels, channels no multiple of groups, unknown modes, a decomposition without what it needs.
    """

    sampler_class: type[SimilaritySampler] = SimilaritySampler
    sampler: nn.Module | None
    highpass_encoder: nn.Module | None
    detail_encoder: nn.Module | None
    wavelet: nn.Module | None
    attention: nn.Module | None
    lowpass_window: Tensor | None
    highpass_window: Tensor | None

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        compressed_channels: int | None = None,
        lowpass_kernel: int = 5,
        highpass_kernel: int = 3,
        up_group: int = 1,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        semi_conv: bool = True,
        comp_feat_upsample: bool = True,
        upsample_mode: str = "nearest",
        use_high_pass: bool = True,
        hr_residual: bool = True,
        hamming_window: bool = True,
        feature_resample: bool = True,
        feature_resample_group: int = 4,
        feature_resample_norm: bool = True,
        direction_feat: str = "sim_concat",
        encoder: str = "conv",
        decomposition: str | Sequence[float] | None = None,
        attention: str | None = None,
    ) -> None:
        super().__init__(hr_channels, lr_channels)
        _check_sides(lowpass_kernel=lowpass_kernel, highpass_kernel=highpass_kernel, encoder_kernel=encoder_kernel)
        _check_groups(hr_channels, lr_channels, up_group, feature_resample_group if feature_resample else 1)
        if upsample_mode not in ("nearest", "bilinear"):
            raise ValueError(f"FreqFusion: upsample_mode must be 'nearest' or 'bilinear', got {upsample_mode!r}")
        if decomposition is not None and not (semi_conv and comp_feat_upsample):
            got = f"{decomposition=}, {semi_conv=}, {comp_feat_upsample=}"
            raise ValueError(f"FreqFusion: a decomposition needs semi_conv and comp_feat_upsample, got {got}")
        guide = compressed_channels or max(16, round((hr_channels + lr_channels) / 64) * 8)
        self.factor = 2 if semi_conv or feature_resample else None
        self.lowpass_kernel, self.highpass_kernel, self.up_group = lowpass_kernel, highpass_kernel, up_group
        self.semi_conv, self.comp_feat_upsample, self.upsample_mode = semi_conv, comp_feat_upsample, upsample_mode
        self.hr_residual = hr_residual
        encode = partial(kernel_encoder, encoder, kernel_size=encoder_kernel, dilation=encoder_dilation)
        lowpass_taps, highpass_taps = lowpass_kernel**2 * up_group, highpass_kernel**2 * up_group
        self.compress_hr = nn.Conv2d(hr_channels, guide, 1)
        self.compress_lr = nn.Conv2d(lr_channels, guide, 1)
        self.lowpass_encoder = encode(guide, lowpass_taps)
        sampler = None
        if feature_resample:
            sampler = self.sampler_class(
                guide,
                groups=feature_resample_group,
                kernel_size=encoder_kernel,
                norm=feature_resample_norm,
                direction_feat=direction_feat,
            )
        details = use_high_pass and decomposition is not None
        parts: dict[str, nn.Module | None] = {
            "sampler": sampler,
            "highpass_encoder": encode(guide, highpass_taps) if use_high_pass else None,
            "detail_encoder": encode(3 * guide, highpass_taps) if details else None,
            "wavelet": None if decomposition is None else WaveletSplit(decomposition),
            "attention": spatial_attention(attention),
        }
        for name, part in parts.items():
            self.register_module(name, part)
        for name, side in (("lowpass_window", lowpass_kernel), ("highpass_window", highpass_kernel)):
            self.register_buffer(name, hamming_2d(side) if hamming_window else None, persistent=False)
        init_xavier(self)
        for kernels in (self.lowpass_encoder, self.highpass_encoder, self.detail_encoder):
            if kernels is not None:
                init_last_layer(kernels)

    def fuse(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse hr [B, hr_channels, H, W] and lr [B, lr_channels, h, w] into hr' and lr_up, both H x W."""
        return self._fuse_with_logits(hr, lr)[1:]

    def fuse_with_kernels(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`fuse`, with the low-pass kernels [B, k*k*up_group, H, W] in front."""
        logits, hr, lr_up = self._fuse_with_logits(hr, lr)
        return kernel_normalize(logits, self.lowpass_kernel, self.lowpass_window), hr, lr_up

    def _fuse_with_logits(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine, coarse = self.compress_hr(hr), self.compress_lr(lr)
        low, high, fine = self._predict_logits(fine, coarse)
        if self.semi_conv:
            lr_up = self._reassemble_low(lr, low, scale=2)
        else:
            lr_up = self._reassemble_low(self._resize(lr, hr), low)
        if high is not None:
            sharp = self._sharpen(hr, high)
            hr = sharp if self.hr_residual else sharp - hr
        if self.sampler is not None:
            lr_up = self.sampler(fine, coarse, lr_up)
        if self.attention is not None:
            hr = self.attention(hr)
            lr_up = self.attention(lr_up)
        return low, hr, lr_up

    def _predict_logits(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Logits of the low-pass kernels, of the high-pass kernels if any, and the fine guide as it is afterwards."""
        if self.semi_conv and self.comp_feat_upsample:
            return self._predict_in_steps(fine, coarse)
        if not self.semi_conv:
            mixed = fine + _nearest(coarse, fine)
            return self.lowpass_encoder(mixed), self._encode_highpass(mixed), fine
        low = self.lowpass_encoder(fine) + _nearest(self.lowpass_encoder(coarse), fine)
        high, high_coarse = self._encode_highpass(fine), self._encode_highpass(coarse)
        if high is not None and high_coarse is not None:
            high = high + _nearest(high_coarse, fine)
        return low, high, fine

    def _predict_in_steps(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """The same, the coarse logits brought to the fine grid by kernels of the step before."""
        low_band, high = self._decompose(fine)
        if high is not None:
            fine = self._sharpen(fine, high)
        low = self.lowpass_encoder(fine if low_band is None else low_band)
        encoders = [self.lowpass_encoder, *([] if self.highpass_encoder is None else [self.highpass_encoder])]
        low_coarse, *high_coarse = convolve_jointly(coarse, *encoders)
        low = low + self._reassemble_low(low_coarse, low, scale=2)
        if high is not None:
            high = high + self._reassemble_low(high_coarse[0], low, scale=2)
        return low, high, fine

    def _decompose(self, fine: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The low band of the fine guide if there is a decomposition, its high-pass logits if there is a high-pass."""
        if self.wavelet is None:
            return None, self._encode_highpass(fine)
        low_band, details = (_nearest(band, fine) for band in self.wavelet(fine))
        return low_band, None if self.detail_encoder is None else self.detail_encoder(details)

    def _encode_highpass(self, guide: Tensor) -> Tensor | None:
        return None if self.highpass_encoder is None else self.highpass_encoder(guide)

    def _reassemble_low(self, x: Tensor, logits: Tensor, scale: int = 1) -> Tensor:
        return reassemble_softmax(x, logits, self.lowpass_kernel, self.lowpass_window, self.up_group, scale)

    def _sharpen(self, x: Tensor, logits: Tensor) -> Tensor:
        """2 x - low(x, kernels)."""
        return reassemble_softmax(x, logits, self.highpass_kernel, self.highpass_window, self.up_group, sharpen=True)

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[-2:], mode=self.upsample_mode)


def hamming_2d(side: int) -> Tensor:
    """The separable Hamming window, [side, side], 1 in the middle."""
    along = torch.hamming_window(side, periodic=False, dtype=torch.float64)
    return torch.outer(along, along).float()


def _check_sides(**kernels: int) -> None:
    if not all(side % 2 for side in kernels.values()):
        raise ValueError(f"FreqFusion: kernels must be odd, got {kernels}")


def _check_groups(hr_channels: int, lr_channels: int, up_group: int, feature_resample_group: int) -> None:
    if hr_channels % up_group or lr_channels % up_group or lr_channels % feature_resample_group:
        raise ValueError(
            f"FreqFusion: groups must divide the channels, got {up_group=} for {hr_channels=} and {lr_channels=}, "
            f"{feature_resample_group=} for {lr_channels=}"
        )


def _nearest(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")
