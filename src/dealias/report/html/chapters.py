# SPDX-License-Identifier: Apache-2.0
"""What a part of the page is about: variants, their runs and scores, whatever kind of directory they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dealias.report.comparison import Comparison


@dataclass(frozen=True)
class Run:
    """One run, or one evaluation, of a chapter.

    Attributes:
        variant: name of its row.
        seed: ``None``: not known.
        classes: names.
        class_scores: by class, the score that its bars show, IoU of labels; nan for a class that is absent; empty: not
            known.
        band: width in pixels of the band around edges.
        folder: where its files are; ``None``: not there, so that only the scores can be shown.
        split: what the scores were measured on, ``"val"`` or ``"test"``.
        edges: kind of the edges, see :func:`dealias.metrics.label_edges`.
    """

    variant: str
    seed: int | None
    classes: tuple[str, ...]
    class_scores: tuple[float, ...]
    band: int
    folder: Path | None
    split: str = "val"
    edges: str = "exact"


@dataclass(frozen=True)
class Chapter:
    """What one part of the page is about.

    Attributes:
        title: the heading.
        kind: a comparison, whose runs of one seed are paired; single runs; or evaluations of label files, which know
            nothing of training.
        images: what the scores were measured on, for a sentence.
        comparison: the variants and their scores.
        runs: all runs, those of a variant in the order of the seeds.
        folder: of the comparison; ``None`` for others.
        facts: what is worth knowing at a glance.
        warnings: sentences about what is missing from the scores.
        aliasing: scores of the stages of the encoders; ``None``: not measured.
    """

    title: str
    kind: Literal["comparison", "runs", "evaluations"]
    images: str
    comparison: Comparison
    runs: tuple[Run, ...]
    folder: Path | None
    facts: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    aliasing: Comparison | None = None

    @property
    def is_paired(self) -> bool:
        """Whether differences to the first variant mean something."""
        return self.kind == "comparison"

    def runs_of(self, variant: str) -> list[Run]:
        """The runs of a variant."""
        return [run for run in self.runs if run.variant == variant]


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """Names of folders, with those of the folders around them where they would be the same.

    Raises:
        ValueError: a folder is given twice.

    >>> distinct_names([Path("/a/x/run"), Path("/a/y/run")])
    ['x/run', 'y/run']
    """
    parts = [folder.resolve().parts for folder in folders]
    twice = sorted({str(folder) for folder, part in zip(folders, parts, strict=True) if parts.count(part) > 1})
    if twice:
        raise ValueError(f"given twice: {', '.join(twice)}")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]
