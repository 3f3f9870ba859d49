"""CPU bandwidth control, simulated: a quota's schedule whose true CPU time is known at any moment.

As kernel/sched/fair.c does it for one thread on one CPU: run time is charged at the scheduler's
tick, and is stopped there once the quota is spent; what was overrun is paid back from the next
period's quota; what is left at the end of a period expires.
"""

from __future__ import annotations

import bisect
import math
import random
from dataclasses import dataclass
from itertools import pairwise

MS = 1_000_000


@dataclass(frozen=True)
class Schedule:
    """All times in ns. ``bursts`` are the spans in which the thread runs."""

    quota: int
    period: int
    tick: int
    bursts: tuple[tuple[int, int], ...]
    tick_phase: int

    def used(self, moment: int) -> int:
        """The CPU time truly used since the beginning."""
        return sum(min(end, moment) - start for start, end in self.bursts if start < moment)

    def counter(self, moment: int) -> int:
        """What the kernel's counter shows then: as of the last tick, or of the last stop."""
        last_tick = moment - (moment - self.tick_phase) % self.tick
        at = bisect.bisect_right([start for start, _ in self.bursts], moment) - 1
        stopped = at >= 0 and self.bursts[at][1] <= moment
        return self.used(self.bursts[at][1] if stopped else last_tick)

    def gaps(self) -> list[int]:
        """How long the thread stood still, each time."""
        return [start - end for (_, end), (start, _) in pairwise(self.bursts)]


def simulated(
    quota: int, period: int, rng: random.Random, *, tick: int = 4 * MS, length: int = 4_000 * MS
) -> Schedule:
    """A thread that always wants to run, with the phases of tick and period drawn at random."""
    assert tick <= period
    assert 0 < quota < period
    tick_phase = rng.randrange(tick)
    bursts: list[tuple[int, int]] = []
    debt = 0
    begin = -rng.randrange(period) - 5 * period
    while begin < length:
        left = quota - debt
        if left <= 0:
            debt = -left
        else:
            # The first tick at which what it ran has spent what it had.
            ticks = math.ceil((begin + left - tick_phase) / tick)
            end = min(tick_phase + ticks * tick, begin + period)
            debt = max(0, end - begin - left)
            bursts.append((begin, end))
        begin += period
    return Schedule(quota, period, tick, tuple(bursts), tick_phase)
