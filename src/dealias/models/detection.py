# SPDX-License-Identifier: Apache-2.0
"""What every network of objects takes and gives, whatever is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from dealias.heads import resize

from .sharing import Shareable

VOID = 0
"""The category of pixels without a label, in ``semantic`` of a target."""

MASK_THRESHOLD = 0.5
"""Probability from which on a pixel is in an instance's mask."""

Images = Tensor | Sequence[Tensor]
Target = Mapping[str, Tensor]


class DetectionModel(Shareable, nn.Module, ABC):
    """Boxes, classes and perhaps masks of the objects in images of any size; perhaps stuff too.

    Images are normalised, resized and padded inside, boxes and masks brought back to the image.

    Args:
        transform: normalises, resizes and pads.
        classes: number of classes of objects, the thing categories. Labels are 1 to ``classes``; 0 is the background.
        stuff_classes: number of stuff categories, which come after these; 0: objects alone.
        config: the arguments of :func:`dealias.models.create_model` that made this network, in plain Python values.

    """

    def __init__(
        self,
        transform: GeneralizedRCNNTransform,
        classes: int,
        stuff_classes: int = 0,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.transform = transform
        self.classes = classes
        self.stuff_classes = stuff_classes
        self.config: dict[str, Any] = dict(config or {})

    @property
    @abstractmethod
    def encoder(self) -> Any:
        """The part that makes four maps of images."""

    @property
    @abstractmethod
    def has_masks(self) -> bool:
        """Whether masks are predicted."""

    @abstractmethod
    def forward(self, images: Images, targets: Sequence[Target] | None = None) -> Any:
        """Detect objects, or compute the losses in training.

        Args:
            images: each [C, H, W], float, 0 to 1, of any sizes; or a batch [B, C, H, W].
            targets: for training, one per image: ``boxes`` [N, 4] (x1, y1, x2, y2 in pixels, x1 < x2, y1 < y2),
                ``labels`` [N] int64, 1 to ``classes``; for masks ``masks`` [N, H, W], 0 or 1; for stuff ``semantic``
                [H, W], integer: the category of every pixel, 0 where void. N may be 0. In evaluation they are not read.

        Returns:
            In evaluation a list with, for each image, ``boxes`` [M, 4], ``labels`` [M], ``scores`` [M] and, of networks
            with masks, ``masks`` [M, 1, H, W], probabilities; best first. In training the losses by name, scalars.

        Raises:
            ValueError: images or targets that are not as above; names the image and what was found.
        """

    @abstractmethod
    def parameter_parts(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by part, for learning rates of their own: every parameter is in exactly one part.

        Returns:
            ``fusion``, ``prefilter``, ``mixer`` and ``modulation`` (all within such modules, wherever they are), then
            ``encoder`` and ``decoder`` (everything else) without those. A part that the network lacks is an empty list.
        """

    def _check(self, images: Images) -> tuple[list[Tensor], list[tuple[int, int]]]:
        channels = len(self.transform.image_mean)
        if len(images) == 0:
            raise ValueError("there must be at least one image, got none")
        for number, image in enumerate(images):
            if image.ndim != 3 or image.shape[0] != channels or 0 in image.shape or not image.is_floating_point():
                raise ValueError(
                    f"image {number} must be [{channels}, H, W] of a float type, got {tuple(image.shape)} {image.dtype}"
                )
        return list(images), [(image.shape[-2], image.shape[-1]) for image in images]

    def _check_targets(
        self, targets: Sequence[Target] | None, sizes: Sequence[tuple[int, int]]
    ) -> list[dict[str, Tensor]]:
        if targets is None or len(targets) != len(sizes):
            found = "none" if targets is None else str(len(targets))
            raise ValueError(f"training needs one target for each of {len(sizes)} images, got {found}")
        for number, (target, size) in enumerate(zip(targets, sizes, strict=True)):
            try:
                self._check_target(target, size)
            except ValueError as error:
                raise ValueError(f"target {number}: {error}") from error
        return [dict(target) for target in targets]

    def _check_target(self, target: Target, size: tuple[int, int]) -> None:
        """One target for an image of ``size`` (height, width)."""
        needed = ("boxes", "labels", "masks") if self.has_masks else ("boxes", "labels")
        missing = [name for name in needed if name not in target]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing; it has {', '.join(target) or 'nothing'}")
        boxes, labels = target["boxes"], target["labels"]
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not boxes.is_floating_point():
            raise ValueError(f"boxes must be [N, 4] of a float type, got {tuple(boxes.shape)} {boxes.dtype}")
        flat = ~(boxes[:, 2:] > boxes[:, :2]).all(1)
        if flat.any():
            raise ValueError(f"boxes must have x1 < x2 and y1 < y2, got {boxes[flat][0].tolist()}")
        if labels.shape != boxes.shape[:1] or labels.dtype != torch.int64:
            raise ValueError(f"labels must be [{len(boxes)}] int64, got {tuple(labels.shape)} {labels.dtype}")
        wrong = (labels < 1) | (labels > self.classes)
        if wrong.any():
            raise ValueError(f"labels must be 1 to {self.classes}, got {labels[wrong][0].item()}")
        if self.has_masks and target["masks"].shape != (len(boxes), *size):
            raise ValueError(f"masks must be {(len(boxes), *size)}, got {tuple(target['masks'].shape)}")
        if self.stuff_classes:
            _check_semantic(target, size, self.classes + self.stuff_classes)


def _check_semantic(target: Target, size: tuple[int, int], categories: int) -> None:
    if "semantic" not in target:
        raise ValueError(f"semantic missing; it has {', '.join(target)}")
    semantic = target["semantic"]
    if semantic.shape != size or semantic.is_floating_point():
        raise ValueError(f"semantic must be {size} of an integer type, got {tuple(semantic.shape)} {semantic.dtype}")
    wrong = (semantic < VOID) | (semantic > categories)
    if wrong.any():
        raise ValueError(f"semantic must be {VOID} (void) to {categories}, got {semantic[wrong][0].item()}")


def at_image_size(logits: Tensor, batch: ImageList, number: int, size: tuple[int, int]) -> Tensor:
    """Logits [C, h, w] of a padded image to [C, *size] of the image as it came."""
    rows, columns = batch.image_sizes[number]
    padded = resize(logits[None], (batch.tensors.shape[-2], batch.tensors.shape[-1]))
    return resize(padded[..., :rows, :columns], size)[0]
