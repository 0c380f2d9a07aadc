# SPDX-License-Identifier: Apache-2.0
"""The folder that an analysis is written to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dealias._files import replacing

from .images import Images
from .network import Subject

PICTURES = "pictures"
"""The folder in it that pictures are in."""


def claim(folder: Path, file: str, what: str) -> None:
    """Check that a folder has room for an analysis and its report.

    Args:
        folder: where these are to go.
        file: of the analysis.
        what: it is, with its article.

    Raises:
        ValueError: the folder holds one already, or a report of something else.
    """
    for name, kind in ((file, what), ("report.html", "a report")):
        if (folder / name).exists():
            raise ValueError(f"{folder} holds {kind} already; choose another --out, or delete {name}")


def header(what: str, subject: Subject, images: Images, description: Mapping[str, Any]) -> dict[str, Any]:
    """What the file of every analysis begins with: of what it is, of which network and data, and with what.

    Args:
        what: it is, such as ``"dealias similarity"``.
        subject: the network.
        images: what it was shown.
        description: ``source`` of the network, ``settings`` and ``environment``.

    Returns:
        ``format``, ``version``, ``network``, ``data``, ``settings`` and ``environment``, in plain values.
    """
    return {
        "format": what,
        "version": 1,
        "network": {"name": subject.name, "source": description["source"], "weights": subject.weights},
        "data": {"source": images.source, "images": len(images), "of": len(images.dataset)},
        "settings": dict(description["settings"]),
        "environment": description["environment"],
    }


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture, [H, W] or [H, W, 3], as PNG."""
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")
