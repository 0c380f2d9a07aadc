# SPDX-License-Identifier: Apache-2.0
"""From the directories of finished runs to the files of their comparison: tables, JSON and gallery.

``comparison.json`` is one object. Scores are fractions; ``null`` stands for a score that is not defined, and for a
spread or a verdict that one seed does not give::

    format, version   "dealias comparison", 1: of this layout
    settings          what was compared, in plain values
    environment       with what, see :func:`dealias.train.run_directory.environment`
    baseline          name of the first variant
    metrics           columns of the tables, each a score; the first is what runs are judged by
    lower_is_better   those of them of which less is better; of the others more is
    seeds             of the paired runs
    variants          list, the baseline first:
      name
      parameters      number
      seconds_per_step  wall time of a training step: median of the runs, which are medians of their steps
      steps           training steps, mean of the runs
      scores          by metric: mean, sd (sample standard deviation over the seeds), count (of the seeds)
      differences     by metric, to the baseline, paired by seed: mean, sd, count, and within_spread: whether the seeds
                      do not resolve it; null for the baseline
    aliasing          baseline, metrics, lower_is_better, seeds and variants as above, of the aliasing scores at the
                      inputs of the encoder's stages; null where the stages of the backbone are not known
    runs              list, a run of each variant with each seed: variant, seed, folder (relative to this file), and
                      what its metrics.json says: classes (names), parameters, steps, seconds, seconds_per_step, and
                      in scores.val each score, and those of each class; of segmentations also band (width in pixels of
                      the band around edges), of objects task, and scores have underscores for the spaces of columns
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dealias._documents import read_json
from dealias._files import replacing, write_json, write_text

from .comparison import Comparison, RunResult, compare_runs
from .gallery import render_gallery
from .pictures import EVENLY_SPACED, INDEX_FILE, load_pictures
from .table import build_table, to_csv, to_markdown

GALLERY_FILE = "gallery.png"

METRICS = ("mIoU", "BIoU", "BAcc", "FErr", "MErr", "DErr")
"""The columns of segmentations."""

SEGMENTATION_COLUMNS = {name: name for name in METRICS}
"""The same, each with the name of its score in ``metrics.json``."""


def write_outcome(
    out: Path,
    runs: Mapping[str, Sequence[Path]],
    about: Mapping[str, Any],
    columns: Mapping[str, str] = SEGMENTATION_COLUMNS,
) -> tuple[Comparison, Comparison | None]:
    """Compare finished runs and write ``comparison.json``, ``.md`` and ``.csv`` into ``out``, and ``gallery.png``.

    The gallery shows the evenly spaced pictures of the first seed; there is none if a variant has no pictures.

    Args:
        out: the folder to write to.
        runs: the run directories of each variant inside ``out``, in the order of the seeds; the first variant is the
            baseline.
        about: further entries of ``comparison.json``, such as settings and environment.
        columns: of the table, each with the name of its score in ``metrics.json``.

    Returns:
        The comparison of the scores, and that of the aliasing at the stages, which is ``None`` where it is not known.

    Raises:
        ValueError: the runs of two variants differ in their seeds or pictures, or one lies outside of ``out``.
        FileNotFoundError: a run is not finished.
    """
    stored = {
        (variant, seed): read_results(folder)
        for variant, folders in runs.items()
        for seed, folder in enumerate(folders)
    }
    results = [run_result(*key, result, _shown(result, columns)) for key, result in stored.items()]
    comparison = compare_runs(results, tuple(runs), tuple(columns))
    aliasing = _compare_aliasing(stored, tuple(runs))
    entries = [
        {"variant": variant, "seed": seed, "folder": runs[variant][seed].relative_to(out).as_posix(), **result}
        for (variant, seed), result in stored.items()
    ]
    layout = {"format": "dealias comparison", "version": 1}
    of_stages = {"aliasing": aliasing and aliasing.to_dict()}
    write_json(out / "comparison.json", {**layout, **about, **comparison.to_dict(), **of_stages, "runs": entries})
    tables = [build_table(comparison), *([build_table(aliasing, cost=False)] if aliasing else [])]
    write_text(out / "comparison.md", "\n".join(map(to_markdown, tables)))
    write_text(out / "comparison.csv", to_csv(comparison))
    _write_gallery(out / GALLERY_FILE, {variant: folders[0] / "pictures" for variant, folders in runs.items()})
    return comparison, aliasing


def read_results(folder: Path) -> dict[str, Any]:
    """The ``metrics.json`` of a run."""
    results: dict[str, Any] = read_json(folder / "metrics.json")
    return results


def run_result(variant: str, seed: int, results: Mapping[str, Any], scores: Mapping[str, float | None]) -> RunResult:
    """The result of a run from its ``metrics.json``, with the scores that matter; what JSON has as null is nan."""
    known = {
        name: math.nan if score is None else score for name, score in scores.items() if not isinstance(score, list)
    }
    cost = {name: results[name] for name in ("parameters", "seconds_per_step", "steps")}
    return RunResult(variant, seed, known, **cost)


def _shown(result: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, float | None]:
    """The scores of a run by column."""
    return {column: result["scores"]["val"][score] for column, score in columns.items()}


def _compare_aliasing(
    stored: Mapping[tuple[str, int], Mapping[str, Any]], variants: tuple[str, ...]
) -> Comparison | None:
    scores = {key: result.get("aliasing") or {} for key, result in stored.items()}
    if not all(scores.values()):
        return None
    results = [run_result(*key, result, scores[key]) for key, result in stored.items()]
    return compare_runs(results, variants, tuple(results[0].scores))


def _write_gallery(path: Path, folders: Mapping[str, Path]) -> None:
    if not all((folder / INDEX_FILE).is_file() for folder in folders.values()):
        return
    loaded = {variant: load_pictures(folder) for variant, folder in folders.items()}
    shown = {
        variant: replace(pictures, samples=tuple(sample for sample in pictures.samples if EVENLY_SPACED in sample.why))
        for variant, pictures in loaded.items()
    }
    with replacing(path) as temporary:
        render_gallery(shown, "Evenly spaced images, predicted by the runs of seed 0").save(temporary, format="PNG")
