"""Is a median's move more than chance? Pure statistics of two samples.

How far it has moved, with an interval, and how many trials would decide.

scipy does the work, and is imported nowhere else. docs/decisions/010 has the simulations behind the
choice of methods.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from harness.model import Scale

ALPHA = 0.01
"""An adjusted p below it is significant. Where nothing differs, 99 of 100 whole comparisons have no
significant row: a check is red for nothing once in a hundred times at the most."""
CONFIDENCE = 0.90
"""Nominal. Simulated coverage of the percentile bootstrap of two medians: 91 to 95 % at n = 5 to 20
for six distributions, more where values come in ticks. BCa fails there: docs/decisions/010."""
RESAMPLES = 2000
LOOK_CONFIDENCE = 0.95
"""Of each look of a check that goes on: narrow or far enough at one of several looks happens by
accident more often than at one alone. Simulated over all looks, a change as large as what matters
was called the same in 2.5 and 5 % of checks, by one look at 90 % in 3 and 4: docs/decisions/037."""
MIN_TRIALS = 5
"""Below that no rank test can be significant, and no interval of a median has its coverage."""
MOST_REPEATS = 200
"""More trials than this are no advice."""
_NORMAL_MAD = 1.4826
"""A normal distribution's standard deviation / its median absolute deviation."""
_MEDIAN_COSTS = math.sqrt(math.pi / 2)
"""The standard error of a median / that of a mean, of normal values."""
_EXACT_VALUES = 100
"""Of both sides together: up to here the p of tied values is exact."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the median of some values lies from that of others, with its interval."""

    scale: Scale
    """RELATIVE: ratio of the medians - 1. ABSOLUTE: their difference."""
    change: float
    low: float
    high: float
    p: float
    fixed: float = 0.0
    """Of the interval's half width what no number of trials takes away."""


def _ratio(before: Any, after: Any, axis: int) -> Any:
    return np.median(after, axis=axis) / np.median(before, axis=axis) - 1


def _difference(before: Any, after: Any, axis: int) -> Any:
    return np.median(after, axis=axis) - np.median(before, axis=axis)


def alpha_at(look: int) -> float:
    """What p must stay below at a look: halved each time, so that all looks together spend ALPHA.

    Spending, as Lan and DeMets (1983) have it. The sum is a bound for a fixed row of tests; which
    points go on depends on the data, so simulation has the last word. 0 = the only look.
    """
    return ALPHA * 0.5**look


def shift(before: Sequence[float], after: Sequence[float], scale: Scale, look: int = 0) -> Shift:
    """The change of the median, its interval, and the p of no change at all.

    The interval is one of 90 %, and at each look of several (``look`` > 0) one of 95 %.

    The same values always give the same numbers: the bootstrap's seed is fixed. Values must be
    above 0 where the scale is RELATIVE, and at least two on each side.
    """
    a, b = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    statistic: Callable[..., Any] = _ratio if scale is Scale.RELATIVE else _difference
    interval = stats.bootstrap(
        (a, b), statistic, vectorized=True, paired=False, method="percentile",
        confidence_level=_confidence(look), n_resamples=RESAMPLES,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    change = float(statistic(a, b, axis=0))
    return Shift(scale, change, float(interval.low), float(interval.high), rank_p(before, after))


def widened(found: Shift, variance: float, freedom: int, look: int = 0) -> Shift:
    """A shift between two samples whose medians move by themselves, with that variance.

    ``variance`` is of the difference of the two, on the shift's scale, as it was estimated with so
    many degrees of freedom. The interval's sides are root sums of squares; p is the larger of what
    it was and of what Student's t makes of a normal difference, with Welch's and Satterthwaite's
    freedom. Simulated: docs/decisions/045.
    """
    confidence = _confidence(look)
    fixed = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(variance)
    below, above = found.change - found.low, found.high - found.change
    normal = float(stats.norm.ppf((1 + confidence) / 2))
    own = ((below + above) / 2 / normal) ** 2
    p = found.p
    if variance > 0:
        all_of_it = own + variance
        t = abs(found.change) / math.sqrt(all_of_it)
        p = max(p, 2 * float(stats.t.sf(t, (all_of_it / variance) ** 2 * freedom)))
    return replace(
        found, low=found.change - math.hypot(below, fixed),
        high=found.change + math.hypot(above, fixed), p=p, fixed=fixed,
    )  # fmt: skip


def _confidence(look: int) -> float:
    return LOOK_CONFIDENCE if look else CONFIDENCE


def median_error(values: Sequence[float]) -> float:
    """The standard error of the median of values that may have long tails; 0 where most are one."""
    median = statistics.median(values)
    spread = statistics.median(abs(value - median) for value in values) * _NORMAL_MAD
    return _MEDIAN_COSTS * spread / math.sqrt(len(values))


def rank_p(before: Sequence[float], after: Sequence[float]) -> float:
    """The two-sided p of Mann and Whitney.

    Exact up to a hundred values, tied or not; beyond by the normal approximation with its
    correction for ties.
    """
    pooled = [*before, *after]
    distinct = len(set(pooled))
    if distinct == 1:
        return 1.0
    if distinct < len(pooled) <= _EXACT_VALUES:
        return _tied_p(pooled, len(before))
    method = "exact" if distinct == len(pooled) else "asymptotic"
    return float(stats.mannwhitneyu(before, after, method=method).pvalue)


def _tied_p(pooled: Sequence[float], n: int) -> float:
    """The share of all ways to choose n of the values whose rank sum lies as far out as theirs.

    Values in ticks are tied more often than not, and the normal approximation never gets below
    1e-4 at n = 10, which is too little among a hundred tests. Counted by dynamic programming over
    ranks, doubled so that those of tied values are whole.
    """
    ranks = np.rint(2 * stats.rankdata(pooled)).astype(int)
    highest = int(np.sort(ranks)[-n:].sum())
    ways = np.zeros((n + 1, highest + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : highest + 1 - rank]
    middle = n * (len(pooled) + 1)
    distance = abs(int(ranks[:n].sum()) - middle)
    far = np.abs(np.arange(highest + 1) - middle) >= distance
    return float(min(1.0, ways[n, far].sum() / math.comb(len(pooled), n)))


def adjusted(ps: Sequence[float]) -> list[float]:
    """Each p adjusted for there being so many (Benjamini-Hochberg)."""
    return [float(p) for p in stats.false_discovery_control(list(ps))] if ps else []


def least_repeats(tests: int) -> int:
    """The trials on both sides from which one change among so many tests can be significant."""
    for n in range(MIN_TRIALS, MOST_REPEATS):
        if 2 / math.comb(2 * n, n) * tests < ALPHA:
            return n
    return MOST_REPEATS


def repeats_that_decide(found: Shift, effect: float, n: int, tests: int) -> int | None:
    """The trials on both sides that would decide, were the medians to stay where they are.

    An interval's width goes with 1/sqrt(n), but for what is fixed, and must leave the edge of what
    matters on one side of it. None where that takes more than ``MOST_REPEATS``.
    """
    least = least_repeats(tests)
    distance = abs(abs(found.change) - effect)
    half = max(found.high - found.change, found.change - found.low)
    if half <= distance and least > n:  # far enough apart: only the test has too few trials
        return least
    if distance <= found.fixed:
        return None
    narrower = (half**2 - found.fixed**2) / (distance**2 - found.fixed**2)
    needed = max(least, n + 1, math.ceil(n * narrower))
    return needed if needed <= MOST_REPEATS else None
