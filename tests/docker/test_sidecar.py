"""A local engine treated as a remote one: its counters come from a container on its own host."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence

import pytest

from harness.engine.boundary import LABEL, Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.errors import EngineRefusedError, MeasurementError
from harness.judge import cpu, surroundings
from harness.limits import EngineCpus, format_cpu_list
from harness.measure import runner
from harness.measure.observer import Observer
from harness.model import ContainerSpec, Growth, Limits, Outcome, Point
from harness.plan.axes import Options
from tests.docker.measuring import CPU_TOLERANCE, execute
from tests.docker.scripts import needs, shell

pytestmark = pytest.mark.engine

MIB = 1 << 20


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


def remote(where: runner.Surroundings) -> runner.Surroundings:
    """As if no cgroup of the engine were visible here."""

    def elsewhere(*_given: object) -> Observer:
        raise MeasurementError("the engine runs on another host.", "")

    there = runner.real_surroundings(
        where.engine, where.engine_facts, where.host_facts, local=elsewhere
    )
    return dataclasses.replace(where, observe=there.observe)


def test_a_sidecar_measures_what_we_would(engine: DockerEngine) -> None:
    options = Options(values="0.25,1", duration_s=2.0, repeats=3, cadence_hz=100)
    found = execute(engine, "cpu", options, change=remote)
    for value in ("0.25", "1"):
        assert abs(found.error(f"cpus={value}")) <= CPU_TOLERANCE
    for record in found.records:
        (container,) = record.containers
        assert container.kernel is not None
        assert container.kernel.cpu_quota_us == round(float(record.point_id[5:]) * 100_000)
        assert container.kernel_after == container.kernel
        assert container.effective is not None
        assert container.effective.cpus == float(record.point_id[5:])
        assert surroundings.foreign_cpus(record) is not None
        assert cpu.throttled_share(container) is not None
        assert record.sampler is not None
        assert record.sampler.ticks + record.sampler.missed == pytest.approx(199, abs=1)
    assert engine._connection.api.containers(all=True, filters={"label": f"{LABEL}=test"}) == []


def test_it_sees_kills_and_cpus_too(engine: DockerEngine) -> None:
    found = execute(engine, "memory", Options(values="16m", repeats=2), change=remote)
    assert found.outcomes("memory=16m") == [Outcome.OOM_KILLED] * 2
    pinned = execute(engine, "cpuset", Options(values="0", duration_s=1.0, repeats=2),
                     change=remote)  # fmt: skip
    assert pinned.metric("cpuset=0", "outside_cpus") == 0
    others = frozenset(range(os.cpu_count() or 1)) - {0}
    for record in pinned.records:
        assert record.sampler is not None
        assert record.sampler.cpus == (format_cpu_list(others) or None)


def test_a_pid_1_that_is_killed_in_the_window_is_an_outcome(engine: DockerEngine) -> None:
    spec = ContainerSpec(
        limits=Limits(memory_bytes=16 * MIB, memory_swap_bytes=16 * MIB),
        workload=Growth(target_bytes=64 * MIB, victim="self"),
    )

    def points(_options: Options, _cpus: EngineCpus) -> Iterable[Point]:
        return [Point(id="p", axis="file", value="p", containers=(spec,))]

    found = execute(engine, "file", Options(repeats=2), points_of=points, change=remote)
    assert found.outcomes("p") == [Outcome.OOM_KILLED] * 2
    for record in found.records:
        assert "OOM-killed" in (record.failure or "")


class ShortLived(DockerEngine):
    """Its workloads meet their dead man's deadline in the window."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        return super().create(name=name, run=run, spec=spec, deadline_s=3.0, together=together)


def test_a_pid_1_that_ends_in_the_window_is_an_outcome(engine_connection: Connection) -> None:
    options = Options(values="0.5", duration_s=4.0, repeats=1)
    found = execute(ShortLived(engine_connection), "cpu", options, change=remote)
    (record,) = found.records
    assert record.outcome is Outcome.FAILED
    assert "the workload ended with code 124" in (record.failure or "")
    assert record.containers[0].memory_first is not None


class Forbidding(DockerEngine):
    """An engine that lets nobody mount its host's files."""

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        raise EngineRefusedError("the engine refused to create the sampler's container: no.", "")


def test_where_that_is_forbidden_the_workload_and_docker_stats_are_what_is_left(
    engine_connection: Connection,
) -> None:
    # The engine's first frame comes after one second to two, on a busy host later.
    options = Options(values="0.5", duration_s=5.0, repeats=2)
    found = execute(Forbidding(engine_connection), "cpu", options, change=remote)
    assert abs(found.error("cpus=0.5")) <= CPU_TOLERANCE
    for record in found.records:
        assert any("another host; the engine refused" in note.text for note in record.warnings)
        assert record.containers[0].stats


def test_a_program_that_nobody_sees_is_measured_by_docker_stats(
    engine_connection: Connection,
) -> None:
    needs("busybox", "busybox-static")
    program = shell("while :; do :; done", signal="SIGKILL")
    options = Options(values="0.5", duration_s=5.0, repeats=2, workload=program)
    found = execute(Forbidding(engine_connection), "cpu", options, change=remote)
    assert found.outcomes("cpus=0.5") == [Outcome.COMPLETED] * 2
    for record in found.records:
        (container,) = record.containers
        assert record.invalid is None
        assert cpu.achieved_cpus(container) == cpu.stats_cpus(container)
        assert any("the CPU is that of docker stats" in note.text for note in record.warnings)
    (law,) = found.summary("cpus=0.5").results
    assert law.deviation is not None
    assert law.deviation.low is not None
    assert law.deviation.high is not None
    assert law.deviation.low < 0 < law.deviation.high
    assert "docker stats" in law.deviation.method
    # A period of the four frames that five seconds hold, of which one may be late.
    assert 0.1 / 5 < law.deviation.error < 0.1 / 2
