# SPDX-License-Identifier: Apache-2.0
"""Mask2Former by its options (arXiv:2112.01527), and its fusions as published (arXiv:2408.12879)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torchvision.models.detection.transform import GeneralizedRCNNTransform

from dealias.backbones import Encoder
from dealias.fusion import Fusion, FusionFactory, create_fusion

from .detector_options import DetectorOptions
from .mask2former import Mask2FormerModel
from .mask2former_outputs import OutputSettings

TRANSFORMERS_NAMES = {
    "heads": "num_attention_heads",
    "encoder_layers": "encoder_layers",
    "feedforward": "encoder_feedforward_dim",
    "decoder_feedforward": "dim_feedforward",
    "queries": "num_queries",
    "class_weight": "class_weight",
    "mask_weight": "mask_weight",
    "dice_weight": "dice_weight",
    "no_object_weight": "no_object_weight",
    "points": "train_num_points",
}
"""Options here that are fields of transformers' ``Mask2FormerConfig``, by their names there."""

TRANSFORMERS_OPTIONS = (
    "hidden_dim",
    "mask_feature_size",
    "activation_function",
    "dropout",
    "pre_norm",
    "enforce_input_projection",
    "oversample_ratio",
    "importance_sample_ratio",
    "init_std",
    "init_xavier_std",
)
"""Fields of ``Mask2FormerConfig`` that :attr:`Mask2FormerOptions.transformers_options` may have."""

_FREQFUSIONS = ("freqfusion", "dsconv-ff", "dwt-ff")
_NORM_GROUPS = 32  # of transformers' group norms in the pixel decoder


@dataclass(frozen=True, kw_only=True)
class Mask2FormerOptions(DetectorOptions):
    """Mask2Former: a mask and a class from each query, for things and stuff (arXiv:2112.01527).

    It is transformers', so that this must be installed: ``pip install 'dealias[mask2former]'``. The defaults are the
    published numbers for COCO.

    Args:
        stuff_classes: number of stuff categories; 0: objects alone.
        decoder_channels: width of the pixel decoder, the queries and the mask embeddings, a multiple of 32.
        heads: of every attention.
        encoder_layers: deformable attention layers of the pixel decoder.
        decoder_layers: masked attention layers.
        feedforward: width of the feed-forward parts in the former.
        decoder_feedforward: and in the latter.
        queries: number of masks.
        pre_fusion: fuse strides 32, 16 and 8, deep to shallow, before the attention of the pixel decoder; None: unless
            the fusion is bilinear, with which the network is then the original one.
        class_weight: factor of the class loss; this and the next two weigh the costs of the matching too.
        mask_weight: of the binary cross entropy of masks.
        dice_weight: of the dice loss of masks.
        no_object_weight: weight of queries without an object in the class loss.
        points: pixels at which the losses of a mask are computed.
        object_threshold: queries of no higher class probability are not in the panoptic map.
        overlap_threshold: nor those that less than this share of their mask is left to.
        detections: largest number of instances.
        transformers_options: further fields of transformers' ``Mask2FormerConfig``: :data:`TRANSFORMERS_OPTIONS`.
            Further arguments as of :class:`~dealias.models.detector_options.DetectorOptions`.
    """

    stuff_classes: int = 0
    decoder_channels: int = 256
    heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 9
    feedforward: int = 1024
    decoder_feedforward: int = 2048
    queries: int = 100
    pre_fusion: bool | None = None
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object_weight: float = 0.1
    points: int = 12544
    object_threshold: float = 0.8
    overlap_threshold: float = 0.8
    detections: int = 100
    transformers_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stuff_classes < 0:
            raise ValueError(f"stuff_classes must be at least 0, got {self.stuff_classes}")
        for name in ("decoder_channels", "heads", "encoder_layers", "decoder_layers", "queries", "points"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        width = self.decoder_channels
        if width % _NORM_GROUPS or width % self.heads:
            raise ValueError(
                f"decoder_channels must be a multiple of {_NORM_GROUPS} and of {self.heads} heads, got {width}"
            )
        unknown = sorted(set(self.transformers_options) - set(TRANSFORMERS_OPTIONS))
        if unknown:
            raise ValueError(f"no transformers_options {', '.join(unknown)}; known: {', '.join(TRANSFORMERS_OPTIONS)}")

    def build(self, encoder: Encoder, classes: int, fusion: FusionFactory) -> Mask2FormerModel:
        """Make the network.

        Raises:
            ImportError: transformers is not installed.
        """
        try:
            from .mask2former_network import Mask2FormerNetwork
        except ImportError as error:
            raise ImportError("Mask2Former needs transformers: pip install 'dealias[mask2former]'") from error
        fields = self.transformers_fields(classes + self.stuff_classes)
        network = Mask2FormerNetwork(fields, encoder, fusion, self.pre_fusion)
        transform = GeneralizedRCNNTransform(**self.image_settings(encoder.in_channels))
        outputs = OutputSettings(self.object_threshold, self.overlap_threshold, self.detections)
        return Mask2FormerModel(network, transform, classes, self.stuff_classes, outputs)

    def transformers_fields(self, categories: int) -> dict[str, Any]:
        """Fields of transformers' ``Mask2FormerConfig`` for a number of categories, things and stuff."""
        return {
            **dict.fromkeys(("feature_size", "mask_feature_size", "hidden_dim"), self.decoder_channels),
            **{name: getattr(self, option) for option, name in TRANSFORMERS_NAMES.items()},
            "decoder_layers": self.decoder_layers + 1,  # counted there with the prediction that precedes them
            "num_labels": categories,
            **self.transformers_options,
        }


def mask2former_fusion(name: str, hr_channels: int, lr_channels: int, **options: Any) -> Fusion:
    """A fusion by name, FreqFusion and its variants with the options of the published Mask2Former + FreqFusion.

    These are no window, resampling without norm, and guides of an eighth of both maps' channels, so 64.

    Args:
        name: one of :func:`dealias.fusion.list_fusions`.
        hr_channels: channels of the fine map.
        lr_channels: channels of the coarse map.
        options: of the fusion; they go before.

    >>> mask2former_fusion("freqfusion", 256, 256).compress_hr.out_channels
    64
    """
    if name in _FREQFUSIONS:
        options = {"hamming_window": False, "feature_resample_norm": False} | options
    return create_fusion(name, hr_channels, lr_channels, **options)
