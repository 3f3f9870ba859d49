"""Disturbed trials are waited out: a check pauses while others take this host's CPUs.

A calm host pays nothing: it is watched only after a trial that did not count for what others took,
with none of our containers there, and by the very bounds that rejected the trial.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.host.counters import HostReader
from harness.judge import validity
from harness.measure.clock import Clock
from harness.measure.queue import Queue
from harness.measure.runner import Listener
from harness.model import HostSample, Plan, RunInfo, TrialRecord
from harness.plan.budget import Budget

LOOK_NS = 1_000_000_000
"""Steal is counted by the hundredth of a second: a shorter look could not tell 2 % of it."""
CALM_LOOKS = 2
"""In a row: what comes and goes within seconds is not over at its first pause."""


class Calm:
    """Waits until others have ended, as long as the budget has time to spare."""

    def __init__(
        self,
        info: RunInfo,
        budget: Budget,
        clock: Clock,
        read: Callable[[], HostSample] | None = None,
    ) -> None:
        self._info, self._budget, self._clock = info, budget, clock
        self._read = read or HostReader().read

    def __call__(self, record: TrialRecord, queue: Queue, listener: Listener) -> None:
        """Return once the host is calm, at once where it was for this trial."""
        plan = queue.plan  # a search adds points
        why = self._disturbance(record, plan)
        # Of an engine on another host these counters would say nothing.
        here = record.host_first is not None and record.host_first.harness_cpu_ns is not None
        if not why or not here:
            return
        spare_s = self._budget.spare_s(queue.records, queue.total - queue.done)
        if spare_s < CALM_LOOKS * LOOK_NS / 1e9:
            return
        listener.busy(why, spare_s)
        waited_s, again = self._wait(record, plan, spare_s)
        self._budget.waited_s += waited_s
        listener.calm(waited_s, again=again)

    def _wait(self, record: TrialRecord, plan: Plan, most_s: float) -> tuple[float, bool]:
        """(how long it took, whether the host is calm)."""
        began_ns, in_a_row = self._clock.now_ns(), 0
        before = self._read()
        while in_a_row < CALM_LOOKS:
            waited_s = (self._clock.now_ns() - began_ns) / 1e9
            if waited_s + LOOK_NS / 1e9 > most_s:
                return waited_s, False
            self._clock.sleep_ns(LOOK_NS)
            now = self._read()
            busy = self._disturbance(record, plan, (before, now))
            in_a_row = 0 if busy else in_a_row + 1
            before = now
        return (self._clock.now_ns() - began_ns) / 1e9, True

    def _disturbance(
        self,
        record: TrialRecord,
        plan: Plan,
        meanwhile: tuple[HostSample, HostSample] | None = None,
    ) -> str:
        info = self._info
        return validity.disturbance(record, plan, info.engine, info.host, meanwhile=meanwhile)
