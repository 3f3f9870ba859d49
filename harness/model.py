"""Every type that crosses a module: frozen dataclasses, standard library only.

Units stand in the names: ``_s``, ``_ns``, ``_us``, ``_bytes``, ``_cpus``. A value that could not
be measured is ``None``, never 0; a limit that the kernel or the engine says is absent is
``UNLIMITED``. Counters are kept as the kernel gives them, cumulative; rates are derived later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

UNLIMITED = -1
"""A limit that was read back and is not there (``cpu.cfs_quota_us`` = -1, ``max`` on v2)."""


class Outcome(StrEnum):
    """How a trial ended. Dying is a measurement here, not an error."""

    COMPLETED = "completed"
    OOM_KILLED = "oom-killed"
    TIMED_OUT = "timed-out"
    FAILED = "failed"
    NOT_STARTED = "not-started"


class Status(StrEnum):
    """The verdict of a law on a point."""

    CONFORMS = "conforms"
    DEVIATES = "deviates"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISABLE = "not exercisable"


# --- what is asked for -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of one container, named as Docker's options. None = not set.

    ``cpus`` is ``--cpus`` (CPUs), ``cpu_quota_us``/``cpu_period_us`` are ``--cpu-quota`` and
    ``--cpu-period`` (microseconds), ``cpuset_cpus`` a CPU list such as ``0-2,4``.
    """

    cpus: float | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    memory_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    kernel_memory_bytes: int | None = None
    """``--kernel-memory``: gone from current engines, ignored by those that still take it."""
    memory_swappiness: int | None = None
    pids_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLimits:
    """What the kernel's files say, in the units of ``Limits``. None = that file is not there.

    ``cpu_shares`` exists on cgroup v1 only, ``cpu_weight`` on v2 only. ``memory_swap_bytes`` is the
    total of memory and swap on both (v2: memory.max + memory.swap.max).
    """

    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None
    cpu_shares: int | None = None
    cpu_weight: int | None = None
    cpuset_cpus: str | None = None
    memory_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    memory_high_bytes: int | None = None
    """v2 only: memory.high, which no option of an engine sets: above it the kernel takes pages back
    and slows, and never kills."""
    kernel_memory_bytes: int | None = None
    """v1 only: memory.kmem.limit_in_bytes, which runc has left alone since 1.0."""


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
    cpuset_cpus: str | None = None
    memory_bytes: int | None = None
    memory_at: str = ""
    memory_swap_bytes: int | None = None
    """Memory and swap together; of v2, which caps each for itself, the tightest of both added."""
    memory_swap_at: str = ""
    memory_high_bytes: int | None = None
    memory_high_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramImage:
    """Where a program's image comes from: exactly one of ``pack``, ``reference``, ``archive``."""

    pack: str | None = None
    """A program of this host, packed with its libraries."""
    package: str = ""
    reference: str | None = None
    archive: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramMetric:
    """A number in a program's output: the group of a pattern, or the key of a JSON line."""

    name: str
    unit: str = "1"
    pattern: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A workload that is not the probe; see ``harness.programs``."""

    image: ProgramImage
    command: tuple[str, ...]
    """``{threads}`` and ``{seconds}`` (its deadline) are filled in."""
    ready: str | None = None
    stop_signal: str = "SIGTERM"
    metrics: tuple[ProgramMetric, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What runs in a container: a mode of the probe with its parameters, or a program."""

    name: str = "spin"
    """``spin``: full load. ``burst``: pieces of work that become due at a rate. ``memory``: grows
    until it is killed or has ``target_bytes``."""
    threads: int = 1
    target_bytes: int | None = None
    kind: str = "anon"
    """Of ``memory``: ``anon``, ``file`` (page cache) or ``tmpfs``."""
    victim: str = "child"
    """Of ``memory``: ``child`` grows while its parent lives to report; ``self`` is PID 1, whose
    kill ends the container."""
    cost_us: int | None = None
    """Of ``burst``: CPU time of a piece."""
    rate_hz: int | None = None
    """Of ``burst``: pieces that become due a second, at random times."""
    program: Program | None = None
    """What runs instead of the probe; ``name`` is then the program's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One container of a point: its limits and what runs in it."""

    limits: Limits
    workload: Workload = Workload()
    runtime: str | None = None
    """``--runtime`` (``runc``, ``crun``, …); None = the engine's own default."""
    side: str = ""
    """Of an A/B run: ``a`` or ``b``, whose engine starts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One setting of all limits. ``id`` is unique in the plan, e.g. ``cpus=0.5``."""

    id: str
    axis: str
    value: str
    containers: tuple[ContainerSpec, ...]
    warmup_s: float = 0.5
    duration_s: float = 3.0
    """Of the window: whole quota periods."""

    @property
    def side(self) -> str:
        """``a`` or ``b`` in an A/B run; empty elsewhere."""
        return self.containers[0].side if self.containers else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """One trial still to be done: repetition ``block`` of the point ``point_id``."""

    index: int
    block: int
    point_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All trials of a sweep in their seeded random order, with how each is measured."""

    sweep: str
    points: tuple[Point, ...]
    trials: tuple[PlannedTrial, ...]
    repeats: int
    seed: int
    cadence_hz: float
    quick: bool = False
    until: float | None = None
    """Points are repeated until half of their interval is no wider than this share of its median;
    None = the planned trials are all."""
    most_repeats: int | None = None
    """With ``until``: counted trials of a point at the most."""
    command: str = ""
    """The command line that makes this plan again."""

    def point(self, point_id: str) -> Point:
        """The point of that id; KeyError where there is none."""
        for point in self.points:
            if point.id == point_id:
                return point
        raise KeyError(point_id)


# --- what is found -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What the engine says of itself (``/info`` and ``/version``)."""

    host: str
    name: str
    version: str
    api_version: str
    cgroup_version: int
    cgroup_driver: str
    runtime: str
    runtime_version: str
    storage_driver: str
    architecture: str
    kernel: str
    cpus: int
    memory_bytes: int
    private: bool
    """True for the dockerd that ``bench engine start`` started."""
    warnings: tuple[str, ...] = ()
    rootless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The facts of the host that predictions and comparisons need."""

    hostname: str
    os: str
    kernel: str
    architecture: str
    cpu_model: str
    cpus: int
    """Online CPUs."""
    usable_cpus: int
    """CPUs that a process of ours may run on (affinity)."""
    tick_ns: int
    """The scheduler tick, 1/HZ, from the resolution of CLOCK_MONOTONIC_COARSE."""
    memory_bytes: int
    swap_bytes: int
    cgroup_version: int | None
    cfs_slice_us: int | None
    virtualisation: str | None
    governor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConditions:
    """What changes on a host from minute to minute: validity, not identity."""

    root: bool
    load: float
    """Runnable tasks, mean of the last minute."""
    steal_share: float | None
    """Steal / all CPU time since boot."""
    memory_available_bytes: int = 0
    """MemAvailable: what can be used without swapping."""
    swap_free_bytes: int = 0
    swap_accounted: bool | None = None
    """Whether this kernel limits swap for each cgroup; None where that cannot be seen."""
    delegated: tuple[str, ...] | None = None
    """The controllers that this user's own cgroups may use (v2); None for root, who has them all,
    and where that cannot be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningContainer:
    """A container that somebody runs, as the engine describes it."""

    id: str
    name: str
    image: str
    pid: int
    """Of its first process, on the engine's host."""
    state: str
    """``running`` or ``paused``."""
    started_at: str
    """The engine's own time stamp."""
    limits: Limits
    """What was asked for, as the engine holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFacts:
    """What ran: the image and the probe's binary, both part of what makes runs comparable."""

    image_id: str
    probe_sha256: str
    compiler: str
    programs: tuple[tuple[str, str], ...] = ()
    """(name, image id) of each workload that is not the probe."""


# --- what is measured --------------------------------------------------------------------


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
    inactive_file_bytes: int | None = None
    """The part of the page cache that docker stats leaves out of what it calls memory."""
    major_faults: int | None = None
    limit_hits: int | None = None
    """memory.failcnt (v1), ``max`` of memory.events (v2)."""
    oom_kills: int | None = None
    cpu_some_us: int | None = None
    """Pressure (PSI, kernel 4.20): time in which some task waited for the CPU, ``full`` in which
    all did; likewise memory and io. Documentation/accounting/psi.rst"""
    cpu_full_us: int | None = None
    memory_some_us: int | None = None
    memory_full_us: int | None = None
    io_some_us: int | None = None
    io_full_us: int | None = None


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
    steal_ns: tuple[int, ...] | None = None
    """Steal of each CPU (/proc/stat, in 10 ms ticks turned into ns)."""
    harness_cpu_ns: int | None = None
    """CPU time of the harness's own process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadReport:
    """What one thread of the probe saw from inside, between its own two edges."""

    t_start_ns: int
    """The first moment of the window at which the thread ran."""
    t_end_ns: int
    """The first moment at or after the window's end at which the thread ran."""
    cpu_ns: int
    """Thread CPU clock (CLOCK_THREAD_CPUTIME_ID) over the window."""
    work: int
    """Units of fixed work done."""
    gaps: int
    """Off-CPU gaps over the threshold."""
    gap_total_ns: int
    gap_max_ns: int
    cpus: tuple[tuple[int, int], ...] = ()
    """(CPU, units of work done while on it): where the thread ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideReport:
    """The probe's JSON object: the truth from inside, in the engine host's CLOCK_MONOTONIC."""

    t_start_ns: int
    t_end_ns: int
    gap_threshold_ns: int
    threads: tuple[ThreadReport, ...]
    gap_histogram: tuple[int, ...] = ()
    """Counts of gaps by length over all threads; bin i spans edges[i] <= gap < edges[i+1]."""
    gap_edges_ns: tuple[int, ...] = ()
    """len(gap_histogram) + 1 log-spaced edges; the last bin is open above."""
    gap_list: tuple[tuple[int, int], ...] = ()
    """(start, length) of gaps in ns, start since the window's, over all threads: the first ones of
    each thread, as many as the probe has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """What the probe's memory mode saw: how far it came, and what each step took."""

    kind: str
    t_start_ns: int | None
    t_end_ns: int | None
    """The end of growth: the target, a refusal, or the moment at which the kill was seen. Both
    are None where growth never began."""
    target_bytes: int
    step_bytes: int
    touched_bytes: int
    killed: bool
    """True where the kernel killed the process that grew."""
    errno: int
    """Of the refusal (ENOSPC on a full tmpfs), 0 where there was none."""
    step_ns: tuple[int, ...]
    churn_pages: int
    """Pages touched again, in a fixed order of no locality, once the target was reached."""
    churn_ns: int
    churn_max_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstReport:
    """What the probe's burst mode saw: response times from each piece's due time on, in ns.

    A piece that was not finished counts with the time that it had waited: an overload must not
    look quick. The quantiles are exact, by nearest rank; None where no piece was due.
    """

    t_start_ns: int
    t_end_ns: int
    cost_ns: int
    rate_hz: int
    offered: int
    completed: int
    unfinished: int
    response_p50_ns: int | None
    response_p90_ns: int | None
    response_p99_ns: int | None
    response_max_ns: int | None
    response_edges_ns: tuple[int, ...]
    response_histogram: tuple[int, ...]
    cpu_ns: int
    """Thread CPU clocks over the window, all threads together."""


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
    limit_hits: int | None = None
    """So often a charge failed at the limit: memory.failcnt or memory.memsw.failcnt (v1, the
    larger; None where the kernel does not count it), ``max`` of memory.events (v2)"""
    high_hits: int | None = None
    """So often it was slowed at memory.high: ``high`` of memory.events (v2)"""
    oom_kills: int | None = None
    """memory.oom_control (v1, kernel 4.13), memory.events (v2)"""
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
class ContainerRecord:
    """One container of one trial: requested, engine's and kernel's limit, and what it did."""

    requested: Limits
    engine: Limits | None = None
    kernel: KernelLimits | None = None
    kernel_after: KernelLimits | None = None
    """Read again after the window: the kernel may change period and quota when its timer lags."""
    effective: EffectiveLimits | None = None
    first: Sample | None = None
    last: Sample | None = None
    inside: InsideReport | None = None
    memory: MemoryReport | None = None
    burst: BurstReport | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    """(name, value) of what a program said of itself."""
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
    """CPU time of the sampling thread from the first read to the last."""
    cpus: str | None = None
    """The CPUs that the sampling thread kept to, away from the measured ones; None where the
    containers may use every CPU that it may."""
    realtime: bool = False
    """Whether it ran at real-time priority."""


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
    phases_s: dict[str, float] = field(default_factory=dict)
    """Wall time of create, start, ready, warm-up, window, collect, remove."""
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
class RunInfo:
    """What ``run.json`` holds: everything about a run but its trials."""

    schema: int
    name: str
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

    def engine_of(self, point: Point) -> EngineFacts:
        """The engine that a point's trials ran on: in an A/B run that of its side."""
        return next((one.engine for one in self.sides if one.name == point.side), self.engine)


# --- what is concluded -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A metric of a point over its valid trials: median and interval, in ``unit``."""

    metric: str
    unit: str
    n: int
    median: float
    low: float | None
    high: float | None
    confidence: float | None
    """The coverage that the interval really has at this n; None where there is no interval."""
    method: str
    error: float = 0.0
    """So much of the interval, to each side, is what the source may miss in every trial alike."""


class Scale(StrEnum):
    """How far a measurement lies from its law."""

    RELATIVE = "relative"
    """measured / expected - 1"""
    LOG = "log"
    """ln(measured / expected): symmetric for a ratio and its inverse"""
    ABSOLUTE = "absolute"
    """measured - expected, in the metric's unit"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the documented semantics predict for one metric of one container of a point."""

    metric: str
    """A name in ``analysis.METRICS``."""
    container: int = 0
    value: float
    """In the metric's unit."""
    low: float
    """The deviation that still conforms lies in [low, high], on ``scale``."""
    high: float
    scale: Scale = Scale.RELATIVE
    law: str
    text: str
    source: str
    bound: str = ""
    """Which limit binds: ``quota``, ``threads``, ``cpuset``, ``host``, an ancestor's path, …"""
    capacity_cpus: float | None = None
    """Set where the promise leaves no CPU to others: it is then capacity less foreign CPU."""
    explanation: str = ""
    """Why the plain law does not hold here, where that is known."""
    not_exercisable: str = ""
    """Why this host cannot put the law to the test; empty where it can."""

    @property
    def is_ceiling(self) -> bool:
        """True for a promise of "no more than": any use below it conforms."""
        return self.scale is Scale.RELATIVE and self.low <= -1

    def expected(self, foreign_cpus: float | None) -> float:
        """What the promise comes to in one window, given what others used of the CPUs.

        Where foreign CPU could not be measured, the bare promise.
        """
        if self.capacity_cpus is None or foreign_cpus is None:
            return self.value
        return min(self.value, self.capacity_cpus - foreign_cpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a law says of a metric of a point, with the reason in words."""

    point_id: str
    metric: str
    container: int = 0
    status: Status
    reason: str


# --- what is compared --------------------------------------------------------------------


class Change(StrEnum):
    """The verdict of a comparison: of one metric, of a law, of a point, of two runs."""

    SAME = "same"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What makes two runs comparable: identity, not the conditions of the moment.

    The fields' names are those of ``--allow``.
    """

    kernel: str
    tick: str
    """Its length and HZ."""
    cgroup: str
    driver: str
    engine: str
    runtime: str
    weights: str
    """What shares become: ``cpu.shares`` on v1, else the runtime's formula for cpu.weight."""
    cpu: str
    cpus: str
    swap: str
    image: str
    probe: str
    """The sha256 of the workload's binary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one container of a point: its value in each trial that counts."""

    metric: str
    container: int = 0
    values: tuple[float, ...]
    error: float | None = None
    """The share that the source may miss in every trial alike; None where that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLaw:
    """A law's verdict on a point, as it came out of a run."""

    law: str
    metric: str
    container: int = 0
    promised: float
    status: Status
    reason: str
    bound: str = ""
    explanation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestedPoint:
    """What a comparison needs of a point."""

    point: Point
    trials: int
    valid: int
    rejected: str = ""
    """Why the first trial that does not count does not; empty where all count."""
    series: tuple[Series, ...]
    laws: tuple[JudgedLaw, ...] = ()
    weights: tuple[int | None, ...] = ()
    """cpu.weight of each container as the kernel held it; empty on cgroup v1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a comparison needs of a run: small enough to be committed as a baseline."""

    run: str
    created: str
    hostname: str
    sweep: str
    seed: int
    cadence_hz: float
    tick_s: float
    fingerprint: Fingerprint
    conditions: dict[str, str] = field(default_factory=dict)
    """Facts that are no identity, and worth telling where they differ."""
    points: tuple[DigestedPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """How far a metric of a point moves between runs of which nothing differs (A/A)."""

    point_id: str
    metric: str
    container: int = 0
    scale: Scale
    """RELATIVE (a share of the median) or ABSOLUTE (in the metric's unit)."""
    change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What ``bench calibrate`` found out about a host."""

    created: str
    hostname: str
    fingerprint: Fingerprint
    runs: tuple[str, ...]
    repeats: int
    floors: tuple[Floor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A fact of the fingerprint that differs between two runs."""

    fact: str
    before: str
    after: str
    allowed: bool
    """Named as the thing under test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one container of a point in two runs."""

    point_id: str
    metric: str
    container: int = 0
    status: Change
    reason: str
    decides: bool
    """Whether its being inconclusive leaves the whole check inconclusive."""
    before: float | None = None
    """The median, in the metric's unit; likewise ``after``."""
    after: float | None = None
    n: tuple[int, int] = (0, 0)
    scale: Scale = Scale.RELATIVE
    change: float | None = None
    """after / before - 1, or after - before where ``scale`` is ABSOLUTE; its interval likewise."""
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    effect: float = 0.0
    """The smallest change that counts here, never below the noise floor."""
    floor: float | None = None
    """The host's own A/A noise; None where it was not calibrated."""
    repeats: int | None = None
    """Trials on both sides that would decide, where this is inconclusive and some number would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawChange:
    """A law's verdict on a point, then and now. ``before`` is None where there is no baseline."""

    point_id: str
    metric: str
    container: int = 0
    law: str
    status: Change
    reason: str
    before: Status | None
    after: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two runs side by side, or the laws of one alone (``before`` is then None)."""

    before: Digest | None
    after: Digest
    status: Change
    headline: str
    differences: tuple[Difference, ...] = ()
    remarks: tuple[str, ...] = ()
    rows: tuple[Comparison, ...] = ()
    laws: tuple[LawChange, ...] = ()
    violations: tuple[LawChange, ...] = ()
    """The laws that deviate now, whatever they did before, unless that was allowed."""
