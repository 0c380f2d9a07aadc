# SPDX-License-Identifier: Apache-2.0
"""Average precision of detected boxes, masks and boundaries, as COCO defines it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from dealias.metrics.coco_annotations import coco_annotations
from dealias.metrics.coco_matching import DETECTION_ROW, IOU_TYPES, OBJECT_ROW, ImageMatching, accumulate

ALL, SMALL, MEDIUM, LARGE = range(4)


class CocoAP(Metric):
    """Streaming average precision of COCO, matched and accumulated by pycocotools.

    An image is matched when it comes; what is kept are six numbers per detection and four per object, which processes
    gather. An image that several processes have scored counts once, and the order of images changes nothing.

    Args:
        iou_type: ``"bbox"``, ``"segm"`` (masks), or ``"boundary"``: the smaller of the IoU of masks and that of their
            inner boundaries (boundary AP, Cheng et al. 2021, arXiv:2103.16562).
        num_classes: labels are in [0, num_classes); ``None``: up to the largest that was seen.
        max_detections: of each image and class, those with the highest scores count.
        dilation_ratio: thickness of boundaries as a part of the image's diagonal.
        **kwargs: those of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: an unknown type, or a number that is not positive.

    >>> metric = CocoAP("bbox")
    >>> objects = {"boxes": torch.tensor([[2.0, 3.0, 40.0, 50.0]]), "labels": torch.tensor([0]), "image_id": 1}
    >>> metric.update([{**objects, "scores": torch.tensor([0.9])}], [objects])
    >>> metric.compute()["AP"]
    tensor(1.0000, dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    detections: list[Tensor]
    objects: list[Tensor]

    def __init__(
        self,
        iou_type: str = "bbox",
        num_classes: int | None = None,
        max_detections: int = 100,
        dilation_ratio: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if iou_type not in IOU_TYPES:
            raise ValueError(f"unknown iou_type {iou_type!r}; known: {', '.join(IOU_TYPES)}")
        if max_detections < 1 or not dilation_ratio > 0 or (num_classes is not None and num_classes < 1):
            numbers = f"{num_classes}, {max_detections} and {dilation_ratio}"
            raise ValueError(f"num_classes, max_detections and dilation_ratio must be positive, found {numbers}")
        self.iou_type, self.num_classes = iou_type, num_classes
        self.max_detections, self.dilation_ratio = max_detections, dilation_ratio
        # Rows lie one after the other in a vector of this type, as torchmetrics makes one for a process without any.
        self.set_dtype(torch.float64)
        self.add_state("detections", [], dist_reduce_fx="cat")
        self.add_state("objects", [], dist_reduce_fx="cat")

    def update(self, preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> None:
        """Matches images.

        Args:
            preds: per image ``labels`` [N], ``scores`` [N], and ``boxes`` [N, 4] (x0, y0, x1, y1, in pixels) or
                ``masks`` [N, H, W] (bool, or integer with 0 outside), by the type of IoU.
            target: per image the same without scores, and ``image_id`` (which no other image has); if given,
                ``iscrowd`` [N] and ``area`` [N], in pixels, by which objects are small, medium or large.

        Raises:
            ValueError: numbers of images differ, an entry is missing, or shapes, types or values are not those above.
        """
        if len(preds) != len(target):
            raise ValueError(f"found predictions of {len(preds)} images and the ground truth of {len(target)}")
        for found, expected in zip(preds, target, strict=True):
            if "scores" not in found or "image_id" not in expected:
                raise ValueError("predictions need 'scores' and the ground truth needs 'image_id'")
            name = f"image {int(expected['image_id'])}"
            detections = self._annotations(f"{name}: prediction", {k: v for k, v in found.items() if k != "area"})
            objects = self._annotations(f"{name}: ground truth", expected)
            matching = ImageMatching(self.iou_type, detections, objects, self.max_detections)
            rows = matching.rows(int(expected["image_id"]))
            for state, values in zip((self.detections, self.objects), rows, strict=True):
                state.append(torch.from_numpy(values).flatten().to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The scores so far, fractions in [0, 1], float64; nan where there is no object.

        ``AP`` (mean over the IoU thresholds 0.5 to 0.95), ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl`` (objects of up
        to 32 x 32 pixels, of up to 96 x 96, and larger): means over classes. ``class_AP``: of each class, (C,).
        ``precision``: of the precision-recall curves, (10, 101, C), at the IoU thresholds 0.5, 0.55, ... and the
        recalls 0, 0.01, ....
        """
        detections = _rows(self.detections, len(DETECTION_ROW))
        objects = _rows(self.objects, len(OBJECT_ROW))
        seen = [int(rows[:, 0].max()) + 1 for rows in (detections, objects) if len(rows)]
        classes = max(seen, default=0) if self.num_classes is None else self.num_classes
        precision = torch.from_numpy(accumulate(detections, objects, classes))
        precision[precision < 0] = torch.nan
        of_all = precision[..., ALL]
        scores = {"AP": of_all.nanmean(), "AP50": of_all[0].nanmean(), "AP75": of_all[5].nanmean()}
        for name, area in (("APs", SMALL), ("APm", MEDIUM), ("APl", LARGE)):
            scores[name] = precision[..., area].nanmean()
        scores |= {"class_AP": of_all.nanmean(dim=(0, 1)), "precision": of_all.contiguous()}
        return {name: value.to(self.device) for name, value in scores.items()}

    def _annotations(self, name: str, found: Mapping[str, Any]) -> list[dict[str, Any]]:
        return coco_annotations(name, found, self.iou_type, self.num_classes, self.dilation_ratio)


def _rows(state: list[Tensor] | Tensor, width: int) -> np.ndarray:
    """Rows of all images, sorted and each once.

    Raises:
        ValueError: an image was scored twice with different predictions or objects.
    """
    vectors = [state] if isinstance(state, Tensor) else state
    values = torch.cat(vectors) if vectors else torch.zeros(0, dtype=torch.float64)
    rows = np.unique(values.cpu().numpy().reshape(-1, width), axis=0)
    same = (rows[1:, :3] == rows[:-1, :3]).all(axis=1)
    if same.any():
        images = np.unique(rows[1:][same, 1]).astype(int).tolist()
        raise ValueError(f"images {images} were scored twice, with different results: image_id must be unique")
    return rows
