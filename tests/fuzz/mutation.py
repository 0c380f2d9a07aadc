# SPDX-License-Identifier: Apache-2.0
"""Damage to files: bytes that are flipped, cut, put in, moved or replaced, and documents with values of other kinds."""

import copy
import random
from typing import Any

EXTREME_BYTES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00")
EXTREME_TEXT = (b"1e999", b"-1", b"9" * 20, b"null", b"{", b"[", b"[[[[", b'"', b"\\u0000", b"NaN", b"\n", b"~")
EXTREME_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 255, 2**31, 2**63, -(2**63) - 1, 10**300),
    *(0.5, -0.0, 1e308, float("inf"), float("nan")),
    *("", "a", "0", "-1", "\0", "\ud800", "x" * 5000, "../outside", "/etc/passwd", "..\\outside", "C:\\outside", "."),
    *([], {}, [[]], [{}], [None] * 3, [0] * 1000, {"": ""}, {"a": {"b": {"c": []}}}, [[[[[[[[1]]]]]]]]),
)


def mutate_bytes(content: bytes, draw: random.Random) -> bytes:
    """One to four random damages."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        content = draw.choice(_DAMAGES)(content, draw) if content else EXTREME_BYTES[0]
    return content


def mutate_tree(tree: Any, draw: random.Random) -> Any:
    """A copy of plain values with one to three random changes, at the top or anywhere below."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if not places or draw.random() < 0.02:
            return copy.deepcopy(draw.choice(EXTREME_VALUES))
        _change(*draw.choice(places), draw)
    return tree


def _change(parent: Any, key: Any, draw: random.Random) -> None:
    kind = draw.randrange(6)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    elif kind == 1:
        parent[draw.choice(("", "a", "__class__"))] = parent.pop(key)
    elif kind == 2 and type(parent[key]) in (int, float):
        number = parent[key]
        parent[key] = draw.choice((-number, number * 1000, number + 1, number * 10**12, str(number)))
    else:
        parent[key] = copy.deepcopy(draw.choice(EXTREME_VALUES))


def _places(tree: Any) -> Any:
    """Every value below the top, as the mapping or list that holds it and its key; long lists at their ends only."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys if len(keys) < 50 else [*keys[:5], *keys[-5:]]:
        yield tree, key
        yield from _places(tree[key])


def _flip(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]


def _truncate(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def _insert(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.choice((*EXTREME_BYTES, *EXTREME_TEXT)) * draw.choice((1, 1, 1, 100)) + content[at:]


def _overwrite(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(min(len(content), draw.choice((64, len(content)))))  # headers are short, and say most
    new = draw.choice((*EXTREME_BYTES, *EXTREME_TEXT))
    return content[:at] + new + content[at + len(new) :]


def _delete(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + content[at + draw.choice((1, 4, 64)) :]


def _duplicate(content: bytes, draw: random.Random) -> bytes:
    first, last = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:last] + content[first:last] * draw.choice((1, 1, 20)) + content[last:]


def _swap(content: bytes, draw: random.Random) -> bytes:
    size = min(draw.choice((1, 4, 16)), len(content) // 2)
    first = draw.randrange(len(content) - 2 * size + 1)
    second = draw.randrange(first + size, len(content) - size + 1)
    one, between = content[first : first + size], content[first + size : second]
    return content[:first] + content[second : second + size] + between + one + content[second + size :]


_DAMAGES = (_flip, _flip, _truncate, _insert, _overwrite, _overwrite, _delete, _duplicate, _swap)
