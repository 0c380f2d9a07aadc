# SPDX-License-Identifier: Apache-2.0
"""Segmentation data: synthetic scenes, folders of images, joint transforms, and loading that pairs runs.

Names are imported when they are first used: reading files must not load torchvision.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._style import SceneStyle
    from .ade20k import ADE20K
    from .camvid import CamVid
    from .cityscapes import Cityscapes
    from .colours import colour_labels, default_palette
    from .folders import SegmentationFolders
    from .images import read_image, read_labels
    from .loading import EpochSampler, SeededTransform, collate_samples
    from .photometric import AddNoise, PhotometricDistortion
    from .sample import Palette, Sample, SegmentationDataset
    from .scenes import Scene, SceneObject, SyntheticScenes
    from .transforms import evaluation_transform, training_transform
    from .voc2012 import VOC2012

__all__ = [
    "ADE20K",
    "VOC2012",
    "AddNoise",
    "CamVid",
    "Cityscapes",
    "EpochSampler",
    "Palette",
    "PhotometricDistortion",
    "Sample",
    "Scene",
    "SceneObject",
    "SceneStyle",
    "SeededTransform",
    "SegmentationDataset",
    "SegmentationFolders",
    "SyntheticScenes",
    "collate_samples",
    "colour_labels",
    "default_palette",
    "evaluation_transform",
    "read_image",
    "read_labels",
    "training_transform",
]

_MODULES = {
    "_style": ("SceneStyle",),
    "ade20k": ("ADE20K",),
    "camvid": ("CamVid",),
    "cityscapes": ("Cityscapes",),
    "colours": ("colour_labels", "default_palette"),
    "folders": ("SegmentationFolders",),
    "images": ("read_image", "read_labels"),
    "loading": ("EpochSampler", "SeededTransform", "collate_samples"),
    "photometric": ("AddNoise", "PhotometricDistortion"),
    "sample": ("Palette", "Sample", "SegmentationDataset"),
    "scenes": ("Scene", "SceneObject", "SyntheticScenes"),
    "transforms": ("evaluation_transform", "training_transform"),
    "voc2012": ("VOC2012",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
