"""What loads the servers of a trial: for each a container of its own, in its network namespace.

Never under the server's limits nor below its cgroup, on other CPUs where the server leaves some,
and first where it leaves none. What it costs is counted as that of every container is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from harness import limits
from harness.engine.boundary import Container, Engine
from harness.errors import EngineRefusedError
from harness.judge.laws.cpu import pinned_cpus
from harness.limits import EngineCpus, Limits
from harness.measure import protocol
from harness.measure.conversation import (
    REPORT_TIMEOUT_S,
    ByProtocol,
    TrialEndedError,
    WithProgram,
)
from harness.measure.observer import Watched
from harness.measure.patience import READY_TIMEOUT_S, start_timeout_s
from harness.model import (
    Ask,
    Asker,
    ContainerSpec,
    HostSample,
    Loader,
    LoadProgram,
    LoadRecord,
    Outcome,
    Point,
    RequestReport,
    Sample,
    TrialRecord,
    Workload,
)
from harness.units import MIB

LOAD_MEMORY_BYTES = 256 * MIB
"""Of a load's container: it is not what is measured, and must not starve what is."""
_LOOK_S = 0.25
_MARGIN_S = 2.0
"""A program that loads goes on for so long after the window: that begins a little after the load,
once the observer is there."""
_MOST_QUOTED = 500
_LINES_QUOTED = 5
_MOST_LINES = 10_000
"""Of a server that never stops talking."""


class Talk(Protocol):
    """The conversation with what loads a server. Each step may raise TrialEndedError."""

    def await_ready(self, timeout_s: float, server: Container) -> None:
        """Return once the server answers, and the load waits for its begin, or has begun."""
        ...

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        """Let the load start."""
        ...

    def finish(self) -> None:
        """End the load, the server being there: what is under way is answered."""
        ...

    def report(self, window: tuple[HostSample, HostSample]) -> RequestReport:
        """What it saw."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Loading:
    """The load of one server."""

    server: int
    """The number of its container."""
    container: Container
    pid: int
    talk: Talk
    record: LoadRecord


class Loads:
    """The loads of a trial's servers, from their start on; none of a trial that has no server."""

    def __init__(self, engine: Engine, run: str) -> None:
        self._engine, self._run = engine, run
        self._started: list[Container] = []
        self._all: list[_Loading] = []

    def start(
        self,
        point: Point,
        servers: Sequence[Container],
        cpus: EngineCpus,
        name: str,
        deadline_s: Callable[[ContainerSpec], float],
    ) -> None:
        """Start the load of each server that runs, and return once all of them answer."""
        for number, (spec, server) in enumerate(zip(point.containers, servers, strict=True)):
            load = spec.workload.load
            if not isinstance(load, Loader):
                continue
            theirs = spec_of(load, point, number, cpus)
            container = self._engine.create_load(
                name=f"{name}-{number}", run=self._run, server=server, spec=theirs,
                deadline_s=deadline_s(spec),
            )  # fmt: skip
            self._started.append(container)
            one = _Loading(
                server=number,
                container=container,
                talk=_talk(container, theirs.workload),
                pid=_started(container, server),
                record=LoadRecord(words=load.words, cpus=theirs.limits.cpuset_cpus),
            )
            self._all.append(one)
            one.talk.await_ready(start_timeout_s(spec) + READY_TIMEOUT_S, server)

    @property
    def watched(self) -> list[Watched]:
        """What is observed of them."""
        return [(load.pid, load.container.id) for load in self._all]

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        """Let all of them load."""
        for load in self._all:
            load.talk.begin(warmup_ns, duration_ns)

    def finish(self) -> None:
        """End all of them, the servers being there: what is under way is answered."""
        for load in self._all:
            load.talk.finish()

    def records(self, samples: Sequence[Sequence[Sample]], count: int) -> list[LoadRecord | None]:
        """What each of ``count`` containers' load cost, by what was read of ``watched``."""
        out: list[LoadRecord | None] = [None] * count
        for load, seen in zip(self._all, samples, strict=True):
            first, last = (seen[0], seen[-1]) if seen else (None, None)
            out[load.server] = dataclasses.replace(load.record, first=first, last=last)
        return out

    def requests(self, trial: TrialRecord, count: int) -> list[RequestReport | None]:
        """What each of ``count`` containers' load saw of it, in the trial's window."""
        out: list[RequestReport | None] = [None] * count
        first, last = trial.host_first, trial.host_last
        for load in self._all:
            if first is None or last is None:
                continue
            out[load.server] = load.talk.report((first, last))
        return out

    def remove(self) -> None:
        """Their containers, whatever their state."""
        for container in self._started:
            container.remove()


def spec_of(load: Loader, point: Point, server: int, cpus: EngineCpus) -> ContainerSpec:
    """The container of a load: kept to the CPUs that the trial's servers leave, if any."""
    spec = point.containers[server]
    pinned = pinned_cpus(point.containers)
    rest = frozenset(cpus.numbers) - pinned if pinned is not None else frozenset[int]()
    workload: Loader
    match load:
        case Ask():
            workload = dataclasses.replace(load, ready_s=math.ceil(start_timeout_s(spec)))
        case LoadProgram():
            seconds = math.ceil(point.warmup_s + point.duration_s + _MARGIN_S)
            workload = dataclasses.replace(load, seconds=seconds)
    return ContainerSpec(
        limits=Limits(
            memory_bytes=LOAD_MEMORY_BYTES,
            cpuset_cpus=limits.format_cpu_list(rest) if rest else None,
        ),
        workload=workload,
        runtime=spec.runtime,
        side=spec.side,
    )


def _talk(container: Container, load: Workload) -> Talk:
    """The conversation that a load's container is fit for."""
    if isinstance(load, LoadProgram):
        return _ByProgram(container, load)
    return _ByProbe(container)


class _ByProbe(ByProtocol):
    """The probe asks: it is ready once the server has answered."""

    _found: dict[str, Any]

    def await_ready(self, timeout_s: float, server: Container) -> None:
        _await(self._container, timeout_s, server)
        protocol.expect(self.hear(1.0, "become ready"), "ready")

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        self.say(protocol.go(warmup_ns, duration_ns))

    def finish(self) -> None:
        self.say(protocol.STOP)
        self._found = self.hear(REPORT_TIMEOUT_S, "report")

    def report(self, window: tuple[HostSample, HostSample]) -> RequestReport:
        return protocol.requests(self._found)


class _ByProgram:
    """A program asks: it begins when it is started, and ends by itself."""

    def __init__(self, container: Container, load: LoadProgram) -> None:
        self._container, self._asker = container, load.asker
        self._seconds = load.seconds
        self._program = WithProgram(container, load.description)
        self._cut: bool | None = None
        self._exit_code = 0

    def await_ready(self, timeout_s: float, server: Container) -> None:
        try:
            self._program.await_ready(timeout_s)
        except TrialEndedError as ended:
            raise _never_ready(str(ended), server) from None

    def begin(self, warmup_ns: int, duration_ns: int) -> None:
        """It loads already."""

    def finish(self) -> None:
        found = self._program.report(self._seconds + REPORT_TIMEOUT_S)
        self._cut, self._exit_code = found["output_cut"], found["exit_code"]

    def report(self, window: tuple[HostSample, HostSample]) -> RequestReport:
        said = self._program.said()
        if self._exit_code or self._cut:
            why = (
                f"ended with code {self._exit_code}"
                if self._exit_code
                else "printed more than is kept"
            )
            raise TrialEndedError(Outcome.FAILED, f"the load {why}: {_end_of(said)}")
        return of_program(self._asker, said, window)


def _started(container: Container, server: Container) -> int:
    """The pid of the load; TrialEndedError where the server, whose network it joins, has ended."""
    try:
        return container.start()
    except EngineRefusedError:
        _refuse_dead(server)
        raise


def _refuse_dead(server: Container) -> None:
    """TrialEndedError where the server has ended."""
    with contextlib.suppress(TimeoutError):
        ended = server.wait(0.0)
        killed = (
            "it was OOM-killed" if ended.oom_killed else f"it ended with code {ended.exit_code}"
        )
        outcome = Outcome.OOM_KILLED if ended.oom_killed else Outcome.FAILED
        raise TrialEndedError(outcome, f"the server never got ready: {killed}{_last_of(server)}")


def _await(container: Container, timeout_s: float, server: Container) -> None:
    """Until the load says something; TrialEndedError where it, or the server, ended before."""
    deadline = time.monotonic() + timeout_s
    while not container.has_line():
        if time.monotonic() > deadline:
            raise _never_ready(f"no answer within {timeout_s:g} s", server)
        _refuse_dead(server)
        time.sleep(_LOOK_S if deadline - time.monotonic() > 1 else 0.01)
    try:
        container.wait(0.0)
    except TimeoutError:
        return  # it lives, and has said that it is ready
    raise _never_ready(container.stderr().strip().removeprefix("probe: "), server)


def _never_ready(why: str, server: Container) -> TrialEndedError:
    text = f"the server never got ready: {why}{_last_of(server)}"
    return TrialEndedError(Outcome.TIMED_OUT, text)


def _last_of(server: Container) -> str:
    """What a server said last, in words; empty where it said nothing."""
    lines: deque[str] = deque(maxlen=_LINES_QUOTED)
    for _ in range(_MOST_LINES):
        try:
            if not server.has_line():
                break
            lines.append(server.read_line(_LOOK_S))
        except (EOFError, TimeoutError):
            break
    said = _end_of(f"{server.stderr()}\n{' '.join(lines)}")
    return f"; its last output: {said}" if said else ""


def _end_of(text: str) -> str:
    return " ".join(text[-_MOST_QUOTED:].split())


# --- what a program printed --------------------------------------------------------------------


def of_program(asker: Asker, said: str, window: tuple[HostSample, HostSample]) -> RequestReport:
    """The requests of the window among the lines of a program that asked. Pure.

    What it should have asked by its rate and did not count with the longest latency: they waited
    for a connection, and an overload must not look quick. TrialEndedError where no line is a
    latency, or the host's clock of that window is not known.
    """
    first, last = window
    if first.t_real_ns is None or last.t_real_ns is None:
        raise TrialEndedError(
            Outcome.FAILED, "the load's times cannot be placed: this host's clock is not visible"
        )
    answered = list(_answers(asker, said))
    if not answered:
        raise TrialEndedError(
            Outcome.FAILED, f"no line of the load's output has a latency: {_end_of(said)}"
        )
    begin_s, end_s = first.t_real_ns / 1e9, last.t_real_ns / 1e9
    took = sorted(s for at, s in answered if begin_s <= at - s < end_s)
    wanted = (asker.rate_hz or 0) * (end_s - begin_s)
    # Arrivals at random scatter by the root of their number.
    missing = max(0, math.floor(wanted - 3 * math.sqrt(wanted)) - len(took))
    waited = sorted([*took, *[took[-1]] * missing]) if took else took
    return RequestReport(
        t_start_ns=first.t_mono_ns,
        t_end_ns=last.t_mono_ns,
        offered=len(waited),
        completed=len(took),
        errors=0,
        unfinished=missing,
        done=sum(begin_s <= at < end_s for at, _ in answered),
        latency_p50_ns=_rank_ns(waited, 500),
        latency_p90_ns=_rank_ns(waited, 900),
        latency_p99_ns=_rank_ns(waited, 990),
        latency_p999_ns=_rank_ns(waited, 999),
        latency_max_ns=_rank_ns(waited, 1000),
    )


def _answers(asker: Asker, said: str) -> Sequence[tuple[float, float]]:
    """(when it was answered, how long it took), in seconds, of each line that tells."""
    found = []
    for match in re.finditer(asker.latencies.pattern, said, re.MULTILINE):
        told = match.groupdict()
        try:
            at = float(told["end_s"]) + float(told.get("end_us") or 0) / 1e6
            found.append((at, float(told["latency"]) * asker.latencies.unit_s))
        except ValueError:
            continue
    return found


def _rank_ns(ordered: Sequence[float], per_mille: int) -> int | None:
    if not ordered:
        return None
    return round(ordered[math.ceil(len(ordered) * per_mille / 1000) - 1] * 1e9)
