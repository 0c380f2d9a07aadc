# SPDX-License-Identifier: Apache-2.0
"""Predicted objects in COCO's formats, for its tools and servers, and as pictures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.ops import box_convert

from dealias._files import replacing, write_text
from dealias.metrics import PanopticMap
from dealias.train.image_scores import rows_of_all_processes
from dealias.train.object_overlays import Overlays
from dealias.train.object_scores import detections_of
from dealias.train.objects import ObjectsTask

Entry = dict[str, Any]


class ObjectWriter(Callback):
    """Lightning callback that writes what a network finds, with the ids of images and categories of the annotations.

    ``coco_boxes.json``, with masks ``coco_masks.json`` (run lengths), lists of results as pycocotools reads them;
    of panoptic networks ``coco_panoptic.json`` and ``panoptic/NAME.png``, segment ids as red + 256 green + 65536 blue;
    and ``overlays/NAME.png``, with the detections of a score of at least 0.5.

    Args:
        folder: where the files go.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._images: list[dict[str, list[Entry]]] = []

    def on_predict_batch_end(
        self,
        trainer: Any,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the pictures of a batch, and keep its results."""
        if not isinstance(pl_module, ObjectsTask):
            return
        about, panoptic = trainer.datamodule.describe(), bool(pl_module.network.stuff_classes)
        overlays = Overlays(about["classes"], about["palette"], pl_module.network.stuff_classes)
        for name, image, target, found in zip(batch["name"], batch["image"], batch["target"], outputs, strict=True):
            entries = detection_entries(found, target["image_id"], about["category_ids"])
            if panoptic:
                segments, file = found["panoptic"], f"{name}.png"
                _write_png(self.folder / "panoptic" / file, segment_colours(segments["ids"]))
                described = segment_entries(segments, about["category_ids"])
                entries["panoptic"] = [{"image_id": target["image_id"], "file_name": file, "segments_info": described}]
            self._images.append(entries)
            _write_png(self.folder / "overlays" / f"{name}.png", overlays.prediction(image, found))

    def on_predict_end(self, trainer: Any, pl_module: LightningModule) -> None:
        """Write the results of all processes."""
        images, self._images = rows_of_all_processes(self._images), []
        if not trainer.is_global_zero or not images:
            return
        for name in images[0]:
            entries = [entry for image in images for entry in image[name]]
            content = {"annotations": entries, "categories": _categories(trainer.datamodule.describe())}
            write_text(self.folder / f"coco_{name}.json", json.dumps(content if name == "panoptic" else entries) + "\n")


def detection_entries(found: Mapping[str, Any], image_id: int, category_ids: list[int]) -> dict[str, list[Entry]]:
    """Detections of an image as results of COCO: ``boxes``, and ``masks`` where there are any.

    Args:
        found: what a network returns.
        image_id: of the annotations.
        category_ids: of the annotations, in the order of the network's categories.
    """
    detections = {name: value.cpu() for name, value in detections_of(found).items()}
    boxes = box_convert(detections["boxes"].double(), "xyxy", "xywh").tolist()
    categories = [category_ids[label] for label in detections["labels"].tolist()]
    common = [
        {"image_id": image_id, "category_id": category, "score": score}
        for category, score in zip(categories, detections["scores"].tolist(), strict=True)
    ]
    entries = {"boxes": [{**entry, "bbox": box} for entry, box in zip(common, boxes, strict=True)]}
    if "masks" in detections:
        codes = [_run_lengths(mask) for mask in detections["masks"]]
        entries["masks"] = [{**entry, "segmentation": code} for entry, code in zip(common, codes, strict=True)]
    return entries


def segment_entries(found: PanopticMap, category_ids: list[int]) -> list[Entry]:
    """The segments of a panoptic map as COCO describes them: id, category and area."""
    return [
        {
            "id": int(segment["id"]),
            "category_id": category_ids[segment["category_id"] - 1],
            "area": int((found["ids"] == segment["id"]).sum()),
            "iscrowd": 0,
        }
        for segment in found["segments_info"]
    ]


def segment_colours(ids: Tensor) -> NDArray[np.uint8]:
    """Segment ids [H, W] as colours [H, W, 3]: id = red + 256 green + 65536 blue."""
    numbers = ids.cpu().numpy().astype(np.int64)
    return np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def _run_lengths(mask: Tensor) -> Entry:
    """A mask [H, W] in COCO's compressed form."""
    code = coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
    return {"size": code["size"], "counts": code["counts"].decode()}


def _categories(about: Mapping[str, Any]) -> list[Entry]:
    columns = zip(*(about[name] for name in ("category_ids", "classes", "is_thing", "palette")), strict=True)
    return [{"id": number, "name": name, "isthing": int(thing), "color": c} for number, name, thing, c in columns]


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
