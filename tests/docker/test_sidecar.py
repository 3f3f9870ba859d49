"""A local engine treated as a remote one: its counters come from a container on its own host."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness import analysis, runner
from harness.axes import Options
from harness.engine import Connection, Container, DockerEngine
from harness.engine.containers import LABEL
from harness.errors import EngineRefusedError, MeasurementError
from harness.model import Outcome
from harness.sampler import Clock
from harness.watch import Watch, Watched
from tests.docker.measuring import CPU_TOLERANCE, execute

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


def remote(where: runner.Surroundings) -> runner.Surroundings:
    """As if no cgroup of the engine were visible here."""

    def elsewhere(_containers: Sequence[Watched], _clock: Clock) -> Watch:
        raise MeasurementError("the engine runs on another host.", "")

    return runner.real_surroundings(
        where.engine, where.engine_facts, where.host_facts, local=elsewhere
    )


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
        assert analysis.foreign_cpus(record) is not None
        assert analysis.throttled_share(container) is not None
        assert record.sampler is not None
        assert record.sampler.ticks + record.sampler.missed == pytest.approx(199, abs=1)
    assert engine._connection.api.containers(all=True, filters={"label": f"{LABEL}=test"}) == []


def test_it_sees_kills_and_cpus_too(engine: DockerEngine) -> None:
    found = execute(engine, "memory", Options(values="16m", repeats=2), change=remote)
    assert found.outcomes("memory=16m") == [Outcome.OOM_KILLED] * 2
    pinned = execute(engine, "cpuset", Options(values="0", duration_s=1.0, repeats=2),
                     change=remote)  # fmt: skip
    assert pinned.metric("cpuset=0", "outside_cpus") == 0


class Forbidding(DockerEngine):
    """An engine that lets nobody mount its host's files."""

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        raise EngineRefusedError("the engine refused to create the sampler's container: no.", "")


def test_where_that_is_forbidden_the_workload_and_docker_stats_are_what_is_left(
    engine_connection: Connection,
) -> None:
    options = Options(values="0.5", duration_s=2.0, repeats=2)
    found = execute(Forbidding(engine_connection), "cpu", options, change=remote)
    assert abs(found.error("cpus=0.5")) <= CPU_TOLERANCE
    for record in found.records:
        assert any("another host; the engine refused" in note.text for note in record.warnings)
        assert record.containers[0].stats
