# SPDX-License-Identifier: Apache-2.0
"""A part of a network in a file as of :mod:`dealias.models.files`: a backbone, or one module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dealias.backbones import create_encoder
from dealias.filters import create_prefilter
from dealias.fusion import create_fusion
from dealias.mixing import create_mixer

from .files import read_header, read_tensors, write_described
from .rebuilding import build_with_weights


def write_part_file(
    part: nn.Module,
    path: str | Path,
    kind: str,
    arguments: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a part to a file from which :func:`read_part_file` makes it again.

    Args:
        part: what ``PARTS[kind](**arguments)`` gives, with any weights. A backbone's file is also what the argument
            ``encoder_weights`` of :func:`~dealias.models.create_model` takes.
        path: the file, replaced if there is one; it ends in ``.safetensors``.
        kind: one of :data:`PARTS`.
        arguments: ``name``, numbers of channels, and ``options``, in plain Python values.
        metadata: further text by name, to be kept in the file.

    Raises:
        ValueError: another kind, another ending, or metadata that is not text.
    """
    if kind not in PARTS:
        raise ValueError(f"a part must be one of {', '.join(PARTS)}, got {kind!r}")
    write_described(part, path, kind, arguments, metadata)


def read_part_file(path: str | Path) -> tuple[nn.Module, dict[str, str]]:
    """Make the part of a file that :func:`write_part_file` wrote.

    Returns:
        The part in evaluation mode, on the CPU, in float32; and the ``metadata`` that were given to be kept.

    Raises:
        ValueError: the file is damaged, no part, or its weights do not fit what it describes; the message names it.
        FileNotFoundError: there is no such file.
    """
    header = read_header(path)
    if header.task not in PARTS:
        raise ValueError(f"{path}: it holds none of {', '.join(PARTS)}, but a network for {header.task}")
    part = build_with_weights(lambda: PARTS[header.task](**header.network), read_tensors(path), path)
    return part, header.metadata


def _fusion(name: str, hr_channels: int, lr_channels: int, options: Mapping[str, Any]) -> nn.Module:
    return create_fusion(name, hr_channels, lr_channels, **options)


def _prefilter(name: str, channels: int, options: Mapping[str, Any]) -> nn.Module:
    return create_prefilter(name, channels, **options)


def _mixer(name: str, channels: int, options: Mapping[str, Any]) -> nn.Module:
    return create_mixer(name, channels, **options)


def _encoder(name: str, in_channels: int, options: Mapping[str, Any]) -> nn.Module:
    return create_encoder(name, in_channels=in_channels, options=options)


PARTS: dict[str, Callable[..., nn.Module]] = {
    "encoder": _encoder,
    "fusion": _fusion,
    "prefilter": _prefilter,
    "mixer": _mixer,
}
"""What makes each kind of part, from a name, numbers of channels and ``options``."""
