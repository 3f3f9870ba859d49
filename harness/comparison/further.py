"""Where a check goes on by itself: at the points that are still open.

Pure: what comes next follows from the trials that are there, the baseline and the budget, so that a
check that was killed goes on as it would have. The baseline is an old run and gets no more trials.
The open points get more, each round of them with a fresh trial of another point between: what has
moved since the planned trials is then seen there as well, and no point is measured back to back.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.comparison.digest import digest
from harness.comparison.looks import LOOKS, sizes
from harness.judge import points, validity
from harness.judge.verdicts import MORE_WOULD_DECIDE
from harness.model import Change, Compared, Comparison, Digest, Point, RunInfo, Status, TrialRecord
from harness.plan.budget import Budget
from harness.wording import agreeing, counted


@dataclass(frozen=True, slots=True)
class Stage:
    """Trials that are added, in their order."""

    point_ids: tuple[str, ...]
    why: str
    points: tuple[Point, ...] = ()
    """None: a check measures the points that it was begun with."""


class Further:
    """Says what a check measures next, once it has measured what it had to.

    ``judged`` compares the trials so far with what the check is compared with.
    """

    def __init__(self, info: RunInfo, judged: Callable[[Digest], Compared], budget: Budget) -> None:
        self._info, self._judged, self._budget = info, judged, budget

    def __call__(self, records: Sequence[TrialRecord]) -> Stage | None:
        """The next stage; None where nothing is open, or no more of it would help or fits."""
        mine: dict[str, list[TrialRecord]] = {point.id: [] for point in self._info.plan.points}
        for record in records:
            mine[record.point_id].append(record)
        stage = self._again(mine) or self._more(records, mine)
        if stage is None or self._budget.spare_s(records, len(stage.point_ids)) < 0:
            return None
        return stage

    def _again(self, mine: Mapping[str, Sequence[TrialRecord]]) -> Stage | None:
        """Trials in place of those that others disturbed."""
        wanted = {}
        for point_id, records in mine.items():
            missing = self._info.plan.repeats - sum(map(points.counts, records))
            if missing > 0 and any(map(self._is_disturbed, records)):
                wanted[point_id] = missing
        wanted = self._allowed(wanted, mine)
        if not wanted:
            return None
        total = sum(wanted.values())
        return Stage(
            self._interleaved(wanted, ()),
            f"{counted(total, 'trial')} {agreeing(total, 'was', 'were')} disturbed: again",
        )

    def _is_disturbed(self, record: TrialRecord) -> bool:
        info = self._info
        return bool(validity.disturbance(record, info.plan, info.engine, info.host))

    def _more(
        self, records: Sequence[TrialRecord], mine: Mapping[str, Sequence[TrialRecord]]
    ) -> Stage | None:
        """More trials of the points that are open, where some number of them could decide."""
        after = digest(self._info, records)
        valid = {one.point.id: one.valid for one in after.points}
        due = next_sizes(self._judged(after), self._info.plan.repeats)
        wanted = self._allowed({one: size - valid[one] for one, size in due.items()}, mine)
        if not wanted:
            return None
        size = max(due.values())
        others = [point_id for point_id, n in valid.items() if n and point_id not in wanted]
        names = ", ".join(list(wanted)[:3]) + ", …" * (len(wanted) > 3)
        return Stage(
            self._interleaved(wanted, others),
            f"{names}: open at {after.look} of {LOOKS} looks, {size} trials a point next",
        )

    def _allowed(
        self, wanted: Mapping[str, int], mine: Mapping[str, Sequence[TrialRecord]]
    ) -> dict[str, int]:
        """Never more than the plan has room for, however often trials do not count."""
        plan = self._info.plan
        most = plan.repeats + (plan.most_repeats or 0)
        left = {one: min(n, most - len(mine[one])) for one, n in wanted.items()}
        return {one: n for one, n in left.items() if n > 0}

    def _interleaved(self, wanted: Mapping[str, int], others: Sequence[str]) -> tuple[str, ...]:
        """Rounds of all that are wanted, in random order, with one of the others in turn."""
        rng = random.Random(f"{self._info.plan.seed} {sorted(wanted.items())}")
        turn = itertools.cycle(rng.sample(others, len(others)))
        order: list[str] = []
        for i in range(max(wanted.values())):
            block = [point_id for point_id, n in wanted.items() if n > i]
            block += [next(turn)] if others else []
            order += rng.sample(block, len(block))
        return tuple(order)


def next_sizes(compared: Compared, repeats: int) -> dict[str, int]:
    """How many trials that count each open point has at the next look; none where it is over.

    It is over where the check is red, too: nothing that is still open could make it green.
    """
    after = compared.after
    if compared.status is not Change.INCONCLUSIVE or after.look >= LOOKS:
        return {}
    due, found = sizes(repeats), _open_points(compared, sizes(repeats)[-1])
    return {
        one.point.id: due[after.look] for one in after.points if one.valid and one.point.id in found
    }


def _open_points(compared: Compared, at_the_end: int) -> set[str]:
    """The points at which something that decides is open, and more trials could end that."""
    rows = {
        row.point_id for row in compared.rows
        if row.status is Change.INCONCLUSIVE and row.decides
        and _could_be_decided(row, at_the_end)
    }  # fmt: skip
    laws = {
        law.point_id for law in compared.laws
        if law.after is Status.INCONCLUSIVE and MORE_WOULD_DECIDE in law.reason
    }  # fmt: skip
    return rows | laws


def _could_be_decided(row: Comparison, trials_now: int) -> bool:
    """Whether so many trials now could decide, beside the baseline's own that stay as they are."""
    if row.low is None or row.high is None or row.change is None:
        return True  # too few to say
    then, now = row.n
    narrower = math.sqrt((1 / then + 1 / trials_now) / (1 / then + 1 / now))
    fixed = row.drift or 0.0
    whole = max((row.high - row.low) / 2, fixed)
    half = math.hypot(narrower * math.sqrt(whole**2 - fixed**2), fixed)
    return half <= row.effect or abs(row.change) >= row.effect + half / 2
