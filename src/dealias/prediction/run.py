# SPDX-License-Identifier: Apache-2.0
"""Predict many image files; a bad one is noted and does not stop the others."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dealias.data.images import open_image, read_image
from dealias.evaluation.problems import Problem, read_or_report
from dealias.models.segmentation import MIN_SIZE

from .inputs import ImageFile
from .outputs import Outputs
from .predictor import Predictor

_AHEAD = 2
"""How many images are read before their turn, and how many predictions may wait to be written."""

_AHEAD_PIXELS = 2**25
"""Pixels of all images that are read before their turn; larger ones wait until those before are done and written."""

LARGEST_WHOLE = 2**26
"""Pixels of the largest image that is predicted as a whole: its logits alone take gigabytes."""

LARGEST = 2 * 89_478_485
"""Pixels of the largest image that is read at all: Pillow's own limit against files made to exhaust memory."""


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
        images: files that :func:`dealias.data.read_image` reads, at least 32 pixels high and wide, of at most
            :data:`LARGEST_WHOLE` pixels, or :data:`LARGEST` where the predictor goes by rows.
        outputs: where the files go.
        on_progress: called after every prediction with the number of images that are done and of all.

    Returns:
        The images that could not be predicted, with the reason.

    Raises:
        OSError: an output cannot be written.
    """
    problems: list[Problem] = []
    writes: deque[Future[None]] = deque()
    largest = LARGEST if predictor.by_rows else LARGEST_WHOLE
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer, _no_warning_of_large_images():
        for done, (image, pixels) in enumerate(zip(images, _read_ahead(reader, images, largest), strict=True), 1):
            predicted = read_or_report(partial(_predict, predictor, pixels), image.path, problems)
            if predicted is not None:
                writes.append(writer.submit(outputs.write, image.name, *predicted, predictor.palette))
                waiting = 0 if predicted[1].size > _AHEAD_PIXELS else _AHEAD
                del predicted
                while len(writes) > waiting:
                    writes.popleft().result()
            if on_progress is not None:
                on_progress(done, len(images))
        for write in writes:
            write.result()
    return problems


def _read_ahead(reader: ThreadPoolExecutor, images: Sequence[ImageFile], largest: int) -> Iterator[Future[Tensor]]:
    waiting: deque[tuple[Future[Tensor], int]] = deque()
    for image in images:
        pixels = _pixels(image.path)
        while waiting and (len(waiting) > _AHEAD or pixels + sum(size for _, size in waiting) > _AHEAD_PIXELS):
            yield waiting.popleft()[0]
        waiting.append((reader.submit(_read, image.path, largest), pixels))
    while waiting:
        yield waiting.popleft()[0]


def _pixels(path: Path) -> int:
    """Of an image, by its header; 0 if that cannot be read, which reading the image reports."""
    try:
        with open_image(path) as image:
            return image.width * image.height
    except Exception:  # decoders raise many types
        return 0


@contextmanager
def _no_warning_of_large_images() -> Iterator[None]:
    """Silence Pillow, which warns of images of half the size that it refuses: they are wanted here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _read(path: Path, largest: int) -> Tensor:
    pixels = _pixels(path)
    if pixels > largest:
        raise ValueError(
            f"{path}: it has {pixels / 1e6:.0f} megapixels, more than the {largest / 1e6:.0f} that can be predicted as "
            "a whole; use a --window, without --scales"
        )
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
