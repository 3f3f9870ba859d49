"""Whether a limit that was found still does, by fresh trials of that setting alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.model import ForFound, Plan, RunInfo, TrialRecord
from harness.sizing import goal as goals
from harness.sizing import response
from harness.sizing.finding import UNLIMITED, Setting, Study, name_of

TRIALS = 15
"""Of which twelve must go one way, at 95 %: so near the edge fewer would leave most of it open."""


@dataclass(frozen=True, slots=True)
class Still:
    """The fresh trials of a setting that was found."""

    setting: Setting
    trials: int
    held: int
    confidence: float

    @property
    def holds(self) -> bool | None:
        """Whether the median trial does; None where so many do not tell.

        The interval of the median by order statistics, two-sided: the sign test.
        """
        tail = (1 - self.confidence) / 2
        if _at_least(self.held, self.trials) <= tail:
            return True
        return False if _at_least(self.trials - self.held, self.trials) <= tail else None


def _at_least(held: int, trials: int) -> float:
    """P(so many of the trials or more hold), were it a coin's throw."""
    return sum(math.comb(trials, k) for k in range(held, trials + 1)) / 2.0**trials


def points_of(study: Study, setting: Setting) -> Plan:
    """The plan of the search with that point alone, and with the one without limits if it counts.

    Its trials are still those of the search: whoever measures orders new ones.
    """
    wanted = {name_of(setting), *([UNLIMITED] if study.goal.relative else [])}
    plan = study.info.plan
    return replace(plan, points=tuple(one for one in plan.points if one.id in wanted))


def asked(study: Study, setting: Setting) -> ForFound:
    """What is asked of fresh trials of the answer of a search."""
    return ForFound(
        search=study.info.name, setting=setting, goal=study.goal.text,
        confidence=study.purpose.confidence,
    )  # fmt: skip


def still(info: RunInfo, trials: Sequence[TrialRecord]) -> Still:
    """What the fresh trials of a run say of the setting that it is for."""
    purpose = info.purpose
    assert isinstance(purpose, ForFound)
    goal = goals.parse(purpose.goal, info.plan.points[0])
    free = [t for t in trials if t.point_id == UNLIMITED and response.says_something(t)]
    unlimited = response.Unlimited(tuple(free))
    told = [
        held for t in trials if t.point_id == name_of(purpose.setting)
        if (held := response.holds(goal, t, unlimited)) is not None
    ]  # fmt: skip
    return Still(purpose.setting, len(told), sum(told), purpose.confidence)
