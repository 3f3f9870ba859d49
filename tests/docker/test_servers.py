"""Servers loaded for real, and programs that run to their end, from what is installed on this host.

Whether the load kept its rate depends on what else this machine does, so what is asserted is what
each trial recorded, and not whether it counts.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.engine.image import workloads_root
from harness.judge import cpu, memory, serving
from harness.judge.metrics import METRICS
from harness.measure.runner import Surroundings
from harness.model import Batch, Outcome, Program, Server, TrialRecord
from harness.plan import programs
from harness.plan.axes import Options
from tests.docker.measuring import execute
from tests.docker.scripts import needs, shell

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


def once(engine: DockerEngine, sweep: str, value: str, program: Program) -> TrialRecord:
    options = Options(values=value, repeats=1, duration_s=0.5, workload=program)
    found = execute(engine, sweep, options, change=calm)
    return found.records[-1]


def calm(where: Surroundings) -> Surroundings:
    """Others on this machine are no reason to measure again here."""
    return dataclasses.replace(where, engine_cpus=99.0)


def of_product(name: str) -> Server:
    found = programs.find(name, workloads_root())
    assert isinstance(found, Server)
    return found


def answered(record: TrialRecord) -> None:
    """A server that was asked all that it was to be asked, and answered it."""
    assert record.outcome is Outcome.COMPLETED, record.failure
    (container,) = record.containers
    report = container.requests
    assert report is not None
    assert report.completed > 0
    assert report.errors == 0, report.first_error
    for name in ("request_p50_s", "request_p99_s", "request_max_s", "request_rate"):
        assert (METRICS[name].of(record, 0) or 0) > 0
    assert (cpu.achieved_cpus(container) or 0) > 0
    assert (memory.peak_memory_bytes(container) or 0) > 1 << 20
    # Of both containers the kernel counted what they used, each for itself.
    assert container.load is not None
    assert 0 < (serving.load_cpus(container) or 0) < 1


def test_nginx_answers_under_a_quota(engine: DockerEngine) -> None:
    needs("nginx", "nginx")
    record = once(engine, "cpu", "0.5", of_product("nginx"))
    answered(record)
    kernel = record.containers[0].kernel
    assert kernel is not None
    assert kernel.cpu_quota_us == 50_000


def test_redis_answers_under_a_limit_on_memory(engine: DockerEngine) -> None:
    needs("redis-server", "redis-server")
    record = once(engine, "memory", "64m", of_product("redis"))
    answered(record)
    assert memory.was_killed(record.containers[0]) == 0


def test_postgres_runs_transactions_on_a_volume_of_its_own(engine: DockerEngine) -> None:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/pgbench")):
        pytest.skip("PostgreSQL is not installed here: apt-get install postgresql")
    answered(once(engine, "cpu", "1", of_product("postgres")))


def test_a_service_of_threads_computes(engine: DockerEngine) -> None:
    if shutil.which("/usr/bin/python3") is None:
        pytest.skip("Debian's Python is not installed here: apt-get install python3")
    answered(once(engine, "cpu", "1", of_product("hashing")))


def test_a_server_that_is_not_there_is_told_with_what_it_said_last(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    script = shell("echo cannot bind >&2; sleep 60", signal="SIGKILL")
    told = of_product("redis").serving
    deaf = Server(
        name="deaf", description=script.description, serving=dataclasses.replace(told, ready_s=1)
    )
    record = once(engine, "cpu", "1", deaf)
    assert record.outcome is Outcome.TIMED_OUT
    assert "the server never got ready: port 6379 gave no answer" in str(record.failure)
    assert "its last output: cannot bind" in str(record.failure)
    dead = dataclasses.replace(deaf, description=shell("echo no license >&2; exit 7").description)
    record = once(engine, "cpu", "1", dead)
    assert record.outcome is Outcome.FAILED
    assert "it ended with code 7; its last output: no license" in str(record.failure)


def batch(script: str) -> Batch:
    return Batch(name="mine", description=shell(script).description, timeout_s=20.0)


def test_a_batch_program_takes_as_long_as_its_quota_makes_it(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    count = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo '{\"loops\": 3}'; exit 4"
    record = once(engine, "cpu", "0.25", batch(count))
    assert record.outcome is Outcome.COMPLETED, record.failure
    (container,) = record.containers
    wall_s, cpu_s = serving.wall_s(container) or 0, serving.cpu_s(container) or 0
    # No more than a quarter of the time, and what one period had left at each end.
    assert cpu_s <= 0.25 * wall_s + 0.05
    assert container.exit_code == 4
    assert METRICS["exit_code"].of(record, 0) == 4
    assert dict(container.metrics) == {"loops": 3}
    assert [note.code for note in record.warnings if note.code == "exit-code"]
    # The cgroup was there to be read when the program had ended.
    assert (cpu.achieved_cpus(container) or 0) * wall_s == pytest.approx(cpu_s, rel=0.3)


def test_a_batch_program_that_is_killed_for_memory_is_a_result(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    # tail(1) keeps what it has not seen the end of.
    record = once(engine, "memory", "16m", batch("busybox tail /dev/zero"))
    assert record.outcome is Outcome.OOM_KILLED, record.failure
    assert METRICS["oom_killed"].of(record, 0) == 1
    assert (METRICS["exit_code"].of(record, 0) or 0) > 0


def test_a_batch_program_that_cannot_be_run_is_told(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    one = batch("true")
    wrong = dataclasses.replace(one.description, command=("/nowhere",))
    record = once(engine, "cpu", "1", dataclasses.replace(one, description=wrong))
    assert record.outcome is Outcome.FAILED
    assert record.failure == "probe: /nowhere cannot be run: No such file or directory"
