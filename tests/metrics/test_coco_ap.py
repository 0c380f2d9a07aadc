# SPDX-License-Identifier: Apache-2.0
"""Average precision equal to that of pycocotools run on the whole data set, and what it does with odd images."""

import contextlib
import io
import math

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

from dealias.metrics import CocoAP, boundary_dilation

SIZE = (150, 170)
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def rectangles(rng, count):
    """Boxes from one pixel to the whole image, and their masks with a hole."""
    sides = (np.exp(rng.uniform(0, 5, (count, 1))) * rng.uniform(1, 1.3, (count, 2))).astype(int)
    corner = (rng.random((count, 2)) * (np.array(SIZE[::-1]) - sides).clip(min=0)).astype(int)
    boxes = np.concatenate([corner, np.minimum(corner + sides, SIZE[::-1])], axis=1)
    masks = np.zeros((count, *SIZE), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
        mask[top + 3 : (top + bottom) // 2, left + 3 : (left + right) // 2] = 0
    return torch.from_numpy(boxes).float(), torch.from_numpy(masks)


@pytest.fixture(scope="module")
def images():
    """Ten images: one without objects, one without detections, one without both, crowds, and repeated scores."""
    rng = np.random.default_rng(0)
    preds, targets = [], []
    for image in range(10):
        count = 0 if image in (3, 5) else int(rng.integers(1, 9))
        boxes, masks = rectangles(rng, count)
        labels = torch.from_numpy(rng.integers(0, 3, count))
        target = {"boxes": boxes, "masks": masks, "labels": labels, "image_id": 100 - image}
        target["iscrowd"] = torch.from_numpy((rng.random(count) < 0.2).astype(np.int64))
        target["area"] = masks.flatten(1).sum(1).float()
        extra_boxes, extra_masks = rectangles(rng, 4)
        moved = torch.from_numpy(rng.integers(-2, 3, (count, 2))).repeat(1, 2)
        shifted = [torch.roll(m, tuple(s), (0, 1)) for m, s in zip(masks, moved[:, [1, 0]].tolist(), strict=True)]
        pred = {
            "boxes": torch.cat([boxes + moved, extra_boxes]),
            "masks": torch.cat([torch.stack(shifted) if count else masks, extra_masks]),
            "labels": torch.cat([labels, torch.from_numpy(rng.integers(0, 4, 4))]),
            "scores": torch.from_numpy(rng.integers(0, 8, count + 4) / 8),
        }
        keep = torch.arange(0 if image in (4, 5) else count + 4)
        preds.append({key: value[keep] for key, value in pred.items()})
        targets.append(target)
    return preds, targets


def inner_boundary(mask):
    dilation = boundary_dilation(*SIZE)
    return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=dilation)


class BoundaryEvaluation(COCOeval):
    """The smaller IoU, by masks: of a crowd, the part of the detection that lies in it."""

    def computeIoU(self, imgId, catId):
        ious = super().computeIoU(imgId, catId)
        if len(ious) == 0:
            return ious
        detections = sorted(self._dts[imgId, catId], key=lambda d: -d["score"])
        for row, detection in zip(ious, detections, strict=True):
            d = inner_boundary(coco_mask.decode(detection["segmentation"]).astype(bool))
            for column, thing in enumerate(self._gts[imgId, catId]):
                g = inner_boundary(coco_mask.decode(thing["segmentation"]).astype(bool))
                whole = d.sum() if thing["iscrowd"] else (d | g).sum()
                row[column] = min(row[column], (d & g).sum() / max(whole, 1))
        return ious


def coco_format(annotations, segm):
    made = []
    for image, found in annotations:
        for i in range(len(found["labels"])):
            box = found["boxes"][i].tolist()
            annotation = {"image_id": image, "category_id": int(found["labels"][i]), "id": len(made) + 1}
            annotation["bbox"] = [*box[:2], box[2] - box[0], box[3] - box[1]]
            annotation["area"] = float(found["area"][i]) if "area" in found else None
            if segm:
                annotation["segmentation"] = coco_mask.encode(np.asfortranarray(found["masks"][i].numpy()))
            if "scores" in found:
                annotation["score"] = float(found["scores"][i])
                del annotation["area"]
                if segm:
                    del annotation["bbox"]  # pycocotools would take the area of the box
            else:
                annotation["iscrowd"] = int(found["iscrowd"][i])
            made.append(annotation)
    return made


def pycocotools_scores(preds, targets, iou_type):
    segm = iou_type != "bbox"
    ids = [target["image_id"] for target in targets]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in ids],
            "annotations": coco_format(zip(ids, targets, strict=True), segm),
            "categories": [{"id": i} for i in range(5)],
        }
        truth.createIndex()
        found = truth.loadRes(coco_format(zip(ids, preds, strict=True), segm))
        kind = BoundaryEvaluation if iou_type == "boundary" else COCOeval
        evaluation = kind(truth, found, "segm" if segm else "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "boundary"])
def test_equal_to_pycocotools(images, iou_type):
    preds, targets = images
    expected = pycocotools_scores(preds, targets, iou_type)
    metric = CocoAP(iou_type, num_classes=5)
    metric.update(preds[:4], targets[:4])
    for pred, target in zip(preds[:3:-1], targets[:3:-1], strict=True):
        metric.update([pred], [target])
    scores = metric.compute()
    for name, value in zip(NAMES, expected.stats[:6], strict=True):
        assert scores[name].item() == pytest.approx(value, rel=1e-13), name
    assert 0.02 < scores["AP"] < 0.9
    precision = expected.eval["precision"][..., 0, 2]
    assert np.array_equal(np.nan_to_num(scores["precision"].numpy(), nan=-1), precision)
    assert torch.isnan(scores["class_AP"]).tolist() == [False, False, False, True, True], "no such objects"
    for label in range(3):
        assert scores["class_AP"][label].item() == pytest.approx(precision[..., label].mean(), rel=1e-14)


def test_only_the_best_detections_count(images):
    preds, targets = images
    limited, chosen = CocoAP(max_detections=1), CocoAP()
    limited.update(preds, targets)
    best = []
    for pred in preds:
        order = sorted(range(len(pred["labels"])), key=lambda i: -pred["scores"][i])
        first = [next(i for i in order if pred["labels"][i] == label) for label in pred["labels"].unique()]
        best.append({key: value[torch.tensor(first, dtype=torch.int64)] for key, value in pred.items()})
    chosen.update(best, targets)
    assert limited.compute()["AP"] == chosen.compute()["AP"]
    assert len(limited.compute()["class_AP"]) == 4, "the largest label that was seen is 3"


@pytest.mark.parametrize("iou_type", ["bbox", "segm", "boundary"])
def test_truth_as_prediction_and_empty_images(images, iou_type):
    _, targets = images
    metric = CocoAP(iou_type, num_classes=3)
    metric.update([{**target, "scores": torch.ones(len(target["labels"]))} for target in targets], targets)
    assert metric.compute()["AP"].item() == pytest.approx(1.0, rel=1e-12)
    metric.reset()
    nothing = {"boxes": torch.zeros(0, 4), "masks": torch.zeros(0, *SIZE, dtype=torch.bool)}
    nothing |= {"labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    metric.update([nothing] * 10, targets)
    assert metric.compute()["AP"] == 0
    metric.reset()
    metric.update([nothing], [{**nothing, "image_id": 3}])
    assert math.isnan(metric.compute()["AP"]) and metric.compute()["precision"].shape == (10, 101, 3)
    assert math.isnan(CocoAP(iou_type).compute()["AP"])


@pytest.mark.parametrize("iou_type", ["segm", "boundary"])
def test_one_pixel_masks(iou_type):
    masks = torch.zeros(2, 9, 9, dtype=torch.bool)
    masks[0, 0, 0] = masks[1, 4, 5] = True
    target = {"masks": masks, "labels": torch.tensor([0, 1]), "image_id": 0}
    metric = CocoAP(iou_type)
    metric.update([{**target, "scores": torch.ones(2), "labels": torch.tensor([0, 1])}], [target])
    assert metric.compute()["class_AP"].tolist() == pytest.approx([1, 1])
    metric.reset()
    metric.update([{**target, "scores": torch.ones(2), "labels": torch.tensor([1, 0])}], [target])
    assert metric.compute()["class_AP"].tolist() == [0, 0]


def test_an_image_counts_once_and_never_in_two_ways(images):
    preds, targets = images
    once, twice = CocoAP(), CocoAP()
    once.update(preds, targets)
    twice.update(preds, targets)
    twice.update(preds[:3], targets[:3])
    assert once.compute()["AP"] == twice.compute()["AP"]
    twice.update([{**preds[0], "scores": preds[0]["scores"] / 2}], [targets[0]])
    with pytest.raises(ValueError, match=r"images \[100\] were scored twice"):
        twice.compute()


@pytest.mark.parametrize(
    ("iou_type", "change", "message"),
    [
        ("bbox", {"boxes": torch.zeros(3, 4)}, "image 7: prediction: found 3 boxes and 2 labels"),
        ("bbox", {"boxes": torch.full((2, 4), torch.nan)}, r"prediction boxes must be finite \[N, 4\]"),
        ("bbox", {"labels": torch.tensor([0, 4])}, r"labels must be integers in \[0, 3\), found .* \[0, 4\]"),
        ("bbox", {"scores": torch.tensor([0.5, torch.nan])}, "scores must be finite"),
        ("segm", {"masks": torch.rand(2, 5, 5)}, "masks must be bool or integer"),
        ("segm", {}, "prediction needs 'masks', found"),
    ],
)
def test_errors_name_image_and_value(iou_type, change, message):
    pred = {"boxes": torch.zeros(2, 4), "labels": torch.tensor([0, 1]), "scores": torch.ones(2)}
    with pytest.raises(ValueError, match=message):
        CocoAP(iou_type, num_classes=3).update([pred | change], [{**pred, "image_id": 7}])


def test_refused_options():
    with pytest.raises(ValueError, match="unknown iou_type 'keypoints'; known: bbox, segm, boundary"):
        CocoAP("keypoints")
    with pytest.raises(ValueError, match="must be positive"):
        CocoAP(max_detections=0)
    with pytest.raises(ValueError, match="need 'scores'"):
        CocoAP().update([{}], [{"image_id": 1}])
