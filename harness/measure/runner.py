"""Executes a plan: for each trial create, barrier, warm-up, window, collect, remove.

A trial that fails is a record with its reason and the sweep goes on, also where its engine was away
for a while; an engine that does not come back ends the sweep. Whatever happens, the containers of
a trial are removed before the next begins, and a finished trial is on disk before the next begins.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from harness import cgroup, limits
from harness.engine.boundary import Container, Engine
from harness.errors import (
    EngineError,
    EngineRefusedError,
    MeasurementError,
    NotSupportedError,
)
from harness.host.process import kept_off
from harness.interrupts import held_back
from harness.judge import counters, validity
from harness.judge.laws.cpu import pinned_cpus
from harness.measure import protocol
from harness.measure.asking import Loads
from harness.measure.clock import Clock, SystemClock
from harness.measure.conversation import KILLED, Conversation, TrialEndedError, converse
from harness.measure.kept import KeptTrial
from harness.measure.lifecycle import LifecycleTrial
from harness.measure.observer import BlindObserver, LocalObserver, Observer, Watched
from harness.measure.patience import load_timeout_s, start_timeout_s
from harness.measure.phases import Phases, log_end
from harness.measure.queue import Queue
from harness.measure.sampled import Ending
from harness.measure.sidecar import Sidecar
from harness.model import (
    BlockDevice,
    ContainerRecord,
    ContainerSpec,
    EngineFacts,
    HostFacts,
    Kept,
    Lifecycle,
    Note,
    Outcome,
    Plan,
    PlannedTrial,
    Sample,
    TrialRecord,
)

_log = logging.getLogger(__name__)

DEADLINE_MARGIN_S = 15.0
ENGINE_BACK_S = 60.0
"""A service manager starts a Docker that ended anew within seconds, many containers take longer."""
OTHERS_END_NS = 20_000_000
END_SEEN_S = 0.004
"""So soon the end of a load is seen that ends by itself: what comes after it is in its window."""
EVENT_LATE_NS = 200_000_000
"""An engine may tell of a container's end before it has its event."""
Samples = tuple[tuple[Sample, ...], ...]


class Listener:
    """What a user interface may want to know. Called between the phases, never in a window."""

    def phase(self, planned: PlannedTrial, done: int, total: int, phase: str) -> None:
        """A trial enters a phase: ``starting``, ``measuring``, ``collecting``."""

    def finished(self, record: TrialRecord, done: int, total: int) -> None:
        """A trial is on disk."""

    def engine_gone(self, why: str, waits_s: float) -> None:
        """The engine does not answer, and is waited for."""

    def goes_on(self, why: str) -> None:
        """Trials were added beyond the plan."""

    def busy(self, why: str, waits_s: float) -> None:
        """Others disturb this host, whose end is waited for."""

    def calm(self, waited_s: float, *, again: bool) -> None:
        """The wait is over; ``again`` = the host is calm, else there is no more time to wait."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a plan is executed: the boundary that tests replace as a whole."""

    engine: Engine
    engine_facts: EngineFacts
    host_facts: HostFacts
    clock: Clock
    observe: Callable[[Sequence[Watched], str, float, frozenset[int] | None], Observer]
    """(containers, run, cadence in Hz, the CPUs that all are pinned to or None) → who observes them
    from outside; see ``harness.measure.observer``."""
    sides: Mapping[str, EngineFacts] = dataclasses.field(default_factory=dict)
    """Of an A/B run: the facts of each side's own engine."""
    device: BlockDevice | None = None
    """Where data lies, of a run that is about a device."""
    limit_parent: Callable[[int, str, str, limits.Limits], str] = cgroup.limit_parent
    """Gives the cgroup around a trial's containers its limits; says why where it cannot."""
    engine_cpus: float = validity.ENGINE_CPUS
    """What the engine itself takes here at the most; see ``harness.judge.validity``."""
    await_calm: Callable[[TrialRecord, Queue, Listener], None] | None = None
    """Waits after a trial that others disturbed until they have ended; see ``measure.calm``."""


def real_surroundings(
    engine: Engine,
    facts: EngineFacts,
    host: HostFacts,
    local: Callable[[Sequence[Watched], float, frozenset[int] | None], Observer] = LocalObserver,
    *,
    sides: Mapping[str, EngineFacts] | None = None,
) -> Surroundings:
    """The kernel's own files and clocks; a sampler on the engine's host where they are not here."""
    clock = SystemClock()

    def observe(
        containers: Sequence[Watched], run: str, cadence_hz: float, measured: frozenset[int] | None
    ) -> Observer:
        if facts.no_cgroups:  # what /proc/PID/cgroup names there is the engine's own
            return BlindObserver(containers, clock, facts.no_cgroups)
        try:
            return local(containers, cadence_hz, measured)
        except MeasurementError as error:
            why = error.message.rstrip(".")
            _log.info("sampled in a container: %s", why)
        try:
            return Sidecar(
                engine, facts, containers, clock, run=run, cadence_hz=cadence_hz, measured=measured
            )
        except EngineRefusedError as refused:
            return BlindObserver(containers, clock, f"{why}; {refused.message.rstrip('.')}")

    return Surroundings(engine, facts, host, clock, observe, sides or {})


def run_plan(  # noqa: PLR0913 - each is one thing that a run has
    plan: Plan,
    run: str,
    where: Surroundings,
    keep: Callable[[TrialRecord, Samples], None],
    listener: Listener,
    *,
    queue: Queue | None = None,
    grow: Callable[[Plan], None] | None = None,
) -> None:
    """Execute the plan; ``keep`` must have stored a record durably when it returns.

    ``grow`` stores a plan to which the queue has added points, before one of them is measured.

    Which trial comes next is the queue's to say: rejected ones are repeated, and ``plan.until``
    adds more; that of a run that is resumed is given. Raises EngineError where the engine fails and
    does not come back; a KeyboardInterrupt passes through. Either way no container of the run is
    left, as far as the engine still answers.
    """
    queue = queue or Queue(plan, where.engine_facts, where.host_facts)
    told = ""
    try:
        for planned in queue:
            if queue.why != told:
                listener.goes_on(told := queue.why)
            if queue.plan is not plan:
                plan = queue.plan
                if grow is not None:
                    grow(plan)
            enter = functools.partial(listener.phase, planned, queue.done, queue.total)
            trial = _trial(plan, planned, run, where)
            try:
                record, samples = trial.execute(enter)
            except EngineError as gone:
                record, samples = _outlived(trial, gone, run, where, listener)
            record = _examined(record, plan, where)
            log_end(record)
            keep(record, samples)
            total = queue.total
            queue.note(record)
            if queue.total > total:
                _log.info("%s is tried again", planned.point_id)
            listener.finished(record, queue.done, queue.total)
            if where.await_calm is not None:
                where.await_calm(record, queue, listener)
    except BaseException:
        # An interrupt may have fallen between a container's being there and our keeping its id.
        with held_back(), contextlib.suppress(Exception):
            where.engine.remove_all(run)
        raise


def _trial(plan: Plan, planned: PlannedTrial, run: str, where: Surroundings) -> _Executed:
    spec = plan.point(planned.point_id).containers[0]
    match spec.workload:
        case Lifecycle():
            return LifecycleTrial(plan, planned, where.engine.laboratory(run=run, side=spec.side))
        case Kept():
            return KeptTrial(plan, planned, where.engine.laboratory(run=run, side=spec.side))
        case _:
            return _Trial(plan, planned, run, where)


def _outlived(
    trial: _Executed,
    gone: EngineError,
    run: str,
    where: Surroundings,
    listener: Listener,
) -> tuple[TrialRecord, Samples]:
    """The record of a trial whose engine went away, once that is back; else the error goes on."""
    if isinstance(gone, NotSupportedError):
        raise gone
    _log.warning("the engine went away: %s", gone.message)
    listener.engine_gone(gone.message, ENGINE_BACK_S)
    if not where.engine.await_answer(ENGINE_BACK_S):
        raise gone
    where.engine.remove_all(run)
    failed = dataclasses.replace(trial.record, outcome=Outcome.FAILED, failure=gone.message)
    return dataclasses.replace(failed, invalid=gone.message), ()


def _examined(record: TrialRecord, plan: Plan, where: Surroundings) -> TrialRecord:
    side = plan.point(record.point_id).side
    engine = where.sides.get(side, where.engine_facts)
    invalid, notes = validity.examine(
        record, plan, engine, where.host_facts, engine_cpus=where.engine_cpus
    )
    return dataclasses.replace(
        record, invalid=record.invalid or invalid, warnings=(*record.warnings, *notes)
    )


class _Executed(Protocol):
    """A trial, whatever it is about."""

    record: TrialRecord

    def execute(self, enter: Callable[[str], None]) -> tuple[TrialRecord, Samples]:
        """The whole trial. Its containers are gone when this returns or raises."""
        ...


class _Trial:
    """One trial in its phases, in the order in which they are called."""

    def __init__(self, plan: Plan, planned: PlannedTrial, run: str, where: Surroundings) -> None:
        self._plan, self._planned, self._run, self._where = plan, planned, run, where
        self._point = plan.point(planned.point_id)
        self._specs = self._point.containers
        self._containers: list[Container] = []
        self._talks: list[Conversation] = []
        self._loads = Loads(where.engine, run)
        self._pids: list[int] = []
        self._parent = ""
        """The cgroup of ours around its containers; empty where there is none."""
        if self._point.parent is not None:
            driver = where.sides.get(self._point.side, where.engine_facts).cgroup_driver
            self._parent = cgroup.parent_name(f"{run}-{planned.index}", driver)
        self._name = f"limitbench-{run}-{planned.index}"
        self._phases = Phases(f"trial {planned.index} of {planned.point_id}")
        self._samples: Samples = ()
        self.record = TrialRecord(
            index=planned.index,
            block=planned.block,
            point_id=planned.point_id,
            outcome=Outcome.FAILED,
            device=where.device,
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            containers=tuple(ContainerRecord(requested=spec.limits) for spec in self._specs),
        )

    def execute(self, enter: Callable[[str], None]) -> tuple[TrialRecord, Samples]:
        """The whole trial. Its containers are gone when this returns or raises."""
        try:
            self._go_through(enter)
            self._see_others()
        finally:
            with held_back():
                self._loads.remove()
                for container in self._containers:
                    container.remove()
                if self._parent:
                    cgroup.remove_parent(self._parent)
        self._phases.end("remove")
        self._replace(phases_s=self._phases.seconds)
        return self.record, self._samples

    def _go_through(self, enter: Callable[[str], None]) -> None:
        """Its phases, as far as it comes."""
        try:
            enter("starting")
            self._start()
            enter("measuring")
            self._measure()
            enter("collecting")
            self._collect()
        except TrialEndedError as ended:
            self._replace(outcome=ended.outcome, failure=str(ended))
        except protocol.GarbledError as garbled:
            self._replace(failure=str(garbled))
        except EngineRefusedError as refused:
            self._replace(outcome=Outcome.NOT_STARTED, failure=refused.message.rstrip("."))

    def _see_others(self) -> None:
        """Whatever else a trial came to: in a container that others touch nothing is measured."""
        # A kill for memory is the kernel's own, and its trial is whole: nothing more is to come.
        if self.record.outcome not in (Outcome.COMPLETED, Outcome.OOM_KILLED):
            self._where.clock.sleep_ns(EVENT_LATE_NS)
        touched = [
            f"container {number} was {', '.join(done)}"
            for number, container in enumerate(self._containers)
            if (done := container.touched())
        ]
        if touched:
            failure = f"touched from outside: {'; '.join(touched)}"
            self._replace(outcome=Outcome.FAILED, failure=failure, invalid=failure)

    def _replace(self, **changes: Any) -> None:
        self.record = dataclasses.replace(self.record, **changes)

    def _replace_containers(self, **columns: Sequence[object]) -> None:
        """Set a field of every container's record, each from its column.

        What is observed of the loads stands behind the containers in it.
        """
        cut = [column[: len(self.record.containers)] for column in columns.values()]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*cut, strict=True)]
        self._replace(
            containers=tuple(
                dataclasses.replace(container, **row)
                for container, row in zip(self.record.containers, rows, strict=True)
            )
        )

    def _deadline_s(self, spec: ContainerSpec) -> float:
        """The dead man's: if we die, the workload ends soon after its planned time."""
        planned_s = start_timeout_s(spec) + self._point.warmup_s + load_timeout_s(spec, self._point)
        return planned_s + DEADLINE_MARGIN_S

    def _start(self) -> None:
        for number, spec in enumerate(self._specs):
            container = self._where.engine.create(
                name=f"{self._name}-{number}",
                run=self._run,
                spec=dataclasses.replace(spec, cgroup_parent=self._parent or None),
                deadline_s=self._deadline_s(spec),
                together=len(self._specs),
            )
            self._containers.append(container)
            self._talks.append(converse(container, spec))
        self._phases.end("create")
        self._pids = [container.start() for container in self._containers]
        self._replace_containers(engine=[container.limits() for container in self._containers])
        self._phases.end("start")
        for talk, spec in zip(self._talks, self._specs, strict=True):
            talk.await_ready(start_timeout_s(spec))
        name, cpus = f"{self._name}-load", self._where.engine_facts.cpus_to_give
        self._loads.start(self._point, self._containers, cpus, name, self._deadline_s)
        self._limit_parent()
        self._phases.end("ready")

    def _limit_parent(self) -> None:
        """Once they have started: what an engine starts in a cgroup may write to its limits."""
        if self._point.parent is None:
            return
        why = self._where.limit_parent(
            self._pids[0], self._containers[0].id, self._parent, self._point.parent
        )
        if why:
            note = Note(code="no-parent", text=f"the cgroup around them has no limit: {why}",
                        remedy="measure as root on the engine's own host")  # fmt: skip
            self._replace(warnings=(note,))

    def _measure(self) -> None:
        point, where = self._point, self._where
        warmup_ns, duration_ns = round(point.warmup_s * 1e9), round(point.duration_s * 1e9)
        with contextlib.ExitStack() as stack:
            measured = pinned_cpus(self._specs)
            stack.enter_context(kept_off(measured))
            observer = where.observe(
                self._watched,
                self._run,
                self._plan.cadence_hz,
                measured,
            )
            stack.callback(observer.close)
            self._replace_containers(
                kernel=observer.limits(),
                effective=observer.effective(),
                memory_first=observer.memory(),
            )
            stack.enter_context(self._kernel_has_the_last_word(observer))
            streams = [container.follow_stats() for container in self._containers]
            start_ns = where.clock.now_ns() + warmup_ns
            for begun in [*(talk.begin for talk in self._talks), self._loads.begin]:
                begun(warmup_ns, duration_ns)
            if self._ends_by_itself:
                duration_ns = round(1e9 * max(load_timeout_s(spec, point) for spec in self._specs))
            ending = Ending(self._all_said_something, END_SEEN_S) if self._ends_by_itself else None
            window = observer.window(start_ns, duration_ns, ending)
            self._samples = window.samples[: (ours := len(self._containers))]
            if self._ends_by_itself:
                for talk in self._talks:
                    talk.await_end()
            elif len(self._talks) > 1:
                # Each load sees its own window out, which begins when "go" has come through: until
                # the last one's has ended the others must go on beside it.
                where.clock.sleep_ns(OTHERS_END_NS)
            # Before "stop": with the workload its cgroup goes, and every counter in it.
            self._replace_containers(
                memory_last=observer.memory(),
                absent=observer.absent,
                peak_swap_bytes=[_peak_swap(samples) for samples in self._samples],
            )
            self._loads.finish()
            for talk in self._talks:
                talk.stop()
            self._phases.end("warm-up and window")
            self._replace(
                host_first=window.host_first,
                host_last=window.host_last,
                sampler=window.cost,
                neighbours=window.neighbours,
            )
            self._replace_containers(
                first=[samples[0] if samples else None for samples in self._samples],
                last=[samples[-1] if samples else None for samples in self._samples],
                above=window.above or [None] * ours,
                kernel_after=observer.limits(),
                stats=[stream.frames(start_ns, start_ns + duration_ns) for stream in streams],
                load=self._loads.records(window.samples[ours:], ours),
            )

    @property
    def _watched(self) -> list[Watched]:
        """All that is observed: the containers of the point, then their loads."""
        ours = [(pid, one.id) for pid, one in zip(self._pids, self._containers, strict=True)]
        return [*ours, *self._loads.watched]

    @contextlib.contextmanager
    def _kernel_has_the_last_word(self, observer: Observer) -> Iterator[None]:
        """Tell a workload that was killed for memory from one that failed.

        On cgroup v2 the engine learns of the kill from a file that goes with PID 1, and may miss it
        (one of two in Docker 20.10); the cgroup above has counted it.
        """
        try:
            yield
        except TrialEndedError as ended:
            if ended.exit_code != KILLED or not any(
                counters.grown(container.memory_first, now, "oom_kills_above")
                for container, now in zip(self.record.containers, observer.memory(), strict=False)
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
        seen = self._loads.requests(self.record, len(self._containers))
        self._replace_containers(requests=seen)
        killed = any(_kernel_killed(container) for container in self.record.containers)
        self._replace(outcome=Outcome.OOM_KILLED if killed else Outcome.COMPLETED)
        self._phases.end("collect")

    @property
    def _ends_by_itself(self) -> bool:
        return all(talk.ends_by_itself for talk in self._talks)

    def _all_said_something(self) -> bool:
        return all(container.has_line() for container in self._containers)


def _peak_swap(samples: Sequence[Sample]) -> int | None:
    used = [counters.swap_bytes(sample) for sample in samples]
    return max((one for one in used if one is not None), default=None)


def _kernel_killed(container: ContainerRecord) -> bool:
    """Whether the kernel killed for memory in this cgroup: by its own count, where it keeps one.

    Neither the exit code 137 (any SIGKILL) nor the engine's OOMKilled (moby#38352) tell it alone.
    """
    kills = counters.of_memory(container, "oom_kills")
    return bool(container.oom_killed) if kills is None else kills > 0
