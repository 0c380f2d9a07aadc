# SPDX-License-Identifier: Apache-2.0
"""A segmentation network: encoder, decoder and, in training, an auxiliary head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from dealias.backbones import Resampling, recording
from dealias.heads import resize
from dealias.modulation import MSAU
from dealias.ops.warp import Warp, demodulate

from .demodulation import LevelDemodulation, warp_counts
from .parts import parameter_parts
from .sharing import Shareable

MIN_SIZE = 32
"""Smallest height and width of an image: one pixel of the coarsest level."""


class Outputs(NamedTuple):
    """What a network gives in training.

    Attributes:
        logits: of the decoder, [B, classes, H, W].
        auxiliary: logits of the auxiliary head, [B, classes, H, W]; None without one.
        attentions: of the modulations, shallowest first, [B, 1, h, w], mean 1 per image; none without modulation.
        warps: what the modulations made of them, in the same order.
    """

    logits: Tensor
    auxiliary: Tensor | None
    attentions: tuple[Tensor, ...]
    warps: tuple[Warp, ...]


class SegmentationModel(Shareable, nn.Module):
    """Class scores for every pixel of images of any size from 32 x 32.

    Args:
        encoder: images [B, in_channels, H, W] to a pyramid of features, fine to coarse; has ``in_channels``.
        decoder: the pyramid to logits [B, classes, h, w].
        classes: number of classes.
        auxiliary: a second head like ``decoder``, used by :meth:`forward_train` only.
        config: the arguments of :func:`dealias.models.create_model` that made this network, in plain Python values.
        demodulation: of the levels of a modulated encoder, before the heads; None: these work on warped grids.
        msau: of the decoder's scores, which it brings from a warped grid to the finest level's, and leaves on a regular
            one; the decoder must be a :class:`~dealias.heads.Head`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        classes: int,
        auxiliary: nn.Module | None = None,
        config: Mapping[str, Any] | None = None,
        demodulation: LevelDemodulation | None = None,
        msau: MSAU | None = None,
    ) -> None:
        super().__init__()
        self.encoder: Any = encoder
        self.decoder: Any = decoder
        self.auxiliary: Any = auxiliary
        self.demodulation = demodulation
        self.msau = msau
        self.classes = classes
        self.config: dict[str, Any] = dict(config or {})

    def forward(self, images: Tensor) -> Tensor:
        """Score the classes of every pixel.

        Args:
            images: normalised images, [B, in_channels, H, W], H and W at least 32.

        Returns:
            Logits [B, classes, H, W]: the decoder's, resized bilinearly with half-pixel centres.

        Raises:
            ValueError: wrong rank, number of channels or size.
        """
        self._check(images)
        levels, warps, _ = self._encode(images)
        return resize(self._decode(levels, warps), _size(images))

    def forward_train(self, images: Tensor) -> Outputs:
        """Score the classes of every pixel with both heads.

        Args:
            images: as in :meth:`forward`.

        Returns:
            Logits of the decoder and of the auxiliary head, and what the losses of modulations need.

        Raises:
            ValueError: wrong rank, number of channels or size.
        """
        self._check(images)
        levels, warps, tape = self._encode(images)
        logits = resize(self._decode(levels, warps), _size(images))
        auxiliary = None
        if self.auxiliary is not None:
            passed = warps[: warp_counts(self.encoder.strides)[self.auxiliary.level]] if warps else warps
            auxiliary = demodulate(self.auxiliary(levels), passed, _size(images))
        return Outputs(logits, auxiliary, tuple(r.attention for r in tape), tuple(r.warp for r in tape))

    def parameter_parts(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by part, for learning rates of their own: every parameter is in exactly one part.

        Returns:
            ``fusion``, ``prefilter``, ``mixer`` and ``modulation`` (all within such modules, wherever they are), then
            ``encoder``, ``decoder`` and ``auxiliary`` without those. A part that the network lacks is an empty list.
        """
        heads = {"decoder": [self.decoder], "auxiliary": [] if self.auxiliary is None else [self.auxiliary]}
        return parameter_parts(self, {"encoder": [self.encoder], **heads})

    def _encode(self, images: Tensor) -> tuple[Sequence[Tensor], Sequence[Warp], list[Resampling]]:
        """The levels for the heads, the warps that these are still behind, and what the modulations did."""
        with recording() as tape:
            levels = self.encoder(images)
        warps = [resampling.warp for resampling in tape]
        if self.demodulation is None:
            return levels, warps, tape
        return self.demodulation(levels, warps), [], tape

    def _decode(self, levels: Sequence[Tensor], warps: Sequence[Warp]) -> Tensor:
        if self.msau is None:
            return self.decoder(levels)
        logits, embedding = self.decoder(levels, with_embedding=True)
        return self.msau(embedding, warps, _size(levels[0] if warps else logits), values=logits)

    def _check(self, images: Tensor) -> None:
        expected = f"[B, {self.encoder.in_channels}, H, W] with H and W at least {MIN_SIZE}"
        if images.ndim != 4:
            raise ValueError(f"images must be {expected}, got shape {tuple(images.shape)}")
        if images.shape[1] != self.encoder.in_channels:
            raise ValueError(f"images must be {expected}, got {images.shape[1]} channels: {tuple(images.shape)}")
        if images.shape[-2] < MIN_SIZE or images.shape[-1] < MIN_SIZE:
            raise ValueError(f"images must be {expected}, got size {images.shape[-2]} x {images.shape[-1]}")


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]
