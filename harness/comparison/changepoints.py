"""Where the level of a series moved. Pure statistics of one value a run.

ruptures finds the best place of one change and of two, which is what an upgrade that was taken back
looks like; whether it is more than chance decides an F statistic, held against what series without
a change reach once in two hundred. docs/decisions/038 has the simulations behind it.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from harness.errors import UsageError

LEAST_RUNS = 3
"""A level has so many runs at least: one run that a neighbour disturbed is none."""
CONFIDENCE = 0.95
"""Of where a change lies, and of how large it is."""
SHUFFLES, LEAST_SHUFFLED = 199, 20
"""None of so many random orders may look like as much of a change, where there are so many values:
in one of 200 series without a change that is so."""
MOST_RUNS = 1000
"""Of a series the newest runs are looked at: time grows with the square of their number."""
_CRITICAL: tuple[tuple[int, float, float], ...] = (
    (6, 37.7, math.inf), (7, 37.6, math.inf), (8, 33.8, math.inf), (9, 30.0, 16.9),
    (10, 28.5, 19.7), (12, 24.8, 19.6), (15, 22.5, 18.2), (20, 19.7, 16.1), (30, 18.0, 14.4),
    (50, 17.0, 13.5), (100, 16.6, 13.2), (200, 16.9, 13.5), (500, 17.0, 13.5),
)  # fmt: skip
"""(runs, F of one change, F of two): chance exceeds each in 0.25 to 0.36 of 100 series of normal
values, either in 0.7. Simulated by ``python -m benchmarks.history``; interpolated between."""


@dataclass(frozen=True, slots=True)
class Found:
    """A change: its place as an index, and the levels on both sides of it."""

    at: int
    """The first value of the new level."""
    first: int
    last: int
    before: float
    after: float
    before_error: float
    """The standard error of the level; likewise ``after_error``."""
    after_error: float
    freedom: int
    """Degrees of freedom of both errors."""

    def difference(self) -> tuple[float, float, float]:
        """(after - before, and its interval)."""
        half = self._t * math.hypot(self.before_error, self.after_error)
        change = self.after - self.before
        return change, change - half, change + half

    def ratio(self) -> tuple[float, float, float]:
        """(after / before - 1, and its interval); for levels above 0."""
        half = self._t * math.hypot(
            self.before_error / self.before, self.after_error / self.after
        )  # fmt: skip
        log = math.log(self.after / self.before)
        return math.expm1(log), math.expm1(log - half), math.expm1(log + half)

    @property
    def _t(self) -> float:
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom))


def refuse_missing() -> None:
    """UsageError where what finds change points is not installed."""
    if importlib.util.find_spec("ruptures") is None:
        raise UsageError(
            "what finds change points is not installed.",
            "Install it: pip install 'limitbench[history]'.",
        )


def changes(values: Sequence[float], error: float = 0.0, least: float = 0.0) -> list[Found]:
    """Each change of level by ``least`` or more, in order.

    ``error`` is how far a single value is off by what is known of it alone: however closely the
    values lie together, no change is told from less. Fewer than six values have none, and of more
    than ``MOST_RUNS`` the newest are looked at.
    """
    skipped = max(0, len(values) - MOST_RUNS)
    y = np.asarray(values[skipped:], dtype=float)
    if not len(y) or not np.ptp(y):
        return []
    mean = float(np.mean(y))
    unit = float(np.max(np.abs(y - mean)))  # tiny numbers and large ones are divided alike
    scaled, variance = (y - mean) / unit, (error / unit) ** 2
    edges = [0, *sorted(_divided(scaled, variance, 0, len(y))), len(y)]
    edges = _large(scaled, _settled(scaled, edges), least / unit)
    return [
        replace(
            one, at=one.at + skipped, first=one.first + skipped, last=one.last + skipped,
            before=mean + unit * one.before, after=mean + unit * one.after,
            before_error=unit * one.before_error, after_error=unit * one.after_error,
        )
        for one in _described(scaled, variance, edges)
    ]  # fmt: skip


def _divided(y: Any, variance: float, begin: int, end: int) -> list[int]:
    """The first values of new levels between two edges: divided as long as that is no chance.

    Once where once will do; twice for a level that was left and taken up again.
    """
    mine = y[begin:end]
    for count in (1, 2):
        if len(mine) < LEAST_RUNS * (count + 1):
            break
        statistic, places = _division(mine, count, variance)
        if statistic <= critical(len(mine), count):
            continue
        if _by_chance(mine, count, variance, statistic):
            continue
        inner = [begin + place for place in places]
        return inner + [
            place
            for low, high in itertools.pairwise([begin, *inner, end])
            for place in _divided(y, variance, low, high)
        ]
    return []


def _division(y: Any, count: int, variance: float) -> tuple[float, list[int]]:
    """The F statistic of so many changes where they explain most, and their places."""
    places = _best(y, count)
    left = _squares(y, places)
    scatter = max(left / (len(y) - count - 1), variance)
    gain = (_squares(y, []) - left) / count
    return (gain / scatter if scatter else math.inf), places


def _by_chance(y: Any, count: int, variance: float, statistic: float) -> bool:
    """Whether one of ``SHUFFLES`` random orders of the same values looks like as much of a change.

    Holds for any distribution, as the F statistic does for the normal one alone: noise with long
    tails makes levels of three runs. Too few values have too few orders.
    """
    if len(y) < LEAST_SHUFFLED:
        return False
    rng = np.random.default_rng(1)
    return any(
        _division(rng.permutation(y), count, variance)[0] >= statistic for _ in range(SHUFFLES)
    )


def _best(y: Any, count: int) -> list[int]:
    """Where so many changes leave the least sum of squares about the levels between them."""
    from ruptures import KernelCPD  # noqa: PLC0415 - an extra: this is the one place that needs it

    found = KernelCPD(kernel="linear", min_size=LEAST_RUNS).fit(y).predict(n_bkps=count)
    return [int(place) for place in found[:-1]]


def _squares(y: Any, places: Sequence[int]) -> float:
    """The sum of squares about the levels between the places; ``y`` is near 0."""
    edges = [0, *places, len(y)]
    explained = sum(float(np.sum(y[a:b])) ** 2 / (b - a) for a, b in itertools.pairwise(edges))
    return max(0.0, float(np.dot(y, y)) - explained)


def critical(n: int, count: int) -> float:
    """What the F statistic of so many changes in n values must exceed."""
    table = [(row[0], row[count]) for row in _CRITICAL if math.isfinite(row[count])]
    runs, least = zip(*table, strict=True)
    return float(np.interp(math.log(n), np.log(runs), least))


def _settled(y: Any, edges: list[int]) -> list[int]:
    """The edges, each moved to its best place between its neighbours, which a division did not."""
    moved = list(edges)
    for i in range(1, len(moved) - 1):
        low, high = moved[i - 1], moved[i + 1]
        moved[i] = low + _best(y[low:high], 1)[0]
    return moved


def _large(y: Any, edges: list[int], least: float) -> list[int]:
    """The edges without changes smaller than ``least``, the smallest taken away first."""
    while len(edges) > 2:
        means = [float(np.mean(y[a:b])) for a, b in itertools.pairwise(edges)]
        steps = [abs(after - before) for before, after in itertools.pairwise(means)]
        smallest = min(range(len(steps)), key=steps.__getitem__)
        if steps[smallest] >= least:
            break
        edges = _settled(y, edges[: smallest + 1] + edges[smallest + 2 :])
    return edges


def _described(y: Any, variance: float, edges: Sequence[int]) -> Iterator[Found]:
    """The changes at these edges, the first and last of which are the ends."""
    freedom = len(y) - len(edges) + 1
    scatter = max(_squares(y, edges[1:-1]) / freedom, variance)
    for low, at, high in zip(edges, edges[1:], edges[2:], strict=False):
        first, last = _interval(y[low:high], scatter)
        yield Found(
            at=at,
            first=min(at, low + first),
            last=max(at, low + last),
            before=float(np.mean(y[low:at])),
            after=float(np.mean(y[at:high])),
            before_error=math.sqrt(scatter / (at - low)),
            after_error=math.sqrt(scatter / (high - at)),
            freedom=freedom,
        )


def _interval(y: Any, scatter: float) -> tuple[int, int]:
    """The places between which one change lies, of equal chances before anything was measured.

    Each place's posterior weight is the normal likelihood of its two levels, their means
    integrated out; the lightest are left away as long as ``CONFIDENCE`` of the weight remains.
    """
    places = np.arange(1, len(y))
    sums = np.cumsum(y)[:-1]
    n = len(y)
    # What a division at each place explains of the sum of squares.
    gain = (sums - places / n * np.sum(y)) ** 2 * n / (places * (n - places))
    if not scatter:
        best = int(places[np.argmax(gain)])
        return best, best
    logs = gain / (2 * scatter) - 0.5 * np.log(places * (n - places))
    weights = np.exp(logs - np.max(logs))
    order = np.argsort(-weights, kind="stable")
    kept = np.cumsum(weights[order]) / np.sum(weights)
    chosen = places[order[: int(np.searchsorted(kept, CONFIDENCE)) + 1]]
    return int(np.min(chosen)), int(np.max(chosen))
