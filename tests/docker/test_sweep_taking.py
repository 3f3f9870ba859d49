"""Limits that refuse, on a real engine: so many, then that; and each law with the product wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.judge import run as judge_run
from harness.model import SCRATCH, ContainerSpec, Status
from harness.plan.axes import Options
from tests.docker.measuring import Measured, execute

pytestmark = [pytest.mark.engine, pytest.mark.beside]


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


def conform(found: Measured, point: str, *metrics: str) -> None:
    """Each law of the point, and each of its limits as it was asked for."""
    told = {metric: found.verdict(point, metric) for metric in metrics}
    assert {one.status for one in told.values()} == {Status.CONFORMS}, told
    mine = [record for record in found.records if record.point_id == point]
    held = judge_run.readbacks(mine, found.where.engine_facts)
    assert held
    assert {one.agrees for one in held} == {True}, held


def test_exactly_so_many_tasks(engine: DockerEngine) -> None:
    found = execute(engine, "pids", Options(values="2,16,64@thread", repeats=3))
    for point in ("pids=2", "pids=16", "pids=64 thread"):
        conform(found, point, "taken", "refusal", "tasks_refused")


def test_no_limit_on_tasks_is_none(engine: DockerEngine) -> None:
    facts = engine.facts()
    found = execute(engine, "pids", Options(values="0,-1", repeats=3))
    for point in ("pids=0", "pids=-1"):
        assert found.metric(point, "taken") == 1200
        if facts.cgroup_driver != "systemd":  # whose scopes have its DefaultTasksMax
            conform(found, point, "taken", "refusal")


def test_each_ulimit_by_its_errno_or_signal(engine: DockerEngine) -> None:
    values = "nofile=64,nproc=32,nproc=32@2,fsize=65537,stack=262144,memlock=70000"
    found = execute(engine, "ulimit", Options(values=values, repeats=3))
    conform(found, "ulimit=nofile=64", "taken", "refusal")
    conform(found, "ulimit=nproc=32", "taken", "refusal")
    conform(found, "ulimit=nproc=32 in 2", "taken_together", "refusal")
    conform(found, "ulimit=fsize=65537", "taken_bytes", "refusal")
    conform(found, "ulimit=stack=262144", "taken_bytes", "refusal")
    conform(found, "ulimit=memlock=70000", "taken_bytes", "refusal")
    assert found.metric("ulimit=memlock=70000", "taken_bytes") == 69_632  # whole pages


def test_cpu_time_ends_by_the_signal_of_the_limit_that_is_met_first(engine: DockerEngine) -> None:
    found = execute(engine, "ulimit", Options(values="cpu=1,cpu=1:2", repeats=2))
    assert found.status("ulimit=cpu=1", "refusal") is Status.CONFORMS
    assert found.metric("ulimit=cpu=1", "refusal") == -9
    assert found.metric("ulimit=cpu=1:2", "refusal") == -24
    assert found.metric("ulimit=cpu=1:2", "taken_cpu_s") < 1.5


@pytest.mark.parametrize("axis", ["shm", "tmpfs"])
def test_files_in_memory_end_at_their_size_or_at_the_memory_limit(
    engine: DockerEngine, axis: str
) -> None:
    found = execute(engine, axis, Options(values="1m,32m@memory=16m", repeats=3))
    conform(found, f"{axis}=1m", "taken_bytes", "refusal", "charged_bytes")
    conform(found, f"{axis}=32m memory=16m", "taken_bytes", "refusal")
    assert found.metric(f"{axis}=32m memory=16m", "refusal") == -9
    assert found.outcomes(f"{axis}=32m memory=16m") == ["oom-killed"] * 3


# --- the same with the product made wrong -------------------------------------------------------


class OtherLimits(DockerEngine):
    """A product made wrong on purpose: other limits are handed over than were asked for."""

    handed: dict[str, Any]

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        wrong = dataclasses.replace(spec, limits=dataclasses.replace(spec.limits, **self.handed))
        return super().create(
            name=name, run=run, spec=wrong, deadline_s=deadline_s, together=together
        )


@pytest.mark.parametrize(
    ("axis", "value", "handed", "metric"),
    [
        ("pids", "16", {"pids_limit": 17}, "taken"),
        ("pids", "16", {"pids_limit": -1}, "refusal"),
        ("pids", "-1", {"pids_limit": 1100}, "taken"),
        ("pids", "16", {"ulimit_nproc": "8"}, "tasks_refused"),
        ("ulimit", "nofile=64", {"ulimit_nofile": "65"}, "taken"),
        ("ulimit", "nproc=32@2", {"ulimit_nproc": None}, "taken_together"),
        ("ulimit", "fsize=65537", {"ulimit_fsize": "65536"}, "taken_bytes"),
        ("ulimit", "fsize=65537", {"shm_size_bytes": 4096}, "refusal"),
        ("ulimit", "stack=262144", {"ulimit_stack": "266240"}, "taken_bytes"),
        ("ulimit", "memlock=65536", {"ulimit_memlock": "69632"}, "taken_bytes"),
        ("ulimit", "memlock=65536", {"ulimit_memlock": "0"}, "refusal"),
        ("ulimit", "cpu=1", {"ulimit_cpu": None}, "taken_cpu_s"),
        ("ulimit", "cpu=1:2", {"ulimit_cpu": "1"}, "refusal"),
        ("shm", "1m", {"shm_size_bytes": (1 << 20) + 4096}, "taken_bytes"),
        ("shm", "32m@memory=16m", {"memory_bytes": 18 << 20, "memory_swap_bytes": 18 << 20},
         "taken_bytes"),
        ("tmpfs", "1m", {"tmpfs": f"{SCRATCH}:size=1020k"}, "taken_bytes"),
    ],
)  # fmt: skip
def test_another_limit_is_found(
    engine_connection: Connection, axis: str, value: str, handed: dict[str, Any], metric: str
) -> None:
    engine = OtherLimits(engine_connection)
    engine.handed = handed
    found = execute(engine, axis, Options(values=value, repeats=2))
    (point,) = found.plan.points
    assert found.status(point.id, metric) is Status.DEVIATES
