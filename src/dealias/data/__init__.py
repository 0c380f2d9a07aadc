# SPDX-License-Identifier: Apache-2.0
"""Data sets: synthetic scenes and textures, folders of images, joint transforms, and loading that pairs runs.

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
    from .class_folders import ClassFolders
    from .classified import (
        ClassificationDataset,
        ClassifiedSample,
        classification_evaluation_transform,
        classification_training_transform,
        collate_classified,
    )
    from .coco_instances import CocoInstances
    from .coco_panoptic import CocoPanoptic, read_segment_ids
    from .colours import colour_labels, default_palette
    from .folders import SegmentationFolders
    from .images import read_image, read_labels
    from .lis import LIS
    from .loading import EpochSampler, SeededSamples, SeededTransform, collate_samples
    from .low_light import LowLight
    from .object_transforms import (
        VisibleObjects,
        large_scale_jitter_transform,
        object_evaluation_transform,
        object_training_transform,
    )
    from .objects import ObjectDataset, ObjectSample, ObjectTarget, boxes_of_masks, collate_objects
    from .photometric import AddNoise, PhotometricDistortion
    from .sample import Palette, Sample, SegmentationDataset
    from .scenes import Scene, SceneObject, SyntheticScenes
    from .synthetic_objects import SyntheticObjects
    from .textures import TEXTURES, TextureBand, TextureFrequencies, TextureStyle
    from .transforms import evaluation_transform, training_transform
    from .voc2012 import VOC2012

__all__ = [
    "ADE20K",
    "LIS",
    "TEXTURES",
    "VOC2012",
    "AddNoise",
    "CamVid",
    "Cityscapes",
    "ClassFolders",
    "ClassificationDataset",
    "ClassifiedSample",
    "CocoInstances",
    "CocoPanoptic",
    "EpochSampler",
    "LowLight",
    "ObjectDataset",
    "ObjectSample",
    "ObjectTarget",
    "Palette",
    "PhotometricDistortion",
    "Sample",
    "Scene",
    "SceneObject",
    "SceneStyle",
    "SeededSamples",
    "SeededTransform",
    "SegmentationDataset",
    "SegmentationFolders",
    "SyntheticObjects",
    "SyntheticScenes",
    "TextureBand",
    "TextureFrequencies",
    "TextureStyle",
    "VisibleObjects",
    "boxes_of_masks",
    "classification_evaluation_transform",
    "classification_training_transform",
    "collate_classified",
    "collate_objects",
    "collate_samples",
    "colour_labels",
    "default_palette",
    "evaluation_transform",
    "large_scale_jitter_transform",
    "object_evaluation_transform",
    "object_training_transform",
    "read_image",
    "read_labels",
    "read_segment_ids",
    "training_transform",
]

_MODULES = {
    "_style": ("SceneStyle",),
    "ade20k": ("ADE20K",),
    "camvid": ("CamVid",),
    "cityscapes": ("Cityscapes",),
    "class_folders": ("ClassFolders",),
    "classified": (
        "ClassificationDataset",
        "ClassifiedSample",
        "classification_evaluation_transform",
        "classification_training_transform",
        "collate_classified",
    ),
    "coco_instances": ("CocoInstances",),
    "coco_panoptic": ("CocoPanoptic", "read_segment_ids"),
    "colours": ("colour_labels", "default_palette"),
    "folders": ("SegmentationFolders",),
    "images": ("read_image", "read_labels"),
    "lis": ("LIS",),
    "loading": ("EpochSampler", "SeededSamples", "SeededTransform", "collate_samples"),
    "low_light": ("LowLight",),
    "object_transforms": (
        "VisibleObjects",
        "large_scale_jitter_transform",
        "object_evaluation_transform",
        "object_training_transform",
    ),
    "objects": ("ObjectDataset", "ObjectSample", "ObjectTarget", "boxes_of_masks", "collate_objects"),
    "photometric": ("AddNoise", "PhotometricDistortion"),
    "sample": ("Palette", "Sample", "SegmentationDataset"),
    "scenes": ("Scene", "SceneObject", "SyntheticScenes"),
    "synthetic_objects": ("SyntheticObjects",),
    "textures": ("TEXTURES", "TextureBand", "TextureFrequencies", "TextureStyle"),
    "transforms": ("evaluation_transform", "training_transform"),
    "voc2012": ("VOC2012",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
