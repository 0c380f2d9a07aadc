# SPDX-License-Identifier: Apache-2.0
"""The outcome in plain sentences: which variant is better, by how much, and whether the seeds resolve it."""

from __future__ import annotations

import math

from dealias.report.comparison import Comparison, VariantSummary, is_lower_better
from dealias.report.statistics import Summary

from .numbers import best_position, listed, percent, points, with_spread

NEAR_EDGES = frozenset({"BIoU", "BAcc", "FErr", "MErr", "DErr"})
"""Metrics of pixels near edges."""

_NAMED = 3


def verdict(comparison: Comparison, paired: bool, images: str) -> list[str]:
    """Sentences about the first metric of a comparison, the other metrics, and the cost.

    Args:
        comparison: the scores.
        paired: whether differences to the first variant mean something.
        images: what the scores were measured on.
    """
    metric = comparison.metrics[0]
    where = f"on the {images} images"
    if len(comparison.variants) == 1:
        return [_alone(comparison, metric, where)]
    if not paired:
        return [_highest(comparison, metric, where), "The runs are not paired: differences may be due to chance."]
    if len(comparison.seeds) == 1:
        return _one_seed(comparison, metric, where)
    return _several_seeds(comparison, metric, where)


def _alone(comparison: Comparison, metric: str, where: str) -> str:
    score = comparison.baseline.scores[metric]
    if math.isnan(score.mean):
        return f"{comparison.baseline.name} has no {metric} {where}."
    seeds = "" if score.count == 1 else f", over {score.count} seeds"
    return f"{comparison.baseline.name} reaches {with_spread(score)} % {metric} {where}{seeds}."


def _highest(comparison: Comparison, metric: str, where: str) -> str:
    best = _best(comparison.variants, metric)
    if best is None:
        score = comparison.baseline.scores[metric].mean
        return (
            f"No {metric} is known {where}." if math.isnan(score) else f"All reach {percent(score)} % {metric} {where}."
        )
    return f"{best.name} has the highest {metric} {where}: {percent(best.scores[metric].mean)} %."


def _one_seed(comparison: Comparison, metric: str, where: str) -> list[str]:
    sentences = [_highest(comparison, metric, where)]
    best, baseline = _best(comparison.variants, metric), comparison.baseline
    if best is not None and best.differences:
        difference = points(best.differences[metric].mean)
        sentences.append(f"Its difference to the baseline, {baseline.name}, is {difference} points.")
    sentences.append("With one seed it cannot be said whether this is more than chance; more seeds would tell.")
    return sentences


def _several_seeds(comparison: Comparison, metric: str, where: str) -> list[str]:
    baseline, others = comparison.baseline, comparison.variants[1:]
    better = [variant for variant in others if _gain(variant, metric) > 0 and _is_resolved(variant, metric)]
    worse = [variant for variant in others if _gain(variant, metric) < 0 and _is_resolved(variant, metric)]
    unclear = [variant for variant in others if variant not in better and variant not in worse]
    beyond = f"than the baseline, {baseline.name}, by more than the seeds spread"
    subject = _with_differences(better, metric) if better else "No variant"
    sentences = [f"{subject} {_is(better)} better {beyond}."]
    score = with_spread(baseline.scores[metric])
    sentences.append(f"Over {len(comparison.seeds)} paired seeds, {baseline.name} has {score} % {metric} {where}.")
    if worse:
        sentences.append(f"{_with_differences(worse, metric)} {_is(worse)} worse {beyond}.")
    if unclear:
        subject = f"The difference{'s' if len(unclear) > 1 else ''} of {_with_differences(unclear, metric)}"
        verb = "lie" if len(unclear) > 1 else "lies"
        sentences.append(f"{subject} {verb} within the spread: these seeds do not tell whether there is any.")
    if better:
        leader = max(better, key=lambda variant: _gain(variant, metric))
        sentences += _about(leader, baseline, comparison.metrics[1:])
    return sentences


def _about(leader: VariantSummary, baseline: VariantSummary, metrics: tuple[str, ...]) -> list[str]:
    """The other metrics, and the price."""
    resolved = [metric for metric in metrics if _is_resolved(leader, metric)]
    improved = [metric for metric in resolved if _gain(leader, metric) > 0]
    worsened = [metric for metric in resolved if _gain(leader, metric) < 0]
    found = [f"{word} {listed(some)}" for word, some in (("improves", improved), ("worsens", worsened)) if some]
    where = "Near edges" if {*metrics} <= NEAR_EDGES else "Besides"
    sentences = [f"{where}, {leader.name} {listed(found)}, again by more than the seeds spread."] if found else []
    ratio = leader.seconds_per_step / baseline.seconds_per_step if baseline.seconds_per_step else math.nan
    if not math.isnan(ratio):
        sentences.append(f"A training step of {leader.name} takes {ratio:.1f} times as long as one of {baseline.name}.")
    return sentences


def _best(variants: tuple[VariantSummary, ...], metric: str) -> VariantSummary | None:
    position = best_position([variant.scores[metric].mean for variant in variants], is_lower_better(metric))
    return None if position is None else variants[position]


def _gain(variant: VariantSummary, metric: str) -> float:
    """How much better than the baseline, whichever end is better."""
    mean = _of(variant, metric).mean
    return -mean if is_lower_better(metric) else mean


def _is_resolved(variant: VariantSummary, metric: str) -> bool:
    return _of(variant, metric).within_spread is False


def _of(variant: VariantSummary, metric: str) -> Summary:
    return (variant.differences or {})[metric]


def _with_differences(variants: list[VariantSummary], metric: str) -> str:
    """The variants with the largest differences by name, and the number of the others."""
    ranked = sorted(variants, key=lambda variant: -abs(_of(variant, metric).mean))
    differences = [with_spread(_of(variant, metric), difference=True) for variant in ranked[:_NAMED]]
    differences[0] += f" points {metric}"
    named = [f"{variant.name} ({text})" for variant, text in zip(ranked, differences, strict=False)]
    return listed(named + ([f"{len(ranked) - _NAMED} more"] if len(ranked) > _NAMED else []))


def _is(variants: list[VariantSummary]) -> str:
    return "are" if len(variants) > 1 else "is"
