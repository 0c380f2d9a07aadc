# SPDX-License-Identifier: Apache-2.0
"""Label maps: checked before they are counted, and renumbered."""

from collections.abc import Mapping

import torch
from torch import Tensor

WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


def checked_labels(preds: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Predicted and ground-truth ids, checked and in the smallest type that holds them.

    Args:
        preds: ids in [0, num_classes), (B, H, W), or logits (B, num_classes, H, W), whose largest class is taken.
        target: ids in [0, num_classes) or ``ignore_index``, (B, H, W), any integer type.
        num_classes: number of classes C.
        ignore_index: the id of pixels without ground truth; a class id ignores that class.

    Returns:
        Two (B, H, W) of uint8 where the ids fit, otherwise int64.

    Raises:
        ValueError: shapes, types or ids are not those above.

    >>> preds, target = checked_labels(torch.tensor([[[0, 1]]]), torch.tensor([[[1, 255]]]), 2, 255)
    >>> target
    tensor([[[  1, 255]]], dtype=torch.uint8)
    """
    if target.ndim != 3 or target.is_floating_point() or target.is_complex():
        raise ValueError(f"target must be integer labels [B, H, W], found {target.dtype} {list(target.shape)}")
    if preds.is_floating_point():
        preds = _labels_of_logits(preds, num_classes)
    if preds.shape != target.shape:
        raise ValueError(f"preds {list(preds.shape)} and target {list(target.shape)} must have the same shape")
    dtype = torch.uint8 if num_classes < 256 and 0 <= ignore_index < 256 else torch.int64
    preds = _checked_ids("preds", preds, dtype, num_classes)
    return preds, _checked_ids("target", target, dtype, num_classes, ignore_index)


def _labels_of_logits(logits: Tensor, num_classes: int) -> Tensor:
    if logits.ndim != 4 or logits.size(1) != num_classes:
        raise ValueError(f"floating preds must be logits [B, {num_classes}, H, W], found shape {list(logits.shape)}")
    return logits.argmax(dim=1)


def _checked_ids(
    name: str, ids: Tensor, dtype: torch.dtype, num_classes: int, ignore_index: int | None = None
) -> Tensor:
    if ids.dtype in WIDE_UNSIGNED:
        ids = ids.to(torch.int64)
    if ids.numel() == 0:
        return ids.to(dtype)
    low, high = (int(bound) for bound in ids.aminmax())
    # Compared in a type that holds every id: in a narrower one, torch wraps the number that they are compared with.
    ids = ids.to(dtype if low >= 0 and high <= torch.iinfo(dtype).max else torch.int64)
    if low >= 0 and high < num_classes:
        return ids
    outside = (ids < 0) | (ids >= num_classes)
    expected = f"[0, {num_classes})"
    if ignore_index is not None:
        outside &= ids != ignore_index
        expected += f" or {ignore_index} (ignored)"
    if outside.any():
        raise ValueError(f"{name} ids must be in {expected}, found {ids[outside].unique().tolist()}")
    return ids


def without_ignored(target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Ground truth whose ignored pixels have the spare id ``num_classes``, for ids in [0, C) or ``ignore_index``."""
    if target.dtype in WIDE_UNSIGNED or num_classes > torch.iinfo(target.dtype).max:
        target = target.to(torch.int64)
    if ignore_index >= num_classes:
        return target.clamp(max=num_classes)  # many times as fast as a mask
    return target.masked_fill(target == ignore_index, num_classes)


def remap_labels(
    target: Tensor,
    label_map: Mapping[int, int] | None = None,
    reduce_zero_label: bool = False,
    ignore_index: int = 255,
) -> Tensor:
    """Ground truth with other ids: first ``label_map``, then zero out.

    Args:
        target: ids of any shape and integer type; left as it is.
        label_map: old id to new id; all at once, so that {1: 2, 2: 1} swaps. Other ids stay.
        reduce_zero_label: id 0 becomes ``ignore_index`` and every other id, except that one, one less (ADE20K).
        ignore_index: the id of pixels without ground truth.

    Returns:
        A new tensor of ``target``'s shape and dtype.

    Raises:
        ValueError: an id does not fit the type of ``target``.

    >>> remap_labels(torch.tensor([0, 1, 2, 3, 255]), {1: 2, 2: 1}, reduce_zero_label=True)
    tensor([255,   1,   0,   2, 255])
    """
    label_map = label_map or {}
    limits = torch.iinfo(target.dtype)
    ids = {*label_map, *label_map.values(), *([ignore_index] if reduce_zero_label else [])}
    unfit = sorted(new for new in ids if not limits.min <= new <= limits.max)
    if unfit:
        raise ValueError(f"ids {unfit} do not fit {target.dtype}, expected [{limits.min}, {limits.max}]")
    remapped = target.clone()
    for old, new in label_map.items():
        remapped[target == old] = new
    if not reduce_zero_label:
        return remapped
    unlabelled = (remapped == 0) | (remapped == ignore_index)
    return (remapped - 1).masked_fill(unlabelled, ignore_index)
