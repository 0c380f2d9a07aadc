# SPDX-License-Identifier: Apache-2.0
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from dealias.analysis import correlate


def quantities(count, strength, seed=0):
    random = np.random.default_rng(seed)
    first = random.gamma(2.0, size=count)
    return first, strength * first + random.normal(size=count)


@pytest.mark.parametrize("count", [5, 40, 300])
@pytest.mark.parametrize("strength", [-2.0, 0.0, 0.3])
def test_coefficients_are_those_of_scipy(count, strength):
    first, second = quantities(count, strength)
    first = np.round(first, 1)  # ties
    found = correlate(first.tolist(), second.tolist())
    assert found.pearson == pytest.approx(stats.pearsonr(first, second).statistic, abs=1e-12)
    assert found.spearman == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    assert found.count == count


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.25])
def test_chance_is_that_of_the_t_distribution_for_normal_quantities(strength):
    first, second = quantities(80, strength, seed=3)
    expected = stats.pearsonr(first, second).pvalue
    assert correlate(first.tolist(), second.tolist()).p_value == pytest.approx(expected, abs=0.02)


def test_chance_of_few_images_by_all_pairings():
    first, second = quantities(6, 0.5)
    own = abs(np.corrcoef(first, second)[0, 1])
    others = [abs(np.corrcoef(first, list(order))[0, 1]) for order in itertools.permutations(second)]
    expected = np.mean(np.array(others) >= own - 1e-12)
    assert correlate(first.tolist(), second.tolist()).p_value == pytest.approx(expected, abs=0.02)


def test_a_perfect_connection():
    found = correlate(range(50), [3 - 2 * value for value in range(50)])
    assert (found.pearson, found.spearman) == (pytest.approx(-1), pytest.approx(-1))
    assert found.p_value == 1e-4


def test_images_without_a_value_are_left_out():
    found = correlate([1.0, 2.0, math.nan, 3.0, 5.0], [1.0, 3.0, 9.0, math.nan, 5.0])
    assert found == correlate([1.0, 2.0, 5.0], [1.0, 3.0, 5.0])


def test_constant_quantities_have_no_correlation():
    found = correlate([0.1] * 7, range(7))
    assert math.isnan(found.pearson) and math.isnan(found.spearman) and math.isnan(found.p_value)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="got 3 and 2 values"):
        correlate([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"at least 3 images.*got 2"):
        correlate([1.0, 2.0, math.inf], [1.0, 2.0, 3.0])
