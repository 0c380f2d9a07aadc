# SPDX-License-Identifier: Apache-2.0
"""Panoptic FPN (arXiv 1901.02446): Mask R-CNN with a semantic branch on the same pyramid, merged by a heuristic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList

from dealias.heads import MergeSettings, SemanticFPNHead, merge_panoptic, resize

from .detection import MASK_THRESHOLD, VOID, Images, Target, at_image_size
from .rcnn_model import RCNNModel

_IGNORED = -1
_MERGE = MergeSettings()


class PanopticModel(RCNNModel):
    """Objects as of :class:`DetectionModel`, a semantic map, and one panoptic map of both.

    Categories 1 to ``classes`` are things, those from there to ``classes + stuff_classes`` are stuff. The semantic
    branch tells stuff categories apart, and all things from them as one class.

    Args:
        rcnn: a Mask R-CNN of torchvision, see :class:`DetectionModel`.
        classes: number of thing categories.
        semantic_head: levels of the pyramid to logits at stride 4, of things and every stuff category.
        stuff_classes: number of stuff categories.
        semantic_weight: factor of the semantic loss, besides those of the detector.
        merge: thresholds of :func:`~dealias.heads.merge_panoptic`.
        config: as in :class:`DetectionModel`.
    """

    def __init__(
        self,
        rcnn: GeneralizedRCNN,
        classes: int,
        semantic_head: SemanticFPNHead,
        stuff_classes: int,
        semantic_weight: float = 0.5,
        merge: MergeSettings = _MERGE,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(rcnn, classes, stuff_classes, config)
        self.semantic_head = semantic_head
        self.semantic_weight = semantic_weight
        self.merge_settings = merge

    def forward(self, images: Images, targets: Sequence[Target] | None = None) -> Any:
        """Segment images, or compute the losses in training.

        Args:
            images: as in :class:`DetectionModel`.
            targets: as there, with ``masks`` and ``semantic``, whose void pixels are not learnt.

        Returns:
            In evaluation, for each image, what :class:`DetectionModel` returns; ``semantic`` [1 + stuff_classes, H, W],
            logits of things and of every stuff category; and ``panoptic``, the panoptic map with its ``ids`` and
            ``segments_info``, see :func:`~dealias.heads.merge_panoptic`. In training the losses by name.

        Raises:
            ValueError: as in :class:`DetectionModel`.
        """
        images, sizes = self._check(images)
        if not self.training:
            batch, _ = self.transform(images)
            features = self.backbone(batch.tensors)
            detections = self._detect(features, batch, sizes)
            logits = self._semantic_logits(features, batch)
            for i, (found, size) in enumerate(zip(detections, sizes, strict=True)):
                found["semantic"] = at_image_size(logits[i], batch, i, size)
                found["panoptic"] = self._merge(found)
            return detections
        checked = self._check_targets(targets, sizes)
        maps = [target.pop("semantic") for target in checked]
        batch, resized = self.transform(images, checked)
        features = self.backbone(batch.tensors)
        losses = self._losses(features, batch, resized)
        logits = self._semantic_logits(features, batch)
        return losses | {"loss_semantic": self.semantic_weight * self._semantic_loss(logits, maps, batch)}

    def _semantic_logits(self, features: Mapping[str, Tensor], batch: ImageList) -> Tensor:
        """Logits at stride 4, float32 under autocast, as the images are."""
        return self.semantic_head(list(features.values())).to(batch.tensors.dtype)

    def _semantic_loss(self, logits: Tensor, maps: Sequence[Tensor], batch: ImageList) -> Tensor:
        """Cross entropy at the size of the batch, mean over the pixels that are not void."""
        height, width = batch.tensors.shape[-2:]
        target = torch.full((len(maps), height, width), _IGNORED, device=logits.device)
        for i, (categories, (rows, columns)) in enumerate(zip(maps, batch.image_sizes, strict=True)):
            nearest = F.interpolate(categories[None, None].float(), size=(rows, columns), mode="nearest")[0, 0].long()
            folded = (nearest - self.classes).clamp(min=0)
            target[i, :rows, :columns] = folded.masked_fill(nearest == VOID, _IGNORED)
        total = F.cross_entropy(resize(logits, (height, width)), target, ignore_index=_IGNORED, reduction="sum")
        return total / (target != _IGNORED).sum().clamp(min=1)

    def _merge(self, found: Mapping[str, Tensor]) -> dict[str, Any]:
        masks, semantic = found["masks"][:, 0] >= MASK_THRESHOLD, found["semantic"].argmax(0)
        return merge_panoptic(masks, found["labels"], found["scores"], semantic, self.classes, self.merge_settings)
