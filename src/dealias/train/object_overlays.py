# SPDX-License-Identifier: Apache-2.0
"""Objects drawn on their image: boxes with names and scores, masks, panoptic segments, and what is wrong where."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import draw_segmentation_masks

from dealias.metrics import PanopticMap, panoptic_map
from dealias.models.detection import MASK_THRESHOLD
from dealias.report.canvas import Colour
from dealias.report.object_errors import draw_object_errors
from dealias.train.object_errors import object_error_kinds
from dealias.train.object_targets import Target, true_panoptic

SHOWN_SCORE = 0.5
"""Detections with a lower score are not drawn."""

_OPACITY = 0.5
_OUTLINE = (255, 255, 255)
_SMALLEST_TEXT = 9
_LUMINANCE, _BRIGHT = (0.299, 0.587, 0.114), 150


class Overlays:
    """Draws the objects of images whose classes these are, in the order of categories.

    Args:
        classes: names.
        palette: (red, green, blue) of each, 0 to 255.
        stuff: how many of them, the last ones, are stuff: if any, panoptic maps are drawn; otherwise boxes, and masks
            where there are any.
    """

    def __init__(self, classes: Sequence[str], palette: Sequence[Sequence[int]], stuff: int = 0) -> None:
        self.classes, self.things, self.panoptic = tuple(classes), len(classes) - stuff, stuff > 0
        self.palette = [(red, green, blue) for red, green, blue in palette]

    def truth(self, image: Tensor, target: Target) -> NDArray[np.uint8]:
        """The target of a batch on its image [3, H, W] of 0 to 1: uint8 [H, W, 3]."""
        picture = as_bytes(image)
        if self.panoptic:
            return as_pixels(self._segments(picture, true_panoptic(target)))
        names = [self.classes[label] for label in (target["labels"] - 1).tolist()]
        return as_pixels(self._objects(picture, target["boxes"], target["masks"] != 0, target["labels"], names))

    def prediction(self, image: Tensor, found: Mapping[str, Any]) -> NDArray[np.uint8]:
        """What a network found in an image [3, H, W] of 0 to 1: uint8 [H, W, 3]."""
        picture = as_bytes(image)
        if self.panoptic:
            return as_pixels(self._segments(picture, found["panoptic"]))
        shown = _shown(found)
        masks = shown["masks"][:, 0] >= MASK_THRESHOLD if "masks" in shown else None
        pairs = zip((shown["labels"] - 1).tolist(), shown["scores"].tolist(), strict=True)
        names = [f"{self.classes[label]} {score:.2f}" for label, score in pairs]
        return as_pixels(self._objects(picture, shown["boxes"], masks, shown["labels"], names))

    def errors(self, image: Tensor, target: Target, found: Mapping[str, Any]) -> NDArray[np.uint8] | None:
        """The wrong pixels by kind on the faded image, uint8 [H, W, 3]; None without masks.

        See :func:`dealias.train.object_errors.object_error_kinds`. Where masks overlap, that with the higher score
        counts.
        """
        if "masks" not in found and not self.panoptic:
            return None
        predicted = found["panoptic"] if self.panoptic else _map_of(_shown(found))
        counts = self.things, len(self.classes) - self.things
        kinds = object_error_kinds(_on_cpu(predicted), _on_cpu(true_panoptic(target)), *counts)
        return draw_object_errors(as_pixels(as_bytes(image)), kinds.numpy())

    def _objects(
        self, picture: Tensor, boxes: Tensor, masks: Tensor | None, labels: Tensor, names: list[str]
    ) -> Tensor:
        if not names:
            return picture
        colours = [self.palette[label] for label in (labels - 1).tolist()]
        if masks is not None:
            picture = draw_segmentation_masks(picture, masks.cpu(), _OPACITY, colours)
        return _with_boxes(picture, boxes, names, colours)

    def _segments(self, picture: Tensor, found: PanopticMap) -> Tensor:
        """Segments in the colours of their classes, with a line where two meet."""
        ids = found["ids"].cpu()
        masks = [ids == segment["id"] for segment in found["segments_info"]]
        if masks:
            colours = [self.palette[segment["category_id"] - 1] for segment in found["segments_info"]]
            picture = draw_segmentation_masks(picture, torch.stack(masks), _OPACITY, colours)
        edges = torch.zeros_like(ids, dtype=torch.bool)
        edges[:, 1:] |= ids[:, 1:] != ids[:, :-1]
        edges[1:] |= ids[1:] != ids[:-1]
        picture[:, edges] = torch.tensor(_OUTLINE, dtype=torch.uint8)[:, None]
        return picture


def _with_boxes(picture: Tensor, boxes: Tensor, names: Sequence[str], colours: Sequence[Colour]) -> Tensor:
    """Boxes, and in their upper left corners the names, on the colour of the box."""
    image = Image.fromarray(as_pixels(picture))
    draw, side = ImageDraw.Draw(image), max(image.size)
    font, width = ImageFont.load_default(max(_SMALLEST_TEXT, side // 45)), 1 + side // 400
    for (left, top, right, bottom), name, colour in zip(boxes.tolist(), names, colours, strict=True):
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=width)
        corner = left + width, top + width
        draw.rectangle(draw.textbbox(corner, name, font), fill=colour)
        luminance = sum(part * weight for part, weight in zip(colour, _LUMINANCE, strict=True))
        draw.text(corner, name, (0, 0, 0) if luminance > _BRIGHT else _OUTLINE, font)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def as_bytes(image: Tensor) -> Tensor:
    """An image [3, H, W] of 0 to 1 as uint8, on the CPU."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def as_pixels(picture: Tensor) -> NDArray[np.uint8]:
    """A picture [3, H, W] as [H, W, 3]."""
    pixels: NDArray[np.uint8] = picture.permute(1, 2, 0).contiguous().numpy()
    return pixels


def _shown(found: Mapping[str, Any]) -> dict[str, Tensor]:
    """The detections that are drawn, the best last, on top."""
    order = found["scores"].argsort()
    shown = order[found["scores"][order] >= SHOWN_SCORE]
    return {name: found[name][shown] for name in ("boxes", "labels", "scores", "masks") if name in found}


def _on_cpu(found: PanopticMap) -> PanopticMap:
    return {"ids": found["ids"].cpu(), "segments_info": found["segments_info"]}


def _map_of(shown: Mapping[str, Tensor]) -> PanopticMap:
    return panoptic_map(shown["masks"][:, 0] >= MASK_THRESHOLD, shown["labels"])
