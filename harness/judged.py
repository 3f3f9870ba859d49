"""Every point of a run with its verdicts: what frames, figures and reports all begin with.

Worked out once for a run and kept as long as the run is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from harness import analysis, check
from harness.analysis import PointSummary
from harness.check import ReadBack
from harness.model import EngineFacts, TrialRecord, Verdict
from harness.store import Run


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


_known: WeakKeyDictionary[Run, tuple[JudgedPoint, ...]] = WeakKeyDictionary()


def points(run: Run) -> tuple[JudgedPoint, ...]:
    """The points of a run in any state, in the plan's order."""
    found = _known.get(run)
    if found is None:
        found = _known[run] = _judged(run)
    return found


def _judged(run: Run) -> tuple[JudgedPoint, ...]:
    info = run.info
    by_point: dict[str, list[TrialRecord]] = {}
    for trial in run.trials:
        by_point.setdefault(trial.point_id, []).append(trial)
    out = []
    for point in info.plan.points:
        alone, engine = replace(info.plan, points=(point,)), info.engine_of(point)
        mine = by_point.get(point.id, [])
        (summary,) = analysis.summarise(alone, mine, engine, info.host)
        held = readbacks(mine, engine)
        verdicts = (check.judge(summary, result, held) for result in summary.results)
        counted = tuple(trial for trial in mine if analysis.counts(trial))
        out.append(JudgedPoint(summary, counted, held, tuple(verdicts)))
    return tuple(out)


def readbacks(trials: Sequence[TrialRecord], engine: EngineFacts) -> tuple[ReadBack, ...]:
    """The limits of one point's trials as they were read back, each different answer once.

    Those of the trials that count; where none does, of all: a rejected trial says nothing of the
    use, but its limits were read all the same.
    """
    read = [t for t in trials if analysis.counts(t)] or [
        t for t in trials if any(c.engine or c.kernel for c in t.containers)
    ]
    # One of each: trials of a point read the same limits back, or the difference is the news.
    found = (
        readback
        for trial in read
        for i, container in enumerate(trial.containers)
        for readback in check.readbacks(container, engine, i)
    )
    return tuple(dict.fromkeys(found))
