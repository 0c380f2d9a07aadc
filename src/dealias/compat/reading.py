# SPDX-License-Identifier: Apache-2.0
"""The tensors of a published checkpoint file, and the names and colours of its classes; no code of the file runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dealias._archives import check_archive

from .renaming import tensors

_HOLDERS = ("state_dict", "model")


@dataclass(frozen=True)
class PublishedFile:
    """What a file holds.

    Attributes:
        weights: tensors by their published names.
        classes: names, where the file has them.
        palette: a colour for each, where the file has them.
        dropped: what else it holds: training states and objects.
    """

    weights: dict[str, Tensor]
    classes: tuple[str, ...] | None
    palette: tuple[tuple[int, int, int], ...] | None
    dropped: tuple[str, ...]


def read_published(path: str | Path) -> PublishedFile:
    """Read a file of ``torch.save``, of mmcv, mmengine or detectron2 too, or of safetensors.

    Objects of other libraries, which old training loops put beside the weights, are not made: an empty object stands
    for each, and nothing is imported or called for it.

    Args:
        path: the file.

    Raises:
        ValueError: it is damaged, of another format, or has no tensors by name; names the file.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        content = _read(path)
    except Exception as error:  # pickle, zip, torch and safetensors raise a dozen types on damaged and foreign files
        raise ValueError(
            f"{path}: cannot be read as a checkpoint without running code from it: {_first_line(error)}. If you trust "
            "it, save its weights alone, torch.save(state_dict, path), where it was trained"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: a checkpoint must hold tensors by name, found {type(content).__name__}")
    try:
        weights = tensors(content)
    except (AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    held = next((key for key in _HOLDERS if key in content), None)
    dropped = () if held is None else tuple(str(key) for key in content if key != held)
    return PublishedFile(weights, *_classes(content, weights), dropped)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    check_archive(path)
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError:  # the format from before torch 1.6, which cannot be searched; what is refused stays refused
        foreign = []
    with torch.serialization.safe_globals([(_stand_in(name), name) for name in foreign]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _stand_in(name: str) -> type:
    """An empty class in the place of a foreign class or function; one for each, as torch requires."""

    class StandIn:
        def __new__(cls, *args: object, **others: object) -> StandIn:
            return super().__new__(cls)

        def __init__(self, *args: object, **others: object) -> None:
            """Take anything."""

        def __setstate__(self, state: object) -> None:
            """Keep nothing."""

    StandIn.__qualname__ = name
    return StandIn


def _classes(
    content: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> tuple[tuple[str, ...] | None, tuple[tuple[int, int, int], ...] | None]:
    """Names and colours as mmcv (``CLASSES``, ``PALETTE``) and mmengine (``dataset_meta``) store them."""
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) and content is not weights else {}
    described = meta.get("dataset_meta", meta)
    described = described if isinstance(described, Mapping) else {}
    names = described.get("classes", described.get("CLASSES"))
    colours = described.get("palette", described.get("PALETTE"))
    if not _is_list(names) or not all(isinstance(name, str) for name in names):
        return None, None
    if not _is_list(colours) or len(colours) != len(names) or not all(map(_is_colour, colours)):
        return tuple(names), None
    return tuple(names), tuple((int(r), int(g), int(b)) for r, g, b in colours)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_colour(value: Any) -> bool:
    return _is_list(value) and len(value) == 3 and all(isinstance(x, int) and 0 <= x <= 255 for x in value)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
