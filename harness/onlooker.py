"""Looks at a container that others run: its limits, and windows of its counters. Changes nothing.

Everything is read: the engine's own description, the cgroup's files, docker stats. No container is
started, no limit is written, no signal is sent. Where the cgroup is not at hand (the engine runs on
another host), what is left are the limits as the engine tells them and docker stats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from harness.cgroup import (
    CgroupPaths,
    CounterReader,
    effective_limits,
    kernel_limits,
    locate,
    memory_counters,
)
from harness.engine.containers import Exit
from harness.engine.stats import StatsStream
from harness.errors import EngineError, MeasurementError
from harness.host import HostReader
from harness.inspection import Observation
from harness.limits import DEFAULT_PERIOD_US, parse_cpu_list
from harness.model import (
    UNLIMITED,
    ContainerRecord,
    EffectiveLimits,
    HostFacts,
    HostSample,
    KernelLimits,
    Outcome,
    RunningContainer,
    TrialRecord,
)
from harness.sampler import Clock, SystemClock, Window, kept_off, sample_window

MAX_CADENCE_HZ = 1000.0
_TOLD_NS = 3_000_000_000
"""So long an engine may take to know of a process's end: tens of ms where its host is idle."""
_ASKED_AGAIN_NS = 50_000_000


class Onlooked(Protocol):
    """What looking on needs of an engine."""

    def follow_stats(self, container_id: str) -> StatsStream:
        """Begin to collect docker stats of a container."""
        ...

    def how_it_ended(self, container_id: str) -> Exit | None:
        """How a container ended; None while it runs. LookupError where it is gone."""
        ...


class Onlooker:
    """A context: descriptors and the stats stream stay open from one window to the next."""

    def __init__(  # noqa: PLR0913 - the rest are what tests replace
        self,
        engine: Onlooked,
        container: RunningContainer,
        host: HostFacts,
        *,
        clock: Clock | None = None,
        read_host: Callable[[], HostSample] | None = None,
        proc: Path = Path("/proc"),
    ) -> None:
        self._engine, self._container, self._host = engine, container, host
        self._clock = clock or SystemClock()
        self._read_host = read_host or HostReader().read
        self._process = proc / str(container.pid)
        self._started = self._start()
        self._opened: tuple[CgroupPaths, CounterReader] | None = None
        self._obstacle = ""
        try:
            paths = locate(container.pid, container.id, proc)
            self._opened = paths, CounterReader(paths)
        except MeasurementError as error:
            self._obstacle = error.message.rstrip(".")
        # Its first frame comes after a second and has no predecessor: it begins before any window.
        self._stats = engine.follow_stats(container.id)

    def __enter__(self) -> Onlooker:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the descriptors back and end the stream."""
        self._stats.close()
        if self._opened:
            self._opened[1].close()

    def look(self, duration_s: float, cadence_hz: float | None = None) -> Observation:
        """One window from now on, rounded up to whole quota periods; shorter where it ends first.

        ``cadence_hz`` is the host's tick rate by default: the CPU counter does not move faster.
        MeasurementError where the container ended before there was anything to measure.
        """
        start_ns = self._clock.now_ns()
        if self._opened is None:
            self._clock.sleep_ns(round(duration_s * 1e9))
            record = self._record(stats=self._stats.frames(start_ns, self._clock.now_ns()))
            return Observation(
                self._container, _trial(record), obstacle=self._obstacle, ended=self._told()
            )
        if not self._runs():
            raise self._over()
        paths, reader = self._opened
        before = self._record(
            kernel=kernel_limits(paths),
            effective=effective_limits(paths),
            memory_first=memory_counters(paths),
            absent=reader.absent,
        )
        period_s = _period_s(before.kernel, before.effective)
        whole_s = math.ceil(duration_s / period_s - 1e-9) * period_s
        window = self._window(before, reader, whole_s, cadence_hz)
        # The files go with the container: what was read last is where it ended.
        samples = tuple(s for s in window.samples[0] if s.cpu_usage_ns is not None)
        if len(samples) < 2:
            raise self._over()
        # The counters can be read for some ms after the process, until its cgroup is removed.
        gone = not self._runs() or len(samples) < len(window.samples[0])
        record = replace(
            before,
            first=samples[0],
            last=samples[-1],
            stats=self._stats.frames(start_ns, self._clock.now_ns()),
            kernel_after=None if gone else kernel_limits(paths),
            memory_last=None if gone else memory_counters(paths),
        )
        trial = _trial(
            record,
            host_first=window.host_first,
            host_last=window.host_last,
            sampler=window.cost,
        )
        return Observation(
            self._container, trial, samples=samples, ended=self._ending() if gone else ""
        )

    def _window(
        self,
        before: ContainerRecord,
        reader: CounterReader,
        duration_s: float,
        cadence_hz: float | None,
    ) -> Window:
        pinned = before.effective.cpuset_cpus if before.effective else None
        with kept_off(parse_cpu_list(pinned) if pinned else None):
            return sample_window(
                [reader],
                self._read_host,
                start_ns=self._clock.now_ns(),
                duration_ns=round(duration_s * 1e9),
                cadence_hz=cadence_hz or min(MAX_CADENCE_HZ, 1e9 / self._host.tick_ns),
                clock=self._clock,
                done=lambda: not self._process.exists(),
            )

    def _record(self, **measured: Any) -> ContainerRecord:
        # What was asked for is known only as the engine holds it.
        limits = self._container.limits
        return ContainerRecord(requested=limits, engine=limits, **measured)

    def _start(self) -> str:
        """When the container's first process started, in ticks; empty where it is gone."""
        try:
            text = (self._process / "stat").read_text()
        except OSError:
            return ""
        # proc(5), field 22; the name before it may hold blanks and brackets.
        return text[text.rindex(")") + 1 :].split()[19]

    def _runs(self) -> bool:
        """Whether that process is there yet, and no other has got its number."""
        return self._process.exists() and self._start() == self._started

    def _over(self) -> MeasurementError:
        return MeasurementError(
            f"{self._container.name} ended before it could be measured: {self._ending()}.",
            "Start it again.",
        )

    def _ending(self) -> str:
        """How it ended, of a container whose process is gone."""
        give_up_ns = self._clock.now_ns() + _TOLD_NS
        try:
            while not (said := self._told()) and self._clock.now_ns() < give_up_ns:
                self._clock.sleep_ns(_ASKED_AGAIN_NS)
        except EngineError:
            return "it ended, and the engine does not tell how"
        return said or "its process ended, and the engine says that it runs: it starts it again"

    def _told(self) -> str:
        """How it ended, as the engine says now; empty where it says that it runs."""
        try:
            ended = self._engine.how_it_ended(self._container.id)
        except LookupError:
            return "it ended and is gone"
        if ended is None:
            return ""
        killed = ", OOM-killed" if ended.oom_killed else ""
        return f"it ended with exit code {ended.exit_code}{killed}"


def _trial(record: ContainerRecord, **measured: Any) -> TrialRecord:
    """A window of somebody else's container, as a trial: so that it is judged by the same code."""
    return TrialRecord(
        index=0,
        block=0,
        point_id="",
        outcome=Outcome.COMPLETED,
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        containers=(record,),
        **measured,
    )


def _period_s(kernel: KernelLimits | None, effective: EffectiveLimits | None) -> float:
    """The longest period of the container's own quota and of one above that is tighter."""
    held = [effective.cpus_period_us if effective else None]
    if kernel and kernel.cpu_quota_us not in (None, UNLIMITED):
        held.append(kernel.cpu_period_us)
    return max((one for one in held if one), default=DEFAULT_PERIOD_US) / 1e6
