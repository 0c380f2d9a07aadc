# SPDX-License-Identifier: Apache-2.0
"""Backbones: images in, a pyramid of features at strides 4, 8, 16 and 32 out. Needs timm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .dcnv3 import DCNv3
from .internimage import INTERNIMAGES, InternImage, create_internimage
from .modulation import Resampling, recording
from .mscan import MSCAN, MSCANS, create_mscan
from .stages import Stage, find_stages
from .timm_encoder import STRIDES, TimmEncoder
from .transformers_encoder import TRANSFORMERS, TransformersEncoder, create_transformers_encoder

__all__ = [
    "INTERNIMAGES",
    "MSCAN",
    "MSCANS",
    "STRIDES",
    "DCNv3",
    "Encoder",
    "InternImage",
    "Resampling",
    "Stage",
    "TimmEncoder",
    "TransformersEncoder",
    "create_encoder",
    "create_internimage",
    "create_mscan",
    "create_transformers_encoder",
    "find_stages",
    "recording",
]

Encoder = TimmEncoder | MSCAN | InternImage | TransformersEncoder
"""What decoders take: ``channels``, ``strides``, ``in_channels``, ``stages()``, and a call that gives four maps."""


def create_encoder(
    name: str,
    weights: str | None = None,
    in_channels: int = 3,
    drop_path_rate: float = 0.0,
    options: Mapping[str, Any] | None = None,
    output_stride: int = 32,
) -> Encoder:
    """Build a backbone by name.

    Args:
        name: one of :data:`MSCANS` or :data:`INTERNIMAGES`, a timm model name, or ``transformers_`` and a model type of
            transformers, such as ``transformers_swin``.
        weights: see :func:`create_mscan`, :func:`create_internimage` and :class:`TimmEncoder`; None for transformers'.
        in_channels: channels of the images.
        drop_path_rate: stochastic depth, in [0, 1).
        options: further arguments of the backbone.
        output_stride: 32; or 16 or 8 for a timm backbone whose later stages can dilate instead of striding.

    Raises:
        ValueError: unknown name or option, weights that do not fit, or a backbone that cannot dilate.

    >>> create_encoder("mscan_t").strides
    (4, 8, 16, 32)
    """
    own: dict[str, Callable[..., Encoder]] = {
        "mscan": create_mscan,
        "internimage": create_internimage,
        TRANSFORMERS: create_transformers_encoder,
    }
    family = name.partition("_")[0]
    if family not in own:
        return TimmEncoder(name, weights, in_channels, drop_path_rate, options, output_stride)
    if output_stride != STRIDES[-1]:
        raise ValueError(f"{name!r} has no dilated form: its output_stride is {STRIDES[-1]}, got {output_stride}")
    return own[family](name, weights, in_channels, drop_path_rate, options)
