"""Which trial comes next: the plan's own, those that are repeated, and those that ``--until`` adds.

Pure. A trial that its invariants rejected is repeated at the end, a bounded number of times a
point. Under ``until`` a point goes on, in blocks of all points that need it, until its interval is
narrow enough. It stops on the width of its interval and never on what the interval says: stopping
once a verdict has come out as hoped would make every second accident a finding. The coverage that
remains is in docs/decisions/006.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from harness import analysis
from harness.analysis import PointSummary
from harness.model import EngineFacts, Estimate, HostFacts, Plan, PlannedTrial, Scale, TrialRecord

MAX_EXTRA_TRIALS = 2
"""So often a point whose trial was rejected is tried again."""


class Agenda:
    """The trials that are still to be done. ``total`` counts them with those that are done."""

    def __init__(self, plan: Plan, engine: EngineFacts, host: HostFacts) -> None:
        self._plan, self._engine, self._host = plan, engine, host
        self._waiting = deque(plan.trials)
        self._records: dict[str, list[TrialRecord]] = {point.id: [] for point in plan.points}
        self._extra = dict.fromkeys(self._records, 0)
        self._narrow = dict.fromkeys(self._records, 0)
        """So often in a row each point's interval was narrow enough."""
        self._random = random.Random(plan.seed)
        self._block = plan.repeats
        self.total = len(plan.trials)

    def __iter__(self) -> Iterator[PlannedTrial]:
        """The next trial, until there is none; each must be ``noted`` before the next is asked."""
        while self._waiting or self._go_on():
            yield self._waiting.popleft()

    def note(self, record: TrialRecord) -> None:
        """A trial is done: what it was decides what comes."""
        point_id = record.point_id
        self._records[point_id].append(record)
        if record.invalid and self._extra[point_id] < MAX_EXTRA_TRIALS:
            self._extra[point_id] += 1
            self._add(point_id, self._plan.repeats + self._extra[point_id] - 1)

    def _add(self, point_id: str, block: int) -> None:
        self._waiting.append(PlannedTrial(index=self.total, block=block, point_id=point_id))
        self.total += 1

    def _go_on(self) -> bool:
        """Add one more block of the points that are still too wide; False where there are none."""
        wide = [point.id for point in self._plan.points if self._is_wide(point.id)]
        self._random.shuffle(wide)
        self._block += 1
        for point_id in wide:
            self._add(point_id, self._block)
        return bool(wide)

    def _is_wide(self, point_id: str) -> bool:
        until, most = self._plan.until, self._plan.most_repeats
        if until is None or most is None:
            return False
        mine = self._records[point_id]
        valid = sum(analysis.counts(record) for record in mine)
        # Where nothing counts, more of the same would not either.
        if not valid or len(mine) - self._extra[point_id] >= most:
            return False
        summary = self.summary(point_id)
        # What the source may miss no number of repeats takes away: then the least will do.
        if valid >= analysis.MIN_EXACT_N and stays(summary) > until:
            return False
        width = half_width(summary)
        if width is None or valid < analysis.MIN_EXACT_N or width > until:
            self._narrow[point_id] = 0
            return True
        # Narrow once can be an accident of the last trial: by then the least will do, later it
        # must be so twice in a row, which keeps what the interval covers.
        self._narrow[point_id] += 1
        return valid > analysis.MIN_EXACT_N and self._narrow[point_id] < 2

    def summary(self, point_id: str) -> PointSummary:
        """What the trials of a point say so far."""
        alone = replace(self._plan, points=(self._plan.point(point_id),))
        records = self._records[point_id]
        return analysis.summarise(alone, records, self._engine, self._host)[0]


def half_width(summary: PointSummary) -> float | None:
    """Half of the width of a point's main interval, as a share of its median.

    None where there is no interval. The main metric is that of the point's first law, else the
    ratio of what competes, else CPUs.
    """
    estimate = _main(summary)
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    half = (estimate.high - estimate.low) / 2
    return half / abs(estimate.median) if estimate.median else (0.0 if half == 0 else None)


def stays(summary: PointSummary) -> float:
    """The part of ``half_width`` that no repeats take away: what the source may miss alike."""
    estimate = _main(summary)
    return estimate.error / abs(estimate.median) if estimate and estimate.median else 0.0


def _main(summary: PointSummary) -> Estimate | None:
    if summary.results:
        first = summary.results[0]
        # Against what the law came to in each window: where others take CPU, both move together.
        return first.achieved if first.expectation.scale is Scale.ABSOLUTE else _of_law(summary)
    return summary.estimate("ratio") or summary.estimate("cpus")


def _of_law(summary: PointSummary) -> Estimate | None:
    """The interval about 1 + deviation: of what was measured over what was promised."""
    found = summary.results[0].deviation
    if found is None or found.low is None or found.high is None:
        return None
    return replace(found, median=1 + found.median, low=1 + found.low, high=1 + found.high)
