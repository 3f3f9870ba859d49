"""A run judged: every point with what its trials came to, its read-backs, its verdicts. Pure.

What frames, figures, reports, digests begin with. ``judge`` takes records wherever they come
from; ``points`` keeps its answer for as long as the run is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakKeyDictionary

from harness.judge import neighbour
from harness.judge import points as judge_points
from harness.judge import readbacks as judge_readbacks
from harness.judge import verdicts as judge_verdicts
from harness.judge.points import PointSummary
from harness.limits import ReadBack
from harness.model import EngineFacts, RunInfo, TrialRecord, Verdict


@dataclass(frozen=True, slots=True)
class JudgedPoint:
    """One point: what its trials came to, and what each of its laws says of that."""

    summary: PointSummary
    counted: tuple[TrialRecord, ...]
    """The trials that enter the estimates, in the order in which they were run."""
    readbacks: tuple[ReadBack, ...]
    """Each limit once, as it was asked for and as it was read back."""
    verdicts: tuple[Verdict, ...]
    """One a law, in the order of ``summary.results``."""


class Recorded(Protocol):
    """A run as far as it is judged: ``store.runs.Run`` is one."""

    @property
    def info(self) -> RunInfo:
        """Everything about the run but its trials."""
        ...

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """Its finished trials."""
        ...


_known: WeakKeyDictionary[Recorded, tuple[JudgedPoint, ...]] = WeakKeyDictionary()


def points(run: Recorded) -> tuple[JudgedPoint, ...]:
    """The points of a run in any state, in the plan's order; worked out once for each run."""
    found = _known.get(run)
    if found is None:
        found = _known[run] = judge(run.info, run.trials)
    return found


def judge(info: RunInfo, trials: Sequence[TrialRecord]) -> tuple[JudgedPoint, ...]:
    """The points of the plan in its order, as far as their trials came."""
    by_point: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        by_point.setdefault(trial.point_id, []).append(trial)
    out = []
    for point in info.plan.points:
        alone, engine = replace(info.plan, points=(point,)), info.engine_of(point)
        mine = by_point.get(point.id, [])
        (summary,) = judge_points.summarise(alone, mine, engine, info.host)
        held = readbacks(mine, engine)
        verdicts = (judge_verdicts.judge(summary, result, held) for result in summary.results)
        counted = tuple(trial for trial in mine if judge_points.counts(trial))
        out.append(JudgedPoint(summary, counted, held, tuple(verdicts)))
    return _beside_alone(out)


def _beside_alone(judged: Sequence[JudgedPoint]) -> tuple[JudgedPoint, ...]:
    """With what the victims of neighbours came to relative to themselves alone."""
    counted = {one.summary.point.id: one.counted for one in judged}
    points = [one.summary.point for one in judged]
    more = neighbour.beside_alone(points, lambda point: counted[point.id])
    return tuple(
        replace(one, summary=replace(one.summary, estimates={**one.summary.estimates, **found}))
        if (found := more.get(one.summary.point.id))
        else one
        for one in judged
    )


def readbacks(trials: Sequence[TrialRecord], engine: EngineFacts) -> tuple[ReadBack, ...]:
    """The limits of one point's trials as they were read back, each different answer once.

    Those of the trials that count; where none does, of all: a rejected trial says nothing of the
    use, but its limits were read all the same.
    """
    read = [t for t in trials if judge_points.counts(t)] or [
        t for t in trials if any(c.engine or c.kernel for c in t.containers)
    ]
    # One of each: trials of a point read the same limits back, or the difference is the news.
    found = (
        readback
        for trial in read
        for i, container in enumerate(trial.containers)
        for readback in judge_readbacks.readbacks(container, engine, i)
    )
    return tuple(dict.fromkeys(found))
