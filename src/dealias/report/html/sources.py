# SPDX-License-Identifier: Apache-2.0
"""From directories to chapters: each comparison is one, and single runs with the same classes share one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dealias.report.comparison import Comparison, VariantSummary
from dealias.report.outcome import METRICS
from dealias.report.statistics import Summary

from .chapters import Chapter, Run, distinct_names
from .documents import explained, number, read_object
from .evaluations import EVALUATION_FILE, evaluated_classes, load_evaluations

COMPARISON_FILE, RESULTS_FILE = "comparison.json", "metrics.json"

REPORTED_TASKS = ("segmentation", "objects")
"""The tasks whose runs have a report."""

Read = Callable[[str, Path], tuple[Mapping[str, Any], Run]]
"""From the name and the folder of a run to its scores and what else a chapter knows of it."""

_PUBLISHED_BAND = 15
_IMAGES = {"val": "validation", "test": "test"}
_KNOWN_DATA = {"camvid": "CamVid", "scenes": "synthetic scenes"}


def load_chapters(directories: Sequence[Path]) -> list[Chapter]:
    """Read comparisons, one chapter each, then single runs and evaluations, those with the same classes together.

    Raises:
        ValueError: a directory is nothing of these, or a file in it is missing or not as dealias writes it; both are
            named.
    """
    if not directories:
        raise ValueError("a report needs at least one directory")
    chapters: list[Chapter] = []
    runs: dict[tuple[str, ...], list[Path]] = {}
    evaluations: dict[tuple[str, ...], list[Path]] = {}
    for folder in directories:
        if (folder / COMPARISON_FILE).is_file():
            chapters.append(load_comparison(folder))
        elif (path := folder / RESULTS_FILE).is_file():
            results = read_object(path)
            if (task := task_of(results)) not in REPORTED_TASKS:
                raise ValueError(f"{path}: there is no report of {task} runs, only of {' and '.join(REPORTED_TASKS)}")
            with explained(path, "the result of a run"):
                runs.setdefault((_split(results), *results["classes"]), []).append(folder)
        elif (folder / EVALUATION_FILE).is_file():
            evaluations.setdefault(evaluated_classes(folder), []).append(folder)
        else:
            raise ValueError(_explain_foreign(folder))
    chapters += [load_runs(folders, METRICS, _read_run) for folders in runs.values()]
    return chapters + [load_evaluations(folders) for folders in evaluations.values()]


def task_of(results: Mapping[str, Any]) -> str:
    """What the run with these results was trained for."""
    return str(results.get("task", REPORTED_TASKS[0]))


def read_comparison(path: Path) -> Comparison:
    """The comparison in a JSON file, as :meth:`dealias.report.comparison.Comparison.to_dict` wrote it.

    Raises:
        ValueError: the file is missing or holds something else.
    """
    data = read_object(path)
    with explained(path, "a comparison"):
        return _comparison(data)


def _comparison(data: Mapping[str, Any]) -> Comparison:
    metrics = tuple(str(metric) for metric in data["metrics"])
    variants = tuple(_variant(entry, metrics) for entry in data["variants"])
    if not variants or not metrics:
        raise ValueError("it has no variants or no metrics")
    return Comparison(metrics, tuple(int(seed) for seed in data["seeds"]), variants)


def load_comparison(folder: Path) -> Chapter:
    """A chapter for a comparison.

    Raises:
        ValueError: its file holds something else; it is named.
    """
    path = folder / COMPARISON_FILE
    comparison, data = read_comparison(path), read_object(path)
    # Looked up among the folders that are there, so that a name such as "../.." leads nowhere.
    folders = {f"runs/{run.name}": run for run in folder.glob("runs/*") if run.is_dir()}
    with explained(path, "a comparison"):
        runs = tuple(_comparison_run(entry, folders) for entry in data.get("runs", ()))
        if len({run.classes for run in runs}) > 1:
            raise ValueError("its runs have different classes")
        aliasing = _comparison(data["aliasing"]) if data.get("aliasing") else None
        title, length = _describe(data.get("settings") or {}, folder)
        facts = _facts(data.get("environment") or {})
    seeds = len(comparison.seeds)
    counts = (f"{len(comparison.variants)} variants", f"{seeds} paired seeds" if seeds > 1 else "1 seed")
    about = (*counts, *length, *facts)
    return Chapter(title, "comparison", "validation", comparison, runs, folder, about, aliasing=aliasing)


def _describe(settings: Mapping[str, Any], folder: Path) -> tuple[str, list[str]]:
    """A title, and how long the training was."""
    if not settings:
        return folder.resolve().name, []
    kind, _, where = str(settings["data"]).partition(":")
    data = _KNOWN_DATA.get(kind) or Path(where).name or kind
    length = f"{settings['steps']} steps" if settings.get("steps") else f"{settings['budget']:g} s per run"
    return f"{settings['arch']} with {settings['encoder']} on {data}", [length]


def _comparison_run(entry: Mapping[str, Any], folders: Mapping[str, Path]) -> Run:
    return _run(str(entry["variant"]), int(entry["seed"]), entry, "val", folders.get(str(entry["folder"])))


def load_runs(folders: Sequence[Path], metrics: tuple[str, ...], read: Read) -> Chapter:
    """A chapter for runs of one task with the same classes, a row for each.

    Args:
        folders: of the runs.
        metrics: the columns of the table.
        read: what gives a run's scores, by metric; null and what is missing stand for nan.

    Raises:
        ValueError: a file holds something else; it is named.
    """
    variants, runs, facts = [], [], []
    for folder, name in zip(folders, distinct_names(folders), strict=True):
        results = read_object(folder / RESULTS_FILE)
        environment = read_object(folder / "env.json") if (folder / "env.json").is_file() else {}
        scores, run = read(name, folder)
        with explained(folder / RESULTS_FILE, "the result of a run"):
            cost = (int(results["parameters"]), number(results["seconds_per_step"]), number(results["steps"]))
            summaries = {metric: Summary(number(scores.get(metric)), None, 1) for metric in metrics}
            variants.append(VariantSummary(name, *cost, scores=summaries, differences=None))
            runs.append(replace(run, seed=environment.get("seed")))
            length = [f"{results['steps']} steps"] if results["command"] == "fit" else []
            counts = (str(results["command"]), f"{len(run.classes)} classes", *length)
            facts.append((*counts, *_facts(environment)))
    comparison = Comparison(metrics, (0,), tuple(variants))
    title, shared = variants[0].name, facts[0]
    if len(variants) > 1:
        title, shared = f"{len(variants)} runs", tuple(fact for fact in facts[0] if all(fact in of for of in facts))
    return Chapter(title, "runs", _IMAGES.get(run.split, run.split), comparison, tuple(runs), None, shared)


def _read_run(name: str, folder: Path) -> tuple[Mapping[str, Any], Run]:
    results = read_object(folder / RESULTS_FILE)
    with explained(folder / RESULTS_FILE, "the result of a run"):
        split = _split(results)
        return results["scores"].get(split, {}), _run(name, None, results, split, folder)


def _run(variant: str, seed: int | None, results: Mapping[str, Any], split: str, folder: Path | None) -> Run:
    classes = tuple(str(name) for name in results["classes"])
    iou = tuple(number(value) for value in results["scores"].get(split, {}).get("IoU", ()))
    if iou and len(iou) != len(classes):
        raise ValueError(f"IoU of {len(iou)} classes, but the names of {len(classes)}")
    band, edges = int(results.get("band", _PUBLISHED_BAND)), str(results.get("edges", "exact"))
    return Run(variant, seed, classes, iou, band, folder, split, edges)


def _variant(entry: Mapping[str, Any], metrics: Sequence[str]) -> VariantSummary:
    differences = entry["differences"]
    return VariantSummary(
        name=str(entry["name"]),
        parameters=int(entry["parameters"]),
        seconds_per_step=number(entry["seconds_per_step"]),
        steps=number(entry["steps"]),
        scores={metric: _summary(entry["scores"][metric]) for metric in metrics},
        differences=None if differences is None else {metric: _summary(differences[metric]) for metric in metrics},
    )


def _summary(entry: Mapping[str, Any]) -> Summary:
    count = int(entry["count"])
    return Summary(number(entry["mean"]), number(entry["sd"]) if count > 1 else None, count)


def _split(results: Mapping[str, Any]) -> str:
    return "test" if "test" in results["scores"] else "val"


def _facts(environment: Mapping[str, Any]) -> tuple[str, ...]:
    started = str(environment.get("started", ""))[:10]
    return tuple(str(fact) for fact in (environment.get("device"), started) if fact)


def _explain_foreign(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is not a directory"
    known = (
        f"{COMPARISON_FILE} (of a comparison)",
        f"{RESULTS_FILE} (of a run)",
        "analysis.json",
        "similarity.json",
        "modulation.json",
    )
    wanted = f"{', '.join(known)} nor {EVALUATION_FILE}"
    unfinished = "; it was started, but is not finished" if (folder / "config.yaml").is_file() else ""
    return f"{folder} has neither {wanted}{unfinished}"
