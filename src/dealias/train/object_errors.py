# SPDX-License-Identifier: Apache-2.0
"""What is wrong with each pixel of predicted objects."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from dealias.metrics import PanopticMap
from dealias.metrics.panoptic_edges import partners
from dealias.metrics.panoptic_maps import Segments, number_segments
from dealias.report.object_errors import CLASS, FALSE, INSTANCE, MISSED


def object_error_kinds(predicted: PanopticMap, truth: PanopticMap, things: int, stuff: int) -> Tensor:
    """The kind of error of every pixel, as :data:`dealias.report.object_errors.OBJECT_ERRORS` has them.

    A thing of the right class is right if predicted and true segment are each other's largest overlap. Crowd regions
    of the ground truth are never wrong, and with stuff neither is its void.

    Args:
        predicted: categories of things are 1 to ``things``, those of stuff follow.
        truth: the same size.
        things: number of thing categories.
        stuff: number of stuff categories; 0: what is no thing is background.

    Returns:
        uint8, [H, W]; 0 where the prediction is right.
    """
    numbers = {category: category for category in range(1, things + stuff + 1)}
    preds = number_segments("prediction", predicted, numbers, listed_only=False)
    target = number_segments("ground truth", truth, numbers, listed_only=False)
    found, true = _at_pixels(preds.classes, preds), _at_pixels(target.classes, target)
    found_thing, true_thing = ((category > 0) & (category <= things) for category in (found, true))
    kinds = torch.zeros(true.shape, dtype=torch.uint8, device=true.device)
    kinds[true_thing & ~found_thing] = MISSED
    kinds[found_thing & ~true_thing] = FALSE
    kinds[(found_thing == true_thing) & (found != true)] = CLASS
    kinds[true_thing & (found == true) & ~partners(preds, target)[target.index, preds.index]] = INSTANCE
    crowd = _at_pixels(target.crowd, target)
    kinds[crowd | (true == 0) if stuff else crowd] = 0
    return kinds


def _at_pixels(values: Tensor, segments: Segments) -> Tensor:
    """Of every pixel, [H, W], what its segment has of one value each; 0 without a segment."""
    return pad(values, (1, 1))[segments.index]
