# SPDX-License-Identifier: Apache-2.0
"""Means, spreads and paired differences over seeds, and when a difference is resolved.

Two variants of one seed share initialisation, data order and augmentation, so the noise that both see cancels in their
difference: the spread that matters is the standard deviation of the paired differences, not that of the scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

_NORMAL_975 = 1.959963984540054
_STUDENT_975 = (12.7062047, 4.3026527, 3.1824463, 2.7764451, 2.5705818, 2.4469119, 2.3646243, 2.3060041)


def student_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, so that +- it holds 95 %.

    Tabulated for up to 8 degrees of freedom; above, the Cornish-Fisher expansion around the normal quantile z
    (Abramowitz and Stegun 26.7.5, four terms), whose relative error is below 1e-5.

    Args:
        degrees: degrees of freedom, at least 1.

    Raises:
        ValueError: fewer than one degree of freedom.

    >>> round(student_quantile(2), 3), round(student_quantile(24), 3)
    (4.303, 2.064)
    """
    if degrees < 1:
        raise ValueError(f"Student's t needs at least one degree of freedom, got {degrees}")
    if degrees <= len(_STUDENT_975):
        return _STUDENT_975[degrees - 1]
    z = _NORMAL_975
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**order for order, term in enumerate(terms, start=1))


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1) over seeds; ``sd`` is ``None`` for a single value.

    Both are nan if a value is.
    """

    mean: float
    sd: float | None
    count: int

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % confidence interval of the mean, ``t * sd / sqrt(n)``; ``None`` for a single value."""
        return None if self.sd is None else student_quantile(self.count - 1) * self.sd / math.sqrt(self.count)

    @property
    def within_spread(self) -> bool | None:
        """Whether zero lies in the interval, ``|mean| <= t * sd / sqrt(n)``; ``None``: not known.

        For a paired difference this says that the seeds do not resolve it.
        """
        half = self.half_width
        return None if half is None or math.isnan(half) else abs(self.mean) <= half


def summarize(values: Sequence[float]) -> Summary:
    """Summarise one number per seed.

    Raises:
        ValueError: no values.

    >>> summarize([1.0, 2.0, 3.0])
    Summary(mean=2.0, sd=1.0, count=3)
    """
    if not values:
        raise ValueError("nothing to summarise: no values")
    if len(values) == 1:
        return Summary(values[0], None, 1)
    if any(math.isnan(value) for value in values):  # which stdev does not take
        return Summary(math.nan, math.nan, len(values))
    return Summary(fmean(values), stdev(values), len(values))


def paired_difference(values: Sequence[float], baseline: Sequence[float]) -> Summary:
    """Summarise ``values[i] - baseline[i]``, where position ``i`` is the same seed in both.

    Raises:
        ValueError: different numbers of seeds, or none.

    >>> paired_difference([1.0, 3.0], [0.0, 1.0]).within_spread
    True
    """
    if len(values) != len(baseline):
        raise ValueError(f"paired differences need the same seeds: {len(values)} values against {len(baseline)}")
    return summarize([value - base for value, base in zip(values, baseline, strict=True)])
