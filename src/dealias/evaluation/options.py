# SPDX-License-Identifier: Apache-2.0
"""Options given as text: classes, label maps, lists of ids."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from dealias._documents import read_yaml

_ENTRY = re.compile(r"\s*(-?\d+)\s*:\s*(-?\d+)\s*")


def parse_classes(text: str) -> tuple[str, ...]:
    """Names of classes: a number of them, names separated by commas, or a text file with one name per line.

    Raises:
        ValueError: it is none of these, or a name is empty or comes twice.

    >>> parse_classes("3"), parse_classes("road, car")
    (('0', '1', '2'), ('road', 'car'))
    """
    if text.strip().isdecimal():
        count = int(text)
        if count < 1:
            raise ValueError(f"the number of classes must be at least 1, got {count}")
        return tuple(map(str, range(count)))
    if "," in text:
        names, source = text.split(","), text
    else:
        names, source = _lines(text), f"{text}"
    names = [name.strip() for name in names]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if not names or "" in names or repeated:
        raise ValueError(f"classes of {source}: every class needs a name of its own, got {names}")
    return tuple(names)


def parse_label_map(text: str | None) -> dict[int, int]:
    """Old ids to new ids: ``0:1,2:255``, or a YAML file with a mapping of such ids; ``None``: an empty map.

    Raises:
        ValueError: it is neither, or an id is mapped twice.

    >>> parse_label_map("0:1, 2:255")
    {0: 1, 2: 255}
    """
    if text is None:
        return {}
    if ":" not in text or Path(text).is_file():
        return _yaml_map(Path(text))
    entries = [(part, _ENTRY.fullmatch(part)) for part in text.split(",")]
    label_map: dict[int, int] = {}
    for part, match in entries:
        if match is None:
            raise ValueError(f"label map {text!r}: expected OLD:NEW ids or a YAML file, got {part!r}")
        old, new = map(int, match.groups())
        if old in label_map:
            raise ValueError(f"label map {text!r}: id {old} is mapped twice")
        label_map[old] = new
    return label_map


def parse_ids(text: str) -> tuple[int, ...]:
    """Ids separated by commas; none for an empty text.

    Raises:
        ValueError: something else.

    >>> parse_ids("11,254")
    (11, 254)
    """
    try:
        return tuple(int(part) for part in text.split(",") if text.strip())
    except ValueError:
        raise ValueError(f"expected ids separated by commas, got {text!r}") from None


def _lines(file: str) -> list[str]:
    expected = "expected a number, names separated by commas, or a text file with one name per line"
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"classes {file!r}: {expected}; it cannot be read as a file: {error}") from error
    return [line for line in lines if line.strip()]


def _yaml_map(file: Path) -> dict[int, int]:
    try:
        content = read_yaml(file)
    except ValueError as error:
        raise ValueError(f"label map {file}: expected OLD:NEW ids or a YAML file: {error}") from error
    if not isinstance(content, dict) or not all(type(label) is int for pair in content.items() for label in pair):
        raise ValueError(f"label map {file}: expected a mapping of old to new ids, such as 7: 0, got {content!r:.200}")
    return content
