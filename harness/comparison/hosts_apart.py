"""Which hosts lie apart from the others, at a stated error rate. Pure statistics.

The hosts are the replicates. docs/decisions/043 has the simulations behind the choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from harness.comparison.significance import adjusted
from harness.model import Level, Scale

ALPHA = 0.01
"""Of all that is told to lie apart, so much is so by chance (Benjamini and Hochberg, over hosts and
series together). Where no host differs, so many whole reports name any."""
LEAST_HOSTS = 5
"""Of fewer, none can be told apart: the median is then nearly one of two."""
_NORMAL_MAD = 1.4826
"""A normal distribution's standard deviation / its median absolute deviation."""
_OF_WHAT_MATTERS = 2 / 3
"""The scatter that hosts are always granted, as a share of the least change that counts: what lies
two ticks out is then not told among thousands, and what lies five times as far always is."""
_LEAST_SCATTER = 1 / 3
"""Of that, the least that their own is taken for: where most of few hosts have the very same value
it would be none."""
_FARTHEST = 700.0
"""Of a logarithm; few hosts that scatter widely may tell nothing short of it."""
_EFFICIENCY = 0.37
"""Of the median absolute deviation, for normal values: so many of the hosts does it tell about."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One series over hosts; all but the median is on its scale: a share as its logarithm."""

    scale: Scale
    median: float
    """In the metric's unit."""
    scatter: float
    floor: float
    """The scatter that hosts are always granted: a part of what matters, or what trials explain."""
    places: tuple[float, ...]
    """Each host's distance from the median, with its sign."""
    near: tuple[float, ...]
    """How far out its interval begins; 0 where it holds the median."""
    ps: tuple[float, ...]
    """Of each distance, were the host like the others; 1 where there are too few hosts."""

    @property
    def distances(self) -> tuple[float, ...]:
        """How far out each lies, in units of the scatter that counts."""
        unit = max(self.scatter, self.floor)
        return tuple(far / unit if unit else 0.0 for far in self.near)

    def change(self, place: float) -> float:
        """A place as a reader knows it: a share, or a difference in the metric's unit."""
        if self.scale is not Scale.RELATIVE:
            return place
        return math.expm1(place) if place < _FARTHEST else math.inf

    def told_from(self, p: float) -> float:
        """The least change that has a p so small: infinite where there are too few hosts."""
        if len(self.places) < LEAST_HOSTS:
            return math.inf
        scatter = max(self.scatter, self.floor * _LEAST_SCATTER)
        far = float(stats.t.isf(p / 2, _freedom(len(self.places)))) * scatter
        return self.change(max(far, float(stats.norm.isf(p / 2)) * self.floor))


def spread(levels: Sequence[Level]) -> Spread:
    """The levels of a series, a host each.

    How far a host lies out is told by the end of its own interval that is nearer to the others, so
    that trials with long tails part nobody. Its p is the larger of two: that of Student's t, with
    as many degrees of freedom as the median absolute deviation tells about, for the hosts' own
    scatter; and that of a normal distribution for the scatter that hosts are always granted.
    """
    relative = all(one.relative and min(one.median, one.low or one.median) > 0 for one in levels)
    values = np.array([
        (one.median, *sorted((one.low or one.median, one.high or one.median))) for one in levels
    ])  # fmt: skip
    median = float(np.median(values[:, 0]))
    floor = max(
        float(np.median([one.matters for one in levels])) * _OF_WHAT_MATTERS,
        float(np.median([one.deviation for one in levels])),
    ) / (median if relative else 1.0)  # fmt: skip
    on_scale = np.log(values) if relative else values
    places, low, high = (on_scale - np.median(on_scale[:, 0])).T
    scatter = _NORMAL_MAD * float(np.median(np.abs(places)))
    # Both ends beyond the others, or it is not surely anywhere else.
    near = np.maximum(np.maximum(low, -high), 0)
    return Spread(
        scale=Scale.RELATIVE if relative else Scale.ABSOLUTE,
        median=median,
        scatter=scatter,
        floor=floor,
        places=tuple(map(float, places)),
        near=tuple(map(float, near)),
        ps=tuple(map(float, _ps(near, scatter, floor))),
    )  # fmt: skip


def _ps(far: Any, scatter: float, floor: float) -> Any:
    if len(far) < LEAST_HOSTS:
        return np.ones(len(far))
    by_hosts = stats.t.sf(_over(far, max(scatter, floor * _LEAST_SCATTER)), _freedom(len(far)))
    return 2 * np.maximum(by_hosts, stats.norm.sf(_over(far, floor)))


def _over(far: Any, unit: float) -> Any:
    """Distances in units, also where the unit is 0: any distance is then infinite."""
    return far / unit if unit > 0 else np.where(far > 0, np.inf, 0.0)


def _freedom(hosts: int) -> float:
    return _EFFICIENCY * (hosts - 1) + 0.4


def adjusted_over(series: Sequence[Spread]) -> list[tuple[float, ...]]:
    """The ps of all series adjusted together, a series each."""
    told = [one for one in series if len(one.ps) >= LEAST_HOSTS]
    ps = iter(adjusted([p for one in told for p in one.ps]))
    return [
        tuple(next(ps) for _ in one.ps) if len(one.ps) >= LEAST_HOSTS else one.ps
        for one in series
    ]  # fmt: skip
