# SPDX-License-Identifier: Apache-2.0
"""Reading JSON and YAML that anybody may have written: within limits, and with errors that name the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

JSON_BYTES = 4 * 2**30
"""Largest JSON file; reading takes some twenty times its size in memory at most."""

YAML_BYTES = 2**18
"""Largest YAML file."""

_DEPTH = 100
_NODES = 10_000
_CHARACTERS = 2_000  # what reads as a number beyond that cannot even be printed


def read_json(path: str | Path, limit: int = JSON_BYTES) -> Any:
    """What is in a JSON file.

    Args:
        path: the file.
        limit: of its size, in bytes.

    Raises:
        ValueError: naming the file: it is missing, too large, no text, no JSON, nested too deeply, or has halves of
            characters, which could not be written anywhere.
    """
    text = _read_text(Path(path), limit, "JSON")
    try:
        content = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(content, ensure_ascii=False).encode()
        return content
    except RecursionError:
        raise ValueError(f"{path}: cannot be read as JSON: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path}: cannot be read as JSON: {error}") from error


def read_yaml(path: str | Path) -> Any:
    """What is in a YAML file, with plain types only; aliases count as often as they stand for something.

    Raises:
        ValueError: naming the file: it is missing, larger than :data:`YAML_BYTES`, no text, no YAML, has tags of other
            types, is nested more than 100 deep, has more than 10,000 nodes, a value of more than 2,000 characters, or a
            null character, which no path may have.
    """
    import yaml

    text = _read_text(Path(path), YAML_BYTES, "YAML")
    try:
        _check_size(yaml.parse(text, Loader=yaml.SafeLoader))
        return yaml.safe_load(text)
    except Exception as error:  # beside its own, PyYAML raises what int, float and date raise, and errors of look-ups
        raise ValueError(f"{path}: cannot be read as YAML: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What an error says; where that is a word alone, as of a look-up, with its kind."""
    return str(error) if isinstance(error, ValueError) or " " in str(error) else f"{type(error).__name__} {error}"


def _read_text(path: Path, limit: int, kind: str) -> str:
    try:
        size = path.stat().st_size
        if size > limit:
            raise ValueError(f"it has {size} bytes, at most {limit} are read")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as {kind}: {error}") from error


def _check_size(events: Any) -> None:
    """Refuse YAML that would be large or deep once every alias is replaced by what it stands for.

    Few lines of aliases of aliases can stand for billions of nodes, and merge keys really make them.
    """
    import yaml

    known: dict[str | None, int] = {}
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]
    for event in events:
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > _DEPTH:
                raise ValueError(f"it is nested more than {_DEPTH} deep")
            continue
        if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            anchor, nodes = open_nodes.pop()
        elif isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent)):
            anchor, nodes = _leaf(event, known)
        else:
            continue
        if anchor is not None:
            known[anchor] = nodes
        outer, before = open_nodes.pop()
        if before + nodes > _NODES:
            raise ValueError(f"it has more than {_NODES} nodes")
        open_nodes.append((outer, before + nodes))


def _leaf(event: Any, known: Mapping[str | None, int]) -> tuple[str | None, int]:
    """The anchor of a value, which is one node, or the number of nodes that an alias stands for."""
    import yaml

    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in known:
            raise ValueError(f"the alias {event.anchor} stands for nothing that is complete before it")
        return None, known[event.anchor]
    if len(event.value) > _CHARACTERS or "\0" in event.value:
        raise ValueError(f"it has a value of more than {_CHARACTERS} characters, or with a null character")
    return event.anchor, 1
