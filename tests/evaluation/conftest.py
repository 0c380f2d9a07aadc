# SPDX-License-Identifier: Apache-2.0
"""Folders of label files, and the commands as the command line runs them."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CLASSES = 5


def random_labels(rng: np.random.Generator, shape: tuple[int, int], classes: int = CLASSES) -> np.ndarray:
    """A few rectangles over a ground."""
    labels = np.full(shape, rng.integers(classes), np.uint8)
    for _ in range(6):
        top, left = rng.integers(shape[0] - 4), rng.integers(shape[1] - 4)
        height, width = rng.integers(3, 20, size=2)
        labels[top : top + height, left : left + width] = rng.integers(classes)
    return labels


@pytest.fixture
def save() -> Callable[..., Path]:
    """Write pixels or a Pillow image to a path, whose folders are made; the path."""

    def write(path: Path, pixels: np.ndarray | Image.Image, **options: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)
        return path

    return write


@dataclass
class Labels:
    """Folders of predictions and ground truth, and what was written into them by name."""

    predictions: Path
    truth: Path
    arrays: dict[str, tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def make_labels(tmp_path: Path, save: Callable[..., Path]) -> Callable[..., Labels]:
    """Random pairs of different sizes, one of them in a sub-folder, with ignored pixels in the ground truth."""

    def build(count: int = 5, gt_suffix: str = "") -> Labels:
        labels = Labels(tmp_path / "pred", tmp_path / "gt", {})
        rng = np.random.default_rng(0)
        for number in range(count):
            name = f"city/{number}" if number == 2 else f"image{number}"
            truth = random_labels(rng, (40 + number, 50 - number))
            preds = np.where(rng.random(truth.shape) < 0.05, random_labels(rng, truth.shape), np.roll(truth, 2, axis=1))
            truth[:3] = 255
            save(labels.predictions / f"{name}.png", preds)
            save(labels.truth / f"{name}{gt_suffix}.png", truth)
            labels.arrays[name] = preds, truth
        return labels

    return build


@pytest.fixture
def run_command() -> Callable[..., int]:
    """``run_command("evaluate", *arguments)``: the exit code of a command's module."""

    def run(command: str, *arguments: Any) -> int:
        module = import_module(f"dealias.commands.{command}")
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        return module.run(parser.parse_args([str(argument) for argument in arguments]))

    return run


@pytest.fixture
def evaluate(tmp_path: Path, run_command: Callable[..., int]) -> Callable[..., dict[str, Any]]:
    """Evaluate folders in this process unless told otherwise; the content of ``evaluation.json``."""

    def run(labels: Labels, *options: Any, classes: Any = CLASSES) -> dict[str, Any]:
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        fixed = ("--classes", classes, "--out", out, "--workers", 1)
        assert run_command("evaluate", labels.predictions, labels.truth, *fixed, *options) == 0
        return json.loads((out / "evaluation.json").read_text())

    return run
