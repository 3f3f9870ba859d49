"""How far each source is from the truth, side by side: errors, rates, costs. Pure.

The truth of CPU is the workload's own thread CPU clocks over its monotonic clock (the scheduler's
``sum_exec_runtime``, in ns), and that of memory what the workload touched, page by page. Neither
passes through a cgroup or an engine. Each source is asked about the same containers at the same
time, so what disturbs them disturbs all alike.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.inspection.use import Observation
from harness.judge import cpu as judge_cpu
from harness.judge import points, surroundings
from harness.limits import EngineCpus
from harness.model import ContainerRecord, MemoryReport, Plan, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options

DURATIONS_S = (2.0, 5.0, 10.0)
TRIALS = 30
"""Of each duration: an RMS of so many is known to 13 % of itself (1/sqrt(2n))."""
MEMORY_TRIALS = 10
"""Of each kind of memory: they scatter little."""
MEMORY_KINDS = ("anon", "file", "tmpfs")
MEMORY_TARGET_BYTES = 48 << 20
CGROUP, STATS = "cgroup", "docker stats"


@dataclass(frozen=True, slots=True)
class Errors:
    """How far the readings of one source are from the truth."""

    n: int
    missing: int
    """Trials in which the source had nothing to say."""
    bias: float | None
    rms: float | None
    worst: float | None
    """The error of largest size, with its sign."""

    @classmethod
    def of(cls, errors: Sequence[float | None]) -> Errors:
        """From the error of each trial; None where the source had no reading."""
        known = [error for error in errors if error is not None]
        if not known:
            return cls(0, len(errors), None, None, None)
        return cls(
            n=len(known),
            missing=len(errors) - len(known),
            bias=statistics.fmean(known),
            rms=math.sqrt(statistics.fmean(error * error for error in known)),
            worst=max(known, key=abs),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """One source over one length of window (CPU), or of one kind of memory."""

    source: str
    what: str
    """``2 s``, or what of memory was read: ``anon: usage``."""
    errors: Errors
    """Shares of the truth."""
    rate_hz: float | None = None
    """Readings a second, in the windows; None where there was none."""
    remark: str = ""
    """Why the source was not measured; empty where it was in any trial."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of one reading of one container, by everybody who takes part."""

    source: str
    client_s: float | None
    """In the process that asks; None where it was not measured."""
    engine_s: float | None
    """In the engine's processes; 0 for files of the kernel, None where they are not visible."""
    readings: int
    """0 where the source was not measured; the remark then tells why."""
    remark: str = ""

    @property
    def total_s(self) -> float | None:
        """Both together; None where one is not known."""
        if self.client_s is None or self.engine_s is None:
            return None
        return self.client_s + self.engine_s


@dataclass(frozen=True, slots=True)
class MemoryTrial:
    """A container that had grown and held what it had while it was looked at."""

    kind: str
    truth: MemoryReport
    seen: Observation


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything that an audit found."""

    cpu: tuple[Reading, ...]
    memory: tuple[Reading, ...]
    costs: tuple[Cost, ...]
    trials: int
    rejected: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The audit as plain data with stable names; numbers are not rounded."""
        return {
            "cpu": [asdict(reading) for reading in self.cpu],
            "memory": [asdict(reading) for reading in self.memory],
            "costs": [{**asdict(cost), "total_s": cost.total_s} for cost in self.costs],
            "trials": self.trials,
            "rejected": list(self.rejected),
        }


def cpu_plans(
    cpus: EngineCpus, tick_ns: int, *, durations_s: Sequence[float], trials: int, seed: int = 1
) -> dict[float, Plan]:
    """A plan for each length of window: limits from a tenth of a CPU up, ``trials`` in all."""
    values = [0.1, 0.25, 0.5, *((1.0, 1.5) if cpus.most > 1 else ())]
    repeats = math.ceil(trials / len(values))
    return {
        duration_s: planning.build(
            "cpu",
            Options(
                values=",".join(f"{value:g}" for value in values),
                duration_s=duration_s,
                repeats=repeats,
                # CPU counters move at the tick, so more would only cost more.
                cadence_hz=min(1000.0, 1e9 / tick_ns),
                seed=seed,
            ),
            cpus=cpus,
        )
        for duration_s in durations_s
    }


def summarise(
    cpu: Mapping[float, Sequence[TrialRecord]],
    memory: Sequence[MemoryTrial],
    stats_cost: Cost | None,
) -> Audit:
    """Errors by source and length of window, rates and costs, of the trials that count."""
    everything = [trial for trials in cpu.values() for trial in trials]
    counted = {s: [t for t in trials if points.counts(t)] for s, trials in cpu.items()}
    of_cgroup = _cgroup_cost([trial for trials in counted.values() for trial in trials])
    of_stats = stats_cost or Cost(STATS, None, None, 0, _NO_FRAME)
    return Audit(
        cpu=tuple(
            reading
            for duration_s, trials in counted.items()
            for reading in _of_cpu(f"{duration_s:g} s", trials)
        ),
        memory=tuple(_of_memory(memory)),
        costs=(of_cgroup, of_stats),
        trials=len(everything) + len(memory),
        rejected=tuple(t.invalid or t.failure or "" for t in everything if not points.counts(t)),
    )


# --- CPU -------------------------------------------------------------------------------------

_NO_FRAME = "no frame of it came in time"
_NO_TRIAL = "no trial of it counts"


def _of_cpu(what: str, trials: Sequence[TrialRecord]) -> Iterable[Reading]:
    containers = [trial.containers[0] for trial in trials]
    samples = sum(t.sampler.ticks + 2 for t in trials if t.sampler and t.containers[0].first)
    frames = sum(len(one.stats) for one in containers)
    seconds = sum(span for trial in trials if (span := surroundings.span_s(trial)))
    for source, read, count, why in (
        (CGROUP, _cgroup_cpus, samples, _unread(trials)),
        (STATS, judge_cpu.stats_cpus, frames, _NO_FRAME),
    ):
        errors = Errors.of([_error(read(one), judge_cpu.inside_cpus(one)) for one in containers])
        rate_hz = count / seconds if count and seconds else None
        yield Reading(source, what, errors, rate_hz, _remark(errors, why))


def _cgroup_cpus(container: ContainerRecord) -> float | None:
    """By the cgroup alone: the workload's own clocks, where they stand in for it, are the truth."""
    return None if container.first is None else judge_cpu.achieved_cpus(container)


def _unread(trials: Sequence[TrialRecord]) -> str:
    """Why no cgroup was read."""
    whys = [one.absent.get("cpu_usage_ns", "") for t in trials for one in t.containers]
    return next(filter(None, whys), "its CPU counter was not read")


def _remark(errors: Errors, why: str) -> str:
    if errors.n:
        return ""
    return why if errors.missing else _NO_TRIAL


def _error(read: float | None, truth: float | None) -> float | None:
    return None if read is None or not truth else read / truth - 1


def _cgroup_cost(trials: Sequence[TrialRecord]) -> Cost:
    sampling = surroundings.sampling(trials)
    if sampling is None:
        return Cost(CGROUP, None, None, 0, _unread(trials) if trials else _NO_TRIAL)
    return Cost(
        CGROUP, sampling.cpu_per_read_s, 0.0, sampling.ticks,
        "the waking around the reads and the edges with all files included",
    )  # fmt: skip


# --- memory ----------------------------------------------------------------------------------


def _of_memory(trials: Sequence[MemoryTrial]) -> Iterable[Reading]:
    for kind in dict.fromkeys(trial.kind for trial in trials):
        mine = [trial for trial in trials if trial.kind == kind]
        part = {"anon": "anon", "tmpfs": "shmem"}.get(kind, "page cache")
        obstacle = next((t.seen.obstacle for t in mine if t.seen.obstacle), "it was not read")
        for source, name, read, why in (
            (CGROUP, "usage", _usage, obstacle),
            (CGROUP, part, _PARTS.get(kind, _file), obstacle),
            (STATS, "memory", _stats_memory, _NO_FRAME),
        ):
            errors = Errors.of(
                [_error(read(t.seen.record), float(t.truth.touched_bytes)) for t in mine]
            )
            yield Reading(source, f"{kind}: {name}", errors, remark=_remark(errors, why))


_Read = Callable[[ContainerRecord], float | None]


def _usage(record: ContainerRecord) -> float | None:
    return None if record.last is None else record.last.memory_bytes


def _anon(record: ContainerRecord) -> float | None:
    return None if record.last is None else record.last.anon_bytes


def _file(record: ContainerRecord) -> float | None:
    return None if record.last is None else record.last.file_bytes


def _shmem(record: ContainerRecord) -> float | None:
    return None if record.last is None else record.last.shmem_bytes


_PARTS: dict[str, _Read] = {"anon": _anon, "tmpfs": _shmem}


def _stats_memory(record: ContainerRecord) -> float | None:
    told = [frame.memory_bytes for frame in record.stats if frame.memory_bytes is not None]
    return statistics.median(told) if told else None
