"""Medians with intervals over trials."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from harness.model import (
    Estimate,
)

CONFIDENCE = 0.90


MIN_EXACT_N = 5


_T95 = {2: 6.314, 3: 2.920, 4: 2.353}
"""Student's t, two-sided 90 %, by number of trials (degrees of freedom + 1)."""


@functools.cache
def order_statistic_ranks(n: int, confidence: float = CONFIDENCE) -> tuple[int, int, float] | None:
    """The narrowest symmetric pair of ranks (from 1) that covers the median, and its coverage.

    P(x(k) <= median <= x(n+1-k)) = 1 - 2 P(Binomial(n, 1/2) < k). None where even the extremes
    cover it less often than ``confidence``: below 5 trials at 90 %.
    """
    best = None
    ways, below = 1, 0  # of n tosses with exactly k - 1 heads, and with less than k
    for k in range(1, n // 2 + 1):
        below += ways
        ways = ways * (n - k + 1) // k
        coverage = 1 - 2 * (below / 2**n)
        if coverage < confidence:
            break
        best = (k, n + 1 - k, coverage)
    return best


def quantile_ranks(n: int, share: float) -> tuple[int | None, int | None]:
    """Ranks (from 1) between which a quantile of n independent values lies, at ``CONFIDENCE``.

    P(x(low) <= quantile <= x(high)) with as much on either side, from Binomial(n, share); None for
    an end that even the extreme does not bound: above 0.95 takes 59 values.
    """
    tail, at_most = (1 - CONFIDENCE) / 2, 0.0  # P(fewer than rank of them lie below it)
    low = high = None
    for rank in range(1, n + 1):
        at_most += math.exp(
            math.lgamma(n + 1) - math.lgamma(rank) - math.lgamma(n - rank + 2)
            + (rank - 1) * math.log(share) + (n - rank + 1) * math.log1p(-share)
        )  # fmt: skip
        if at_most <= tail:
            low = rank
        if at_most >= 1 - tail:
            high = rank
            break
    return low, high


def estimate(metric: str, unit: str, values: Sequence[float]) -> Estimate | None:
    """Median and 90 % interval of independent trials; None where there is no value.

    One trial has no interval. Two to four get Student's t about the mean (its coverage holds for
    normal errors only); five and more get order statistics, with the coverage that they have.
    """
    if not values:
        return None
    n, ordered, median = len(values), sorted(values), statistics.median(values)
    low = high = confidence = None
    method = "none"
    ranks = order_statistic_ranks(n)
    if ranks:
        first, last, confidence = ranks
        low, high, method = ordered[first - 1], ordered[last - 1], "order statistics"
    elif n in _T95:
        mean, half = statistics.fmean(values), _T95[n] * statistics.stdev(values) / math.sqrt(n)
        low, high, confidence, method = mean - half, mean + half, CONFIDENCE, "Student's t"
    return Estimate(
        metric=metric, unit=unit, n=n, median=median, low=low, high=high,
        confidence=confidence, method=method,
    )  # fmt: skip


def widened(found: Estimate | None, by: float) -> Estimate | None:
    """An estimate of which every trial may be off by as much, whatever their number."""
    if not by or found is None or found.low is None or found.high is None:
        return found
    method = f"{found.method}, and what docker stats' edges may miss"
    return replace(found, low=found.low - by, high=found.high + by, error=by, method=method)
