# SPDX-License-Identifier: Apache-2.0
"""Bars of a score of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dealias.report.statistics import Summary, summarize

from .chapters import Chapter
from .charts import BarChart, bar_chart


def class_charts(chapter: Chapter) -> dict[int, BarChart]:
    """A chart for each class that the images have, by its position, in the order of the classes."""
    names = [variant.name for variant in chapter.comparison.variants]
    known = [run for run in chapter.runs if run.class_scores]
    charts = {}
    for position, title in enumerate(known[0].classes if known else ()):
        scores = {
            name: _known_mean([run.class_scores[position] for run in known if run.variant == name]) for name in names
        }
        if any(score.count for score in scores.values()):
            charts[position] = bar_chart(title, scores, top=1.0, lower_is_better=False, paired=chapter.is_paired)
    return charts


def _known_mean(values: Sequence[float]) -> Summary:
    known = [value for value in values if not math.isnan(value)]
    return summarize(known) if known else Summary(math.nan, None, 0)
