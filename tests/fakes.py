"""One fake world behind the engine's boundary: virtual time, a simulated CFS quota, no patching.

``World`` holds the clock and the containers. A container uses CPU as the documented semantics say
(a burst at the start of each period until its quota is spent; of a cpuset that it shares, a part by
its weight), so that the truth is known.
``quota_factor`` and ``wrong_cgroup`` make the product wrong on purpose.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.cgroup import V1, RawSample
from harness.engine.boundary import Commands, Container, Device, Exit
from harness.errors import EngineError, EngineRefusedError
from harness.host.neighbours import Census
from harness.limits import EngineCpus, parse_cpu_list, quota_and_period_us
from harness.measure.observer import LocalObserver, OpenCgroup
from harness.measure.runner import Surroundings
from harness.model import (
    ContainerSpec,
    EffectiveLimits,
    EngineFacts,
    HostFacts,
    HostSample,
    KernelLimits,
    Limits,
    MemoryCounters,
    Sample,
    StatsFrame,
    Workload,
    WorkloadFacts,
)
from tests.sampling import VirtualSampling

NOWHERE = Path("/nonexistent")
ENGINE_FACTS = EngineFacts(
    host="unix:///fake.sock", name="Docker", version="20.10.24", api_version="1.41",
    cgroup_version=1, cgroup_driver="cgroupfs", runtime="runc", runtime_version="1.1.5",
    storage_driver="overlay2", architecture="x86_64", kernel="6.1.0", cpus=2,
    memory_bytes=4 << 30, private=True,
)  # fmt: skip
HOST_FACTS = HostFacts(
    hostname="fakehost", os="Debian GNU/Linux 12", kernel="6.1.0", architecture="x86_64",
    cpu_model="Fake CPU", cpus=2, usable_cpus=2, tick_ns=4_000_000, memory_bytes=4 << 30,
    swap_bytes=0, cgroup_version=1, cfs_slice_us=5000, virtualisation=None, governor=None,
)  # fmt: skip
CPUS = EngineCpus.listed("0-1", most=2)
"""Those of ``ENGINE_FACTS``, where they could be read."""
WORKLOAD_FACTS = WorkloadFacts(image_id="sha256:fake", probe_sha256="fa4e", compiler="none")


@dataclass
class World:
    """Virtual time in ns, what runs in it, and how it misbehaves."""

    now: int = 1_000_000_000_000
    cpus: int = 2
    foreign_cpus: float = 0.0
    quota_factor: float = 1.0
    """The limit in force / the limit asked for: 1.05 is a product that is 5 % off."""
    wrong_cgroup: bool = False
    """The counters of an idle container instead of the one that was asked for."""
    dies_at_trial: int | None = None
    device: Device | None = None
    touched: Sequence[str] = ()
    """What others did to each container."""
    comes_back: bool = False
    """The engine that died answers again, when it is waited for."""
    killed: Exit | None = None
    """So each workload has ended when it is told to stop."""
    kills_above: int | None = None
    """OOM kills that the cgroup above counts from a load's start on."""
    says: dict[str, str] = field(default_factory=dict)
    """Lines that the workload says instead of its own, by message (``ready``, ``report``)."""
    respond: Callable[[Limits], int] | None = None
    """So long the slowest of a hundred bursts takes under these limits, in ns: the load is one."""
    never_ready: str = ""
    """Why a server never got ready, as its load tells it."""
    load_late_ns: int = 0
    """How late a server's load itself is."""
    load_cpus: float = 0.01
    """What that uses."""
    on_create: Callable[[int], None] = lambda number: None
    containers: list[FakeContainer] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def now_ns(self) -> int:
        return self.now

    def sleep_ns(self, duration_ns: int) -> None:
        self.now += max(0, duration_ns)

    def surroundings(self) -> Surroundings:
        return Surroundings(
            engine=FakeEngine(self),
            engine_facts=ENGINE_FACTS,
            host_facts=HOST_FACTS,
            clock=self,
            observe=lambda containers, run, hz, measured: LocalObserver(
                containers,
                hz,
                measured,
                opening=self._open_cgroup,
                sampling=VirtualSampling(self, self._read_host),
                census=lambda: Census(NOWHERE),
            ),
        )

    def _open_cgroup(self, pid: int, container_id: str) -> OpenCgroup:
        container = self.containers[pid]
        return OpenCgroup(
            FakeReader(self, container), container.kernel_limits, EffectiveLimits, container.memory
        )

    def _read_host(self) -> HostSample:
        used = sum(c.usage_ns(self.now) for c in self.containers)
        return HostSample(
            t_mono_ns=self.now,
            root_usage_ns=round(used + self.foreign_cpus * self.now),
            steal_ns=(0,) * self.cpus,
            harness_cpu_ns=0,
        )


class FakeEngine:
    def __init__(self, world: World) -> None:
        self._world = world

    def facts(self) -> EngineFacts:
        return ENGINE_FACTS

    def prepare_images(self, workloads: Iterable[Workload] = ()) -> WorkloadFacts:
        return WORKLOAD_FACTS

    def keep_data_on(self, device: Device) -> None:
        self._world.device = device

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> FakeContainer:
        number = len(self._world.containers)
        self._world.on_create(number)
        if self._world.dies_at_trial is not None and number >= self._world.dies_at_trial:
            raise EngineError("the engine stopped answering.", "See its log.")
        container = FakeContainer(self._world, name, number, spec.limits, spec.workload.threads)
        self._world.containers.append(container)
        return container

    def create_load(
        self, *, name: str, run: str, server: Container, spec: ContainerSpec, deadline_s: float
    ) -> FakeLoad:
        load = FakeLoad(self._world, name, len(self._world.containers), spec.limits, 1)
        load.command = spec.workload.command_line(deadline_s)
        load.server = next(one for one in self._world.containers if one.id == server.id)
        self._world.containers.append(load)
        return load

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        raise EngineRefusedError("a fake engine has no host to sample.")

    def laboratory(self, *, run: str, side: str = "") -> Commands:
        raise NotImplementedError

    def remove_all(self, run: str | None) -> int:
        return 0

    def await_answer(self, timeout_s: float) -> bool:
        if self._world.comes_back:
            self._world.dies_at_trial = None
        return self._world.comes_back


class FakeContainer:
    def __init__(self, world: World, name: str, pid: int, limits: Limits, threads: int) -> None:
        self._world, self.id, self._pid, self._limits = world, name, pid, limits
        self._threads = threads
        self._go: tuple[int, int, int] | None = None
        self._lines: list[str] = []
        self._stopped_ns: int | None = None

    def start(self) -> int:
        self._world.now += 150_000_000
        self._lines.append(self._world.says.get("ready", json.dumps({"probe": "ready"})))
        return self._pid

    def limits(self) -> Limits:
        return self._limits

    def kernel_limits(self) -> KernelLimits:
        quota = quota_and_period_us(self._limits)
        held = KernelLimits(
            cpu_shares=self._limits.cpu_shares, cpuset_cpus=self._limits.cpuset_cpus,
            cpu_quota_us=-1, cpu_period_us=100_000,
        )  # fmt: skip
        if quota is None:
            return held
        return replace(
            held, cpu_quota_us=round(quota[0] * self._world.quota_factor), cpu_period_us=quota[1]
        )

    @property
    def held_ns(self) -> int:
        """How long it is held back in a period: half of it."""
        quota = quota_and_period_us(self._limits)
        return quota[1] * 500 if quota else 0

    def memory(self) -> MemoryCounters:
        above = self._world.kills_above
        return MemoryCounters(oom_kills_above=above if self._go or above is None else 0)

    def read_line(self, timeout_s: float) -> str:
        if not self._lines:
            raise TimeoutError
        return self._lines.pop(0)

    def has_line(self) -> bool:
        return bool(self._lines)

    def write_line(self, text: str) -> None:
        match text.split():
            case ["go", warmup, duration]:
                self._go = (self._world.now, int(warmup), int(duration))
            case ["stop"] if self._world.killed:
                raise EOFError
            case ["stop"]:
                self._stopped_ns = self._world.now
                self._lines.append(self._world.says.get("report", json.dumps(self._report())))

    def signal(self, name: str) -> None:
        self._stopped_ns = self._world.now

    def follow_stats(self) -> FakeStats:
        return FakeStats(self._world, self)

    def touched(self) -> Sequence[str]:
        return self._world.touched

    def wait(self, timeout_s: float) -> Exit:
        if self._world.killed:
            return self._world.killed
        if self._stopped_ns is None:
            raise TimeoutError
        return Exit(0, oom_killed=False)

    def stderr(self) -> str:
        return ""

    def remove(self) -> None:
        self._world.removed.append(self.id)

    # --- the simulated kernel ---

    def _schedule(self) -> tuple[float, int, float]:
        """(CPUs while running, period in ns, running time in ns of each period)."""
        rate = min(self._threads, len(self._cpuset())) * self._share()
        quota = quota_and_period_us(self._limits)
        if quota is None:
            return rate, 100_000_000, 100_000_000.0
        running = quota[0] * 1000 * self._world.quota_factor / rate
        return rate, quota[1] * 1000, min(running, quota[1] * 1000.0)

    def _cpuset(self) -> frozenset[int]:
        wanted = self._limits.cpuset_cpus
        return frozenset(range(self._world.cpus)) if wanted is None else parse_cpu_list(wanted)

    def _share(self) -> float:
        """The part of its cpuset that it gets beside those that run there at the same time."""
        if self._limits.cpuset_cpus is None:
            return 1.0
        rivals = [one for one in self._world.containers if self._meets(one)]
        return self._weight() / sum(one._weight() for one in rivals)

    def _weight(self) -> int:
        return self._limits.cpu_shares or 1024

    def _meets(self, other: FakeContainer) -> bool:
        if self._go is None or other._go is None or other._cpuset() != self._cpuset():
            return False
        ends = [math.inf if one._stopped_ns is None else one._stopped_ns for one in (self, other)]
        return self._go[0] < ends[1] and other._go[0] < ends[0]

    def usage_ns(self, at_ns: int) -> int:
        if self._go is None:
            return 0
        end = at_ns if self._stopped_ns is None else min(at_ns, self._stopped_ns)
        rate, period, running = self._schedule()
        full, rest = divmod(end - self._go[0], period)
        used = rate * (full * running + min(rest, running))
        return max(0, round(min(used, self._room() * (end - self._go[0]))))

    def _room(self) -> float:
        return self._world.cpus - self._world.foreign_cpus

    def periods(self, at_ns: int) -> tuple[int, int]:
        if self._go is None:
            return 0, 0
        _, period, running = self._schedule()
        full = (at_ns - self._go[0]) // period
        return full, full if running < period else 0

    def _report(self) -> dict[str, object]:
        assert self._go is not None
        go, warmup, duration = self._go
        start, end = go + warmup, go + warmup + duration
        if self._world.respond is not None:
            return self._bursts(start, end, self._world.respond(self._limits))
        _, period, running = self._schedule()
        gap, count = round(period - running), duration // period if running < period else 0
        cpu = (self.usage_ns(end) - self.usage_ns(start)) // self._threads
        thread = {
            "t_start_ns": start, "t_end_ns": end, "cpu_ns": cpu, "work": cpu // 1000,
            "gaps": count, "gap_total_ns": gap * count, "gap_max_ns": gap if count else 0,
            "cpus": [[min(self._cpuset()), cpu // 1000]],
        }  # fmt: skip
        edges = [500_000 * 2**i for i in range(17)]
        histogram = [
            self._threads * count if low <= gap < high else 0
            for low, high in itertools.pairwise(edges)
        ]
        return {
            "probe": "report", "version": 1, "mode": "spin", "complete": True,
            "t_start_ns": start, "t_end_ns": end, "gap_threshold_ns": 500_000,
            "gap_edges_ns": edges, "gap_histogram": histogram,
            "gap_list": [[i * period + round(running), gap] for i in range(count)] * self._threads,
            "threads": [thread] * self._threads,
        }  # fmt: skip

    def _bursts(self, start: int, end: int, slowest_ns: int) -> dict[str, object]:
        edges = [1_000_000 * 2**i for i in range(17)]
        return {
            "probe": "report", "version": 1, "mode": "burst", "complete": True,
            "t_start_ns": start, "t_end_ns": end, "cost_ns": 20_000_000, "rate_hz": 10,
            "offered": 30, "completed": 30, "unfinished": 0, "backlog": 0,
            "response_p50_ns": slowest_ns // 3, "response_p90_ns": slowest_ns // 2,
            "response_p99_ns": slowest_ns, "response_max_ns": slowest_ns,
            "response_edges_ns": edges, "response_histogram": [30, *[0] * 15],
            "threads": [{
                "cpu_ns": self.usage_ns(end) - self.usage_ns(start),
                "cpus": [[min(self._cpuset()), 30]],
            }],
        }  # fmt: skip


class FakeLoad(FakeContainer):
    """Who asks the world's server, which answers each request in 2 ms."""

    command: Sequence[str] = ()
    server: FakeContainer

    def write_line(self, text: str) -> None:
        super().write_line(text)
        self.server._go = self.server._go or self._go  # what it is asked makes it work

    def start(self) -> int:
        pid = super().start()
        if self._world.never_ready:
            self._lines.clear()
            self._stopped_ns = self._world.now
        return pid

    def has_line(self) -> bool:
        return super().has_line() or self._stopped_ns is not None

    def stderr(self) -> str:
        return f"probe: {self._world.never_ready}\n" if self._world.never_ready else ""

    def usage_ns(self, at_ns: int) -> int:
        return round(self._world.load_cpus * (at_ns - self._go[0])) if self._go else 0

    def _report(self) -> dict[str, object]:
        assert self._go is not None
        go, warmup, duration = self._go
        took_ns = 2_000_000
        return {
            "probe": "report", "version": 1, "mode": "ask", "complete": True,
            "t_start_ns": go + warmup, "t_end_ns": go + warmup + duration,
            "offered": 300, "completed": 299, "errors": 1, "unfinished": 0, "done": 300,
            "first_error": "HTTP/1.1 503 Service Unavailable",
            **{f"latency_{one}_ns": took_ns for one in ("p50", "p90", "p99", "p999", "max")},
            "latency_edges_ns": [1_000_000, 4_000_000], "latency_histogram": [299],
            "late_p99_ns": self._world.load_late_ns, "late_max_ns": self._world.load_late_ns,
            "cpu_ns": 30_000_000, "ran_ns": 3_500_000_000,
        }  # fmt: skip


class FakeReader:
    """Counters of a fake container, encoded in the raw bytes so that parsing is exercised."""

    version = V1
    descriptors: Sequence[Sequence[int | None]] = ()

    def __init__(self, world: World, container: FakeContainer) -> None:
        self._world, self._container = world, container
        self.absent = {"usage_percpu_ns": "a fake keeps none"}

    def read_edge(self) -> tuple[RawSample, bytes | None]:
        now = self._world.now
        usage = 0 if self._world.wrong_cgroup else self._container.usage_ns(now)
        periods, throttled = self._container.periods(now)
        return RawSample(now, 0, (b"%d" % usage, b"%d %d" % (periods, throttled))), None

    def parse(self, raw: RawSample, percpu: bytes | None = None) -> Sample:
        usage, stat = raw.files
        assert usage is not None
        assert stat is not None
        periods, throttled = (int(field) for field in stat.split())
        return Sample(
            t_mono_ns=raw.t_mono_ns, cpu_usage_ns=int(usage), nr_periods=periods,
            nr_throttled=throttled, throttled_ns=throttled * self._container.held_ns,
            memory_bytes=1 << 20,
        )  # fmt: skip

    def close(self) -> None:
        pass


class FakeStats:
    def __init__(self, world: World, container: FakeContainer) -> None:
        self._world, self._container = world, container

    def frames(self, start_ns: int, end_ns: int) -> tuple[StatsFrame, ...]:
        if end_ns - start_ns < 2_000_000_000:
            return ()
        used = self._container.usage_ns(end_ns) - self._container.usage_ns(start_ns)
        percent = 100 * used / (end_ns - start_ns)
        return (StatsFrame(read="2026-01-01T00:00:00Z", cpu_percent=percent, memory_bytes=1 << 20),)

    def close(self) -> None:
        pass
