"""What an audit needs of a real engine besides CPU trials."""

from __future__ import annotations

import dataclasses

import pytest

from harness.audit import errors
from harness.audit import run as audit_run
from harness.audit.errors import CGROUP, MEMORY_TARGET_BYTES
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.errors import MeasurementError
from harness.host import identity
from harness.model import ContainerSpec

pytestmark = pytest.mark.engine


def test_memory_is_what_was_touched_and_what_the_kernel_adds(
    engine_connection: Connection,
) -> None:
    engine = DockerEngine(engine_connection)
    found = list(audit_run.memory_trials(engine, identity.facts(), ["anon", "tmpfs"], 1))
    readings = {(r.source, r.what): r for r in errors.summarise({}, found, None).memory}
    for what in ("anon: anon", "tmpfs: shmem"):
        assert readings[CGROUP, what].errors.bias == pytest.approx(0, abs=0.02)
    assert {reading.remark for reading in readings.values()} == {""}


class HalfTheMemory(DockerEngine):
    """Its workloads are killed on their way."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        half = MEMORY_TARGET_BYTES // 2
        limits = dataclasses.replace(spec.limits, memory_bytes=half, memory_swap_bytes=half)
        tight = dataclasses.replace(spec, limits=limits)
        return super().create(
            name=name, run=run, spec=tight, deadline_s=deadline_s, together=together
        )


def test_a_workload_that_was_killed_is_not_compared(engine_connection: Connection) -> None:
    trials = audit_run.memory_trials(
        HalfTheMemory(engine_connection), identity.facts(), ["anon"], 1
    )
    with pytest.raises(MeasurementError, match=r"did not get 48\.0 MiB to be looked at"):
        next(trials)


def test_the_cost_of_a_frame_is_this_engines_own(engine_connection: Connection) -> None:
    engine = DockerEngine(engine_connection)
    cost = audit_run.stats_cost(engine, engine_connection.host, seconds=3.0, rounds=1)
    assert cost is not None
    assert cost.readings >= 2
    assert cost.client_s is not None
