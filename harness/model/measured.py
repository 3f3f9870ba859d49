"""What is measured: raw counters, a trial's record, a run's facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.limits import KernelLimits, Limits
from harness.model.asked import Plan, Point
from harness.model.device import BlockDevice, DeviceIo
from harness.model.facts import EngineFacts, HostFacts, WorkloadFacts
from harness.model.reports import (
    BatchReport,
    BurstReport,
    InsideReport,
    IoReport,
    MemoryReport,
    RequestReport,
    TakeReport,
)


class Outcome(StrEnum):
    """How a trial ended. Dying is a measurement here, not an error."""

    COMPLETED = "completed"
    OOM_KILLED = "oom-killed"
    TIMED_OUT = "timed-out"
    FAILED = "failed"
    NOT_STARTED = "not-started"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveLimits:
    """The tightest limits on a container's path from its own cgroup up to the root.

    ``*_at`` is the cgroup that sets it, empty where it is the container's own. None = nothing on
    the path sets that limit.
    """

    cpus: float | None = None
    cpus_at: str = ""
    cpus_period_us: int | None = None
    """The period of that tightest quota."""
    cpus_burst_us: int | None = None
    """What that quota may save up and be exceeded by (CFS burst); None before kernel 5.14."""
    cpuset_cpus: str | None = None
    cpuset_at: str = ""
    """The lowest cgroup above that allows no more than these; empty where it is the container's own
    wish, or where the whole host is allowed."""
    affinity: str | None = None
    """The CPUs that its threads may run on, where they are fewer than its cpuset allows."""
    memory_bytes: int | None = None
    memory_at: str = ""
    memory_swap_bytes: int | None = None
    """Memory and swap together; of v2, which caps each for itself, the tightest of both added."""
    memory_swap_at: str = ""
    memory_high_bytes: int | None = None
    memory_high_at: str = ""
    pids: int | None = None
    pids_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Raw cumulative counters of one container at one moment of CLOCK_MONOTONIC."""

    t_mono_ns: int
    cpu_usage_ns: int | None = None
    nr_periods: int | None = None
    nr_throttled: int | None = None
    throttled_ns: int | None = None
    """v1 sums the per-CPU run queues; v2 is throttled_usec × 1000, summed the same way."""
    memory_bytes: int | None = None
    total_bytes: int | None = None
    """Memory and swap together; None where swap is not accounted for."""
    usage_percpu_ns: tuple[int, ...] | None = None
    """v1 only, and only at the window's edges."""
    peak_bytes: int | None = None
    """From here on: what is costly to read, so at the window's edges and a few times a second."""
    anon_bytes: int | None = None
    file_bytes: int | None = None
    """Page cache, tmpfs included."""
    shmem_bytes: int | None = None
    """The part of it that is tmpfs and shared memory: it gives way to swap alone."""
    inactive_file_bytes: int | None = None
    """The part of the page cache that docker stats leaves out of what it calls memory."""
    active_file_bytes: int | None = None
    """With it, all of the page cache that can give way: what is mlocked is on neither list."""
    slab_reclaimable_bytes: int | None = None
    """v2 only: the kernel's dentries and inodes for it, which give way as page cache does."""
    major_faults: int | None = None
    limit_hits: int | None = None
    """memory.failcnt (v1), ``max`` of memory.events (v2)."""
    oom_kills: int | None = None
    tasks: int | None = None
    """pids.current: processes and threads."""
    tasks_refused: int | None = None
    """``max`` of pids.events: so often pids.max refused a task."""
    cpu_some_us: int | None = None
    """Pressure (PSI, kernel 4.20): time in which some task waited for the CPU, ``full`` in which
    all did; likewise memory and io. Documentation/accounting/psi.rst"""
    cpu_full_us: int | None = None
    memory_some_us: int | None = None
    memory_full_us: int | None = None
    io_some_us: int | None = None
    io_full_us: int | None = None
    devices: tuple[DeviceIo, ...] | None = None
    """A device each that the kernel counts anything of; None where it was not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """The host's counters at one edge of the window."""

    t_mono_ns: int
    root_usage_ns: int | None = None
    """CPU time of the root cgroup: everything on the host."""
    root_percpu_ns: tuple[int, ...] | None = None
    """The same of each CPU; v1 only."""
    swap_free_bytes: int | None = None
    """Of the host: what containers can be given at the most."""
    memory_available_bytes: int | None = None
    """MemAvailable: what the host can still give without swapping."""
    swappiness: int | None = None
    """vm.swappiness, which is each cgroup's on v2."""
    steal_ns: tuple[int, ...] | None = None
    """Steal of each CPU (/proc/stat, in 10 ms ticks turned into ns)."""
    harness_cpu_ns: int | None = None
    """CPU time of the harness's own process."""
    t_real_ns: int | None = None
    """CLOCK_REALTIME, which is set now and then, beside ``t_mono_ns``, which is not."""
    t_boot_ns: int | None = None
    """CLOCK_BOOTTIME, which goes on where the host sleeps, as the monotonic clock does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One of those that ran beside a window, as ``harness.host.neighbours`` names it."""

    name: str
    cpus: float
    """About: from before the warm-up to after the window."""
    kernel: bool = False
    """Whether it is the kernel's own threads, which work for whoever wants a disk or memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCounters:
    """The memory cgroup at one moment. None = this kernel has no such file."""

    usage_bytes: int | None = None
    peak_bytes: int | None = None
    """memory.max_usage_in_bytes (v1), memory.peak (v2, kernel 5.19)"""
    swap_bytes: int | None = None
    total_bytes: int | None = None
    """Memory and swap together."""
    file_bytes: int | None = None
    """Page cache, tmpfs included."""
    swappable_bytes: int | None = None
    """What is on the anonymous lists: mlocked memory is not, nor is the kernel's own."""
    limit_hits: int | None = None
    """So often a charge failed at the limit: memory.failcnt or memory.memsw.failcnt (v1, the
    larger; None where the kernel does not count it), ``max`` of memory.events (v2)"""
    high_hits: int | None = None
    """So often it was slowed at memory.high: ``high`` of memory.events (v2)"""
    oom_kills: int | None = None
    """memory.oom_control (v1, kernel 4.13), memory.events (v2), with those of cgroups below it"""
    oom_kill_disabled: bool | None = None
    """v1 only: ``--oom-kill-disable``; at the limit its tasks then wait, as ``under_oom`` tells."""
    under_oom: bool | None = None
    node_bytes: tuple[int, ...] | None = None
    """What of it lies on each NUMA node, by their numbers (memory.numa_stat): anonymous memory and
    page cache"""
    oom_kills_above: int | None = None
    """The same of the cgroup above (v2), which counts those below it too and outlives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsFrame:
    """One usable frame of the docker stats stream inside the window, by the CLI's formulas."""

    read: str
    """The daemon's own time stamp of the frame."""
    cpu_percent: float
    memory_bytes: int | None
    t_mono_ns: int | None = None
    """When it arrived, by our own CLOCK_MONOTONIC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupAbove:
    """A cgroup above a container: what it holds for all below it, and what they used together.

    Its counters are read at the container's own moments, and only where it has a cap of the CPU or
    of memory: else there is nothing for them to meet.
    """

    at: str
    """Its path below the mounts, as ``EffectiveLimits`` names it."""
    kernel: KernelLimits
    first: Sample | None = None
    last: Sample | None = None
    memory_first: MemoryCounters | None = None
    memory_last: MemoryCounters | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRecord:
    """What loaded a server, in a container of its own: what that cost, and on which CPUs."""

    words: str
    cpus: str | None = None
    """That it was kept to, apart from the server's; None where it may run on any."""
    first: Sample | None = None
    last: Sample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """One container of one trial: requested, engine's and kernel's limit, and what it did."""

    requested: Limits
    engine: Limits | None = None
    kernel: KernelLimits | None = None
    kernel_after: KernelLimits | None = None
    """Read again after the window: the kernel may change period and quota when its timer lags."""
    effective: EffectiveLimits | None = None
    above: tuple[CgroupAbove, ...] | None = None
    """The cgroups above it, the nearest first; None where they were not looked at."""
    first: Sample | None = None
    last: Sample | None = None
    inside: InsideReport | None = None
    memory: MemoryReport | None = None
    burst: BurstReport | None = None
    io: IoReport | None = None
    take: TakeReport | None = None
    batch: BatchReport | None = None
    requests: RequestReport | None = None
    """What a server's load saw of it."""
    load: LoadRecord | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    """(name, value) of what a program said of itself."""
    output_cut: bool | None = None
    """True where a program printed more than was kept: its metrics are those of the end."""
    memory_first: MemoryCounters | None = None
    memory_last: MemoryCounters | None = None
    peak_swap_bytes: int | None = None
    """The most swap in any sample: the kernel keeps no peak of its own on every version."""
    absent: dict[str, str] = field(default_factory=dict)
    """Counters of ``Sample`` that this kernel does not have for the container, each with why."""
    stats: tuple[StatsFrame, ...] = ()
    exit_code: int | None = None
    oom_killed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerCost:
    """What sampling itself took in this window."""

    ticks: int
    missed: int
    lateness_p50_ns: int
    lateness_p99_ns: int
    cpu_ns: int
    """CPU time of the sampler from the first read to the last."""
    cpus: str | None = None
    """The CPUs that the sampler kept to, away from the measured ones; None where the
    containers may use every CPU that it may."""
    realtime: bool = False
    """Whether it ran at real-time priority."""

    @classmethod
    def of_none(cls) -> SamplerCost:
        """Of a window in which nothing was read."""
        return cls(ticks=0, missed=0, lateness_p50_ns=0, lateness_p99_ns=0, cpu_ns=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A warning on a record: what was seen, and what the user can do about it."""

    code: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One finished trial: one line of ``trials.jsonl``."""

    index: int
    block: int
    point_id: str
    outcome: Outcome
    started_at: str
    containers: tuple[ContainerRecord, ...] = ()
    host_first: HostSample | None = None
    host_last: HostSample | None = None
    sampler: SamplerCost | None = None
    device: BlockDevice | None = None
    """Where its data lay, of a trial that is about a device."""
    phases_s: dict[str, float] = field(default_factory=dict)
    """Wall time of create, start, ready, warm-up, window, collect, remove."""
    neighbours: tuple[Neighbour, ...] = ()
    """The largest users of CPU that are not of the trial; empty where processes are not visible."""
    warnings: tuple[Note, ...] = ()
    invalid: str | None = None
    """Why the trial does not count; it is kept and shown all the same."""
    failure: str | None = None
    """What went wrong where the outcome is not ``completed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two sides of an A/B run."""

    name: str
    """``a`` or ``b``."""
    options: str
    """As they were given to ``--a`` or ``--b``."""
    engine: EngineFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterProcess:
    """The process that writes a run: a reader on the same host can tell whether it lives."""

    host: str
    boot_id: str
    """Of the kernel; empty where it tells none."""
    pid_namespace: str
    """Process ids mean something in the same one alone."""
    pid: int
    started_s: float
    """After the host's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Where a run had stopped, until it was resumed: conditions may have changed in between."""

    stopped: str
    """UTC, ISO 8601: the last that is known of it."""
    resumed: str
    """UTC, ISO 8601."""
    why: str
    """How it had ended."""
    trials: int
    """Finished until then."""
    aside: tuple[str, ...] = ()
    """Files of its folder that hold what was torn, and that nobody reads."""
    differences: tuple[str, ...] = ()
    """In words, what had changed meanwhile and was allowed to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForCheck:
    """What a run of ``bench check`` is compared with once it is whole."""

    against: str | None
    """The baseline's name; None = the laws alone are judged."""
    allow: tuple[str, ...] = ()
    """What may differ from the baseline."""
    budget: float | None = None
    """So many times the planned time it may take to go on where it is open; None where it measures
    what was planned alone, as every check of before did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForCalibration:
    """Which place a run has among those of one ``bench calibrate``."""

    runs: int
    """In all."""
    earlier: tuple[str, ...] = ()
    """The names of those that were finished before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoughtLimit:
    """A limit whose least sufficient value is looked for, and where."""

    limit: str
    """``cpus``, ``memory``, …: a name in ``harness.sizing.ladder``."""
    least: float
    """In the unit of the limit's field, as ``most`` and, where it is no share, ``step``."""
    most: float
    step: float
    """As narrow the bracket is to be."""
    relative: bool = True
    """Whether ``step`` is a share of the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForFind:
    """What a run of ``bench find`` looks for; its points follow from its trials."""

    goal: str
    limits: tuple[SoughtLimit, ...]
    """One, or two of which the second is found with the first fixed."""
    confidence: float
    budget_s: float
    """It may take, without what a resume waited."""
    growth: float = 0.0
    """Of the load, for which head-room is told: 0.5 is half as much again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForFound:
    """What a run of ``bench check --found`` asks: does a limit that was found still do?

    The search itself may be gone by the time the run is resumed or shown.
    """

    search: str
    """The run that found it."""
    setting: tuple[tuple[str, float], ...]
    """(kind of limit, value) of the answer: the point that is measured again."""
    goal: str
    confidence: float


Purpose = ForCheck | ForCalibration | ForFind | ForFound
"""What a run is for, where its command does more with it than to show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What ``run.json`` holds: everything about a run but its trials."""

    schema: int
    name: str
    """As it was read, that of its folder: one that was copied or renamed is told apart."""
    created: str
    """UTC, ISO 8601."""
    status: str
    """``running``, ``finished``, ``interrupted`` or ``failed``."""
    reason: str = ""
    ended: str = ""
    harness_version: str
    python_version: str
    plan: Plan
    host: HostFacts
    engine: EngineFacts
    workload: WorkloadFacts
    sides: tuple[Side, ...] = ()
    """Two in an A/B run; ``engine`` is then that of the first."""
    writer: WriterProcess | None = None
    """None in a run of before this was kept."""
    purpose: Purpose | None = None
    """What its command does with it once it is whole; None = it shows it."""
    gaps: tuple[Gap, ...] = ()
    """Empty where it was measured in one go."""
    checks: bool = False
    """Whether each trial's line and each file of samples bears a checksum; older runs have none."""

    def engine_of(self, point: Point) -> EngineFacts:
        """The engine that a point's trials ran on: in an A/B run that of its side."""
        return next((one.engine for one in self.sides if one.name == point.side), self.engine)
