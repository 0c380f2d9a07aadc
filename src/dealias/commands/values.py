# SPDX-License-Identifier: Apache-2.0
"""Values of arguments that are more than a word or a number."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any


def mapping(text: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {text!r} ({error})") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}")
    return value


def image_size(text: str) -> tuple[int, int]:
    """Height and width in pixels, or one number for both.

    Raises:
        argparse.ArgumentTypeError: it is neither.

    >>> image_size("512x1024"), image_size("64")
    ((512, 1024), (64, 64))
    """
    found = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH in pixels, such as 512x1024, got {text!r}")
    return int(found[1]), int(found[2] or found[1])
