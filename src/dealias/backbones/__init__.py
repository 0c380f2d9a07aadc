# SPDX-License-Identifier: Apache-2.0
"""Backbones: images in, a pyramid of features at strides 4, 8, 16 and 32 out. Needs timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .mscan import MSCAN, MSCANS, create_mscan
from .stages import Stage, find_stages
from .timm_encoder import STRIDES, TimmEncoder

__all__ = [
    "MSCAN",
    "MSCANS",
    "STRIDES",
    "Encoder",
    "Stage",
    "TimmEncoder",
    "create_encoder",
    "create_mscan",
    "find_stages",
]

Encoder = TimmEncoder | MSCAN
"""What decoders take: ``channels``, ``strides``, ``in_channels``, ``stages()``, and a call that gives four maps."""


def create_encoder(
    name: str,
    weights: str | None = None,
    in_channels: int = 3,
    drop_path_rate: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> Encoder:
    """Build a backbone by name.

    Args:
        name: one of :data:`MSCANS`, or a timm model name.
        weights: see :func:`create_mscan` and :class:`TimmEncoder`.
        in_channels: channels of the images.
        drop_path_rate: stochastic depth, in [0, 1).
        options: further arguments of the backbone.

    Raises:
        ValueError: unknown name or option, or weights that do not fit.

    >>> create_encoder("mscan_t").strides
    (4, 8, 16, 32)
    """
    create = create_mscan if name.startswith("mscan") else TimmEncoder
    return create(name, weights, in_channels, drop_path_rate, options)
