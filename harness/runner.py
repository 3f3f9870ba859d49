"""Executes a plan: for each trial create, barrier, warm-up, window, collect, remove.

A trial that fails is a record with its reason and the sweep goes on; an engine that stops
answering ends the sweep. Whatever happens, the containers of a trial are removed before the
next begins, and a finished trial is on disk before the next begins.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness import limits, probe, validity
from harness.cgroup import (
    CounterReader,
    effective_limits,
    kernel_limits,
    locate,
    memory_counters,
)
from harness.engine.containers import Container, Engine, Exit
from harness.errors import EngineRefusedError
from harness.host import HostReader
from harness.model import (
    BurstReport,
    ContainerRecord,
    ContainerSpec,
    EffectiveLimits,
    EngineFacts,
    HostFacts,
    HostSample,
    InsideReport,
    KernelLimits,
    MemoryCounters,
    MemoryReport,
    Outcome,
    Plan,
    PlannedTrial,
    Point,
    Sample,
    TrialRecord,
)
from harness.sampler import Clock, Reader, SystemClock, sample_window

READY_TIMEOUT_S = 20.0
START_CPU_S = 0.1
"""CPU time that a container's start may need: under a tiny quota it takes that over the quota."""
REPORT_TIMEOUT_S = 10.0
DEADLINE_MARGIN_S = 15.0
GROW_TIMEOUT_S = 30.0
SLOWEST_GROWTH = 4 << 20
"""Bytes a second: a growing workload that swaps to a slow disk is given so much time."""
MAX_EXTRA_TRIALS = 2
"""So often a point whose trial was rejected is tried again."""

Samples = tuple[tuple[Sample, ...], ...]


class Observer:
    """What a user interface may want to know. Called between the phases, never in a window."""

    def phase(self, planned: PlannedTrial, done: int, total: int, phase: str) -> None:
        """A trial enters a phase: ``starting``, ``measuring``, ``collecting``."""

    def finished(self, record: TrialRecord, done: int, total: int) -> None:
        """A trial is on disk."""


@dataclass(frozen=True, slots=True)
class OpenCgroup:
    """One container's cgroup: its counters and its limits."""

    reader: Reader
    limits: Callable[[], KernelLimits]
    effective: Callable[[], EffectiveLimits]
    memory: Callable[[], MemoryCounters]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a plan is executed: the boundary that tests replace as a whole."""

    engine: Engine
    engine_facts: EngineFacts
    host_facts: HostFacts
    clock: Clock
    open_cgroup: Callable[[int, str], OpenCgroup]
    """(pid, container id) → that container's cgroup; MeasurementError where it is not visible."""
    read_host: Callable[[], HostSample]


def real_surroundings(engine: Engine, facts: EngineFacts, host: HostFacts) -> Surroundings:
    """The kernel's own files and clocks."""

    def open_cgroup(pid: int, container_id: str) -> OpenCgroup:
        paths = locate(pid, container_id)
        return OpenCgroup(
            CounterReader(paths),
            functools.partial(kernel_limits, paths),
            functools.partial(effective_limits, paths),
            functools.partial(memory_counters, paths),
        )

    return Surroundings(engine, facts, host, SystemClock(), open_cgroup, HostReader().read)


def run_plan(
    plan: Plan,
    run: str,
    where: Surroundings,
    keep: Callable[[TrialRecord, Samples], None],
    observer: Observer,
) -> None:
    """Execute the plan; ``keep`` must have stored a record durably when it returns.

    A trial that its invariants reject is repeated at the end, at most ``MAX_EXTRA_TRIALS`` times a
    point. Raises EngineError where the engine fails; a KeyboardInterrupt passes through. Either
    way no container of the run is left, as far as the engine still answers.
    """
    queue = deque(plan.trials)
    total = len(queue)
    extra = dict.fromkeys((point.id for point in plan.points), 0)
    done = 0
    try:
        while queue:
            planned = queue.popleft()

            enter = functools.partial(observer.phase, planned, done, total)
            record, samples = _Trial(plan, planned, run, where).execute(enter)
            record = _examined(record, plan, where)
            keep(record, samples)
            done += 1
            if record.invalid and extra[record.point_id] < MAX_EXTRA_TRIALS:
                extra[record.point_id] += 1
                queue.append(
                    PlannedTrial(
                        index=total,
                        block=plan.repeats + extra[record.point_id] - 1,
                        point_id=record.point_id,
                    )
                )
                total += 1
            observer.finished(record, done, total)
    except BaseException:
        # An interrupt may fall between the engine's creating a container and our learning its id.
        with _uninterrupted(), contextlib.suppress(Exception):
            where.engine.remove_all(run)
        raise


def _examined(record: TrialRecord, plan: Plan, where: Surroundings) -> TrialRecord:
    invalid, notes = validity.examine(record, plan, where.engine_facts, where.host_facts)
    return dataclasses.replace(record, invalid=invalid, warnings=notes)


class _Phases:
    """Wall time of each phase of a trial."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def end(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(now - self._since, 6)
        self._since = now


class _TrialEndedError(Exception):
    """A trial that ends before its window did, with its outcome."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def start_timeout_s(spec: ContainerSpec) -> float:
    """How long a container may take to become ready: longer where its quota is tiny."""
    quota = limits.quota_and_period_us(spec.limits)
    share = min(1.0, quota[0] / quota[1]) if quota else 1.0
    return READY_TIMEOUT_S + START_CPU_S / share


class _Trial:
    """One trial in its phases, in the order in which they are called."""

    def __init__(self, plan: Plan, planned: PlannedTrial, run: str, where: Surroundings) -> None:
        self._plan, self._planned, self._run, self._where = plan, planned, run, where
        self._point = plan.point(planned.point_id)
        self._specs = self._point.containers
        self._containers: list[Container] = []
        self._pids: list[int] = []
        self._phases = _Phases()
        self._samples: Samples = ()
        self.record = TrialRecord(
            index=planned.index,
            block=planned.block,
            point_id=planned.point_id,
            outcome=Outcome.FAILED,
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            containers=tuple(ContainerRecord(requested=spec.limits) for spec in self._specs),
        )

    def execute(self, enter: Callable[[str], None]) -> tuple[TrialRecord, Samples]:
        """The whole trial. Its containers are gone when this returns or raises."""
        try:
            enter("starting")
            self._start()
            enter("measuring")
            self._measure()
            enter("collecting")
            self._collect()
        except _TrialEndedError as ended:
            self._replace(outcome=ended.outcome, failure=str(ended))
        except probe.GarbledError as garbled:
            self._replace(failure=str(garbled))
        except EngineRefusedError as refused:
            self._replace(outcome=Outcome.NOT_STARTED, failure=refused.message)
        finally:
            with _uninterrupted():
                for container in self._containers:
                    container.remove()
        self._phases.end("remove")
        self._replace(phases_s=self._phases.seconds)
        return self.record, self._samples

    def _replace(self, **changes: Any) -> None:
        self.record = dataclasses.replace(self.record, **changes)

    def _replace_containers(self, **columns: Sequence[object]) -> None:
        """Set a field of every container's record, each from its column."""
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        self._replace(
            containers=tuple(
                dataclasses.replace(container, **row)
                for container, row in zip(self.record.containers, rows, strict=True)
            )
        )

    def _start(self) -> None:
        for number, spec in enumerate(self._specs):
            # The dead man's deadline: if we die, the workload ends soon after its planned time.
            deadline_s = (
                start_timeout_s(spec)
                + self._point.warmup_s
                + load_timeout_s(spec, self._point)
                + DEADLINE_MARGIN_S
            )
            container = self._where.engine.create(
                name=f"limitbench-{self._run}-{self._planned.index}-{number}",
                run=self._run,
                spec=spec,
                deadline_s=deadline_s,
            )
            self._containers.append(container)
        self._phases.end("create")
        self._pids = [container.start() for container in self._containers]
        self._replace_containers(engine=[container.limits() for container in self._containers])
        self._phases.end("start")
        for container, spec in zip(self._containers, self._specs, strict=True):
            message = _message(container, start_timeout_s(spec), "become ready")
            probe.expect(message, "ready")
        self._phases.end("ready")

    def _measure(self) -> None:
        point, where = self._point, self._where
        warmup_ns, duration_ns = round(point.warmup_s * 1e9), round(point.duration_s * 1e9)
        with contextlib.ExitStack() as stack:
            opened = [
                where.open_cgroup(pid, container.id)
                for pid, container in zip(self._pids, self._containers, strict=True)
            ]
            for cgroup in opened:
                stack.callback(cgroup.reader.close)
            self._replace_containers(
                kernel=[cgroup.limits() for cgroup in opened],
                effective=[cgroup.effective() for cgroup in opened],
                memory_first=[cgroup.memory() for cgroup in opened],
            )
            streams = [container.follow_stats() for container in self._containers]
            start_ns = where.clock.now_ns() + warmup_ns
            for container in self._containers:
                _say(container, probe.go(warmup_ns, duration_ns))
            if self._ends_by_itself:
                duration_ns = round(load_timeout_s(self._specs[0], point) * 1e9)
            window = sample_window(
                [cgroup.reader for cgroup in opened],
                where.read_host,
                start_ns=start_ns,
                duration_ns=duration_ns,
                cadence_hz=self._plan.cadence_hz,
                clock=where.clock,
                done=self._all_said_something if self._ends_by_itself else None,
            )
            self._samples = window.samples
            if self._ends_by_itself:
                for container in self._containers:
                    probe.expect(_message(container, 1.0, "reach an end"), "done")
            # Before "stop": with the workload its cgroup goes, and every counter in it.
            self._replace_containers(
                memory_last=[cgroup.memory() for cgroup in opened],
                peak_swap_bytes=[_peak_swap(samples) for samples in window.samples],
            )
            for container in self._containers:
                _say(container, probe.STOP)
            self._phases.end("warm-up and window")
            self._replace(
                host_first=window.host_first, host_last=window.host_last, sampler=window.cost
            )
            self._replace_containers(
                first=[samples[0] for samples in window.samples],
                last=[samples[-1] for samples in window.samples],
                kernel_after=[cgroup.limits() for cgroup in opened],
                stats=[stream.frames(start_ns, start_ns + duration_ns) for stream in streams],
            )

    def _collect(self) -> None:
        messages = [_message(c, REPORT_TIMEOUT_S, "report") for c in self._containers]
        reports = [probe.report(message) for message in messages]
        exits = [_exit(container) for container in self._containers]
        self._replace_containers(
            inside=[report if isinstance(report, InsideReport) else None for report in reports],
            memory=[report if isinstance(report, MemoryReport) else None for report in reports],
            burst=[report if isinstance(report, BurstReport) else None for report in reports],
            exit_code=[ended.exit_code for ended in exits],
            oom_killed=[ended.oom_killed for ended in exits],
        )
        killed = any(_kernel_killed(container) for container in self.record.containers)
        self._replace(outcome=Outcome.OOM_KILLED if killed else Outcome.COMPLETED)
        self._phases.end("collect")

    @property
    def _ends_by_itself(self) -> bool:
        return all(spec.workload.name == "memory" for spec in self._specs)

    def _all_said_something(self) -> bool:
        return all(container.has_line() for container in self._containers)


def load_timeout_s(spec: ContainerSpec, point: Point) -> float:
    """How long the load may take from the end of its warm-up on."""
    target = spec.workload.target_bytes or 0
    return point.duration_s + (GROW_TIMEOUT_S + target / SLOWEST_GROWTH if target else 0.0)


def _peak_swap(samples: Sequence[Sample]) -> int | None:
    used = [
        sample.total_bytes - sample.memory_bytes
        for sample in samples
        if sample.total_bytes is not None and sample.memory_bytes is not None
    ]
    return max(used, default=None)


def _kernel_killed(container: ContainerRecord) -> bool:
    """Whether the kernel killed for memory in this cgroup: by its own count, where it keeps one.

    Neither the exit code 137 (any SIGKILL) nor the engine's OOMKilled (moby#38352) tell it alone.
    """
    first, last = container.memory_first, container.memory_last
    if first and last and first.oom_kills is not None and last.oom_kills is not None:
        return last.oom_kills > first.oom_kills
    return bool(container.oom_killed)


def _message(container: Container, timeout_s: float, to_do: str) -> dict[str, Any]:
    """The next JSON object of the workload; the trial ends where none comes."""
    try:
        line = container.read_line(timeout_s)
    except TimeoutError:
        raise _TrialEndedError(
            Outcome.TIMED_OUT, f"the workload did not {to_do} within {timeout_s:g} s"
        ) from None
    except EOFError:
        raise _death(container, f"before it could {to_do}") from None
    return probe.message(line)


def _say(container: Container, text: str) -> None:
    try:
        container.write_line(text)
    except EOFError:
        raise _death(container, f"when it was told '{text.split(maxsplit=1)[0]}'") from None


def _exit(container: Container) -> Exit:
    try:
        return container.wait(REPORT_TIMEOUT_S)
    except TimeoutError as error:
        raise _TrialEndedError(Outcome.TIMED_OUT, str(error)) from None


def _death(container: Container, when: str) -> _TrialEndedError:
    """The end of a container that should have gone on."""
    ended = _exit(container)
    if ended.oom_killed:
        return _TrialEndedError(Outcome.OOM_KILLED, f"the workload was OOM-killed {when}")
    said = f": {text}" if (text := container.stderr()) else ""
    return _TrialEndedError(
        Outcome.FAILED, f"the workload ended with code {ended.exit_code} {when}{said}"
    )


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back while containers are removed; they come right after."""
    held = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
