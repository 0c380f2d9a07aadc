# SPDX-License-Identifier: Apache-2.0
"""Faster R-CNN (arXiv 1506.01497) and Mask R-CNN (arXiv 1703.06870), by torchvision's parts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList

from .detection import DetectionModel, Images, Target
from .parts import parameter_parts


class RCNNModel(DetectionModel):
    """Boxes, classes and, with a mask head, masks of objects; torchvision's behaviour.

    Args:
        rcnn: a detector of torchvision, whose parts and keys this network takes over; its backbone has an ``encoder``.
        classes: number of classes of objects.
        stuff_classes: number of stuff categories, of networks that have them.
        config: as in :class:`DetectionModel`.
    """

    def __init__(
        self, rcnn: GeneralizedRCNN, classes: int, stuff_classes: int = 0, config: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(rcnn.transform, classes, stuff_classes, config)
        self.backbone: Any = rcnn.backbone
        self.rpn = rcnn.rpn
        self.roi_heads = rcnn.roi_heads

    @property
    def encoder(self) -> Any:
        """The backbone without its neck: images to four maps."""
        return self.backbone.encoder

    @property
    def has_masks(self) -> bool:
        """Whether there is a mask head."""
        return self.roi_heads.has_mask()

    def forward(self, images: Images, targets: Sequence[Target] | None = None) -> Any:
        """Detect objects, or compute the losses in training: see :meth:`DetectionModel.forward`."""
        images, sizes = self._check(images)
        if self.training:
            batch, resized = self.transform(images, self._check_targets(targets, sizes))
            return self._losses(self.backbone(batch.tensors), batch, resized)
        batch, _ = self.transform(images)
        return self._detect(self.backbone(batch.tensors), batch, sizes)

    def parameter_parts(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by part: see :meth:`DetectionModel.parameter_parts`."""
        decoder = [child for name, child in self.named_children() if name != "backbone"]
        return parameter_parts(self, {"encoder": [self.encoder], "decoder": [self.backbone.neck, *decoder]})

    def _losses(
        self, features: OrderedDict[str, Tensor], batch: ImageList, targets: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        proposals, proposal_losses = self.rpn(batch, features, targets)
        _, losses = self.roi_heads(features, proposals, batch.image_sizes, targets)
        return {**losses, **proposal_losses}

    def _detect(
        self, features: OrderedDict[str, Tensor], batch: ImageList, sizes: Sequence[tuple[int, int]]
    ) -> list[dict[str, Any]]:
        proposals, _ = self.rpn(batch, features)
        detections, _ = self.roi_heads(features, proposals, batch.image_sizes)
        return self.transform.postprocess(detections, batch.image_sizes, sizes)
