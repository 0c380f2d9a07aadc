# SPDX-License-Identifier: Apache-2.0
"""Predict many image files; a bad one is noted and does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dealias.data.images import read_image
from dealias.evaluation.problems import Problem, read_or_report
from dealias.models.segmentation import MIN_SIZE

from .inputs import ImageFile
from .outputs import Outputs
from .predictor import Predictor


def predict_images(
    predictor: Predictor,
    images: Sequence[ImageFile],
    outputs: Outputs,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Write the outputs of every image, one after the other.

    Args:
        predictor: from pixels to class ids.
        images: files that :func:`dealias.data.read_image` reads, at least 32 pixels high and wide.
        outputs: where the files go.
        on_progress: called after every image with the number of those done and of all.

    Returns:
        The images that could not be predicted, with the reason.
    """
    problems: list[Problem] = []
    for done, image in enumerate(images, 1):
        predicted = read_or_report(partial(_predict_file, predictor), image.path, problems)
        if predicted is not None:
            outputs.write(image.name, *predicted, predictor.palette)
        if on_progress is not None:
            on_progress(done, len(images))
    return problems


def _predict_file(predictor: Predictor, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [H, W, 3] and class ids [H, W] of an image."""
    image = read_image(path)
    size = _size(image)
    if min(image.shape[1:]) < MIN_SIZE:
        raise ValueError(
            f"{path}: an image must be at least {MIN_SIZE} pixels high and wide, got {size} (width x height)"
        )
    try:
        labels = predictor(image)
    except torch.OutOfMemoryError as error:
        raise ValueError(f"{path}: {size} pixels need more memory than the GPU has; try a --window") from error
    return image.permute(1, 2, 0).numpy(), labels


def _size(image: Tensor) -> str:
    return f"{image.shape[2]} x {image.shape[1]}"
