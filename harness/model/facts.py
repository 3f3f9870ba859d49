"""What is found: the engine, the host, a container that somebody runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.limits import EngineCpus, Limits


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
    """How many it says that there are, which is its own process's affinity."""
    memory_bytes: int
    private: bool
    """True for the dockerd that ``bench engine start`` started."""
    warnings: tuple[str, ...] = ()
    rootless: bool = False
    runtimes: tuple[tuple[str, str], ...] = ()
    """(name, ``runc 1.1.5``): what a runtime of that name runs, where that was told."""
    cpu_list: str | None = None
    """The CPUs that its containers may be given (``0,2-3``); None where that cannot be read."""

    @property
    def limits_by(self) -> tuple[str, str]:
        """(program, version) that writes the kernel's files; ``unknown`` where it is not known.

        A runtime's name is what somebody gave it: ``nvidia`` has runc beneath.
        """
        program, _, version = dict(self.runtimes).get(self.runtime, "").partition(" ")
        return (program, version) if program else (self.runtime, self.runtime_version)

    def running(self, runtime: str | None) -> EngineFacts:
        """The same engine where a container names its own runtime; itself for None."""
        if runtime in (None, self.runtime):
            return self
        return replace(self, runtime=runtime, runtime_version="unknown")

    @property
    def cpus_to_give(self) -> EngineCpus:
        """The CPUs for its containers; of a number alone where the list is not known."""
        if self.cpu_list is None:
            return EngineCpus.first(max(1, self.cpus))
        return EngineCpus.listed(self.cpu_list, max(1, self.cpus))

    @property
    def no_cgroups(self) -> str:
        """Why no limit of its containers can be in force at all; empty where that is not so.

        Without a driver (rootless on cgroup v1: moby's cmd/dockerd, runc's rootless mode) its
        containers stay in the cgroup of whoever started the engine.
        """
        if self.cgroup_driver != "none":
            return ""
        return "the engine makes no cgroups: no limit of its containers is in force"


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
    page_bytes: int = 4096
    """Of a page of memory; that of most hosts in a run that was kept without it."""
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
    raises_priority: bool = True
    """Whether this process may take a real-time priority (CAP_SYS_NICE): a container's root may
    not."""
    delegated: tuple[str, ...] | None = None
    """The controllers that this user's own cgroups may use (v2); None for root, who has them all,
    and where that cannot be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningContainer:
    """A container that somebody runs, as the engine describes it; or a cgroup without an engine."""

    id: str
    """The engine's, or the path of a cgroup that none was asked about."""
    name: str
    image: str
    pid: int
    """Of its first process, on the engine's host."""
    state: str
    """``running`` or ``paused``."""
    started_at: str
    """The engine's own time stamp; empty without one."""
    limits: Limits | None
    """What was asked for, as the engine holds it; None without one."""
    restarts: int = 0
    """So often its restart policy has started it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFacts:
    """What ran: the image and the probe's binary, both part of what makes runs comparable."""

    image_id: str
    probe_sha256: str
    compiler: str
    programs: tuple[tuple[str, str], ...] = ()
    """(name, image id) of each workload that is not the probe."""
