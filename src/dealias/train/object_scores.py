# SPDX-License-Identifier: Apache-2.0
"""Scores of detections and panoptic maps together: which metrics a network has, and what they are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from dealias.metrics import CocoAP, PanopticEdgeMetrics, PanopticQuality
from dealias.models.detection import MASK_THRESHOLD
from dealias.train.object_targets import Target, true_objects, true_panoptic

Prediction = Mapping[str, Any]

_PREFIXES = {
    "box": "box_",
    "mask": "mask_",
    "boundary": "boundary_",
    "panoptic": "",
    "boundary_panoptic": "boundary_",
    "edges": "edges_",
}
"""What the scores of each metric begin with."""


@dataclass(frozen=True)
class ObjectMetricSettings:
    """How predictions are scored, besides AP of boxes and masks and panoptic quality.

    Args:
        boundary: score boundaries too: boundary AP of masks, boundary PQ (Cheng et al. 2021, arXiv:2103.16562).
        edges: score the pixels near edges of panoptic maps too, see dealias.metrics.PanopticEdgeMetrics.
        width: width in pixels of that band around edges, odd.
    """

    boundary: bool = False
    edges: bool = False
    width: int = 15


class ObjectScores(nn.Module):
    """The metrics that fit a network, by name.

    ``box`` (:class:`dealias.metrics.CocoAP`), with masks ``mask`` and, if wanted, ``boundary``; of panoptic networks
    ``panoptic`` (:class:`dealias.metrics.PanopticQuality`) and, if wanted, ``boundary_panoptic`` and ``edges``.

    Args:
        things: number of thing categories, 1 to ``things``.
        stuff: number of stuff categories behind them; 0 for a network that is not panoptic.
        masks: whether masks are predicted.
        settings: further metrics.
    """

    def __init__(self, things: int, stuff: int, masks: bool, settings: ObjectMetricSettings) -> None:
        super().__init__()
        self.things = things
        types = {"box": "bbox"} | ({"mask": "segm"} if masks else {})
        types |= {"boundary": "boundary"} if masks and settings.boundary else {}
        self.detection = nn.ModuleDict({name: CocoAP(iou_type, things) for name, iou_type in types.items()})
        self.panoptic = nn.ModuleDict(_panoptic_metrics(things, stuff, settings) if stuff else {})

    def update(self, predictions: Sequence[Prediction], targets: Sequence[Target]) -> None:
        """Count images.

        Args:
            predictions: what a network returns.
            targets: of a batch.
        """
        objects = [detections_of(found) for found in predictions], [true_objects(t, self.things) for t in targets]
        metric: Any  # entries of a ModuleDict are not declared
        for metric in self.detection.values():
            metric.update(*objects)
        if len(self.panoptic):
            maps = [found["panoptic"] for found in predictions], [true_panoptic(target) for target in targets]
            for metric in self.panoptic.values():
                metric.update(*maps)

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """What each metric computes, by its name."""
        metrics: dict[str, Any] = {**self.detection, **self.panoptic}
        return {name: metric.compute() for name, metric in metrics.items()}

    def reset(self) -> None:
        """Forget all images."""
        metrics: list[Any] = [*self.detection.values(), *self.panoptic.values()]
        for metric in metrics:
            metric.reset()


def detections_of(prediction: Prediction) -> dict[str, Tensor]:
    """What a network found in an image: labels from 0, masks as bool [N, H, W]; for :class:`dealias.metrics.CocoAP`."""
    found = {"boxes": prediction["boxes"], "labels": prediction["labels"] - 1, "scores": prediction["scores"]}
    if "masks" in prediction:
        found["masks"] = prediction["masks"][:, 0] >= MASK_THRESHOLD
    return found


def flat_scores(found: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """All scores by one name each, such as ``box_AP``, ``PQ`` and ``boundary_PQ``; without the curves of precision."""
    return {
        f"{_PREFIXES[metric]}{name}": value
        for metric, scores in found.items()
        for name, value in scores.items()
        if name != "precision"
    }


def _panoptic_metrics(things: int, stuff: int, settings: ObjectMetricSettings) -> dict[str, nn.Module]:
    categories = range(1, things + 1), range(things + 1, things + stuff + 1)
    metrics: dict[str, nn.Module] = {"panoptic": PanopticQuality(*categories)}
    if settings.boundary:
        metrics["boundary_panoptic"] = PanopticQuality(*categories, boundary=True)
    if settings.edges:
        metrics["edges"] = PanopticEdgeMetrics(*categories, settings.width)
    return metrics
