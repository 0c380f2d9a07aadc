# SPDX-License-Identifier: Apache-2.0
"""Segmentation data: synthetic scenes, folders of images, joint transforms, and loading that pairs runs."""

from __future__ import annotations

from ._style import SceneStyle
from .camvid import CamVid
from .colours import colour_labels, default_palette
from .folders import SegmentationFolders
from .images import read_image, read_labels
from .loading import EpochSampler, SeededTransform, collate_samples
from .sample import Palette, Sample, SegmentationDataset
from .scenes import Scene, SceneObject, SyntheticScenes
from .transforms import evaluation_transform, training_transform

__all__ = [
    "CamVid",
    "EpochSampler",
    "Palette",
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
