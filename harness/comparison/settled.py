"""The level that a history has come to: one digest of several runs, since the last change. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.errors import ComparisonError
from harness.model import Digest, DigestedPoint, History, Series
from harness.wording import counted

LEAST_RUNS = 3
"""Fewer tell nothing of how far runs lie apart."""
MOST_RUNS = 10
"""The newest of them: each pair of them is compared, and a baseline is read by people too."""
MOST_DAYS_RUNS = 60
"""Of those from which noise between days is taken: more tell little more, and older days less."""


def since_the_last_change(history: History, newest: str, most: int = MOST_RUNS) -> list[str]:
    """The names of the runs that a run's points have been at one level in, the oldest first.

    The newest ``most`` of them.

    From the last place at which a level of these points moved, or a fact changed, on; that the run
    itself is the last of them is as sure as that it is in the history. ComparisonError where these
    are too few.
    """
    runs: list[str] | None = None
    why = "they were measured"
    for series in history.series:
        names = [entry.run for entry in series.entries]
        if newest not in names:
            continue
        end = names.index(newest) + 1
        begin = 0
        for i, entry in enumerate(series.entries[:end]):
            if entry.changed:
                begin = i
        for change in series.changes:
            if begin < change.last < end:
                begin = change.last
        mine = names[begin:end]
        if runs is None or len(mine) < len(runs):
            runs = mine
            if begin:
                why = f"{series.metric} of {series.point.id} moved, or a fact of the host changed"
    if runs is None or len(runs) < LEAST_RUNS:
        raise ComparisonError(
            f"there {_are(len(runs or ()))} since {why}, and {LEAST_RUNS} are needed.",
            "Measure again: `bench check`, or `bench sweep` as before.",
        )
    return runs[-most:]


def _are(number: int) -> str:
    return f"{'is' if number == 1 else 'are'} {counted(number, 'run')}"


def pooled(digests: Sequence[Digest]) -> Digest:
    """One digest of several runs of the same points: every trial's value, the newest run's rest.

    A median over them is the level of the host, and not that of one run of it.
    """
    newest = digests[-1]
    return replace(
        newest,
        run=f"{counted(len(digests), 'run')}, {digests[0].run} to {newest.run}",
        points=tuple(_pooled(one, digests) for one in newest.points),
    )


def _pooled(point: DigestedPoint, digests: Sequence[Digest]) -> DigestedPoint:
    same = [one for made in digests for one in made.points if one.point == point.point]
    return replace(
        point,
        trials=sum(one.trials for one in same),
        valid=sum(one.valid for one in same),
        rejected=next((one.rejected for one in same if one.rejected), ""),
        series=tuple(_joined(one, same) for one in point.series),
    )


def _joined(series: Series, same: Sequence[DigestedPoint]) -> Series:
    mine = [
        one
        for point in same
        for one in point.series
        if (one.metric, one.container) == (series.metric, series.container)
    ]
    return replace(
        series,
        values=tuple(value for one in mine for value in one.values),
        error=max((one.error or 0.0 for one in mine), default=0.0) or None,
    )
