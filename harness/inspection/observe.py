"""Observes a container that others run, by its limits, by windows of its counters.

Everything is read, nothing is changed: the engine's own description, the cgroup's files, docker
stats. No container is started, no limit is written, no signal is sent. Where the cgroup is not at
hand (the engine runs on another host), what is left are the limits as the engine tells them and
docker stats.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from harness.cgroup import (
    CgroupPaths,
    CounterReader,
    NamedCgroup,
    effective_limits,
    frozen_by,
    kernel_limits,
    locate,
    memory_counters,
)
from harness.engine.boundary import Exit, StatsStream
from harness.errors import EngineError, MeasurementError
from harness.host.process import kept_off
from harness.inspection.life import CgroupLife, Life, ProcessLife
from harness.inspection.program import ProgramReader
from harness.inspection.space import Spaces
from harness.inspection.use import Observation
from harness.limits import DEFAULT_PERIOD_US, parse_cpu_list
from harness.measure.above import Above
from harness.measure.clock import Clock, SystemClock
from harness.measure.sampled import Ending, Window
from harness.measure.sampler import Reader, Sampler, StartSampling
from harness.model import (
    UNLIMITED,
    ContainerRecord,
    EffectiveLimits,
    HostFacts,
    KernelLimits,
    Limits,
    Outcome,
    RunningContainer,
    TrialRecord,
)

MAX_CADENCE_HZ = 1000.0
_TOLD_NS = 3_000_000_000
"""So long an engine may take to know of a process's end: tens of ms where its host is idle."""
_ASKED_AGAIN_NS = 50_000_000
_FROZEN_AGAIN_NS = 200_000_000
_LOOK_S = 0.025
"""So often in a window it is looked whether its process is there."""
_LIMITS_EVERY_NS = 100_000_000
"""So often in a window its limits are read: a dozen files, less than a millisecond."""
_LEAST_PART_S = 1.0
"""What is left of a window after a change of its limits is made so long, to be worth a word."""


class Onlooked(Protocol):
    """What looking on needs of an engine."""

    def follow_stats(self, container_id: str) -> StatsStream:
        """Begin to collect docker stats of a container."""
        ...

    def how_it_ended(self, container_id: str) -> Exit | None:
        """How a container ended; None while it runs. LookupError where it is gone."""
        ...

    def limits_of(self, container_id: str) -> Limits:
        """Its limits as the engine holds them now. LookupError where it is gone."""
        ...

    def describe(self, container_id: str) -> RunningContainer:
        """What it is now. LookupError where it is gone; MeasurementError where none runs."""
        ...


class Onlooker:
    """A context: descriptors and the stats stream stay open from one window to the next.

    ``named`` is a cgroup that is looked at without an engine.
    """

    def __init__(  # noqa: PLR0913 - the rest are what tests replace
        self,
        engine: Onlooked,
        container: RunningContainer,
        host: HostFacts,
        *,
        clock: Clock | None = None,
        sampling: StartSampling = Sampler,
        proc: Path = Path("/proc"),
        obstacle: str = "",
        named: NamedCgroup | None = None,
    ) -> None:
        self._engine, self._container, self._host = engine, container, host
        self._clock = clock or SystemClock()
        self._sampling = sampling
        self._named = named
        self._process = proc / str(container.pid)
        self._life: Life = ProcessLife(self._process)
        if named is not None and not named.by_process:
            self._life = CgroupLife(named.folder)
        self._opened: tuple[CgroupPaths, CounterReader] | None = None
        self._left: CgroupPaths | None = None  # by its process, for some controllers or for all
        self._obstacle = obstacle
        if not obstacle:
            try:
                paths = named.paths if named else locate(container.pid, container.id, proc)
                self._left = paths if paths.moved else None
                self._opened = paths, CounterReader(paths)
                self._program = ProgramReader(self._process, paths, host, self._clock.now_ns)
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
        Where limits change within the window it is told in parts, each under its own limits: the
        last is what is returned, and holds those before it. MeasurementError where the container
        ended before there was anything to measure.
        """
        end_ns = self._clock.now_ns() + round(duration_s * 1e9)
        earlier: tuple[Observation, ...] = ()
        left_s = duration_s
        while True:
            part = self._part(left_s, cadence_hz)
            changed = in_force(part.record.kernel) != in_force(part.record.kernel_after)
            if part.ended or part.record.kernel_after is None or not changed:
                return replace(part, earlier=earlier)
            earlier = (*earlier, part)
            left_s = max(_LEAST_PART_S, (end_ns - self._clock.now_ns()) / 1e9)

    def _part(self, duration_s: float, cadence_hz: float | None) -> Observation:
        """A window in which the limits stay as they are, or that ends as soon as they change."""
        start_ns = self._clock.now_ns()
        if self._opened is None:
            self._clock.sleep_ns(round(duration_s * 1e9))
            record = self._record(
                stats=self._stats.frames(start_ns, self._clock.now_ns()),
                kernel=self._left and kernel_limits(self._left),
                effective=self._left and effective_limits(self._left),
            )
            return Observation(
                self._container, trial_of(record), obstacle=self._obstacle, moved=self._moved(),
                ended=self._told(),
            )  # fmt: skip
        if not self._life.goes_on():
            raise self._over()
        paths, _ = self._opened
        # Not only once: docker update may have changed them since it was found.
        with contextlib.suppress(LookupError, EngineError):
            held = self._engine.limits_of(self._container.id)
            self._container = replace(self._container, limits=held)
        with contextlib.closing(Above(paths)) as above:
            return self._measured(duration_s, cadence_hz, above)

    def _measured(self, duration_s: float, cadence_hz: float | None, above: Above) -> Observation:
        """The same where the cgroup is at hand."""
        assert self._opened is not None
        paths, reader = self._opened
        start_ns = self._clock.now_ns()
        before = self._record(
            kernel=kernel_limits(paths),
            effective=effective_limits(paths),
            memory_first=memory_counters(paths),
            absent=reader.absent,
        )
        period_s = _period_s(before.kernel, before.effective)
        whole_s = math.ceil(duration_s / period_s - 1e-9) * period_s
        window = self._window(before, whole_s, cadence_hz, above.readers)
        own, *others = window.samples
        # The files go with the container: what was read last is where it ended.
        lasting = "cpu_usage_ns" if paths.folder("cpuacct") else "memory_bytes"
        moments = [i for i, one in enumerate(own) if getattr(one, lasting) is not None]
        if len(moments) < 2:
            raise self._over()
        samples = tuple(own[i] for i in moments)
        # The counters can be read for some ms after the process, until its cgroup is removed.
        gone = not self._life.goes_on() or len(samples) < len(own)
        frozen, self._container = frozen_still(
            paths, self._container, self._engine.describe, self._clock
        )
        above_it, series = above.after(others, moments)
        record = replace(
            before,
            above=above_it,
            first=samples[0],
            last=samples[-1],
            stats=self._stats.frames(start_ns, self._clock.now_ns()),
            kernel_after=None if gone else kernel_limits(paths),
            memory_last=None if gone else memory_counters(paths),
        )
        trial = trial_of(
            record,
            host_first=window.host_first,
            host_last=window.host_last,
            sampler=window.cost,
        )
        return Observation(
            self._container, trial, samples=samples, above=series, moved=self._moved(),
            ended=self._ending() if gone else "", named=self._named,
            program=self._program.taken(), frozen=frozen, spaces=Spaces(self._process).now(),
            root_unseen=paths.root_unseen,
        )  # fmt: skip

    def _window(
        self,
        before: ContainerRecord,
        duration_s: float,
        cadence_hz: float | None,
        others: Sequence[Reader],
    ) -> Window:
        assert self._opened is not None
        paths, reader = self._opened
        look_ns = self._clock.now_ns() + _LIMITS_EVERY_NS

        def is_over() -> bool:
            nonlocal look_ns
            if not self._life.seems_on():
                return True
            if self._clock.now_ns() < look_ns:
                return False
            look_ns += _LIMITS_EVERY_NS
            self._program.look()
            changed = in_force(kernel_limits(paths)) != in_force(before.kernel)
            return changed or not self._life.goes_on()

        pinned = before.effective.cpuset_cpus if before.effective else None
        measured = parse_cpu_list(pinned) if pinned else None
        rate_hz = cadence_hz or min(MAX_CADENCE_HZ, 1e9 / self._host.tick_ns)
        with (
            kept_off(measured),
            contextlib.closing(self._sampling([reader, *others], rate_hz, measured)) as sampling,
        ):
            return sampling.window(
                self._clock.now_ns(), round(duration_s * 1e9), Ending(is_over, _LOOK_S)
            )

    def _record(self, **measured: Any) -> ContainerRecord:
        # What was asked for is known only as the engine holds it.
        limits = self._container.limits
        return ContainerRecord(requested=limits or Limits(), engine=limits, **measured)

    def _moved(self) -> dict[str, str]:
        return self._left.moved if self._left else {}

    def _over(self) -> MeasurementError:
        return MeasurementError(
            f"{self._container.name} ended before it could be measured: {self._ending()}.",
            "Start it again.",
        )

    def _ending(self) -> str:
        """How it ended, of a container whose process is gone."""
        if self._named is not None:
            return self._life.ending() or "its counters are gone"
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


def frozen_still(
    paths: CgroupPaths,
    container: RunningContainer,
    describe: Callable[[str], RunningContainer],
    clock: Clock,
) -> tuple[str, RunningContainer]:
    """Which cgroup is frozen (``frozen_by``), and the container with what its engine says by then.

    Twice, as an engine freezes for a moment what it updates or commits; and a pause that came after
    the container was found is told as one. One that was paused before is not waited for: of
    ``--all`` there may be many.
    """
    frozen = frozen_by(paths)
    if not frozen or container.state == "paused":
        return frozen, container
    clock.sleep_ns(_FROZEN_AGAIN_NS)
    with contextlib.suppress(LookupError, EngineError, MeasurementError):
        container = replace(container, state=describe(container.id).state)
    return frozen_by(paths), container


def trial_of(record: ContainerRecord, **measured: Any) -> TrialRecord:
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


def in_force(kernel: KernelLimits | None) -> KernelLimits | None:
    """Limits as far as a change of them is one: the kernel may lengthen period and quota alike.

    It does where its timer lags (kernel/sched/fair.c, ``sched_cfs_period_timer``).
    """
    if kernel is None:
        return None
    kernel = replace(kernel, oom_score_adj=None)  # a process may set its own
    if not kernel.cpu_period_us or not kernel.cpu_quota_us:
        return kernel
    if kernel.cpu_quota_us == UNLIMITED:
        return replace(kernel, cpu_period_us=None)
    share = round(kernel.cpu_quota_us / kernel.cpu_period_us, 4)
    return replace(kernel, cpu_quota_us=round(share * DEFAULT_PERIOD_US), cpu_period_us=None)


def _period_s(kernel: KernelLimits | None, effective: EffectiveLimits | None) -> float:
    """The longest period of the container's own quota and of one above that is tighter."""
    held = [effective.cpus_period_us if effective else None]
    if kernel and kernel.cpu_quota_us not in (None, UNLIMITED):
        held.append(kernel.cpu_period_us)
    return max((one for one in held if one), default=DEFAULT_PERIOD_US) / 1e6
