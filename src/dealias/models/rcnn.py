# SPDX-License-Identifier: Apache-2.0
"""Detectors as torchvision builds them, around any encoder and with any fusion in the pyramid: options and assembly."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads

from dealias.backbones import Encoder
from dealias.fusion import FusionFactory
from dealias.heads import MergeSettings, SemanticFPNHead
from dealias.necks import FeaturePyramid, SubsampledLevel

from .arguments import check_counts
from .detector_options import DetectorOptions
from .mmdet_boxes import CentredRoIAlign, UnroundedAnchors
from .panoptic import PanopticModel
from .pyramid_backbone import PyramidBackbone
from .rcnn_heads import BoxPredictor, MaskPredictor, RPNHead
from .rcnn_model import RCNNModel

_ROI_SIDE, _MASK_ROI_SIDE = 7, 14
_STRIDES = (4, 8, 16, 32, 64)
_RCNN_OPTIONS = tuple(
    name
    for name, p in inspect.signature(FasterRCNN.__init__).parameters.items()
    if name.startswith(("rpn_", "box_")) and isinstance(p.default, (int, float))
)


@dataclass(frozen=True, kw_only=True)
class FasterRCNNOptions(DetectorOptions):
    """Faster R-CNN: boxes and classes of objects (arXiv:1506.01497).

    Args:
        decoder_channels: channels of the pyramid.
        box_channels: channels of the box head's linear layers.
        version: 1: torchvision's ``fasterrcnn_resnet50_fpn``; 2: its ``_v2``, with batch norms in the neck and a deeper
            RPN and box head. torchvision's published weights of version 1 on COCO need ``norm="frozen"`` and
            ``norm_eps=0.0``.
        anchor_sizes: side of the anchors on each of the five levels, in pixels of the resized image.
        aspect_ratios: of the anchors, height over width.
        extra_level: the fifth level: ``"pooled"``, every other pixel of the fourth; ``"fused"``, a strided convolution
            of the coarsest map, from where the top-down path starts, as in the published FreqFusion and CARAFE necks.
        boxes: ``"torchvision"``; or ``"mmdetection"``, whose anchors are not rounded and whose regions are sampled by
            the centres of pixels, see :mod:`dealias.models.mmdet_boxes`.
        rcnn_options: further numbers of ``torchvision.models.detection.FasterRCNN``, those that begin with ``rpn_`` or
            ``box_``, such as ``{"box_score_thresh": 0.05}``. Further arguments as of
            :class:`~dealias.models.detector_options.DetectorOptions`.
    """

    decoder_channels: int = 256
    box_channels: int = 1024
    version: int = 1
    anchor_sizes: Sequence[int] = (32, 64, 128, 256, 512)
    aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0)
    extra_level: str = "pooled"
    boxes: str = "torchvision"
    rcnn_options: Mapping[str, Any] = field(default_factory=dict)

    masks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(asdict(self))
        if self.version not in (1, 2):
            raise ValueError(f"version must be 1 or 2, got {self.version!r}")
        if self.extra_level not in ("pooled", "fused"):
            raise ValueError(f"extra_level must be 'pooled' or 'fused', got {self.extra_level!r}")
        if self.boxes not in ("torchvision", "mmdetection"):
            raise ValueError(f"boxes must be 'torchvision' or 'mmdetection', got {self.boxes!r}")
        if len(self.anchor_sizes) != 5:
            raise ValueError(f"anchor_sizes must be five, one for each level, got {tuple(self.anchor_sizes)}")
        unknown = sorted(set(self.rcnn_options) - set(_RCNN_OPTIONS))
        if unknown:
            raise ValueError(f"no rcnn_options {', '.join(unknown)}; known: {', '.join(_RCNN_OPTIONS)}")

    def build(self, encoder: Encoder, classes: int, fusion: FusionFactory) -> RCNNModel:
        """Make the network."""
        return RCNNModel(_rcnn(self, encoder, classes, fusion), classes)


@dataclass(frozen=True, kw_only=True)
class MaskRCNNOptions(FasterRCNNOptions):
    """Mask R-CNN: boxes, classes and masks of objects (arXiv:1703.06870).

    Args:
        mask_channels: channels of the mask head; further arguments as of :class:`FasterRCNNOptions`.
    """

    mask_channels: int = 256

    masks: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class PanopticFPNOptions(MaskRCNNOptions):
    """Panoptic FPN: things with their masks and stuff, in one map (arXiv:1901.02446).

    Args:
        stuff_classes: number of stuff categories.
        semantic_channels: channels of the semantic branch.
        semantic_weight: factor of its loss.
        score_threshold: instances with a lower score are not in the panoptic map.
        overlap_threshold: nor those more of whose pixels than this share are taken by better ones.
        stuff_area: nor stuff regions of fewer pixels; further arguments as of :class:`MaskRCNNOptions`.
    """

    stuff_classes: int = 53
    semantic_channels: int = 128
    semantic_weight: float = 0.5
    score_threshold: float = 0.6
    overlap_threshold: float = 0.5
    stuff_area: int = 4096

    def build(self, encoder: Encoder, classes: int, fusion: FusionFactory) -> PanopticModel:
        """Make the network."""
        head = SemanticFPNHead(self.decoder_channels, 1 + self.stuff_classes, width=self.semantic_channels)
        merge = MergeSettings(self.score_threshold, self.overlap_threshold, self.stuff_area)
        rcnn = _rcnn(self, encoder, classes, fusion)
        return PanopticModel(rcnn, classes, head, self.stuff_classes, self.semantic_weight, merge)


RCNNS: dict[str, type[FasterRCNNOptions]] = {
    "faster_rcnn": FasterRCNNOptions,
    "mask_rcnn": MaskRCNNOptions,
    "panoptic_fpn": PanopticFPNOptions,
}
"""Every network of this family by name: its options, which build it."""


def _rcnn(options: FasterRCNNOptions, encoder: Encoder, classes: int, fusion: FusionFactory) -> GeneralizedRCNN:
    """The network in torchvision's classes, the neck last: one seed, the same other weights for all fusions."""
    width = options.decoder_channels
    norm = nn.BatchNorm2d if options.version == 2 else None
    anchors = _anchors(options)
    arguments: dict[str, Any] = {
        **options.image_settings(encoder.in_channels),
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(width, anchors.num_anchors_per_location()[0], conv_depth=options.version),
        "box_head": _box_head(width, options.box_channels, norm),
        "box_predictor": BoxPredictor(options.box_channels, classes + 1),
        **options.rcnn_options,
    }
    kind = FasterRCNN
    if isinstance(options, MaskRCNNOptions):
        kind, inner = MaskRCNN, options.mask_channels
        arguments["mask_head"] = MaskRCNNHeads(width, [inner] * 4, 1, norm)
        arguments["mask_predictor"] = MaskPredictor(inner, inner, classes + 1)
    if options.boxes == "mmdetection":
        sides = {"box_roi_pool": _ROI_SIDE} | ({"mask_roi_pool": _MASK_ROI_SIDE} if kind is MaskRCNN else {})
        arguments |= {name: CentredRoIAlign(side, _STRIDES[:-1]) for name, side in sides.items()}
    fused = options.extra_level == "fused"
    extra = None if fused else SubsampledLevel()
    neck = FeaturePyramid(encoder.channels, width, fusion, extra, norm, int(fused))
    return kind(PyramidBackbone(encoder, neck), **arguments)


def _anchors(options: FasterRCNNOptions) -> AnchorGenerator:
    sizes = tuple((side,) for side in options.anchor_sizes)
    ratios = (tuple(options.aspect_ratios),) * len(sizes)
    if options.boxes == "mmdetection":
        return UnroundedAnchors(sizes, ratios, _STRIDES)
    return AnchorGenerator(sizes, ratios)


def _box_head(width: int, channels: int, norm: type[nn.Module] | None) -> nn.Module:
    if norm is None:
        return TwoMLPHead(width * _ROI_SIDE**2, channels)
    return FastRCNNConvFCHead((width, _ROI_SIDE, _ROI_SIDE), [width] * 4, [channels], norm_layer=norm)
