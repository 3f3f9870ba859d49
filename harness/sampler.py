"""The fixed-cadence loop: a first read, ticks at absolute deadlines, a last read.

The totals of a window come from its first and last read and are independent of the cadence; the
ticks in between are for timelines. Raw bytes are kept in the window and parsed after it. The
loop runs in the calling thread, with garbage collection off and, where permitted, at the lowest
real-time priority: a container that takes every CPU would otherwise delay the reads by up to a
scheduler slice. What sampling cost, and how late it was, is part of the result.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from harness.cgroup import RawSample
from harness.model import HostSample, Sample, SamplerCost


class Reader(Protocol):
    """One container's counters; ``cgroup.CounterReader`` is the real one."""

    def read(self) -> RawSample:
        """One moment of all counters."""
        ...

    def read_edge(self) -> tuple[RawSample, bytes | None]:
        """A moment at the window's edge, with per-CPU counters where there are any."""
        ...

    def parse(self, raw: RawSample, percpu: bytes | None = None) -> Sample:
        """Counters of a raw sample."""
        ...

    def close(self) -> None:
        """Give its descriptors back."""
        ...


class Clock(Protocol):
    """Monotonic time and sleep, so that the cadence can be tested without waiting."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in ns."""
        ...

    def sleep_ns(self, duration_ns: int) -> None:
        """Sleep that long; returns at once for 0 or less."""
        ...

    def thread_cpu_ns(self) -> int:
        """CPU time of the calling thread in ns."""
        ...


class SystemClock:
    """The host's own clocks."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in ns."""
        return time.monotonic_ns()

    def sleep_ns(self, duration_ns: int) -> None:
        """Sleep that long; returns at once for 0 or less."""
        if duration_ns > 0:
            time.sleep(duration_ns / 1e9)

    def thread_cpu_ns(self) -> int:
        """CPU time of the calling thread in ns."""
        return time.thread_time_ns()


@dataclass(frozen=True, slots=True)
class Window:
    """What sampling a window gave: per container its samples, first and last among them."""

    samples: tuple[tuple[Sample, ...], ...]
    host_first: HostSample
    host_last: HostSample
    cost: SamplerCost


def sample_window(  # noqa: PLR0913 - each is one fact of the window, by name
    readers: Sequence[Reader],
    read_host: Callable[[], HostSample],
    *,
    start_ns: int,
    duration_ns: int,
    cadence_hz: float,
    clock: Clock,
    done: Callable[[], bool] | None = None,
) -> Window:
    """Sample all containers from ``start_ns`` for ``duration_ns`` (CLOCK_MONOTONIC).

    A tick that comes later than one whole interval is missed: it is counted and skipped, never
    made up for, so that deadlines do not drift. The last read is made at ``start + duration``
    whatever the cadence, or at the first tick at which ``done`` says that the load has ended: for
    loads that have an end of their own.
    """
    interval_ns = max(1, round(1e9 / cadence_hz))
    end_ns = start_ns + duration_ns
    ticks: list[list[RawSample]] = [[] for _ in readers]
    lateness: list[int] = []
    missed = 0
    with _undisturbed():
        clock.sleep_ns(start_ns - clock.now_ns())
        cpu_before = clock.thread_cpu_ns()
        host_first = read_host()
        firsts = [reader.read_edge() for reader in readers]
        number = 1
        while (deadline := start_ns + number * interval_ns) < end_ns:
            clock.sleep_ns(deadline - clock.now_ns())
            late = clock.now_ns() - deadline
            if late >= interval_ns:
                skipped = late // interval_ns
                missed += skipped
                number += skipped
                continue
            lateness.append(late)
            for reader, kept in zip(readers, ticks, strict=True):
                kept.append(reader.read())
            if done is not None and done():
                break
            number += 1
        else:
            clock.sleep_ns(end_ns - clock.now_ns())
        lasts = [reader.read_edge() for reader in readers]
        host_last = read_host()
        cpu_after = clock.thread_cpu_ns()
    samples = tuple(
        (reader.parse(*first), *(reader.parse(raw) for raw in kept), reader.parse(*last))
        for reader, first, kept, last in zip(readers, firsts, ticks, lasts, strict=True)
    )
    lateness.sort()
    cost = SamplerCost(
        ticks=len(lateness),
        missed=missed,
        lateness_p50_ns=_quantile(lateness, 0.50),
        lateness_p99_ns=_quantile(lateness, 0.99),
        cpu_ns=cpu_after - cpu_before,
    )
    return Window(samples, host_first, host_last, cost)


def _quantile(ordered: list[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No garbage collection, and real-time priority for this thread where that is permitted."""
    collecting = gc.isenabled()
    gc.disable()
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        raised = True
    except OSError:  # not root, or a cgroup without real-time budget (CONFIG_RT_GROUP_SCHED)
        raised = False
    try:
        yield
    finally:
        if raised:
            os.sched_setscheduler(0, *before)
        if collecting:
            gc.enable()
