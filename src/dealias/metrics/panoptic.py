# SPDX-License-Identifier: Apache-2.0
"""Panoptic segmentation as torchmetrics: sums per class, which processes add up."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from dealias.metrics.panoptic_counts import PanopticCounts, panoptic_counts, panoptic_qualities
from dealias.metrics.panoptic_edges import panoptic_histogram
from dealias.metrics.panoptic_maps import PanopticMap, Segments, number_segments
from dealias.metrics.segmentation import REGIONS, segmentation_scores
from dealias.ops.label_edges import check_width


class PanopticQuality(Metric):
    """Streaming panoptic quality (Kirillov et al. 2019, arXiv:1801.00868), equal to the COCO panoptic API's.

    The state is four sums per class, whatever the number of images. Classes are in the order of their ids, in
    :attr:`category_ids`.

    Args:
        things: category ids of classes that are counted in instances.
        stuffs: category ids of the others.
        boundary: take for the IoU the smaller of that of the segments and that of their inner boundaries (boundary PQ,
            Cheng et al. 2021, arXiv:2103.16562).
        dilation_ratio: thickness of these boundaries as a part of the image's diagonal.
        **kwargs: those of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: no category, one that is both thing and stuff, or a ratio that is not positive.

    >>> metric = PanopticQuality(things=[1], stuffs=[2])
    >>> segments = [{"id": 5, "category_id": 1}, {"id": 6, "category_id": 2}]
    >>> image = {"ids": torch.tensor([[5, 5, 6, 6]]), "segments_info": segments}
    >>> metric.update([image], [image])
    >>> metric.compute()["PQ"]
    tensor(1., dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    iou: Tensor
    tp: Tensor
    fp: Tensor
    fn: Tensor

    def __init__(
        self,
        things: Collection[int],
        stuffs: Collection[int],
        boundary: bool = False,
        dilation_ratio: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not dilation_ratio > 0:
            raise ValueError(f"dilation_ratio must be positive, found {dilation_ratio}")
        self.category_ids = _category_ids(things, stuffs)
        self.is_thing = [category in set(things) for category in self.category_ids]
        self.boundary_ratio = dilation_ratio if boundary else None
        for name in ("iou", "tp", "fp", "fn"):
            dtype = torch.float64 if name == "iou" else torch.int64
            self.add_state(name, torch.zeros(len(self.category_ids), dtype=dtype), dist_reduce_fx="sum")

    def update(self, preds: Sequence[PanopticMap], target: Sequence[PanopticMap]) -> None:
        """Counts images.

        Args:
            preds: one predicted map per image, see :class:`dealias.metrics.PanopticMap`.
            target: their ground truths.

        Raises:
            ValueError: numbers or sizes differ, or ids, categories and pixels do not go together.
        """
        for found, expected in _numbered(preds, target, self.category_ids):
            counts = panoptic_counts(found, expected, len(self.category_ids), self.boundary_ratio)
            self.iou += counts.iou
            self.tp += counts.tp
            self.fp += counts.fp
            self.fn += counts.fn

    def compute(self) -> dict[str, Tensor]:
        """The scores so far, fractions in [0, 1], float64.

        ``PQ``, ``SQ``, ``RQ``, the same with ``_things`` and ``_stuffs``: means over the classes that have any segment,
        nan without one. ``class_PQ``, ``class_SQ``, ``class_RQ``: of each class, (C,), nan where absent.
        """
        scores: dict[str, Tensor] = {}
        qualities = panoptic_qualities(PanopticCounts(self.iou, self.tp, self.fp, self.fn))
        is_thing = torch.tensor(self.is_thing, device=self.iou.device)
        for name, values in qualities.items():
            scores[name] = values.nanmean()
            scores[f"{name}_things"], scores[f"{name}_stuffs"] = values[is_thing].nanmean(), values[~is_thing].nanmean()
        return scores | {f"class_{name}": values for name, values in qualities.items()}


class PanopticEdgeMetrics(Metric):
    """Streaming hard-pixel metrics on panoptic maps: :class:`SegmentationMetrics` where instances touch too.

    Edges are those between segments, and a pixel of a thing is right only within the right instance; see
    :func:`dealias.metrics.panoptic_histogram` for the rules.

    Args:
        things: category ids of classes that are counted in instances.
        stuffs: category ids of the others.
        width: width in pixels of the band around an edge, odd; 15 in the published tables of semantic segmentation.
        **kwargs: those of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: no category, one that is both thing and stuff, or ``width`` is not odd and positive.

    >>> metric = PanopticEdgeMetrics(things=[1], stuffs=[], width=1)
    >>> two = [{"id": 5, "category_id": 1}, {"id": 6, "category_id": 1}]
    >>> touching = {"ids": torch.tensor([[5, 5, 6, 6]]), "segments_info": two}
    >>> merged = {"ids": torch.tensor([[5, 5, 5, 5]]), "segments_info": two[:1]}
    >>> metric.update([merged], [touching])
    >>> metric.compute()["MErr"]
    tensor(0.5000, dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    histogram: Tensor

    def __init__(self, things: Collection[int], stuffs: Collection[int], width: int = 15, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_width(width)
        self.category_ids = _category_ids(things, stuffs)
        self.is_thing = [category in set(things) for category in self.category_ids]
        self.width = width
        classes = len(self.category_ids)
        empty = torch.zeros(REGIONS, classes, classes + 1, dtype=torch.int64)
        self.add_state("histogram", empty, dist_reduce_fx="sum")

    def update(self, preds: Sequence[PanopticMap], target: Sequence[PanopticMap]) -> None:
        """Counts images; see :meth:`PanopticQuality.update`."""
        things = torch.tensor(self.is_thing, device=self.histogram.device)
        for found, expected in _numbered(preds, target, self.category_ids):
            self.histogram += panoptic_histogram(found, expected, things, self.width)

    def compute(self) -> dict[str, Tensor]:
        """The scores so far, see :func:`dealias.metrics.segmentation_scores`."""
        return segmentation_scores(self.histogram)


def _category_ids(things: Collection[int], stuffs: Collection[int]) -> list[int]:
    both = sorted(set(things) & set(stuffs))
    if both:
        raise ValueError(f"categories {both} are both things and stuffs")
    if not things and not stuffs:
        raise ValueError("things and stuffs name no category")
    return sorted({*things, *stuffs})


def _numbered(
    preds: Sequence[PanopticMap], target: Sequence[PanopticMap], category_ids: Sequence[int]
) -> list[tuple[Segments, Segments]]:
    if len(preds) != len(target):
        raise ValueError(f"found {len(preds)} predicted and {len(target)} true panoptic maps")
    classes = {category: position for position, category in enumerate(category_ids)}
    numbered = []
    for found, expected in zip(preds, target, strict=True):
        if found["ids"].shape != expected["ids"].shape:
            sizes = f"{list(found['ids'].shape)} and {list(expected['ids'].shape)}"
            raise ValueError(f"predicted and true panoptic maps must have one size, found {sizes}")
        segments = number_segments("prediction", found, classes, listed_only=True)
        numbered.append((segments, number_segments("ground truth", expected, classes, listed_only=False)))
    return numbered
