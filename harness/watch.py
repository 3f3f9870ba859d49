"""Watching the containers of a trial from outside: their limits, their memory, and one window.

``Watch`` is what the runner sees. ``LocalWatch`` reads this host's own files; ``harness.sidecar``
does the same on an engine's host from within a container; ``BlindWatch`` is what is left where
neither can be had.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.cgroup import (
    CounterReader,
    effective_limits,
    kernel_limits,
    locate,
    memory_counters,
)
from harness.host import HostReader
from harness.model import (
    EffectiveLimits,
    HostSample,
    KernelLimits,
    MemoryCounters,
    Sample,
    SamplerCost,
)
from harness.sampler import Clock, Reader, Window, sample_window

Watched = tuple[int, str]
"""(pid of its first process on the engine's host, id) of a container."""


class Watch(Protocol):
    """All containers of one trial, seen from outside, in their order."""

    @property
    def absent(self) -> Sequence[dict[str, str]]:
        """Counters that each has none of, with why."""
        ...

    def limits(self) -> Sequence[KernelLimits | None]:
        """The limits that the kernel holds now; None where they cannot be read."""
        ...

    def effective(self) -> Sequence[EffectiveLimits | None]:
        """The tightest limits on each one's path to the root."""
        ...

    def memory(self) -> Sequence[MemoryCounters | None]:
        """Each one's memory now."""
        ...

    def window(
        self, start_ns: int, duration_ns: int, cadence_hz: float, done: Callable[[], bool] | None
    ) -> Window:
        """One window from ``start_ns`` (our CLOCK_MONOTONIC) on; see ``sampler.sample_window``."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class OpenCgroup:
    """One container's cgroup: its counters and its limits."""

    reader: Reader
    limits: Callable[[], KernelLimits]
    effective: Callable[[], EffectiveLimits]
    memory: Callable[[], MemoryCounters]


def open_cgroup(pid: int, container_id: str) -> OpenCgroup:
    """A container's cgroup on this host; MeasurementError where it is not visible here."""
    paths = locate(pid, container_id)
    return OpenCgroup(
        CounterReader(paths),
        functools.partial(kernel_limits, paths),
        functools.partial(effective_limits, paths),
        functools.partial(memory_counters, paths),
    )


class LocalWatch:
    """By the files of this host."""

    def __init__(
        self,
        containers: Sequence[Watched],
        clock: Clock,
        opening: Callable[[int, str], OpenCgroup] = open_cgroup,
        read_host: Callable[[], HostSample] | None = None,
    ) -> None:
        self._clock = clock
        self._read_host = read_host or HostReader().read
        self._opened: list[OpenCgroup] = []
        try:
            for pid, container_id in containers:
                self._opened.append(opening(pid, container_id))
        except BaseException:
            self.close()
            raise

    @property
    def absent(self) -> Sequence[dict[str, str]]:
        """As each reader found it."""
        return [cgroup.reader.absent for cgroup in self._opened]

    def limits(self) -> Sequence[KernelLimits]:
        """From the files, now."""
        return [cgroup.limits() for cgroup in self._opened]

    def effective(self) -> Sequence[EffectiveLimits]:
        """From the files, now."""
        return [cgroup.effective() for cgroup in self._opened]

    def memory(self) -> Sequence[MemoryCounters]:
        """From the files, now."""
        return [cgroup.memory() for cgroup in self._opened]

    def window(
        self, start_ns: int, duration_ns: int, cadence_hz: float, done: Callable[[], bool] | None
    ) -> Window:
        """Sampled in the calling thread."""
        return sample_window(
            [cgroup.reader for cgroup in self._opened],
            self._read_host,
            start_ns=start_ns,
            duration_ns=duration_ns,
            cadence_hz=cadence_hz,
            clock=self._clock,
            done=done,
        )

    def close(self) -> None:
        """Close the descriptors."""
        for cgroup in self._opened:
            cgroup.reader.close()
        self._opened = []


class BlindWatch:
    """Nothing from outside: what the workload says of itself and docker stats are all there is."""

    _LOOK_NS = 10_000_000

    def __init__(self, containers: Sequence[Watched], clock: Clock, why: str) -> None:
        self._count, self._clock, self._why = len(containers), clock, why

    @property
    def absent(self) -> Sequence[dict[str, str]]:
        """Every counter, for the same reason."""
        counters = [name for name in Sample.__dataclass_fields__ if name != "t_mono_ns"]
        return [dict.fromkeys(counters, self._why)] * self._count

    def limits(self) -> Sequence[KernelLimits | None]:
        """Not known."""
        return [None] * self._count

    def effective(self) -> Sequence[EffectiveLimits | None]:
        """Not known."""
        return [None] * self._count

    def memory(self) -> Sequence[MemoryCounters | None]:
        """Not known."""
        return [None] * self._count

    def window(
        self, start_ns: int, duration_ns: int, cadence_hz: float, done: Callable[[], bool] | None
    ) -> Window:
        """Time passes; nothing is read."""
        clock, end_ns = self._clock, start_ns + duration_ns
        clock.sleep_ns(start_ns - clock.now_ns())
        first = HostSample(t_mono_ns=clock.now_ns())
        while (left := end_ns - clock.now_ns()) > 0 and not (done is not None and done()):
            clock.sleep_ns(left if done is None else min(left, self._LOOK_NS))
        cost = SamplerCost(ticks=0, missed=0, lateness_p50_ns=0, lateness_p99_ns=0, cpu_ns=0)
        return Window(((),) * self._count, first, HostSample(t_mono_ns=clock.now_ns()), cost)

    def close(self) -> None:
        """It holds nothing."""
