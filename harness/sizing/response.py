"""Whether a trial held: the goal against what was measured.

A workload that the limit ended is a result here as elsewhere: where the kernel killed it, where it
did not start or gave up, the goal was not reached. What others disturbed says nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.judge.metrics import Metric
from harness.model import Outcome, TrialRecord
from harness.sizing.goal import Clause, Goal

KILLED = "oom_killed"


def value(metric: Metric, trial: TrialRecord) -> float | None:
    """A metric of a trial's first container; of what was killed, that it was."""
    if not trial.containers:
        return None
    if metric.name == KILLED:
        if trial.outcome is Outcome.OOM_KILLED:
            return 1.0
        measured = metric.of(trial, 0)
        return 0.0 if measured is None and trial.outcome is Outcome.COMPLETED else measured
    return metric.of(trial, 0)


@dataclass(frozen=True, slots=True)
class Unlimited:
    """What was reached without the limit: of each metric the median, where there is one."""

    trials: tuple[TrialRecord, ...]

    def of(self, metric: Metric) -> float | None:
        """The median; None where it was not measured."""
        found = [one for trial in self.trials if (one := value(metric, trial)) is not None]
        return statistics.median(found) if found else None


def says_something(trial: TrialRecord) -> bool:
    """Whether nobody disturbed it."""
    return trial.invalid is None


def holds(goal: Goal, trial: TrialRecord, unlimited: Unlimited) -> bool | None:
    """Whether all clauses held; None where the trial says nothing of one."""
    if not says_something(trial):
        return None
    told = [_clause_holds(clause, trial, unlimited) for clause in goal.clauses]
    if False in told:
        return False
    return None if None in told else True


def _clause_holds(clause: Clause, trial: TrialRecord, unlimited: Unlimited) -> bool | None:
    measured = value(clause.metric, trial)
    if measured is None:
        # What came to its end and did not say has said nothing; what did not, has not reached it.
        return None if trial.outcome is Outcome.COMPLETED else False
    if clause.relative and unlimited.of(clause.metric) is None:
        return None
    return clause.holds(measured, unlimited.of(clause.metric))


def unmeasured(goal: Goal, trials: Sequence[TrialRecord]) -> Metric | None:
    """The first metric of the goal that no completed trial has; None where each has some."""
    ended = [one for one in trials if one.outcome is Outcome.COMPLETED and says_something(one)]
    if not ended:
        return None
    for clause in goal.clauses:
        if all(value(clause.metric, trial) is None for trial in ended):
            return clause.metric
    return None
