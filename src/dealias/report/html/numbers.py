# SPDX-License-Identifier: Apache-2.0
"""Numbers as text, for people."""

from __future__ import annotations

import math

from dealias.report.statistics import Summary

UNKNOWN = "\N{EN DASH}"
"""In place of nan."""


def percent(value: float, digits: int = 1) -> str:
    """A fraction in percent, without the sign for it.

    >>> percent(0.7543), percent(float("nan"))
    ('75.4', '–')
    """
    return UNKNOWN if math.isnan(value) else f"{100 * value:.{digits}f}"


def points(value: float) -> str:
    """A difference of fractions in percentage points, always with a sign.

    >>> points(0.012), points(-0.0004)
    ('+1.2', '−0.0')
    """
    return UNKNOWN if math.isnan(value) else f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")


def with_spread(value: Summary, difference: bool = False) -> str:
    """Mean ± standard deviation over seeds, the latter where there are several.

    >>> with_spread(Summary(0.754, 0.0049, 3)), with_spread(Summary(0.012, None, 1), difference=True)
    ('75.4 ± 0.5', '+1.2')
    """
    mean = points(value.mean) if difference else percent(value.mean)
    return mean if value.sd is None or math.isnan(value.mean) else f"{mean} ± {percent(value.sd)}"


def listed(names: list[str]) -> str:
    """Names in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([part for part in (", ".join(names[:-1]), names[-1]) if part])


def shorten(name: str, length: int) -> str:
    """A name of at most so many characters: the middle of a long one, which says least, is left out.

    >>> shorten("20261121-112233-fit-2", 12)
    '20261…-fit-2'
    """
    if len(name) <= length:
        return name
    tail = length // 2
    return f"{name[: length - tail - 1]}…{name[-tail:]}"


def best_position(values: list[float], lower_is_better: bool) -> int | None:
    """Where the best value is; ``None`` if there is nothing to choose from.

    >>> best_position([0.1, 0.3, float("nan")], False), best_position([0.1], False), best_position([0.2, 0.2], False)
    (1, None, None)
    """
    known = [value for value in values if not math.isnan(value)]
    if len({*known}) < 2:
        return None
    return values.index(min(known) if lower_is_better else max(known))
