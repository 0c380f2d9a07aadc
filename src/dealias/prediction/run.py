# SPDX-License-Identifier: Apache-2.0
"""Predict many image files; a bad one is noted and does not stop the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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

_AHEAD = 2
"""How many images are read before their turn, and how many predictions may wait to be written."""


def predict_images(
    predictor: Predictor,
    images: Sequence[ImageFile],
    outputs: Outputs,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Write the outputs of every image, one after the other.

    While the network works on an image, the next ones are read in one thread and the last ones written in another.

    Args:
        predictor: from pixels to class ids.
        images: files that :func:`dealias.data.read_image` reads, at least 32 pixels high and wide.
        outputs: where the files go.
        on_progress: called after every prediction with the number of images that are done and of all.

    Returns:
        The images that could not be predicted, with the reason.

    Raises:
        OSError: an output cannot be written.
    """
    problems: list[Problem] = []
    writes: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        for done, (image, pixels) in enumerate(zip(images, _read_ahead(reader, images), strict=True), 1):
            predicted = read_or_report(partial(_predict, predictor, pixels), image.path, problems)
            if predicted is not None:
                writes.append(writer.submit(outputs.write, image.name, *predicted, predictor.palette))
            if len(writes) > _AHEAD:
                writes.popleft().result()
            if on_progress is not None:
                on_progress(done, len(images))
        for write in writes:
            write.result()
    return problems


def _read_ahead(reader: ThreadPoolExecutor, images: Sequence[ImageFile]) -> Iterator[Future[Tensor]]:
    waiting: deque[Future[Tensor]] = deque()
    for image in images:
        waiting.append(reader.submit(_read, image.path))
        if len(waiting) > _AHEAD:
            yield waiting.popleft()
    yield from waiting


def _read(path: Path) -> Tensor:
    image = read_image(path)
    if min(image.shape[1:]) < MIN_SIZE:
        size = _size(image)
        raise ValueError(
            f"{path}: an image must be at least {MIN_SIZE} pixels high and wide, got {size} (width x height)"
        )
    return image


def _predict(predictor: Predictor, pixels: Future[Tensor], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [H, W, 3] and class ids [H, W] of an image."""
    image = pixels.result()
    try:
        labels = predictor(image)
    except torch.OutOfMemoryError as error:
        raise ValueError(f"{path}: {_size(image)} pixels need more memory than the GPU has; try a --window") from error
    return image.permute(1, 2, 0).numpy(), labels


def _size(image: Tensor) -> str:
    return f"{image.shape[2]} x {image.shape[1]}"
