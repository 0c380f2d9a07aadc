# SPDX-License-Identifier: Apache-2.0
"""The outcome of a comparison as one data structure, from which the table in every format and the JSON are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from .statistics import Summary, paired_difference, summarize

LOWER_IS_BETTER = frozenset({"FErr", "MErr", "DErr"})
"""The error rates among the metrics of a segmentation."""

_CHANGES = ("logits ", "labels ")
_ALIASING = "aliasing "


@dataclass(frozen=True)
class RunResult:
    """What one run, a variant with a seed, came to.

    Attributes:
        variant: the variant's name.
        seed: the seed, the same for the runs that are paired.
        scores: fractions, by metric.
        parameters: number of parameters of the model.
        seconds_per_step: median wall time of a training step.
        steps: training steps taken.
    """

    variant: str
    seed: int
    scores: Mapping[str, float]
    parameters: int
    seconds_per_step: float
    steps: int


@dataclass(frozen=True)
class VariantSummary:
    """One variant over all seeds; ``differences`` to the baseline are paired by seed (``None``: it is the baseline)."""

    name: str
    parameters: int
    seconds_per_step: float
    steps: float
    scores: Mapping[str, Summary]
    differences: Mapping[str, Summary] | None


@dataclass(frozen=True)
class Comparison:
    """Variants over paired seeds; the first variant is the baseline."""

    metrics: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: tuple[VariantSummary, ...]

    @property
    def baseline(self) -> VariantSummary:
        """The variant that the others are compared with."""
        return self.variants[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python for JSON, as :func:`dealias.report.outcome.write_outcome` describes it; scores are fractions."""
        variants = []
        for variant in self.variants:
            entry = asdict(variant)
            for metric, difference in (variant.differences or {}).items():
                entry["differences"][metric]["within_spread"] = difference.within_spread
            variants.append(entry)
        return {
            "baseline": self.baseline.name,
            "metrics": list(self.metrics),
            "lower_is_better": [metric for metric in self.metrics if is_lower_better(metric)],
            "seeds": list(self.seeds),
            "variants": variants,
        }


def is_lower_better(metric: str) -> bool:
    """Whether a small value of a score is good: of error rates, aliasing, and changes of answers under shifts.

    >>> is_lower_better("DErr"), is_lower_better("labels 8 px"), is_lower_better("mIoU")
    (True, True, False)
    """
    return metric in LOWER_IS_BETTER or metric.startswith((*_CHANGES, _ALIASING))


def compare_runs(runs: Iterable[RunResult], variants: Sequence[str], metrics: Sequence[str]) -> Comparison:
    """Put the runs of ``variants`` together; the first variant is the baseline.

    Args:
        runs: every variant with every seed, in any order.
        variants: names, in the order of the table.
        metrics: names of the scores to keep, in the order of the table.

    Raises:
        ValueError: no variant, or a variant whose seeds are not those of the baseline.
    """
    if not variants:
        raise ValueError("a comparison needs at least one variant")
    by_variant: dict[str, list[RunResult]] = {name: [] for name in variants}
    for run in sorted(runs, key=lambda run: run.seed):
        by_variant[run.variant].append(run)
    seeds = [run.seed for run in by_variant[variants[0]]]
    for name, found in by_variant.items():
        if [run.seed for run in found] != seeds:
            raise ValueError(f"variant {name!r} has seeds {[run.seed for run in found]}, the baseline {seeds}")
    baseline = by_variant[variants[0]]
    summaries = [
        _summarize_variant(found, None if found is baseline else baseline, metrics) for found in by_variant.values()
    ]
    return Comparison(tuple(metrics), tuple(seeds), tuple(summaries))


def _summarize_variant(
    runs: Sequence[RunResult], baseline: Sequence[RunResult] | None, metrics: Sequence[str]
) -> VariantSummary:
    scores = {metric: [run.scores[metric] for run in runs] for metric in metrics}
    differences = baseline and {
        metric: paired_difference(values, [run.scores[metric] for run in baseline]) for metric, values in scores.items()
    }
    return VariantSummary(
        name=runs[0].variant,
        parameters=runs[0].parameters,
        seconds_per_step=median(run.seconds_per_step for run in runs),
        steps=fmean(run.steps for run in runs),
        scores={metric: summarize(values) for metric, values in scores.items()},
        differences=differences or None,
    )
