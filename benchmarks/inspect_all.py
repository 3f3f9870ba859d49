"""What ``bench inspect --all`` takes of a CPU on a host with hundreds of containers."""

from __future__ import annotations

import contextlib
import resource
import statistics
import time
from collections.abc import Iterator

from benchmarks.figures import Figure
from harness.engine import processes
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.inspection import inspection
from harness.inspection.together import Together
from harness.model import ContainerSpec, Limits, Spin

CONTAINERS = 200
WINDOW_S = 2.0
WINDOWS = 9
RUN = "benchmark-together"
MIB = 1 << 20


@contextlib.contextmanager
def idle(engine: DockerEngine) -> Iterator[int]:
    """Containers with limits that wait for a command which never comes; a pid of one of them."""
    spec = ContainerSpec(
        limits=Limits(cpus=0.5, memory_bytes=32 * MIB, memory_swap_bytes=32 * MIB),
        workload=Spin(threads=1),
    )
    started: list[Container] = []  # a probe ends with the stream that its container is held by
    try:
        for number in range(CONTAINERS):
            name = f"limitbench-together-{number}"
            started.append(engine.create(name=name, run=RUN, spec=spec, deadline_s=1800))
            started[-1].start()
        yield engine.find(started[0].id).pid
    finally:
        engine.remove_all(RUN)


def _used_s() -> float:
    """CPU time of this process, and of those that it started and that have ended: the samplers."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def measure(connection: Connection) -> list[Figure]:
    """CPU time of this process and its samplers a window: to read in it, and to judge after it."""
    engine, host = DockerEngine(connection), identity.facts()
    facts = engine.facts()
    with idle(engine) as pid, Together(engine) as together:
        of_engine = processes.pids(connection.host, pid)
        before_s = _used_s()
        together.look(WINDOW_S)  # meets all of them
        first_s = _used_s() - before_s
        taken, of_dockerd = [], []
        for _ in range(WINDOWS):
            before_s, engine_ns = _used_s(), processes.cpu_ns(of_engine)
            told = [inspection.inspect(seen, facts, host) for seen in together.look(WINDOW_S)]
            assert sum(one.use.cpus is not None for one in told) == CONTAINERS
            taken.append((_used_s() - before_s) / WINDOW_S)
            of_dockerd.append((processes.cpu_ns(of_engine) - engine_ns) / 1e9 / WINDOW_S)
    median = statistics.median(taken)
    return [Figure(
        f"`bench inspect --all`, {CONTAINERS} containers: CPU of a window of {WINDOW_S:g} s",
        "the goal", median * 100, 10.0, "% of one CPU",
        f"median of {WINDOWS}, {min(taken):.1%} to {max(taken):.1%}; the engine's own "
        f"{statistics.median(of_dockerd):.1%}; the first window meets all of them: {first_s:.1f} s "
        "of CPU more, once",
        explanation="Python's own time for the findings of each container, and the sampler's.",
    )]  # fmt: skip
