"""All containers of an engine in one window that they share, sampled together at a low cadence.

What a container tells in a window of its own takes a stream of docker stats, and samples at the
tick's rate for the stretches in which it stands still. Here it is told by the totals between the
first read and the last, so that hundreds of them cost no more than a few per cent of a CPU. The
ticks in between are for those that end: what was read last is where they ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

from harness.cgroup import (
    CgroupPaths,
    CounterReader,
    LimitReader,
    locate,
    memory_counters,
    tightest_of,
)
from harness.errors import EngineError, MeasurementError
from harness.host.process import many_files_open
from harness.inspection.life import ProcessLife
from harness.inspection.observe import frozen_still, in_force, trial_of
from harness.inspection.program import where_stopped
from harness.inspection.space import Spaces
from harness.inspection.use import Observation
from harness.measure.above import Above
from harness.measure.clock import Clock, SystemClock
from harness.measure.sampled import Window
from harness.measure.sampler import Sampler, StartSampling
from harness.model import (
    CgroupAbove,
    ContainerRecord,
    EffectiveLimits,
    HostSample,
    KernelLimits,
    Limits,
    MemoryCounters,
    RunningContainer,
    Sample,
    SamplerCost,
)

CADENCE_HZ = 0.5
_TOLD_NS = 1_000_000_000
"""So long an engine may take to know of a process's end."""
_ASKED_AGAIN_NS = 50_000_000


class Listing(Protocol):
    """What is asked of an engine."""

    def listed(self) -> list[tuple[str, str]]:
        """(id, name) of each container that runs, or waits to be started again."""
        ...

    def describe(self, container_id: str) -> RunningContainer:
        """A running container. LookupError where it is gone; MeasurementError where none runs."""
        ...

    def limits_of(self, container_id: str) -> Limits:
        """Its limits as the engine holds them now. LookupError where it is gone."""
        ...


@dataclass(slots=True)
class _Member:
    """A container with what stays open of it, and what was read when the last window ended."""

    container: RunningContainer
    life: ProcessLife
    above: str = ""
    """Which cgroups are above it: the same for all that are beside each other."""
    paths: CgroupPaths | None = None
    """None where its cgroup cannot be read; ``obstacle`` says why."""
    reader: CounterReader | None = None
    limits: LimitReader | None = None
    spaces: Spaces | None = None
    obstacle: str = ""
    kernel: KernelLimits | None = None
    held: list[tuple[str, KernelLimits]] = field(default_factory=list)
    """What it was last found to be bound by, itself and above it."""
    effective: EffectiveLimits | None = None
    memory: MemoryCounters | None = None

    @property
    def moved(self) -> dict[str, str]:
        return self.paths.moved if self.paths else {}

    def read_state(self, above: Above) -> None:
        """What holds for it at this moment, and its memory."""
        assert self.paths is not None
        assert self.limits is not None
        self.kernel, self.memory = self.limits.read(), memory_counters(self.paths)
        held = [("", self.kernel), *((one.at, one.kernel) for one in above.found)]
        if held != self.held:  # its affinity is looked at again only with them
            self.held, self.effective = held, tightest_of(self.paths, held)

    def changed(self, before: KernelLimits | None) -> bool:
        """Whether its limits are others than they were."""
        return self.kernel != before and in_force(self.kernel) != in_force(before)

    def record(self) -> ContainerRecord:
        limits = self.container.limits or Limits()
        return ContainerRecord(
            requested=limits, engine=limits, kernel=self.kernel, effective=self.effective,
            memory_first=self.memory, absent=self.reader.absent if self.reader else {},
        )  # fmt: skip

    def close(self) -> None:
        for one in (self.reader, self.limits):
            if one:
                one.close()


_AtMoments = tuple[tuple[CgroupAbove, ...], tuple[tuple[Sample, ...], ...]]


class _Beside:
    """The window of the cgroups that are above several containers, read once for all of them."""

    def __init__(self, above: Above, samples: Sequence[Sequence[Sample]]) -> None:
        self.above, self._samples = above, samples
        self._at: dict[tuple[int, ...], _AtMoments] = {}

    def at(self, moments: Sequence[int]) -> _AtMoments:
        """As of ``Above.after``, at the moments at which a container was there: mostly all."""
        key = tuple(moments)
        if key not in self._at:
            self._at[key] = self.above.after(self._samples, moments)
        return self._at[key]


class Together:
    """A context: descriptors stay open from one window to the next."""

    def __init__(
        self,
        engine: Listing,
        *,
        clock: Clock | None = None,
        sampling: StartSampling = Sampler,
        proc: Path = Path("/proc"),
        obstacle: str = "",
    ) -> None:
        self._engine, self._proc, self._obstacle = engine, proc, obstacle
        self._clock = clock or SystemClock()
        self._sampling = sampling
        self._members: dict[str, _Member] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Together:
        """Itself. A dozen files of each container stay open."""
        self._open.enter_context(many_files_open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the descriptors back."""
        for member in self._members.values():
            member.close()
        self._open.close()

    def look(self, duration_s: float) -> tuple[Observation, ...]:
        """One window of all that run now, and of those that wait to be started again."""
        waiting = list(self._meet())
        members = [one for one in self._members.values() if one.reader]
        with contextlib.ExitStack() as opened:
            above: dict[str, Above] = {}
            for one in members:
                if one.paths is not None and one.above not in above:
                    above[one.above] = opened.enter_context(contextlib.closing(Above(one.paths)))
                if one.kernel is None:
                    one.read_state(above[one.above])
            window = self._window(members, list(above.values()), duration_s)
            samples = iter(window.samples)
            own = [next(samples) for _ in members]
            shared = {
                at: _Beside(one, [next(samples) for _ in one.readers]) for at, one in above.items()
            }
            seen = [
                self._observed(member, read, shared[member.above], window)
                for member, read in zip(members, own, strict=True)
            ]
        unread = [self._unread(one) for one in self._members.values() if not one.reader]
        return (*waiting, *seen, *unread)

    def _window(
        self, members: Sequence[_Member], above: Sequence[Above], duration_s: float
    ) -> Window:
        readers = [
            *(one.reader for one in members if one.reader),
            *(reader for one in above for reader in one.readers),
        ]
        if not readers:  # nothing is seen from here, or nothing runs
            self._clock.sleep_ns(round(duration_s * 1e9))
            now = HostSample(t_mono_ns=self._clock.now_ns())
            return Window((), now, now, SamplerCost.of_none())
        with contextlib.closing(self._sampling(readers, CADENCE_HZ)) as sampling:
            return sampling.window(self._clock.now_ns(), round(duration_s * 1e9))

    def _meet(self) -> Iterator[Observation]:
        """Open what is new, close what is gone; what has no process now is told at once."""
        listed = dict(self._engine.listed())
        for id_ in [*self._members]:
            if id_ not in listed or not self._members[id_].life.goes_on():
                self._members.pop(id_).close()
        for id_, name in listed.items():
            if id_ in self._members:
                continue
            try:
                self._members[id_] = self._opened(self._engine.describe(id_))
            except LookupError:
                continue  # it has gone since it was listed
            except MeasurementError as error:
                yield _without_process(id_, name, error)

    def _opened(self, container: RunningContainer) -> _Member:
        member = _Member(container, ProcessLife(self._proc / str(container.pid)))
        member.obstacle = self._obstacle
        if member.obstacle:
            return member
        try:
            member.paths = locate(container.pid, container.id, self._proc)
            member.above = repr([sorted(one.folders.items()) for one in member.paths.above()])
            member.limits = LimitReader(member.paths)
            member.spaces = Spaces(self._proc / str(container.pid))
            member.reader = CounterReader(member.paths)
        except MeasurementError as error:
            member.obstacle = error.message.rstrip(".")
        return member

    def _observed(
        self, member: _Member, samples: tuple[Sample, ...], beside: _Beside, window: Window
    ) -> Observation:
        assert member.paths is not None
        assert member.spaces is not None
        lasting = "cpu_usage_ns" if member.paths.folder("cpuacct") else "memory_bytes"
        moments = [i for i, one in enumerate(samples) if getattr(one, lasting) is not None]
        gone = len(moments) < len(samples) or not member.life.goes_on()
        before = record = member.record()
        changed = False
        if not gone:
            member.read_state(beside.above)
            if changed := member.changed(before.kernel):
                self._ask_limits(member)
            record = replace(
                member.record(), memory_first=before.memory_first, memory_last=member.memory
            )
        read = tuple(samples[i] for i in moments)
        series: tuple[tuple[Sample, ...], ...] = ()
        if len(read) > 1:
            above, series = beside.at(moments)
            record = replace(record, first=read[0], last=read[-1], above=above)
        trial = trial_of(
            record, host_first=window.host_first, host_last=window.host_last, sampler=window.cost
        )
        frozen, member.container = frozen_still(
            member.paths, member.container, self._engine.describe, self._clock
        )
        process = self._proc / str(member.container.pid)
        return Observation(
            member.container, trial, samples=read, above=series, moved=member.moved,
            ended=self._ending(member) if gone else "", frozen=frozen, spaces=member.spaces.now(),
            program=where_stopped(process, member.paths),
            root_unseen=member.paths.root_unseen,
            earlier=(Observation(member.container, trial_of(before)),) if changed else (),
        )  # fmt: skip

    def _ask_limits(self, member: _Member) -> None:
        with contextlib.suppress(LookupError, EngineError):
            held = self._engine.limits_of(member.container.id)
            member.container = replace(member.container, limits=held)

    def _unread(self, member: _Member) -> Observation:
        gone = not self._obstacle and member.paths and not member.life.goes_on()
        return Observation(
            member.container, trial_of(member.record()), obstacle=member.obstacle,
            moved=member.moved, ended=self._ending(member) if gone else "",
        )  # fmt: skip

    def _ending(self, member: _Member) -> str:
        """How a member ended whose process is gone: the engine knows of it some ms later."""
        give_up_ns = self._clock.now_ns() + _TOLD_NS
        while self._clock.now_ns() < give_up_ns:
            try:
                found = self._engine.describe(member.container.id)
            except LookupError:
                return "it ended and is gone"
            except MeasurementError as error:
                return _said(member.container.name, error)
            except EngineError:
                return "it ended, and the engine does not tell how"
            if found.pid != member.container.pid:
                return "it ended, and was started again"
            self._clock.sleep_ns(_ASKED_AGAIN_NS)
        return "its process ended, and the engine says that it runs"


def _said(name: str, why: MeasurementError) -> str:
    return f"it {why.message.removeprefix(name).strip().rstrip('.')}"


def _without_process(id_: str, name: str, why: MeasurementError) -> Observation:
    """A container of which nothing runs at this moment."""
    container = RunningContainer(
        id=id_, name=name, image="", pid=0, state="restarting", started_at="", limits=Limits()
    )
    record = ContainerRecord(requested=Limits(), engine=Limits())
    return Observation(container, trial_of(record), ended=_said(name, why))
