"""Which trial comes next: the plan's own, one that is repeated, one that is added.

Pure. A trial that its invariants rejected is repeated at the end, a bounded number of times a
point. Under ``until`` a point goes on, in blocks of all points that need it, until its interval is
narrow enough. It stops on the width of its interval and never on what the interval says: stopping
once a verdict has come out as hoped would make every second accident a finding. The coverage that
remains is in docs/decisions/006.

A check adds trials where it is open: ``further`` says which (``comparison.further``), once the
others are done. A search adds points too, where the trials so far make it look
(``sizing.finding``): then the plan grows.

All of it follows from the plan, its seed and what the trials were. So a run that is resumed has its
finished trials said again, and goes on as it would have.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from harness.errors import ResultsError
from harness.judge import estimates, points
from harness.judge.points import PointSummary
from harness.judge.width import half_width, stays
from harness.model import EngineFacts, HostFacts, Plan, PlannedTrial, Point, TrialRecord


class Added(Protocol):
    """Trials that ``further`` adds, in their order, and why."""

    @property
    def point_ids(self) -> tuple[str, ...]:
        """A point's name for each."""
        ...

    @property
    def points(self) -> tuple[Point, ...]:
        """All points of the plan from now on, in their order; empty = as they were."""
        ...

    @property
    def why(self) -> str:
        """In words."""
        ...


MAX_EXTRA_TRIALS = 2
"""So often a point whose trial was rejected is tried again."""


class Queue:
    """The trials that are still to be done. ``total`` counts them with those that are ``done``.

    ``finished`` are those of a run that is resumed, in any order. ResultsError where they are not
    what this plan had come to.
    """

    def __init__(
        self,
        plan: Plan,
        engine: EngineFacts,
        host: HostFacts,
        finished: Iterable[TrialRecord] = (),
        further: Callable[[Sequence[TrialRecord]], Added | None] | None = None,
    ) -> None:
        self._further, self.why = further, ""
        """Why trials were added last, by ``further``."""
        self.plan, self._engine, self._host = plan, engine, host
        """With the points that ``further`` has added."""
        self._waiting = deque(plan.trials)
        self._records: dict[str, list[TrialRecord]] = {point.id: [] for point in plan.points}
        self._extra = dict.fromkeys(self._records, 0)
        self._narrow = dict.fromkeys(self._records, 0)
        """So often in a row each point's interval was narrow enough."""
        self._random = random.Random(plan.seed)
        self._block = plan.repeats
        self._finished = {record.index: record for record in finished}
        self.done, self.total = 0, len(plan.trials)
        self._refuse_others()
        self.is_open = self._find_next()
        """Whether a trial is left to be done."""
        # A trial beyond the plan was chosen by what all before it had been.
        if beyond := [one for one in self._finished.values() if one.index >= len(plan.trials)]:
            raise _not_of_the_plan(beyond[0])

    def __iter__(self) -> Iterator[PlannedTrial]:
        """The next trial, until there is none; the one before must have been ``note``d."""
        while self.is_open:
            yield self._waiting.popleft()
            self.is_open = self._find_next()

    def _refuse_others(self) -> None:
        for planned in self.plan.trials:
            record = self._finished.get(planned.index)
            if record is not None and not _is(record, planned):
                raise _not_of_the_plan(record)

    def _find_next(self) -> bool:
        """Whether one is left; those that are finished are noted and passed over."""
        while self._waiting or self._go_on():
            record = self._finished.pop(self._waiting[0].index, None)
            if record is None:
                return True
            if not _is(record, self._waiting.popleft()):
                raise _not_of_the_plan(record)
            self.note(record)
        return False

    def note(self, record: TrialRecord) -> None:
        """A trial is done: what it was decides what comes."""
        self.done += 1
        point_id = record.point_id
        self._records[point_id].append(record)
        if record.invalid and self._extra[point_id] < MAX_EXTRA_TRIALS:
            self._extra[point_id] += 1
            self._add(point_id, self.plan.repeats + self._extra[point_id] - 1)

    def _add(self, point_id: str, block: int) -> None:
        self._waiting.append(PlannedTrial(index=self.total, block=block, point_id=point_id))
        self.total += 1

    def _go_on(self) -> bool:
        """Add a block of the points that are still too wide, or what goes further, if any."""
        wide = [point.id for point in self.plan.points if self._is_wide(point.id)]
        self._random.shuffle(wide)
        self._block += 1
        for point_id in wide:
            self._add(point_id, self._block)
        return bool(wide) or self._go_further()

    def _go_further(self) -> bool:
        added = self._further(self.records) if self._further else None
        if added is None:
            return False
        self.why = added.why
        if added.points:
            self._grow(added.points)
        for point_id in added.point_ids:
            self._add(point_id, self._block)
        return True

    def _grow(self, grown: tuple[Point, ...]) -> None:
        self.plan = replace(self.plan, points=grown)
        for point in grown:
            self._records.setdefault(point.id, [])
            self._extra.setdefault(point.id, 0)
            self._narrow.setdefault(point.id, 0)

    @property
    def records(self) -> list[TrialRecord]:
        """The trials that are done, in their order."""
        return sorted(
            (record for mine in self._records.values() for record in mine),
            key=lambda record: record.index,
        )

    def _is_wide(self, point_id: str) -> bool:
        until, most = self.plan.until, self.plan.most_repeats
        if until is None or most is None:
            return False
        mine = self._records[point_id]
        valid = sum(points.counts(record) for record in mine)
        # Where nothing counts, more of the same would not either.
        if not valid or len(mine) - self._extra[point_id] >= most:
            return False
        summary = self.summary(point_id)
        # What the source may miss no number of repeats takes away: then the least will do.
        if valid >= estimates.MIN_EXACT_N and stays(summary) > until:
            return False
        width = half_width(summary)
        if width is None or valid < estimates.MIN_EXACT_N or width > until:
            self._narrow[point_id] = 0
            return True
        # Narrow once can be an accident of the last trial: by then the least will do, later it
        # must be so twice in a row, which keeps what the interval covers.
        self._narrow[point_id] += 1
        return valid > estimates.MIN_EXACT_N and self._narrow[point_id] < 2

    def summary(self, point_id: str) -> PointSummary:
        """What the trials of a point say so far."""
        alone = replace(self.plan, points=(self.plan.point(point_id),))
        records = self._records[point_id]
        return points.summarise(alone, records, self._engine, self._host)[0]


def _is(record: TrialRecord, planned: PlannedTrial) -> bool:
    return (record.point_id, record.block) == (planned.point_id, planned.block)


def _not_of_the_plan(record: TrialRecord) -> ResultsError:
    return ResultsError(
        f"trial {record.index} ({record.point_id}) is not the one that the plan comes to there.",
        "Its run cannot be resumed: measure it anew.",
    )
