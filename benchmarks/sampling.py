"""What a sample costs, how fast they come: our reads against docker stats, the SDK's too."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
import unittest.mock
from collections.abc import Iterator, Sequence

from benchmarks.figures import Figure
from harness.cgroup import CounterReader, locate
from harness.engine import processes
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.host.process import many_files_open
from harness.measure import protocol, sampled
from harness.measure.sampler import Sampler
from harness.model import ContainerSpec, Limits, SamplerCost, Spin

ROUNDS = 3
WINDOW_S = 5.0
SDK_CALLS = 3
SETTLE_S = 1.5
KILOHERTZ = 1000.0
MANY, MANY_HZ = 64, 50.0


class CpuFiles(CounterReader):
    """The CPU files alone."""

    @property
    def descriptors(self) -> tuple[tuple[int | None, ...], ...]:
        """None in place of all others."""
        ticks, details, edges = super().descriptors
        named = zip(ticks, self.version.tick_files, strict=True)
        cpu = tuple(fd if controller != "memory" else None for fd, (controller, _) in named)
        return cpu, (None,) * len(details), edges


class Nothing(CounterReader):
    """No file: what is left is what it costs to wake up."""

    @property
    def descriptors(self) -> tuple[tuple[int | None, ...], ...]:
        """None in place of each."""
        return tuple((None,) * len(fds) for fds in super().descriptors)


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


def window(readers: Sequence[CounterReader], hz: float, seconds: float) -> SamplerCost:
    """What a window of sampling some containers costs, as ``bench`` samples them."""
    with contextlib.closing(Sampler(readers, hz)) as sampler:
        return sampler.window(time.monotonic_ns() + 5_000_000, round(seconds * 1e9)).cost


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
    """Cost of a sample, the highest steady rate, and many containers at once."""
    return [*_cost(connection), *_rate(connection), *_many(connection)]


EVERY_TICK = 1000.0
KINDS: tuple[tuple[str, type[CounterReader], float], ...] = (
    ("cpu", CpuFiles, sampled.DETAIL_HZ), ("all", CounterReader, sampled.DETAIL_HZ),
    ("every", CounterReader, EVERY_TICK), ("nothing", Nothing, sampled.DETAIL_HZ),
)  # fmt: skip
"""What is sampled, and how often its details are read."""
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
                for name, kind, detail_hz in KINDS:
                    with (
                        contextlib.closing(kind(paths)) as reader,
                        unittest.mock.patch.multiple(
                            sampled, DETAIL_HZ=detail_hz, DETAILS_A_SECOND=max(80.0, detail_hz)
                        ),
                    ):
                        cost = window([reader], hz, WINDOW_S)
                        took(where, name, cost.cpu_ns / cost.ticks / 1e9)
                took(where, "sdk", sdk_call_s(connection, container, of_engine))
                took(where, "stream", stats_stream_s(container, of_engine))
    median = {what: statistics.median(found) for what, found in times.items()}
    rivals = (("stream", "docker stats, client + engine"),
              ("sdk", "docker SDK stats(stream=False)"))  # fmt: skip
    return [
        _ratio(name, files, goal, rival, against, {w: s for (at, w), s in median.items()
                                                   if at == where}, hz, where)
        for rival, against in rivals
        for name, files, goal in (("CPU files", "cpu", 150), ("all files", "all", 80))
        for where in (BUSY, IDLE)
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
    """One cell of the comparison: our files, its process woken for them, and one rival."""
    return Figure(
        f"CPU time of a sample: {name}, woken at {hz:.0f} Hz {where}", against,
        median[rival] / median[files], goal, "× cheaper",
        f"{median[files] * 1e6:.1f} µs against {median[rival] * 1e3:.2f} ms, not parsed; "
        f"medians of {ROUNDS} rounds in turn", at_least=True,
        explanation=f"a sampler that reads nothing takes {median['nothing'] * 1e6:.1f} µs to be "
        f"woken {where}. memory.stat, events and pressure are read {sampled.DETAIL_HZ:.0f} times a "
        f"second; at every tick all files take {median['every'] * 1e6:.1f} µs. Several containers "
        "share one waking up.",
    )  # fmt: skip


def _rate(connection: Connection) -> list[Figure]:
    """Beside a container for each CPU that wants all of it: ours, and what the rivals give."""
    engine, cpus = DockerEngine(connection), os.cpu_count() or 1
    tick_hz = 1e9 / identity.tick_ns()
    steady = cost = fast = missed_fast = 0.0
    details = []
    with loaded(engine, [Limits()] * cpus, 1) as containers:
        container, pid = containers[0]
        paths = locate(pid, container.id)
        for hz in sorted({10.0, 50.0, 100.0, tick_hz, KILOHERTZ}):
            with contextlib.closing(CounterReader(paths)) as reader:
                found = window([reader], hz, WINDOW_S)
            missed = found.missed / max(1, found.missed + found.ticks)
            share = found.cpu_ns / 1e9 / WINDOW_S
            details.append(f"{hz:.0f} Hz: {missed:.1%} missed, {share:.1%} of a CPU")
            if missed < 0.01 and hz <= tick_hz:
                steady, cost = hz, share
            if hz == KILOHERTZ:
                fast, missed_fast = share, missed
        stream_hz, sdk_hz = _stream_hz(container), _sdk_hz(connection, container)
    how = f"{cpus} containers at full load on {cpus} CPUs; " + "; ".join(details)
    return [
        Figure("highest steady rate with < 1 % missed ticks, up to the tick",
               f"docker stats: {stream_hz:.2g} Hz, docker SDK: {sdk_hz:.2g} Hz", steady, tick_hz,
               "Hz", how, at_least=True),
        Figure("CPU that it takes at that rate", "-", cost * 100, 2.0, "% of one CPU", how),
        Figure("CPU at 1 kHz", "-", fast * 100, 1.0, "% of one CPU",
               f"{missed_fast:.2%} of ticks missed; {how}",
               explanation="a process that reads nothing takes as much to be woken, by any call "
               "that sleeps: docs/decisions/005."),
    ]  # fmt: skip


def _many(connection: Connection) -> list[Figure]:
    """Sixty-four containers at rest, for each of which all files are read."""
    engine, shares = DockerEngine(connection), []
    specs = [ContainerSpec(limits=Limits(), workload=Spin(threads=1))] * MANY
    started = []
    try:
        for number, spec in enumerate(specs):
            name = f"limitbench-cost-{number}"
            started.append(engine.create(name=name, run="benchmark", spec=spec, deadline_s=600))
        pids = [one.start() for one in started]
        time.sleep(SETTLE_S)
        with contextlib.ExitStack() as opened, many_files_open():
            readers = [
                opened.enter_context(contextlib.closing(CounterReader(locate(pid, one.id))))
                for pid, one in zip(pids, started, strict=True)
            ]
            for _ in range(ROUNDS):
                cost = window(readers, MANY_HZ, WINDOW_S)
                shares.append(cost.cpu_ns / 1e9 / WINDOW_S)
    finally:
        for one in started:
            one.remove()
    found = statistics.median(shares)
    each_us = found / MANY_HZ / MANY * 1e6
    return [
        Figure(f"CPU for {MANY} containers at {MANY_HZ:.0f} Hz", "-", found * 100, 2.0,
               "% of one CPU", f"median of {ROUNDS}; {each_us:.1f} µs for each container and tick",
               explanation=f"{MANY * MANY_HZ:.0f} times a second four files, of which the CPU's "
               "caches hold nothing by then.")
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
