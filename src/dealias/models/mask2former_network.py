# SPDX-License-Identifier: Apache-2.0
"""Mask2Former (arXiv:2112.01527) of transformers' parts, with any encoder and any fusion. Needs transformers.

The fusions are where FreqFusion has them (arXiv:2408.12879): before the attention of the pixel decoder, deep to
shallow, and after it, where transformers interpolates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import Mask2FormerConfig
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerLoss,
    Mask2FormerPixelDecoder,
    Mask2FormerPixelDecoderEncoderOnly,
    Mask2FormerPixelDecoderOutput,
    Mask2FormerPreTrainedModel,
    Mask2FormerTransformerModule,
)

from dealias.backbones import Encoder
from dealias.fusion import Bilinear, FusionFactory


class FusedAttention(Mask2FormerPixelDecoderEncoderOnly):
    """The deformable attention of the pixel decoder, on levels that are fused first if there are ``fusions``."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__(config)
        self.fusions = nn.ModuleList()

    def forward(self, inputs_embeds: Any = None, *args: Any, **others: Any) -> Any:
        """Attend over levels, coarse to fine.

        Args:
            inputs_embeds: the levels one after the other, [B, sum of H_i * W_i, C].
            args: as of transformers' class, and so are ``others``, of which ``spatial_shapes_list`` has the sizes
                (H_i, W_i).
            others: see there.
        """
        if len(self.fusions):
            inputs_embeds = self._fuse(inputs_embeds, others["spatial_shapes_list"])
        return super().forward(inputs_embeds, *args, **others)

    def _fuse(self, flat: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        levels = flat.transpose(1, 2).split([height * width for height, width in sizes], 2)
        coarsest, *finer = [level.unflatten(2, size) for level, size in zip(levels, sizes, strict=True)]
        fused = [coarsest]
        for fusion, level in zip(self.fusions, finer, strict=True):
            detailed, upsampled = fusion(level, fused[-1])
            fused.append(detailed + upsampled)
        return torch.cat([level.flatten(2) for level in fused], 2).transpose(1, 2)


class FusedPixelDecoder(Mask2FormerPixelDecoder):
    """transformers' pixel decoder with fusions; its weights have the same keys.

    Args:
        config: of transformers; its mask features are at stride 4.
        channels: of the encoder's four maps, fine to coarse.
    """

    encoder: FusedAttention
    adapter_1: nn.Module
    layer_1: nn.Module

    def __init__(self, config: Mask2FormerConfig, channels: Sequence[int]) -> None:
        super().__init__(config, list(channels))
        self.encoder = FusedAttention(config)
        self.fusion: nn.Module = Bilinear(config.feature_size, config.feature_size)
        self.num_fpn_levels = 0  # the inherited forward stops at stride 8; the last step is done here

    def insert_fusions(self, fusion: FusionFactory, pre_fusion: bool | None) -> None:
        """Put fusions in.

        Args:
            fusion: makes them.
            pre_fusion: before the attention too; None: unless they are bilinear.
        """
        width = self.config.feature_size
        self.fusion = fusion(width, width)
        if pre_fusion or (pre_fusion is None and not isinstance(self.fusion, Bilinear)):
            self.encoder.fusions.extend(fusion(width, width) for _ in range(self.num_feature_levels - 1))

    def forward(self, features: Any, *args: Any, **others: Any) -> Mask2FormerPixelDecoderOutput:
        """Decode maps of the encoder [B, C_i, H_i, W_i], fine to coarse; other arguments as of transformers' class."""
        decoded = super().forward(features, *args, **others)
        lateral, upsampled = self.fusion(self.adapter_1(features[0]), decoded.multi_scale_features[-1])
        decoded.mask_features = self.mask_projection(self.layer_1(lateral + upsampled))
        return decoded


class Predictions(NamedTuple):
    """What the queries predict at first and after every layer: the last is the result, all are learnt."""

    classes: list[Tensor]
    """Logits of every category and of none, [B, Q, K + 1] each."""

    masks: list[Tensor]
    """Logits at stride 4, [B, Q, H, W] each."""


class Mask2FormerNetwork(Mask2FormerPreTrainedModel):
    """Images to predictions, and these to losses.

    Args:
        fields: of ``Mask2FormerConfig``.
        encoder: images to four maps.
        fusion: makes the fusions.
        pre_fusion: see :meth:`FusedPixelDecoder.insert_fusions`.
    """

    def __init__(
        self, fields: Mapping[str, Any], encoder: Encoder, fusion: FusionFactory, pre_fusion: bool | None
    ) -> None:
        config: Any = Mask2FormerConfig(**fields)
        super().__init__(config)
        self._weights = {
            "loss_cross_entropy": config.class_weight,
            "loss_mask": config.mask_weight,
            "loss_dice": config.dice_weight,
        }
        self.pixel_decoder = FusedPixelDecoder(config, encoder.channels)
        self.transformer_module = Mask2FormerTransformerModule(config.feature_size, config)
        self.class_predictor = nn.Linear(config.hidden_dim, config.num_labels + 1)
        self.criterion = Mask2FormerLoss(config, self._weights)
        self.post_init()  # transformers' initialisation, which is not for what comes after
        self._init_as_published()
        self.encoder = encoder
        self.pixel_decoder.insert_fusions(fusion, pre_fusion)

    @torch.no_grad()
    def _init_as_published(self) -> None:
        """Start as published what transformers starts at N(0, 0.02²), from where it learns slowly."""
        for name, module in self.pixel_decoder.named_modules():
            if isinstance(module, nn.Conv2d) and not name.startswith("input_projections"):
                nn.init.kaiming_uniform_(module.weight, a=1)
            elif isinstance(module, nn.Conv2d) or name.endswith((".fc1", ".fc2")):
                nn.init.xavier_uniform_(module.weight)
        self.class_predictor.reset_parameters()

    def forward(self, images: Tensor) -> Predictions:
        """Predict masks and classes from images [B, C, H, W].

        Under autocast the pixel decoder works in the type of the images, because positions are computed in it.
        """
        features = self.encoder(images)
        with torch.autocast(images.device.type, enabled=False):
            pixels = self.pixel_decoder([x.to(images.dtype) for x in features])
        decoded = self.transformer_module(pixels.multi_scale_features, pixels.mask_features)
        classes = [self.class_predictor(x.transpose(0, 1)) for x in decoded.intermediate_hidden_states]
        return Predictions(classes, list(decoded.masks_queries_logits))

    def losses(
        self, predictions: Predictions, masks: Sequence[Tensor], categories: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Compute weighted losses, each summed over the layers.

        Args:
            predictions: of a batch.
            masks: for each image [N_i, H, W], float, 0 or 1; all of one size, that of the batch.
            categories: of these, [N_i] int64, from 0.
        """
        with torch.autocast(masks[0].device.type, enabled=False):  # the matching's solver knows no bfloat16
            *earlier, last = [
                {"class_queries_logits": _widened(c), "masks_queries_logits": _widened(m)}
                for c, m in zip(*predictions, strict=True)
            ]
            found = self.criterion(
                **last, mask_labels=list(masks), class_labels=list(categories), auxiliary_predictions=earlier
            )
        return {
            name: weight * torch.stack([loss for key, loss in found.items() if key.startswith(name)]).sum()
            for name, weight in self._weights.items()
        }


def _widened(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
