# SPDX-License-Identifier: Apache-2.0
"""Which kind of comparison an architecture needs."""

from __future__ import annotations

from dealias.models.detectors import DETECTORS

from .kind import Kind
from .object_kind import ObjectKind
from .segmentation_kind import SegmentationKind
from .settings import CompareSettings


def complete(settings: CompareSettings) -> CompareSettings:
    """Settings with the defaults of their kind of comparison.

    Raises:
        ValueError: a setting does not go with the architecture.
    """
    return _kind(settings).complete(settings)


def kind_of(settings: CompareSettings) -> Kind:
    """The kind of comparison that completed settings need."""
    return _kind(settings)(settings)


def _kind(settings: CompareSettings) -> type[Kind]:
    return ObjectKind if settings.arch in DETECTORS else SegmentationKind
