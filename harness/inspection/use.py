"""What a container used in a window."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness import limits
from harness.cgroup import NamedCgroup
from harness.inspection.counted import CgroupUse, counted, latest_details, swap_room_bytes
from harness.inspection.limits import cpus_in_force
from harness.inspection.program import Program
from harness.inspection.space import Space
from harness.judge import counters, cpu, surroundings
from harness.model import (
    UNLIMITED,
    ContainerRecord,
    EffectiveLimits,
    EngineFacts,
    HostFacts,
    HostSample,
    KernelLimits,
    RunningContainer,
    Sample,
    TrialRecord,
)


@dataclass(frozen=True, slots=True)
class Observation:
    """One window of a container that somebody else runs, as it was read."""

    container: RunningContainer
    trial: TrialRecord
    """With this container alone: so analysis works on it as on a trial of ours."""
    samples: tuple[Sample, ...] = ()
    above: tuple[tuple[Sample, ...], ...] = ()
    """Of each of ``record.above``, at the moments of ``samples``; empty where it was not read."""
    obstacle: str = ""
    """Why the cgroup could not be read; empty where it could."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Controllers for which it runs outside its cgroup (see ``cgroup.CgroupPaths``): there is no
    figure of those."""
    ended: str = ""
    """How the container ended within the window; empty where it goes on."""
    root_unseen: bool = False
    """Whether limits above what is visible here may bind it (``cgroup.CgroupPaths``)."""
    frozen: str = ""
    """Which cgroup the freezer holds, at the window's end; empty where it runs."""
    program: Program = field(default_factory=Program)
    spaces: tuple[Space, ...] = ()
    """The file systems that it may write to, at the window's end."""
    named: NamedCgroup | None = None
    """The cgroup that it is, where no engine was asked."""
    earlier: tuple[Observation, ...] = ()
    """The parts of the window before this one, under other limits; mostly none."""

    @property
    def record(self) -> ContainerRecord:
        """The container's record."""
        return self.trial.containers[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class UseAbove(CgroupUse):
    """What all in a cgroup above the container used of its caps, the container included."""

    at: str
    memory_high_bytes: int | None = None
    cpu_burst_us: int = 0
    tasks: int | None = None
    tasks_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use(CgroupUse):
    """What was used in the window. None = not measured; ``Inspection.absent`` says why.

    Its limits are the tightest that are in force: of quota, cpuset and host.
    """

    above: tuple[UseAbove, ...] = ()
    """Those that have a cap of the CPU, of memory or of tasks, the nearest first."""
    cpu_burst_us: int = 0
    cpu_some: float | None = None
    """Pressure: shares of the window."""
    cpu_full: float | None = None
    memory_some: float | None = None
    memory_full: float | None = None
    io_some: float | None = None
    io_full: float | None = None
    stats_frames: int = 0
    stats_cpus: float | None = None
    stats_memory_bytes: float | None = None
    host_available_bytes: int | None = None
    """What the host can still give without swapping (MemAvailable)."""
    host_swap_free_bytes: int | None = None
    others_cpus: float | None = None
    """CPU of everything else on the host."""
    steal_cpus: float | None = None

    @property
    def most_throttled(self) -> CgroupUse:
        """Itself or what is above it: where the most of the periods were throttled."""
        return max((self, *self.above), key=lambda one: one.throttled_share or 0.0)

    @property
    def fullest(self) -> CgroupUse:
        """Itself or what is above it: where the most of a memory limit is taken."""
        return max((self, *self.above), key=lambda one: one.memory_share or 0.0)


def used(seen: Observation, engine: EngineFacts, host: HostFacts) -> Use:
    """What was used in the window that was seen."""
    record, trial = seen.record, seen.trial
    told = [frame.memory_bytes for frame in record.stats if frame.memory_bytes is not None]
    by_stats = Use(
        stats_frames=len(record.stats),
        stats_cpus=cpu.stats_cpus(record),
        stats_memory_bytes=statistics.median(told) if told else None,
    )
    samples = seen.samples
    if not samples:
        return by_stats
    first, last, latest = samples[0], samples[-1], latest_details(samples)
    force, kernel = record.effective or EffectiveLimits(), record.kernel or KernelLimits()
    above, at_end = tuple(_above(seen)), trial.host_last or HostSample(t_mono_ns=0)
    return replace(
        by_stats,
        **counted(samples, kernel, record.memory_first, record.memory_last),
        above=above,
        cpus_limit=None if "cpu" in seen.moved else cpus_in_force(record, engine, host),
        cpu_burst_us=kernel.cpu_burst_us or 0,
        memory_limit_bytes=force.memory_bytes,
        total_limit_bytes=None if kernel.swap_bytes is not None else force.memory_swap_bytes,
        swap_room_bytes=_swap_room(seen, last, force, above),
        swappiness=_swappiness(seen),
        cpu_some=_pressure(first, latest, "cpu_some_us"),
        cpu_full=_pressure(first, latest, "cpu_full_us"),
        memory_some=_pressure(first, latest, "memory_some_us"),
        memory_full=_pressure(first, latest, "memory_full_us"),
        io_some=_pressure(first, latest, "io_some_us"),
        io_full=_pressure(first, latest, "io_full_us"),
        host_available_bytes=at_end.memory_available_bytes,
        host_swap_free_bytes=at_end.swap_free_bytes,
        others_cpus=surroundings.foreign_cpus(trial),
        steal_cpus=surroundings.steal_cpus(trial),
    )


def _above(seen: Observation) -> Iterator[UseAbove]:
    """Those whose counters were read, at the moments of the container's."""
    for one, samples in zip(seen.record.above or (), seen.above, strict=True):
        if not samples:
            continue
        kernel = one.kernel
        memory, total, high = (
            None if size in (None, UNLIMITED) else size
            for size in (kernel.memory_bytes, kernel.memory_swap_bytes, kernel.memory_high_bytes)
        )
        cpus = limits.cpus_of((kernel.cpu_quota_us, kernel.cpu_period_us))
        yield UseAbove(
            at=one.at,
            **counted(samples, kernel, one.memory_first, one.memory_last),
            cpus_limit=cpus if math.isfinite(cpus) else None,
            cpu_burst_us=kernel.cpu_burst_us or 0,
            memory_limit_bytes=memory,
            memory_high_bytes=high,
            tasks=latest_tasks(samples),
            tasks_limit=None if kernel.pids_limit == UNLIMITED else kernel.pids_limit,
            total_limit_bytes=total if kernel.swap_bytes is None else None,
            swap_room_bytes=swap_room_bytes(
                samples[-1], kernel, (memory, total), seen.trial.host_last
            ),
        )


def latest_tasks(samples: Sequence[Sample]) -> int | None:
    """Processes and threads when they were last counted."""
    return next((one.tasks for one in reversed(samples) if one.tasks is not None), None)


def _swap_room(
    seen: Observation, last: Sample, force: EffectiveLimits, above: Sequence[UseAbove]
) -> int | None:
    """By its own caps and those above, which others fill too; no more than can be swapped at all.

    With a swappiness of 0 nothing is swapped out at a cgroup's limit (mm/vmscan.c,
    ``get_scan_count``).
    """
    record = seen.record
    own = swap_room_bytes(
        last, record.kernel or KernelLimits(), (force.memory_bytes, force.memory_swap_bytes),
        seen.trial.host_last,
    )  # fmt: skip
    if own is None:
        return None
    rooms = [own, *(one.swap_room_bytes for one in above)]
    rooms += [record.memory_last.swappable_bytes if record.memory_last else None]
    rooms += [0 if _swappiness(seen) == 0 else None]
    return min(room for room in rooms if room is not None)


def _swappiness(seen: Observation) -> int | None:
    """Its own on v1; on v2 the host's is everyone's."""
    kernel, host = seen.record.kernel or KernelLimits(), seen.trial.host_last
    if kernel.memory_swappiness is not None:
        return kernel.memory_swappiness
    return host.swappiness if host and kernel.swap_bytes is not None else None


def _pressure(first: Sample, last: Sample, counter: str) -> float | None:
    more = counters.grown(first, last, counter)
    span_ns = last.t_mono_ns - first.t_mono_ns
    return None if more is None or span_ns <= 0 else more * 1000 / span_ns
