# SPDX-License-Identifier: Apache-2.0
"""Chapters about objects: detection, instance and panoptic segmentation."""

from .layout import load_objects
from .sources import holds_objects

__all__ = ["holds_objects", "load_objects"]
