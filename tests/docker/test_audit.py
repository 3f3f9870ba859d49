"""What an audit needs of a real engine besides CPU trials."""

from __future__ import annotations

import dataclasses

import pytest

from harness import audit, auditor, host
from harness.audit import CGROUP, MEMORY_TARGET_BYTES
from harness.engine import Connection, Container, DockerEngine
from harness.errors import MeasurementError
from harness.model import ContainerSpec

pytestmark = pytest.mark.engine


def test_memory_is_what_was_touched_and_what_the_kernel_adds(
    engine_connection: Connection,
) -> None:
    engine = DockerEngine(engine_connection)
    found = list(auditor.memory_trials(engine, host.facts(), ["anon", "tmpfs"], 1))
    readings = {(r.source, r.what): r for r in audit.summarise({}, found, None).memory}
    for what in ("anon: anon", "tmpfs: page cache"):
        assert readings[CGROUP, what].errors.bias == pytest.approx(0, abs=0.02)
    assert {reading.remark for reading in readings.values()} == {""}


class HalfTheMemory(DockerEngine):
    """Its workloads are killed on their way."""

    def create(self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float) -> Container:
        half = MEMORY_TARGET_BYTES // 2
        limits = dataclasses.replace(spec.limits, memory_bytes=half, memory_swap_bytes=half)
        tight = dataclasses.replace(spec, limits=limits)
        return super().create(name=name, run=run, spec=tight, deadline_s=deadline_s)


def test_a_workload_that_was_killed_is_not_compared(engine_connection: Connection) -> None:
    trials = auditor.memory_trials(HalfTheMemory(engine_connection), host.facts(), ["anon"], 1)
    with pytest.raises(MeasurementError, match="did not get 48 MiB to be looked at"):
        next(trials)


def test_the_cost_of_a_frame_is_this_engines_own(engine_connection: Connection) -> None:
    engine = DockerEngine(engine_connection)
    cost = auditor.stats_cost(engine, engine_connection.host, seconds=3.0, rounds=1)
    assert cost is not None
    assert cost.readings >= 2
    assert cost.client_s is not None
