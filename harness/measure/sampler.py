"""The fixed-cadence loop: a first read, ticks at absolute deadlines, a last read.

The totals of a window come from its first and last read and are independent of the cadence; the
ticks in between are for timelines. Raw bytes are kept in the window and parsed after it. The
loop runs in the calling thread, with garbage collection off and, where permitted, at the lowest
real-time priority: a container that takes every CPU would otherwise delay the reads by up to a
scheduler slice. Where the containers are pinned and leave it a CPU, it keeps to that one. What
sampling cost, and how late it was, is part of the result. Figures: docs/decisions/005.
"""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from harness.cgroup import RawSample
from harness.limits import format_cpu_list
from harness.model import CgroupAbove, HostSample, Neighbour, Sample, SamplerCost

DETAIL_HZ = 10.0
"""Memory's details and pressure are read so often at the most: the kernel adds them up over all
CPUs when it is asked, so they cost several times what the other counters do."""


class Reader(Protocol):
    """One container's counters; ``cgroup.CounterReader`` is the real one."""

    absent: dict[str, str]
    """Counters that there are none of, each with why."""

    def read(self) -> RawSample:
        """One moment of the counters that are cheap to read."""
        ...

    def read_details(self) -> RawSample:
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
    above: tuple[tuple[CgroupAbove, ...], ...] = ()
    """Of each container the cgroups above it whose counters were read in the window; empty where
    none were looked for."""
    neighbours: tuple[Neighbour, ...] = ()


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
    # Whole ticks between two reads of the details.
    detail_every = max(1, math.ceil(cadence_hz / DETAIL_HZ))
    end_ns = start_ns + duration_ns
    ticks: list[list[RawSample]] = [[] for _ in readers]
    lateness: list[int] = []
    missed = 0
    with _undisturbed() as realtime:
        clock.sleep_ns(start_ns - clock.now_ns())
        cpu_before = clock.thread_cpu_ns()
        host_first = read_host()
        firsts = [reader.read_edge() for reader in readers]
        number = 1
        # From the start and never from the tick before: at 3 Hz an interval is no whole number of
        # ns, and a loop that adds it up drifts away.
        while (deadline := start_ns + round(number * 1e9 / cadence_hz)) < end_ns:
            clock.sleep_ns(deadline - clock.now_ns())
            late = clock.now_ns() - deadline
            if late >= interval_ns:
                skipped = late // interval_ns
                missed += skipped
                number += skipped
                continue
            lateness.append(late)
            in_detail = number % detail_every == 0
            for reader, kept in zip(readers, ticks, strict=True):
                kept.append(reader.read_details() if in_detail else reader.read())
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
    cost = _cost(lateness, missed, cpu_after - cpu_before, realtime=realtime)
    return Window(samples, host_first, host_last, cost)


def _cost(lateness_ns: list[int], missed: int, cpu_ns: int, *, realtime: bool) -> SamplerCost:
    """What sampling took of this thread, and how late its ticks were."""
    ordered = sorted(lateness_ns)
    return SamplerCost(
        ticks=len(ordered),
        missed=missed,
        lateness_p50_ns=quantile(ordered, 0.50),
        lateness_p99_ns=quantile(ordered, 0.99),
        cpu_ns=cpu_ns,
        cpus=_kept_to(),
        realtime=realtime,
    )


def quantile(ordered: list[int], share: float) -> int:
    """By nearest rank, of numbers in ascending order; 0 where there are none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


@contextmanager
def kept_off(measured: frozenset[int] | None) -> Iterator[None]:
    """Keep this thread, and those that it starts, off the CPUs that are measured.

    ``measured`` is None where the containers may run on any CPU. Where they leave none of those
    that this thread may use, nothing is changed: then its priority alone keeps the reads in time.
    """
    before = os.sched_getaffinity(0)
    rest = before - measured if measured is not None else frozenset[int]()
    if rest:
        os.sched_setaffinity(0, rest)
    try:
        yield
    finally:
        if rest:
            os.sched_setaffinity(0, before)


def _kept_to() -> str | None:
    """The CPUs that this thread keeps to; None where it may use every one that there is."""
    mine = frozenset(os.sched_getaffinity(0))
    return format_cpu_list(mine) if len(mine) < (os.cpu_count() or 1) else None


@contextmanager
def _undisturbed() -> Iterator[bool]:
    """No garbage collection, and real-time priority for this thread where that is permitted.

    Gives whether it is.
    """
    collecting = gc.isenabled()
    gc.disable()
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        raised = True
    except OSError:  # not root, or a cgroup without real-time budget (CONFIG_RT_GROUP_SCHED)
        raised = False
    try:
        yield raised
    finally:
        if raised:
            os.sched_setscheduler(0, *before)
        if collecting:
            gc.enable()
