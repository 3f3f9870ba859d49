"""Since when: runs in their order, with the places where the level of a series moved. Pure.

Runs of one host whose point, load and window are the same form a series; kernel, engine, runtime
and whatever else is recorded may differ, since that is what a history is asked about.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from harness.comparison import changepoints
from harness.comparison.across import shared
from harness.comparison.changepoints import Found
from harness.comparison.collected import Collected
from harness.comparison.sensitivity import SENSITIVITY
from harness.comparison.significance import MIN_TRIALS
from harness.judge.metrics import Better
from harness.model import (
    ChangePoint,
    Entry,
    FactChange,
    History,
    Level,
    Point,
    RunLevels,
    RunSeries,
    Scale,
)
from harness.wording import agreeing

_Key = tuple[str, Point, str, int]


def history(
    found: Collected, *, sweep: str | None = None, metrics: Collection[str] = ()
) -> History:
    """The series of these runs, of one axis or sweep and of some metrics where they are named.

    The points of the newest run first, and of each the metrics in the order of ``SENSITIVITY``.
    """
    runs = [
        kept
        for run in found.runs
        if (kept := _of_sweep(run, sweep)).points or run.sweep == sweep or not sweep
    ]
    levels: dict[_Key, list[tuple[RunLevels, Level]]] = {}
    for run in runs:
        for point in run.points:
            for level in point.levels:
                if not metrics or level.metric in metrics:
                    key = run.hostname, point.point, level.metric, level.container
                    levels.setdefault(key, []).append((run, level))
    ordered = sorted(levels.items(), key=lambda one: _place(runs, one[0]))
    made = tuple(_series(key, mine) for key, mine in ordered)
    return History(
        runs=len({id(run) for mine in levels.values() for run, _ in mine}),
        series=made,
        left_out=(*found.left_out, *_thin(runs)),
        shared=shared(made),
    )


def _of_sweep(run: RunLevels, sweep: str | None) -> RunLevels:
    if sweep is None or run.sweep == sweep:
        return run
    return replace(run, points=tuple(one for one in run.points if one.point.axis == sweep))


def _place(runs: Sequence[RunLevels], key: _Key) -> tuple[object, ...]:
    """Where a series stands among others: hosts by name, then as in the last run that has it."""
    host, point, metric, container = key
    for age, run in enumerate(reversed(runs)):
        if run.hostname == host:
            for i, one in enumerate(run.points):
                if one.point == point:
                    return host, age, i, tuple(SENSITIVITY).index(metric), container
    return host, len(runs), 0, 0, container


def _thin(runs: Sequence[RunLevels]) -> Iterator[tuple[str, str]]:
    for run in runs:
        for point in run.points:
            if not point.levels:
                why = f" ({point.rejected})" if point.rejected else ""
                counts = agreeing(point.valid, "trial counts", "trials count")
                why = f"{point.valid} {counts}{why}: {MIN_TRIALS} are needed"
                yield f"{run.run}, {point.point.id}", why


def _series(key: _Key, mine: Sequence[tuple[RunLevels, Level]]) -> RunSeries:
    entries = [
        Entry(
            run=run.run, created=run.created, level=level,
            changed=_changed(mine[i - 1][0], run) if i else (),
        )
        for i, (run, level) in enumerate(mine)
    ]  # fmt: skip
    return series(*key, entries)


def series(
    host: str, point: Point, metric: str, container: int, entries: Sequence[Entry]
) -> RunSeries:
    """One metric of one container of a point of a host, with the places where its level moved."""
    levels = [entry.level for entry in entries]
    found = changepoints.changes(
        [level.median for level in levels],
        error=math.sqrt(statistics.fmean(level.deviation**2 for level in levels)),
        least=statistics.median(level.matters for level in levels),
    )
    return RunSeries(
        host=host, point=point, metric=metric, container=container, entries=tuple(entries),
        changes=tuple(_change(metric, entries, one) for one in found),
    )  # fmt: skip


def _changed(before: RunLevels, after: RunLevels) -> tuple[FactChange, ...]:
    """The facts that are others; what one of the runs does not know is no change."""
    return tuple(
        FactChange(run=after.run, fact=fact, before=then, after=now)
        for fact, then in before.facts.items()
        if (now := after.facts.get(fact, then)) != then
    )


def _change(metric: str, entries: Sequence[Entry], found: Found) -> ChangePoint:
    relative = all(one.level.relative for one in entries) and min(found.before, found.after) > 0
    change, low, high = found.ratio() if relative else found.difference()
    near = [*entries[found.first : found.at], *entries[found.at + 1 : found.last + 1]]
    return ChangePoint(
        at=found.at,
        first=found.first,
        last=found.last,
        before=found.before,
        after=found.after,
        scale=Scale.RELATIVE if relative else Scale.ABSOLUTE,
        change=change,
        low=low,
        high=high,
        better=_better(metric, entries, found),
        facts=tuple(itertools.chain(
            entries[found.at].changed, *(one.changed for one in near)
        )),
    )  # fmt: skip


def _better(metric: str, entries: Sequence[Entry], found: Found) -> bool | None:
    better = SENSITIVITY[metric].better
    if better is not Better.LAW:
        return (found.after > found.before) is (better is Better.HIGHER)
    promised = [entries[i].level.promised for i in (found.at - 1, found.at)]
    if promised[0] is None or promised[1] is None:
        return None
    return abs(found.after - promised[1]) < abs(found.before - promised[0])
