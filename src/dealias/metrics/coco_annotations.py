# SPDX-License-Identifier: Apache-2.0
"""Tensors of boxes, masks and labels to annotations in COCO's format, checked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from dealias.metrics.boundary_iou import boundary_dilation, mask_to_boundary

Annotation = dict[str, Any]


def coco_annotations(
    name: str, found: Mapping[str, Any], iou_type: str, num_classes: int | None, dilation_ratio: float
) -> list[Annotation]:
    """Annotations of one image, numbered from 1.

    Args:
        name: what they are, for errors.
        found: ``labels`` [N]; ``boxes`` [N, 4] or ``masks`` [N, H, W] by ``iou_type``; if given, ``scores``, ``area``
            and ``iscrowd``, each [N].
        iou_type: ``"bbox"``, ``"segm"`` or ``"boundary"``.
        num_classes: labels are less than this; ``None``: any.
        dilation_ratio: thickness of boundaries as a part of the image's diagonal.

    Raises:
        ValueError: an entry is missing or has another shape or type, or a value out of range.
    """
    labels = _column(name, found, "labels")
    if labels.is_floating_point() or (labels < 0).any() or (num_classes is not None and (labels >= num_classes).any()):
        expected = "not negative" if num_classes is None else f"in [0, {num_classes})"
        raise ValueError(f"{name} labels must be integers {expected}, found {labels.dtype} {labels.unique().tolist()}")
    shapes = _boxes(name, found) if iou_type == "bbox" else _masks(name, found, iou_type, dilation_ratio)
    columns = {key: _column(name, found, key, len(labels)).tolist() for key in ("scores", "area") if key in found}
    crowd = _column(name, found, "iscrowd", len(labels)).tolist() if "iscrowd" in found else [0] * len(labels)
    if len(shapes) != len(labels):
        kind = "boxes" if iou_type == "bbox" else "masks"
        raise ValueError(f"{name}: found {len(shapes)} {kind} and {len(labels)} labels")
    annotations = []
    for i, (shape, label) in enumerate(zip(shapes, labels.tolist(), strict=True)):
        annotation = {"id": i + 1, "category_id": label, "iscrowd": int(crowd[i]), "ignore": int(crowd[i]), **shape}
        if "area" in columns:
            annotation["area"] = columns["area"][i]
        if "scores" in columns:
            annotation["score"] = columns["scores"][i]
        annotations.append(annotation)
    return annotations


def _column(name: str, found: Mapping[str, Any], key: str, count: int | None = None) -> Tensor:
    if key not in found:
        raise ValueError(f"{name} needs {key!r}, found {', '.join(found)}")
    values = torch.as_tensor(found[key]).detach().cpu()
    if values.ndim != 1 or (count is not None and len(values) != count):
        raise ValueError(f"{name} {key} must be [{'N' if count is None else count}], found {list(values.shape)}")
    if values.is_floating_point() and not values.isfinite().all():
        raise ValueError(f"{name} {key} must be finite, found {values[~values.isfinite()].unique().tolist()}")
    return values


def _boxes(name: str, found: Mapping[str, Any]) -> list[Annotation]:
    if "boxes" not in found:
        raise ValueError(f"{name} needs 'boxes', found {', '.join(found)}")
    boxes = torch.as_tensor(found["boxes"]).detach().cpu().as_subclass(Tensor).double()
    if boxes.ndim != 2 or boxes.size(1) != 4 or not boxes.isfinite().all():
        raise ValueError(f"{name} boxes must be finite [N, 4] (x0, y0, x1, y1), found {list(boxes.shape)}")
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    listed = torch.cat([boxes[:, :2], sides], dim=1).tolist()
    return [{"bbox": box, "area": box[2] * box[3]} for box in listed]


def _masks(name: str, found: Mapping[str, Any], iou_type: str, dilation_ratio: float) -> list[Annotation]:
    if "masks" not in found:
        raise ValueError(f"{name} needs 'masks', found {', '.join(found)}")
    masks = torch.as_tensor(found["masks"]).detach().cpu().as_subclass(Tensor)
    if masks.ndim != 3 or masks.is_floating_point():
        raise ValueError(f"{name} masks must be bool or integer [N, H, W], found {masks.dtype} {list(masks.shape)}")
    masks = masks != 0
    codes = _encoded(masks)
    shapes: list[Annotation] = [{"segmentation": code, "area": float(coco_mask.area(code))} for code in codes]
    if iou_type == "boundary":
        dilation = boundary_dilation(masks.size(1), masks.size(2), dilation_ratio)
        for shape, mask in zip(shapes, masks, strict=True):
            _erase_interior(mask, shape["segmentation"], dilation)
        shapes = [{**shape, "boundary": code} for shape, code in zip(shapes, _encoded(masks), strict=True)]
    return shapes


def _encoded(masks: Tensor) -> list[Annotation]:
    """Run lengths of masks [N, H, W], in COCO's compressed form."""
    return coco_mask.encode(np.asfortranarray(masks.permute(1, 2, 0).numpy().view(np.uint8)))


def _erase_interior(mask: Tensor, code: Annotation, dilation: int) -> None:
    """Leave the inner boundary of a mask [H, W], which depends on nothing outside of its box."""
    left, top, width, height = (int(number) for number in coco_mask.toBbox(code))
    window = mask[top : top + height, left : left + width]
    if window.numel():
        window.copy_(mask_to_boundary(window, dilation))
