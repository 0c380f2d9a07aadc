# SPDX-License-Identifier: Apache-2.0
"""What the metrics refuse, and that they say why."""

import pytest
import torch

from dealias.metrics import BoundaryIoU, SegmentationMetrics

LABELS = torch.zeros(2, 4, 5, dtype=torch.int64)
STRANGE = LABELS.index_put((torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([3, 4])), torch.tensor([7, 19]))
NEGATIVE = LABELS - 1

BAD_INPUT = {
    "target id": (LABELS, STRANGE, r"target ids must be in \[0, 3\) or 255 \(ignored\), found \[7, 19\]"),
    "negative target": (LABELS, NEGATIVE, r"target ids .* found \[-1\]"),
    "negative byte": (LABELS, NEGATIVE.to(torch.int8), r"target ids .* found \[-1\]"),
    "prediction id": (STRANGE, LABELS, r"preds ids must be in \[0, 3\), found \[7, 19\]"),
    "ignored prediction": (LABELS + 255, LABELS, r"preds ids must be in \[0, 3\), found \[255\]"),
    "size": (LABELS[:, 1:], LABELS, r"preds \[2, 3, 5\] and target \[2, 4, 5\] must have the same shape"),
    "one-hot": (torch.zeros(2, 3, 4, 5).long(), LABELS, r"preds \[2, 3, 4, 5\] and target \[2, 4, 5\]"),
    "logit channels": (torch.zeros(2, 4, 4, 5), LABELS, r"logits \[B, 3, H, W\], found shape \[2, 4, 4, 5\]"),
    "logit size": (torch.zeros(2, 3, 8, 5), LABELS, r"preds \[2, 8, 5\] and target \[2, 4, 5\]"),
    "float labels": (LABELS.float(), LABELS, r"floating preds must be logits"),
    "float target": (LABELS, LABELS.float(), r"integer labels \[B, H, W\], found torch.float32 \[2, 4, 5\]"),
    "target rank": (LABELS, LABELS[:, None], r"integer labels \[B, H, W\], found torch.int64 \[2, 1, 4, 5\]"),
}


@pytest.mark.parametrize("metric_class", [SegmentationMetrics, BoundaryIoU])
@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_named(metric_class, name):
    preds, target, message = BAD_INPUT[name]
    metric = metric_class(num_classes=3)
    with pytest.raises(ValueError, match=message):
        metric.update(preds, target)
    assert not any(state.any() for state in metric.metric_state.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edges": "sobel"}, "'sobel'.*exact, released"),
        ({"width": 4}, "found 4"),
        ({"width": -3}, "found -3"),
        ({"num_classes": 0}, "num_classes must be positive, found 0"),
    ],
)
def test_bad_options_of_segmentation_metrics(options, message):
    with pytest.raises(ValueError, match=message):
        SegmentationMetrics(**{"num_classes": 3, **options})


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"dilation_ratio": 0.0}, {"dilation_ratio": float("nan")}])
def test_bad_options_of_boundary_iou(options):
    with pytest.raises(ValueError, match="must be positive"):
        BoundaryIoU(**{"num_classes": 3, **options})
