# SPDX-License-Identifier: Apache-2.0
"""Detections and true objects of one image, matched by pycocotools at every IoU threshold and range of areas.

Images do not influence each other before precision is accumulated, so what is kept of them is a row of numbers per
detection and per object.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

IOU_TYPES = ("bbox", "segm", "boundary")
DETECTION_ROW = ("class", "image", "rank", "score", "matched", "ignored")
OBJECT_ROW = ("class", "image", "rank", "ignored")

Annotation = dict[str, Any]


class ImageMatching(COCOeval):
    """pycocotools' evaluation of one image.

    For the IoU type ``"boundary"`` the IoU is the smaller of that of the masks and that of their inner boundaries
    (boundary AP, Cheng et al., arXiv:2103.16562).

    Args:
        iou_type: one of ``"bbox"``, ``"segm"``, ``"boundary"``.
        detections: annotations in COCO's format with ``score``.
        objects: annotations in COCO's format; ids count from 1, as 0 means no match.
        max_detections: the best of each class that are kept.
    """

    def __init__(
        self, iou_type: str, detections: Sequence[Annotation], objects: Sequence[Annotation], max_detections: int
    ) -> None:
        super().__init__(iouType="bbox" if iou_type == "bbox" else "segm")
        self.boundary = iou_type == "boundary"
        self.params.maxDets = [max_detections]
        for by_class, annotations in ((self._dts, detections), (self._gts, objects)):
            for annotation in annotations:
                by_class[0, annotation["category_id"]].append(annotation)
        self.classes = sorted({label for _, label in (*self._dts, *self._gts)})

    def computeIoU(self, imgId: int, catId: int) -> Any:  # named by pycocotools
        """IoU of the best detections and the objects of a class, [D, G]."""
        ious = super().computeIoU(imgId, catId)
        if not self.boundary or len(ious) == 0:
            return ious
        order = np.argsort([-d["score"] for d in self._dts[imgId, catId]], kind="mergesort")
        best = [self._dts[imgId, catId][i]["boundary"] for i in order[: self.params.maxDets[-1]]]
        objects = self._gts[imgId, catId]
        crowd = [g["iscrowd"] for g in objects]
        return np.minimum(ious, coco_mask.iou(best, [g["boundary"] for g in objects], crowd))

    def rows(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Detections [n, 6] and objects [m, 4] as rows of float64, see ``DETECTION_ROW`` and ``OBJECT_ROW``.

        ``rank`` numbers those of one image and class from 0, detections with the best first. ``matched`` and
        ``ignored`` are numbers whose bits are the ranges of areas and, of detections, within them the IoU thresholds.
        """
        detections, objects = [np.zeros((0, len(DETECTION_ROW)))], [np.zeros((0, len(OBJECT_ROW)))]
        for label in self.classes:
            self.ious[0, label] = self.computeIoU(0, label)
            results = [self.evaluateImg(0, label, area, self.params.maxDets[-1]) for area in self.params.areaRng]
            matched, ignored = (
                _packed(np.concatenate([result[name] != 0 for result in results])) for name in ("dtMatches", "dtIgnore")
            )
            scores = np.asarray(results[0]["dtScores"], dtype=float)
            detections.append(_rows(label, image_id, scores, matched, ignored))
            objects.append(_rows(label, image_id, _packed(np.stack([_ignored(result) for result in results]))))
        return np.concatenate(detections), np.concatenate(objects)


def _ignored(result: Mapping[str, Any]) -> np.ndarray:
    """Which objects are ignored, in the order of their ids: each range of areas has them in another one."""
    return np.asarray(result["gtIgnore"], dtype=bool)[np.argsort(result["gtIds"])]


def _packed(bits: np.ndarray) -> np.ndarray:
    """Rows of bits [K, n] as numbers [n], the first row being the lowest bit; exact in float64 up to 53 rows."""
    return 2.0 ** np.arange(len(bits)) @ bits


def _unpacked(numbers: np.ndarray, count: int) -> np.ndarray:
    return numbers.astype(np.int64) >> np.arange(count)[:, None] & 1


def _rows(label: int, image_id: int, *columns: np.ndarray) -> np.ndarray:
    count = len(columns[0])
    return np.stack([np.full(count, label), np.full(count, image_id), np.arange(count), *columns], axis=1)


def accumulate(detections: np.ndarray, objects: np.ndarray, num_classes: int) -> np.ndarray:
    """Precision at 101 recalls, [10, 101, C, 4]: IoU threshold, recall, class, range of areas; -1 without objects.

    Args:
        detections: rows of all images, sorted and each once.
        objects: likewise.
        num_classes: number of classes C.
    """
    evaluation = _Accumulation(num_classes)
    for label in range(num_classes):
        evaluation.add(detections[detections[:, 0] == label, 3:], objects[objects[:, 0] == label, 3])
    return evaluation.precision()


class _Accumulation(COCOeval):
    """pycocotools' accumulation, given all images as if they were one: what is kept per image is chosen already."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(iouType="bbox")
        self.params.imgIds, self.params.catIds = [0], list(range(num_classes))
        self.params.maxDets = [np.iinfo(np.int64).max]
        self._paramsEval = self.params
        self.evalImgs: list[dict[str, np.ndarray] | None] = []

    def add(self, detections: np.ndarray, ignored_objects: np.ndarray) -> None:
        ranges, thresholds = len(self.params.areaRng), len(self.params.iouThrs)
        scores = detections[:, 0]
        matched, ignored = (
            _unpacked(detections[:, column], ranges * thresholds).reshape(ranges, thresholds, -1) for column in (1, 2)
        )
        objects = _unpacked(ignored_objects, ranges)
        for area in range(ranges):
            result = {"dtScores": scores, "dtMatches": matched[area], "dtIgnore": ignored[area]}
            self.evalImgs.append({**result, "gtIgnore": objects[area]} if scores.size or objects.size else None)

    def precision(self) -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            self.accumulate()
        return self.eval["precision"][..., 0]
