# SPDX-License-Identifier: Apache-2.0
"""Small folders of images and label maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def save() -> Callable[..., Path]:
    """Write an array (or a PIL image) to a path, making its folder."""

    def write(path: Path, pixels: np.ndarray | Image.Image, **options: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        picture.save(path, **options)
        return path

    return write


@pytest.fixture
def folders(tmp_path: Path, save: Callable[..., Path]) -> Callable[..., tuple[Path, Path]]:
    """Write one image (6x8, gray by position in the list) and one label map per name: ``images`` and ``labels``."""

    def build(names: list[str], label: int = 1) -> tuple[Path, Path]:
        for i, name in enumerate(names):
            save(tmp_path / "images" / f"{name}.png", np.full((6, 8, 3), 10 * i, np.uint8))
            save(tmp_path / "labels" / f"{name}.png", np.full((6, 8), label, np.uint8))
        return tmp_path / "images", tmp_path / "labels"

    return build
