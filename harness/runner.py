"""Executes a plan: for each trial create, barrier, warm-up, window, collect, remove.

A trial that fails is a record with its reason and the sweep goes on; an engine that stops
answering ends the sweep. Whatever happens, the containers of a trial are removed before the
next begins, and a finished trial is on disk before the next begins.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness import laws, limits, probe, validity
from harness.agenda import Agenda
from harness.conversation import KILLED, Conversation, TrialEndedError, converse
from harness.engine.containers import Container, Engine
from harness.errors import EngineRefusedError, MeasurementError
from harness.interrupts import held_back
from harness.model import (
    ContainerRecord,
    ContainerSpec,
    EngineFacts,
    HostFacts,
    MemoryCounters,
    Outcome,
    Plan,
    PlannedTrial,
    Point,
    Sample,
    TrialRecord,
)
from harness.sampler import Clock, SystemClock, kept_off
from harness.sidecar import Sidecar
from harness.watch import BlindWatch, LocalWatch, Watch, Watched

READY_TIMEOUT_S = 20.0
START_CPU_S = 0.1
"""CPU time that a container's start may need: under a tiny quota it takes that over the quota."""
DEADLINE_MARGIN_S = 15.0
STOP_GRACE_NS = 20_000_000
GROW_TIMEOUT_S = 30.0
SLOWEST_GROWTH = 4 << 20
"""Bytes a second: a growing workload that swaps to a slow disk is given so much time."""
Samples = tuple[tuple[Sample, ...], ...]


class Observer:
    """What a user interface may want to know. Called between the phases, never in a window."""

    def phase(self, planned: PlannedTrial, done: int, total: int, phase: str) -> None:
        """A trial enters a phase: ``starting``, ``measuring``, ``collecting``."""

    def finished(self, record: TrialRecord, done: int, total: int) -> None:
        """A trial is on disk."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a plan is executed: the boundary that tests replace as a whole."""

    engine: Engine
    engine_facts: EngineFacts
    host_facts: HostFacts
    clock: Clock
    watch: Callable[[Sequence[Watched], str, float, frozenset[int] | None], Watch]
    """(containers, run, cadence in Hz, the CPUs that all are pinned to or None) → who looks at them
    from outside; see ``harness.watch``."""
    sides: Mapping[str, EngineFacts] = dataclasses.field(default_factory=dict)
    """Of an A/B run: the facts of each side's own engine."""


def real_surroundings(
    engine: Engine,
    facts: EngineFacts,
    host: HostFacts,
    local: Callable[[Sequence[Watched], Clock], Watch] = LocalWatch,
    *,
    sides: Mapping[str, EngineFacts] | None = None,
) -> Surroundings:
    """The kernel's own files and clocks; a sampler on the engine's host where they are not here."""
    clock = SystemClock()

    def watch(
        containers: Sequence[Watched], run: str, cadence_hz: float, measured: frozenset[int] | None
    ) -> Watch:
        try:
            return local(containers, clock)
        except MeasurementError as error:
            why = error.message.rstrip(".")
        try:
            return Sidecar(
                engine, facts, containers, clock, run=run, cadence_hz=cadence_hz, measured=measured
            )
        except EngineRefusedError as refused:
            return BlindWatch(containers, clock, f"{why}; {refused.message.rstrip('.')}")

    return Surroundings(engine, facts, host, clock, watch, sides or {})


def run_plan(
    plan: Plan,
    run: str,
    where: Surroundings,
    keep: Callable[[TrialRecord, Samples], None],
    observer: Observer,
) -> None:
    """Execute the plan; ``keep`` must have stored a record durably when it returns.

    Which trial comes next is the agenda's to say: rejected ones are repeated, and ``plan.until``
    adds more. Raises EngineError where the engine fails; a KeyboardInterrupt passes through. Either
    way no container of the run is left, as far as the engine still answers.
    """
    agenda = Agenda(plan, where.engine_facts, where.host_facts)
    try:
        for done, planned in enumerate(agenda):
            enter = functools.partial(observer.phase, planned, done, agenda.total)
            record, samples = _Trial(plan, planned, run, where).execute(enter)
            record = _examined(record, plan, where)
            keep(record, samples)
            agenda.note(record)
            observer.finished(record, done + 1, agenda.total)
    except BaseException:
        # An interrupt may have fallen between a container's being there and our keeping its id.
        with held_back(), contextlib.suppress(Exception):
            where.engine.remove_all(run)
        raise


def _examined(record: TrialRecord, plan: Plan, where: Surroundings) -> TrialRecord:
    side = plan.point(record.point_id).side
    engine = where.sides.get(side, where.engine_facts)
    invalid, notes = validity.examine(record, plan, engine, where.host_facts)
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
        self._talks: list[Conversation] = []
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
        except TrialEndedError as ended:
            self._replace(outcome=ended.outcome, failure=str(ended))
        except probe.GarbledError as garbled:
            self._replace(failure=str(garbled))
        except EngineRefusedError as refused:
            self._replace(outcome=Outcome.NOT_STARTED, failure=refused.message)
        finally:
            with held_back():
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
            self._talks.append(converse(container, spec))
        self._phases.end("create")
        self._pids = [container.start() for container in self._containers]
        self._replace_containers(engine=[container.limits() for container in self._containers])
        self._phases.end("start")
        for talk, spec in zip(self._talks, self._specs, strict=True):
            talk.await_ready(start_timeout_s(spec))
        self._phases.end("ready")

    def _measure(self) -> None:
        point, where = self._point, self._where
        warmup_ns, duration_ns = round(point.warmup_s * 1e9), round(point.duration_s * 1e9)
        with contextlib.ExitStack() as stack:
            measured = laws.pinned_cpus(self._specs)
            stack.enter_context(kept_off(measured))
            watch = where.watch(
                [(pid, c.id) for pid, c in zip(self._pids, self._containers, strict=True)],
                self._run,
                self._plan.cadence_hz,
                measured,
            )
            stack.callback(watch.close)
            self._replace_containers(
                kernel=watch.limits(), effective=watch.effective(), memory_first=watch.memory()
            )
            stack.enter_context(self._kernel_has_the_last_word(watch))
            streams = [container.follow_stats() for container in self._containers]
            start_ns = where.clock.now_ns() + warmup_ns
            for talk in self._talks:
                talk.begin(warmup_ns, duration_ns)
            if self._ends_by_itself:
                duration_ns = round(load_timeout_s(self._specs[0], point) * 1e9)
            window = watch.window(
                start_ns,
                duration_ns,
                self._plan.cadence_hz,
                self._all_said_something if self._ends_by_itself else None,
            )
            self._samples = window.samples
            if self._ends_by_itself:
                for talk in self._talks:
                    talk.await_end()
            else:
                # The workload's window begins when "go" has come through, so it ends a little
                # after ours; a "stop" that overtook its end would cut it short.
                where.clock.sleep_ns(STOP_GRACE_NS)
            # Before "stop": with the workload its cgroup goes, and every counter in it.
            self._replace_containers(
                memory_last=watch.memory(),
                absent=watch.absent,
                peak_swap_bytes=[_peak_swap(samples) for samples in window.samples],
            )
            for talk in self._talks:
                talk.stop()
            self._phases.end("warm-up and window")
            self._replace(
                host_first=window.host_first, host_last=window.host_last, sampler=window.cost
            )
            self._replace_containers(
                first=[samples[0] if samples else None for samples in window.samples],
                last=[samples[-1] if samples else None for samples in window.samples],
                kernel_after=watch.limits(),
                stats=[stream.frames(start_ns, start_ns + duration_ns) for stream in streams],
            )

    @contextlib.contextmanager
    def _kernel_has_the_last_word(self, watch: Watch) -> Iterator[None]:
        """Tell a workload that was killed for memory from one that failed.

        On cgroup v2 the engine learns of the kill from a file that goes with PID 1, and may miss it
        (one of two in Docker 20.10); the cgroup above has counted it.
        """
        try:
            yield
        except TrialEndedError as ended:
            if ended.exit_code != KILLED or not any(
                _rose(container.memory_first, now, "oom_kills_above")
                for container, now in zip(self.record.containers, watch.memory(), strict=True)
            ):
                raise
            raise TrialEndedError(
                Outcome.OOM_KILLED,
                "the workload was OOM-killed: the kernel counted it, the engine does not tell",
            ) from None

    def _collect(self) -> None:
        containers = zip(self.record.containers, self._talks, strict=True)
        self._replace(
            containers=tuple(
                dataclasses.replace(record, **talk.report()) for record, talk in containers
            )
        )
        killed = any(_kernel_killed(container) for container in self.record.containers)
        self._replace(outcome=Outcome.OOM_KILLED if killed else Outcome.COMPLETED)
        self._phases.end("collect")

    @property
    def _ends_by_itself(self) -> bool:
        return all(talk.ends_by_itself for talk in self._talks)

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
    rose = _rose(container.memory_first, container.memory_last, "oom_kills")
    return bool(container.oom_killed) if rose is None else rose


def _rose(before: MemoryCounters | None, after: MemoryCounters | None, name: str) -> bool | None:
    """Whether a counter did; None where it was not read twice."""
    first, last = (None if at is None else getattr(at, name) for at in (before, after))
    return None if first is None or last is None else last > first
