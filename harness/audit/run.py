"""Runs what an audit needs besides CPU trials: memory that is held, the cost of docker stats.

The CPU trials of an audit are those of a plan (``errors.cpu_plans``), executed like a sweep.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from harness import units
from harness.audit.errors import MEMORY_TARGET_BYTES, STATS, Cost, MemoryTrial
from harness.engine import processes
from harness.engine.docker_engine import DockerEngine
from harness.errors import MeasurementError
from harness.inspection.observe import Onlooker
from harness.measure import patience, protocol
from harness.measure.conversation import TrialEndedError, converse
from harness.model import ContainerSpec, Growth, HostFacts, Limits, MemoryReport, Point, Spin

RUN = "audit"
LOOKED_S = 3.0
"""Long enough for two frames of docker stats."""
_DEADLINE_S = 120.0


def memory_trials(
    engine: DockerEngine, host: HostFacts, kinds: Sequence[str], trials: int
) -> Iterator[MemoryTrial]:
    """Containers that grow below their limit, hold what they have, and are looked at meanwhile.

    Kinds in turn, so that what drifts on the host falls on all alike. MeasurementError where a
    workload does not reach its target.
    """
    limit = 2 * MEMORY_TARGET_BYTES
    for number in range(trials):
        for kind in kinds:
            spec = ContainerSpec(
                limits=Limits(memory_bytes=limit, memory_swap_bytes=limit),
                workload=Growth(target_bytes=MEMORY_TARGET_BYTES, kind=kind),
            )
            yield _held(engine, host, f"limitbench-audit-{kind}-{number}", spec)


def _held(engine: DockerEngine, host: HostFacts, name: str, spec: ContainerSpec) -> MemoryTrial:
    container = engine.create(name=name, run=RUN, spec=spec, deadline_s=_DEADLINE_S)
    try:
        talk = converse(container, spec)
        container.start()
        talk.await_ready(patience.start_timeout_s(spec))
        talk.begin(0, 1)  # grow, and then hold: there is nothing to do in between
        point = Point(id=name, axis="memory", value=name, containers=(spec,))
        deadline = time.monotonic() + patience.load_timeout_s(spec, point)
        while not container.has_line() and time.monotonic() < deadline:
            time.sleep(0.01)
        talk.await_end()
        with Onlooker(engine, engine.find(name), host) as onlooker:
            seen = onlooker.look(LOOKED_S)
        talk.stop()
        report = talk.report()["memory"]
    except (TrialEndedError, protocol.GarbledError) as ended:
        raise MeasurementError(f"{name}: {ended}.", "See `bench doctor`.") from None
    finally:
        container.remove()
    if not isinstance(report, MemoryReport) or report.touched_bytes < MEMORY_TARGET_BYTES:
        # What was killed holds nothing any more: it would be compared with what it once touched.
        raise MeasurementError(
            f"{name}: the workload did not get {units.size(MEMORY_TARGET_BYTES)} to be looked at.",
            "Free memory on the engine's host; see `bench doctor`.",
        )
    return MemoryTrial(report.kind, report, seen)


def stats_cost(engine: DockerEngine, host_url: str, *, seconds: float, rounds: int) -> Cost | None:
    """CPU time of one frame of one container's docker stats stream, in the client and the engine.

    What both take anyway is measured beside it, in turn, and taken off. The frames are not even
    parsed here: a client that does pays more. None where no frame came.
    """
    spec = ContainerSpec(limits=Limits(cpus=0.1), workload=Spin(threads=1))
    client_ns = engine_ns = frames = processes_ = 0
    for number in range(rounds):
        container = engine.create(
            name=f"limitbench-audit-cost-{number}", run=RUN, spec=spec,
            deadline_s=_DEADLINE_S + 2 * seconds,
        )  # fmt: skip
        try:
            of_engine = processes.pids(host_url, container.start())
            processes_ = len(of_engine)
            time.sleep(_SETTLE_S)
            idle = _taken(of_engine, seconds)
            stream = container.follow_stats()
            time.sleep(_SETTLE_S)
            begin_ns = time.monotonic_ns()
            busy = _taken(of_engine, seconds)
            # The first of them has its predecessor before the window.
            frames += len(stream.frames(begin_ns, time.monotonic_ns())) + 1
            client_ns += busy[0] - idle[0]
            engine_ns += busy[1] - idle[1]
        finally:
            container.remove()
    if frames <= rounds:
        return None
    # Whoever else asks this engine can make it work more while we do not.
    engine_s = engine_ns / frames / 1e9 if processes_ and engine_ns > 0 else None
    return Cost(
        STATS,
        client_ns / frames / 1e9,
        engine_s,
        frames,
        f"{processes_} processes of the engine" if processes_ else "its engine is not on this host",
    )


_SETTLE_S = 1.5
"""After a container's start, and until a stream's first frame."""


def _taken(of_engine: frozenset[int], seconds: float) -> tuple[int, int]:
    """CPU time (ns) that this process and the engine's take while we do nothing."""
    engine_before, own_before = processes.cpu_ns(of_engine), time.process_time_ns()
    time.sleep(seconds)
    own = time.process_time_ns() - own_before
    return own, processes.cpu_ns(of_engine) - engine_before
