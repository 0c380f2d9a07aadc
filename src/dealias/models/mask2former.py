# SPDX-License-Identifier: Apache-2.0
"""Mask2Former (arXiv:2112.01527) with the interface of the other networks of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from .detection import DetectionModel, Images, Target, at_image_size
from .mask2former_outputs import OutputSettings, segment
from .parts import parameter_parts

_OUTPUTS = OutputSettings()


class Mask2FormerModel(DetectionModel):
    """Objects and, with stuff categories, everything else, as one set of masks with a category each.

    Categories 1 to ``classes`` are things, those from there to ``classes + stuff_classes`` are stuff.

    Args:
        network: a :class:`~dealias.models.mask2former_network.Mask2FormerNetwork`.
        transform: normalises, resizes and pads.
        classes: number of thing categories.
        stuff_classes: number of stuff categories, perhaps 0.
        outputs: thresholds.
        config: as in :class:`DetectionModel`.
    """

    def __init__(
        self,
        network: Any,
        transform: GeneralizedRCNNTransform,
        classes: int,
        stuff_classes: int = 0,
        outputs: OutputSettings = _OUTPUTS,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(transform, classes, stuff_classes, config)
        self.network = network
        self.output_settings = outputs

    @property
    def encoder(self) -> Any:
        """The part that makes four maps of images."""
        return self.network.encoder

    @property
    def has_masks(self) -> bool:
        """True: there is nothing else."""
        return True

    def forward(self, images: Images, targets: Sequence[Target] | None = None) -> Any:
        """Segment images, or compute the losses in training.

        Args:
            images: as in :class:`DetectionModel`.
            targets: as there. Every object is a mask to find, and so are the pixels of each stuff category in
                ``semantic``. Boxes are not used, and void pixels are outside every mask.

        Returns:
            In evaluation, for each image, what :class:`DetectionModel` returns, and ``semantic`` and ``panoptic``: see
            :func:`~dealias.models.mask2former_outputs.segment`. In training the losses by name.

        Raises:
            ValueError: as in :class:`DetectionModel`.
        """
        images, sizes = self._check(images)
        if self.training:
            checked = [self._with_stuff(target) for target in self._check_targets(targets, sizes)]
            batch, resized = self.transform(images, checked)
            masks, categories = _padded(resized, (batch.tensors.shape[-2], batch.tensors.shape[-1]))
            return self.network.losses(self.network(batch.tensors), masks, categories)
        batch, _ = self.transform(images)
        predictions = self.network(batch.tensors)
        classes, masks = predictions.classes[-1].float(), predictions.masks[-1].float()
        return [
            segment(classes[i], at_image_size(masks[i], batch, i, size), self.classes, self.output_settings)
            for i, size in enumerate(sizes)
        ]

    def parameter_parts(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by part: see :meth:`DetectionModel.parameter_parts`."""
        decoder = [child for name, child in self.network.named_children() if name != "encoder"]
        return parameter_parts(self, {"encoder": [self.encoder], "decoder": decoder})

    def _with_stuff(self, target: Target) -> dict[str, Tensor]:
        """The target's boxes, and its masks and labels with those of the stuff in it."""
        masks, labels = target["masks"], target["labels"]
        if self.stuff_classes:
            semantic = target["semantic"]
            stuff = semantic.unique()
            stuff = stuff[stuff > self.classes]
            masks = torch.cat([masks, (semantic == stuff[:, None, None]).to(masks.dtype)])
            labels = torch.cat([labels, stuff.to(labels.dtype)])
        return {"boxes": target["boxes"], "masks": masks, "labels": labels}


def _padded(targets: Sequence[Target], size: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
    """For each image its masks [N, *size], float, and categories from 0, but for masks that resizing has emptied."""
    masks, categories = [], []
    for target in targets:
        kept = target["masks"].flatten(1).any(1).bool()
        found = target["masks"][kept]
        padded = torch.zeros(len(found), *size, device=found.device)
        padded[:, : found.shape[1], : found.shape[2]] = found
        masks.append(padded)
        categories.append(target["labels"][kept] - 1)
    return masks, categories
