# SPDX-License-Identifier: Apache-2.0
"""From the directories of finished runs to the files of their comparison: tables, JSON and gallery."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dealias._files import replacing, write_json, write_text

from .comparison import Comparison, RunResult, compare_runs
from .gallery import render_gallery
from .pictures import load_pictures
from .table import build_table, to_csv, to_markdown

METRICS = ("mIoU", "BIoU", "BAcc", "FErr", "MErr", "DErr")
"""The columns of the table."""


def write_outcome(out: Path, runs: Mapping[str, Sequence[Path]], about: Mapping[str, Any]) -> Comparison:
    """Compare finished runs and write ``comparison.json``, ``.md`` and ``.csv`` and ``gallery.png`` into ``out``.

    Args:
        out: the folder to write to.
        runs: the run directories of each variant, in the order of the seeds; the first variant is the baseline.
        about: further entries of ``comparison.json``, such as settings and environment.

    Raises:
        ValueError: the runs of two variants differ in their seeds or pictures.
        FileNotFoundError: a run is not finished.
    """
    stored = {
        (variant, seed): read_results(folder)
        for variant, folders in runs.items()
        for seed, folder in enumerate(folders)
    }
    results = [run_result(*key, result, result["scores"]["val"]) for key, result in stored.items()]
    comparison = compare_runs(results, tuple(runs), METRICS)
    entries = [{"variant": variant, "seed": seed, **result} for (variant, seed), result in stored.items()]
    write_json(out / "comparison.json", {**about, **comparison.to_dict(), "runs": entries})
    write_text(out / "comparison.md", to_markdown(build_table(comparison)))
    write_text(out / "comparison.csv", to_csv(comparison))
    pictures = {variant: load_pictures(folders[0] / "pictures") for variant, folders in runs.items()}
    rule = next(iter(pictures.values())).rule
    with replacing(out / "gallery.png") as path:
        render_gallery(pictures, f"Seed 0, {rule}").save(path, format="PNG")
    return comparison


def read_results(folder: Path) -> dict[str, Any]:
    """The ``metrics.json`` of a run."""
    results: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return results


def run_result(variant: str, seed: int, results: Mapping[str, Any], scores: Mapping[str, float | None]) -> RunResult:
    """The result of a run from its ``metrics.json``, with the scores that matter; what JSON has as null is nan."""
    known = {
        name: math.nan if score is None else score for name, score in scores.items() if not isinstance(score, list)
    }
    cost = {name: results[name] for name in ("parameters", "seconds_per_step", "steps")}
    return RunResult(variant, seed, known, **cost)
