# SPDX-License-Identifier: Apache-2.0
"""Evaluations of label files: their scores, and the worst images from the label files as far as these are there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dealias.data import default_palette, read_labels
from dealias.evaluation import Scoring
from dealias.report.comparison import Comparison, VariantSummary, is_lower_better
from dealias.report.statistics import Summary

from .answers import Answer, Answers
from .chapters import Chapter, Run, distinct_names
from .documents import explained, number, read_object
from .errors import error_kinds

EVALUATION_FILE = "evaluation.json"

_SHOWN_BY = ("mIoU", "FErr", "MErr", "DErr")
_WORST = 3
_IGNORED = 255
_KINDS = (("prediction", "predictions"), ("ground_truth", "ground_truth"))


def evaluated_classes(folder: Path) -> tuple[str, ...]:
    """Names of the classes of an evaluation.

    Raises:
        ValueError: its file holds something else; it is named.
    """
    data = read_object(folder / EVALUATION_FILE)
    with explained(folder / EVALUATION_FILE, "an evaluation"):
        return tuple(str(name) for name in data["classes"])


def load_evaluations(folders: Sequence[Path]) -> Chapter:
    """A chapter for evaluations with the same classes, a row for each.

    Raises:
        ValueError: a file holds something else; it is named.
    """
    variants, runs, sizes, warnings = [], [], [], []
    metrics: tuple[str, ...] = ()
    for folder, name in zip(folders, distinct_names(folders), strict=True):
        data = read_object(folder / EVALUATION_FILE)
        with explained(folder / EVALUATION_FILE, "an evaluation"):
            scores = {str(metric): Summary(number(value), None, 1) for metric, value in data["scores"].items()}
            metrics = metrics or tuple(scores)
            variants.append(VariantSummary(name, 0, math.nan, math.nan, {key: scores[key] for key in metrics}, None))
            iou = tuple(number(value) for value in data["per_class"]["IoU"])
            classes = evaluated_classes(folder)
            if len(iou) != len(classes):
                raise ValueError(f"IoU of {len(iou)} classes, but the names of {len(classes)}")
            runs.append(Run(name, None, classes, iou, int(data["settings"]["width"]), folder))
            images = len(data["per_image"])
            if data["problems"]:
                problems = f"problems: {len(data['problems'])}; the first is {_first_problem(data['problems'])}"
                warnings.append(f"{name} leaves images out, so its scores are of {images} images; {problems}.")
            sizes.append(f"{images} images")
            of = f"of {data['settings']['predictions']} against {data['settings']['ground_truth']}"
    title = f"Evaluation {of}" if len(variants) == 1 else f"{len(variants)} evaluations"
    facts = (*dict.fromkeys(sizes), f"{len(runs[0].classes)} classes")
    comparison = Comparison(metrics, (0,), tuple(variants))
    return Chapter(title, "evaluations", "evaluated", comparison, tuple(runs), None, facts, tuple(warnings))


def load_evaluated(folders: Mapping[str, Path]) -> dict[str, Answers]:
    """Scores of all images of each evaluation, and the label files of the images that are worst in one of them.

    Label files are read only where all evaluations still have theirs, inside the folders that were evaluated.

    Raises:
        ValueError: a file holds something else; it is named.
    """
    found = {name: read_object(folder / EVALUATION_FILE) for name, folder in folders.items()}
    loaded: dict[str, Answers] = {}
    worst: set[str] = set()
    for name, data in found.items():
        with explained(folders[name] / EVALUATION_FILE, "an evaluation"):
            worst |= {image for metric in _SHOWN_BY for image in _worst_images(data["per_image"], metric)}
    for name, data in found.items():
        with explained(folders[name] / EVALUATION_FILE, "an evaluation"):
            loaded[name] = _answers(data, worst)
    return loaded


def _worst_images(images: Sequence[Mapping[str, Any]], metric: str) -> list[str]:
    sign = -1 if is_lower_better(metric) else 1
    scored = [(sign * number(image["scores"][metric]), str(image["name"])) for image in images]
    return [name for score, name in sorted(pair for pair in scored if not math.isnan(pair[0]))[:_WORST]]


def _answers(data: Mapping[str, Any], wanted: set[str]) -> Answers:
    settings, classes = data["settings"], tuple(str(name) for name in data["classes"])
    scoring = Scoring(
        classes,
        settings["ignore_index"],
        settings["edges"],
        settings["width"],
        dict(settings["label_map"]),
        settings["reduce_zero_label"],
        dict(settings["pred_label_map"]),
    )
    by_name = {}
    for image in data["per_image"]:
        files = [file for kind, folder in _KINDS if (file := _inside(image[kind], settings[folder]))]
        if image["name"] in wanted and len(classes) <= _IGNORED and len(files) == len(_KINDS):
            by_name[str(image["name"])] = _read_pair(files, scoring)
    scores = {
        str(image["name"]): {str(metric): number(score) for metric, score in image["scores"].items()}
        for image in data["per_image"]
    }
    rule = f"The {_WORST} worst images by each of {', '.join(_SHOWN_BY)}."
    return Answers(classes, default_palette(len(classes)), _IGNORED, rule, by_name, {}, scores)


def _read_pair(files: Sequence[Path], scoring: Scoring) -> Answer:
    """The labels of a prediction and its ground truth; ids become bytes, of which 255 is ignored."""
    numbers = (scoring.pred_numbers, scoring.truth_numbers)
    ids = [number_of(read_labels(file)).numpy() for file, number_of in zip(files, numbers, strict=True)]
    if ids[0].shape != ids[1].shape:
        raise ValueError(f"{files[0]} and {files[1]} differ in size, so they are not those that were evaluated")
    prediction, truth = (np.where(of == scoring.ignore_index, _IGNORED, of).astype(np.uint8) for of in ids)
    return Answer(None, truth, prediction, error_kinds(prediction, truth, _IGNORED, scoring.width, scoring.edges))


def _inside(file: str, folder: str) -> Path | None:
    """The file if it is there and inside the folder: a name in somebody's JSON must not reach any other picture."""
    path = Path(file).resolve()
    return path if path.is_relative_to(Path(folder).resolve()) and path.is_file() else None


def _first_problem(problems: Sequence[Mapping[str, Any]]) -> str:
    return f"{problems[0]['file']}: {problems[0]['reason']}"
