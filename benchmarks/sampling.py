"""What a sample costs, how fast they come: our reads against docker stats, the SDK's too."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator, Sequence

from benchmarks.figures import Figure
from harness.cgroup import CgroupPaths, CounterReader, RawSample, locate
from harness.engine import processes
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.measure import protocol
from harness.measure.sampler import SystemClock, sample_window
from harness.model import ContainerSpec, HostSample, Limits, SamplerCost, Spin

ROUNDS = 3
WINDOW_S = 5.0
SDK_CALLS = 3
SETTLE_S = 1.5


class Everything(CounterReader):
    """Reads memory.stat, events, peak and pressure at every tick too."""

    def read_details(self) -> RawSample:
        """One moment of all counters."""
        details = tuple(_pread(fd) for fd in self._detail_fds)
        return super().read()._replace(details=details)

    def read(self) -> RawSample:
        """The same."""
        return self.read_details()


class CpuFiles(CounterReader):
    """Reads the CPU files alone."""

    def __init__(self, paths: CgroupPaths) -> None:
        super().__init__(paths)
        named = zip(self._fds, paths.files.tick_files, strict=True)
        self._cpu_fds = [fd for fd, (controller, _) in named if controller != "memory"]

    def read(self) -> RawSample:
        """One moment of CPU time and throttling."""
        files = tuple(_pread(fd) for fd in self._cpu_fds)
        return RawSample(time.monotonic_ns(), 0, (*files, None, None))

    def read_details(self) -> RawSample:
        """The same."""
        return self.read()


class Nothing(CounterReader):
    """Reads nothing: what is left is what it costs to wake up."""

    def read(self) -> RawSample:
        """An empty moment."""
        return RawSample(time.monotonic_ns(), 0, (None, None, None, None))

    def read_details(self) -> RawSample:
        """The same."""
        return self.read()


def _pread(fd: int | None) -> bytes | None:
    return None if fd is None else os.pread(fd, 8192, 0)


@contextlib.contextmanager
def loaded(
    engine: DockerEngine, limits: Sequence[Limits], threads: int
) -> Iterator[list[tuple[Container, int]]]:
    """Containers at full load, each with its first process."""
    started: list[tuple[Container, int]] = []
    try:
        for number, limit in enumerate(limits):
            spec = ContainerSpec(limits=limit, workload=Spin(threads=threads))
            container = engine.create(
                name=f"limitbench-cost-{number}", run="benchmark", spec=spec, deadline_s=300
            )
            started.append((container, 0))
            started[-1] = container, container.start()
            container.read_line(20)
            container.write_line(protocol.go(0, 300_000_000_000))
        time.sleep(SETTLE_S)
        yield started
    finally:
        for container, _ in started:
            container.remove()


def window(reader: CounterReader, hz: float, seconds: float) -> SamplerCost:
    """What a window of sampling one container costs."""
    clock = SystemClock()
    return sample_window(
        [reader],
        lambda: HostSample(t_mono_ns=clock.now_ns()),
        start_ns=clock.now_ns(),
        duration_ns=round(seconds * 1e9),
        cadence_hz=hz,
        clock=clock,
    ).cost


def tight_loop_s(reader: CounterReader, reads: int = 5000) -> float:
    """CPU time of one read in a loop without any sleep."""
    before = time.thread_time_ns()
    for _ in range(reads):
        reader.read()
    return (time.thread_time_ns() - before) / reads / 1e9


def stats_stream_s(container: Container, of_engine: frozenset[int]) -> float:
    """CPU time of a frame of the stream, in this process and in the engine's."""
    idle = _taken(of_engine, WINDOW_S)
    stream = container.follow_stats()
    time.sleep(SETTLE_S)
    begin = time.monotonic_ns()
    busy = _taken(of_engine, WINDOW_S)
    frames = len(stream.frames(begin, time.monotonic_ns())) + 1
    return (busy - idle) / frames / 1e9


def sdk_call_s(connection: Connection, container: Container, of_engine: frozenset[int]) -> float:
    """CPU time of one ``container.stats(stream=False)`` of the docker SDK, as people write it."""
    api = connection.api
    begin = time.monotonic()
    before = time.process_time_ns() + processes.cpu_ns(of_engine)
    for _ in range(SDK_CALLS):
        api.stats(container.id, stream=False)
    after = time.process_time_ns() + processes.cpu_ns(of_engine)
    idle = _taken(of_engine, time.monotonic() - begin)
    return (after - before - idle) / SDK_CALLS / 1e9


def _taken(of_engine: frozenset[int], seconds: float) -> int:
    before = time.process_time_ns() + processes.cpu_ns(of_engine)
    time.sleep(seconds)
    return time.process_time_ns() + processes.cpu_ns(of_engine) - before


def measure(connection: Connection) -> list[Figure]:
    """Cost of a sample, and the highest steady rate."""
    return [*_cost(connection), *_rate(connection)]


IDLE, BUSY = "on an idle host", "beside a full load"
"""A CPU that has nothing to do must leave its sleep first, and whom it wakes up for pays for it."""


def _cost(connection: Connection) -> list[Figure]:
    engine, hz = DockerEngine(connection), min(1000.0, 1e9 / identity.tick_ns())
    times: dict[tuple[str, str], list[float]] = {}

    def took(where: str, what: str, seconds: float) -> None:
        times.setdefault((where, what), []).append(seconds)

    for _ in range(ROUNDS):
        for where, limits, threads in (
            (IDLE, Limits(cpus=0.1), 1), (BUSY, Limits(), os.cpu_count() or 1)
        ):  # fmt: skip
            # A stream ends with its container, so each round has one of its own.
            with loaded(engine, [limits], threads) as ((container, pid),):
                of_engine, paths = processes.pids(connection.host, pid), locate(pid, container.id)
                for name, kind in (("cpu", CpuFiles), ("all", Everything), ("nothing", Nothing)):
                    with contextlib.closing(kind(paths)) as reader:
                        cost = window(reader, hz, WINDOW_S)
                        took(where, name, cost.cpu_ns / cost.ticks / 1e9)
                        took(where, f"{name} alone", tight_loop_s(reader))
                took(where, "sdk", sdk_call_s(connection, container, of_engine))
                took(where, "stream", stats_stream_s(container, of_engine))
    median = {what: statistics.median(found) for what, found in times.items()}
    rivals = (("stream", "docker stats, client + engine"),
              ("sdk", "docker SDK stats(stream=False)"))  # fmt: skip
    return [
        _ratio(name, files, goal, rival, against, {w: s for (at, w), s in median.items()
                                                   if at == where}, hz, where)
        for rival, against in rivals
        for name, files, goal in (("CPU", "cpu", 150), ("all (memory.stat too)", "all", 80))
        for files, where in ((f"{files} alone", IDLE), (files, BUSY), (files, IDLE))
    ]  # fmt: skip


def _ratio(  # noqa: PLR0913, PLR0917 - each is one word of the figure
    name: str,
    files: str,
    goal: float,
    rival: str,
    against: str,
    median: dict[str, float],
    hz: float,
    where: str,
) -> Figure:
    """One cell of the comparison: our files, with or without waking up for them, and one rival."""
    alone = files.endswith(" alone")
    how = f"reads alone, {where}" if alone else f"woken at {hz:.0f} Hz {where}"
    detail = f"{median[files] * 1e6:.1f} µs against {median[rival] * 1e3:.2f} ms, not parsed; "
    reads_s = median[files.removesuffix(" alone") + " alone"]
    return Figure(
        f"CPU time of a sample: {name} files, {how}", against, median[rival] / median[files], goal,
        "× cheaper", detail + f"medians of {ROUNDS} rounds in turn", at_least=True,
        explanation=f"of {median[files] * 1e6:.0f} µs the reads take {reads_s * 1e6:.1f} µs where "
        f"all is in the CPU's caches, as it is not after 4 ms; a reader that reads "
        f"nothing takes {median['nothing'] * 1e6:.0f} µs to be woken {where}. Several containers "
        "share one waking up.",
    )  # fmt: skip


def _rate(connection: Connection) -> list[Figure]:
    """Beside a container for each CPU that wants all of it: ours, and what the rivals give."""
    engine, cpus = DockerEngine(connection), os.cpu_count() or 1
    tick_hz = 1e9 / identity.tick_ns()
    steady, cost, details = 0.0, 0.0, []
    with loaded(engine, [Limits()] * cpus, 1) as containers:
        container, pid = containers[0]
        paths = locate(pid, container.id)
        for hz in sorted({10.0, 50.0, 100.0, tick_hz, 1000.0}):
            with contextlib.closing(CounterReader(paths)) as reader:
                found = window(reader, hz, WINDOW_S)
            missed = found.missed / max(1, found.missed + found.ticks)
            share = found.cpu_ns / 1e9 / WINDOW_S
            details.append(f"{hz:.0f} Hz: {missed:.1%} missed, {share:.1%} of a CPU")
            if missed < 0.01 and hz <= tick_hz:
                steady, cost = hz, share
        stream_hz, sdk_hz = _stream_hz(container), _sdk_hz(connection, container)
    how = f"{cpus} containers at full load on {cpus} CPUs; " + "; ".join(details)
    return [
        Figure("highest steady rate with < 1 % missed ticks, up to the tick",
               f"docker stats: {stream_hz:.2g} Hz, docker SDK: {sdk_hz:.2g} Hz", steady, tick_hz,
               "Hz", how, at_least=True),
        Figure("CPU that it takes at that rate", "-", cost * 100, 2.0, "% of one CPU", how),
    ]  # fmt: skip


def _stream_hz(container: Container) -> float:
    """Frames a second of the stream, as they come."""
    stream = container.follow_stats()
    time.sleep(SETTLE_S)
    begin = time.monotonic_ns()
    time.sleep(2 * WINDOW_S)
    frames = stream.frames(begin, time.monotonic_ns())
    times = [frame.t_mono_ns for frame in frames if frame.t_mono_ns is not None]
    return (len(times) - 1) * 1e9 / (times[-1] - times[0])


def _sdk_hz(connection: Connection, container: Container) -> float:
    """Calls of ``stats(stream=False)`` a second, one after another."""
    begin = time.monotonic()
    for _ in range(SDK_CALLS):
        connection.api.stats(container.id, stream=False)
    return SDK_CALLS / (time.monotonic() - begin)
