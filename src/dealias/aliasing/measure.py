# SPDX-License-Identifier: Apache-2.0
"""Run images through a network one by one: aliasing at every layer and, where there are labels, errors near edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dealias.analysis import AliasingProbe
from dealias.data import SegmentationDataset
from dealias.experiments.data import default_band
from dealias.inspection import Images, Size, Subject, preparation, run
from dealias.metrics import joint_histogram, segmentation_scores

from .result import ERRORS, Analysis, ImageErrors


@torch.inference_mode()
def measure_network(
    subject: Subject,
    images: Images,
    *,
    size: Size | None = None,
    layers: Sequence[str] | None = None,
    band: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Analysis:
    """Measure the aliasing of a network.

    Errors are measured if the network was trained to predict the classes that the images are labelled with.

    Args:
        subject: the network, on the device to compute on.
        images: what passes it, one after the other.
        size: height and width that images and labels are resized to; ``None``: as the network needs it, or unchanged.
        layers: names of modules to measure, see :class:`dealias.analysis.AliasingProbe`.
        band: width in pixels of the band around edges for the errors; ``None``: in proportion, 15 at 1024 pixels.
        on_progress: called after every image with the number of those done and of all.

    Raises:
        ValueError: an image cannot be read, the network cannot take it, or no layer makes maps smaller.
    """
    transform = preparation(subject, size)
    labels = images.labelled if images.labelled is not None and subject.classes == images.labelled.classes else None
    errors = []
    with AliasingProbe(subject.network, layers) as probe:
        for position in range(len(images)):
            sample = transform(images[position])
            output = run(subject, sample)
            found = None if labels is None else _errors(output, sample["mask"], labels, band)
            errors.append(ImageErrors(sample["name"], found))
            if on_progress is not None:
                on_progress(position + 1, len(images))
    found_layers = probe.compute()
    if not found_layers:
        raise ValueError(f"{subject.name} has no layer that makes feature maps smaller")
    return Analysis(found_layers, probe.image_scores, probe.unused, probe.unmeasured, errors)


def _errors(logits: Tensor, mask: Tensor, dataset: SegmentationDataset, band: int | None) -> dict[str, float]:
    """The error rates of one image, fractions; nan where it has no such edges."""
    target = mask.as_subclass(Tensor)[None]
    width = default_band(min(target.shape[-2:])) if band is None else band
    ids = logits.argmax(1).cpu()
    histogram = joint_histogram(ids, target, len(dataset.classes), dataset.ignore_index, width=width)
    scores = segmentation_scores(histogram)
    return {name: scores[name].item() for name in ERRORS}
