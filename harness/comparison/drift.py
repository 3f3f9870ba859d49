"""How far a level moves between runs, or between days. Pure.

The trials of a run tell nothing of it: they share its hour and its day. So the interval between
two runs is too narrow where levels drift: where days lie apart by as much as trials do, one of 90 %
holds in 45 (docs/decisions/045). A nested analysis of variance of many runs of which nothing
differs tells the parts apart (Searle, Casella and McCulloch, Variance Components, 1992, chapter 3),
and what fits the two runs is added to their interval.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from harness.comparison.sensitivity import SENSITIVITY
from harness.comparison.significance import MIN_TRIALS, median_error
from harness.model import Digest, DigestedPoint, Drift, Noise, Scale, Series

LEAST_DAYS = 5
"""From so many on, what lies between days widens an interval. Of fewer, Student's t leaves little
to be told: at three days a change is red from 60 times the noise on."""


def drifts(digests: Sequence[Digest]) -> tuple[Drift, ...]:
    """What moves each metric of each point, from runs of which nothing differs, two or more."""
    found: dict[tuple[str, str, int], list[tuple[str, Series]]] = defaultdict(list)
    newest = {one.point.id: one.point for made in digests for one in made.points}
    for made in digests:
        for point in made.points:
            if point.point == newest[point.point.id]:
                for series in _enough(point):
                    key = point.point.id, series.metric, series.container
                    found[key].append((day(made.created), series))
    return tuple(
        _drift(*key, runs) for key, runs in found.items() if len(runs) > 1
    )  # fmt: skip


def _enough(point: DigestedPoint) -> Iterator[Series]:
    return (
        one for one in point.series if one.metric in SENSITIVITY and len(one.values) >= MIN_TRIALS
    )


def day(created: str) -> str:
    """The day of a moment, in UTC."""
    return datetime.fromisoformat(created).astimezone(UTC).date().isoformat()


def _drift(point_id: str, metric: str, container: int, runs: Sequence[tuple[str, Series]]) -> Drift:
    levels: dict[str, list[float]] = defaultdict(list)
    for day, series in runs:
        levels[day].append(statistics.median(series.values))
    relative = SENSITIVITY[metric].relative > 0 and min(min(one.values) for _, one in runs) > 0
    unit = statistics.mean(level for day in levels.values() for level in day) if relative else 1.0
    own = statistics.mean(median_error(series.values) ** 2 for _, series in runs)
    between_runs, between_days = _components(levels, own)
    trials = statistics.mean(statistics.variance(series.values) for _, series in runs)

    def deviation(variance: float | None) -> float | None:
        return None if variance is None else float(f"{math.sqrt(variance) / unit:.4g}")

    return Drift(
        point_id=point_id,
        metric=metric,
        container=container,
        scale=Scale.RELATIVE if relative else Scale.ABSOLUTE,
        days=len(levels),
        runs=len(runs),
        trials_deviation=deviation(trials) or 0.0,
        runs_deviation=deviation(between_runs),
        days_deviation=deviation(between_days),
    )


def _components(
    levels: Mapping[str, Sequence[float]], own: float
) -> tuple[float | None, float | None]:
    """The variance between the runs of a day, and between runs of different days.

    ``own`` is what the levels scatter by because each is of a few trials. None where no day has two
    runs, or there is one day only. The second holds the first, and is never less.
    """
    runs, days = sum(map(len, levels.values())), len(levels)
    means = {day: statistics.mean(found) for day, found in levels.items()}
    within = sum((one - means[day]) ** 2 for day, found in levels.items() for one in found)
    of_runs = max(0.0, within / (runs - days) - own) if runs > days else None
    if days == 1:
        return of_runs, None
    whole = sum(len(found) * means[day] for day, found in levels.items()) / runs
    among = sum(len(found) * (means[day] - whole) ** 2 for day, found in levels.items())
    among /= days - 1
    each = (runs - sum(len(found) ** 2 for found in levels.values()) / runs) / (days - 1)
    residual = within / (runs - days) if runs > days else among
    of_days = (among - residual) / each if runs > days else 0.0
    return of_runs, max(of_runs or 0.0, of_days + residual - own)


def drift_of(
    noise: Noise | None, point_id: str, container: int, metric: str, scale: Scale
) -> Drift | None:
    """What moves a metric of a point, on that scale; None where it is not known."""
    for one in noise.drifts if noise else ():
        mine = one.point_id, one.container, one.metric, one.scale
        if mine == (point_id, container, metric, scale):
            return one
    return None


def between(drift: Drift, before: Digest, after: Digest) -> tuple[float, int] | None:
    """The variance that lies between the levels of two runs, and its degrees of freedom.

    None where too few days are known. Two runs of one day share what days differ by; where no day
    had runs enough to tell, they are taken for runs of different days: that is more.
    """
    if drift.days < LEAST_DAYS or drift.days_deviation is None:
        return None
    freedom = drift.runs - drift.days
    if (
        day(before.created) == day(after.created)
        and drift.runs_deviation is not None
        and freedom >= LEAST_DAYS - 1
    ):
        return 2 * drift.runs_deviation**2, freedom
    return 2 * drift.days_deviation**2, drift.days - 1
