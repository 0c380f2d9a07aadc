# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from scipy import stats

from dealias.report.statistics import Summary, paired_difference, student_quantile, summarize


@pytest.mark.parametrize("degrees", [*range(1, 41), 100, 1000, 10**6])
def test_student_quantile_against_scipy(degrees):
    assert student_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-5)


def test_student_quantile_needs_freedom():
    with pytest.raises(ValueError, match="got 0"):
        student_quantile(0)


@pytest.mark.parametrize("count", [2, 3, 7, 15])
def test_paired_difference_against_numpy_and_the_t_test(count):
    generator = np.random.default_rng(count)
    for effect in (0.0, 0.3, 1.0, 3.0):
        base = generator.normal(70, 5, count)
        values = base + generator.normal(effect, 1, count)
        found = paired_difference(list(values), list(base))
        assert found.mean == pytest.approx(np.mean(values - base))
        assert found.sd == pytest.approx(np.std(values - base, ddof=1))
        assert found.within_spread == (stats.ttest_rel(values, base).pvalue > 0.05)
        low, high = stats.t.interval(0.95, count - 1, np.mean(values - base), stats.sem(values - base))
        assert found.half_width == pytest.approx((high - low) / 2, rel=1e-5)


def test_one_seed_has_no_spread_and_no_mark():
    found = paired_difference([2.0], [1.0])
    assert found == Summary(1.0, None, 1)
    assert found.within_spread is None and found.half_width is None


def test_equal_differences_are_resolved_and_no_difference_is_not_claimed():
    assert paired_difference([2.0, 3.0], [1.0, 2.0]).within_spread is False
    assert paired_difference([0.1, -0.1], [0.0, 0.0]).within_spread is True
    assert paired_difference([0.5, 0.7], [0.5, 0.7]).within_spread is True


def test_wrong_counts_are_refused():
    with pytest.raises(ValueError, match="2 values against 1"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="no values"):
        summarize([])


def test_an_undefined_value_makes_all_undefined_and_nothing_resolved():
    for values in ([math.nan, 0.5], [math.nan, math.nan]):
        found = summarize(values)
        assert math.isnan(found.mean) and math.isnan(found.sd) and found.within_spread is None
    assert paired_difference([0.5, math.nan], [0.1, 0.2]).within_spread is None
    assert math.isnan(summarize([math.nan]).mean) and summarize([math.nan]).sd is None
