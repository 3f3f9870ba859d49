"""Programs that the project did not make, in images that it packs from this host."""

from __future__ import annotations

import pytest

from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.engine.image import workloads_root
from harness.model import Outcome, Program, ProgramDescription, ProgramImage
from harness.plan import programs
from harness.plan.axes import Options
from tests.docker.measuring import CPU_TOLERANCE, execute
from tests.docker.scripts import needs, shell

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


def options(program: Program) -> Options:
    return Options(values="0.5", duration_s=1.0, repeats=2, workload=program)


COUNT = (
    "i=0; trap 'echo {\\\"loops\\\": $i}; exit 0' TERM; echo loading; while :; do i=$((i+1)); done"
)


def test_a_program_is_measured_like_the_probe_and_says_its_own_metrics(
    engine: DockerEngine,
) -> None:
    needs("busybox", "busybox-static")
    found = execute(engine, "cpu", options(shell(COUNT, ready="loading")))
    assert set(found.outcomes("cpus=0.5")) == {Outcome.COMPLETED}
    assert abs(found.error("cpus=0.5")) <= CPU_TOLERANCE
    assert found.metric("cpus=0.5", "loops") > 0
    assert found.summary("cpus=0.5").estimate("inside_cpus") is None


def test_a_program_that_forks_is_counted_whole(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    script = "(while :; do :; done) & (while :; do :; done) & echo on; wait"
    found = execute(engine, "cpu", options(shell(script, ready="on", signal="SIGKILL")))
    assert abs(found.error("cpus=0.5")) <= CPU_TOLERANCE


@pytest.mark.beside
@pytest.mark.parametrize(
    ("program", "outcome", "reason"),
    [
        (shell("exit 3", ready="on"), Outcome.FAILED, "ended with code 3"),
        (
            Program(
                name="mine",
                description=ProgramDescription(
                    image=ProgramImage(pack="busybox"), command=("nothing",)
                ),
            ),
            Outcome.NOT_STARTED, "nothing",
        ),
        # deaf to its signal, and alive ten seconds later
        (shell("trap '' TERM; while :; do :; done"), Outcome.TIMED_OUT, "outlived its time"),
    ],
    ids=["ends", "is not there", "outlives"],
)  # fmt: skip
def test_a_program_that_misbehaves_fails_its_trial_and_the_sweep_goes_on(
    engine: DockerEngine, program: Program, outcome: Outcome, reason: str
) -> None:
    needs("busybox", "busybox-static")
    found = execute(engine, "cpu", options(program))
    assert found.outcomes("cpus=0.5") == [outcome] * 2
    assert reason in (found.records[0].failure or "")


def test_stress_ng(engine: DockerEngine) -> None:
    needs("stress-ng", "stress-ng")
    program = programs.find("stress-ng", workloads_root())
    found = execute(engine, "cpu", options(program))
    assert abs(found.error("cpus=0.5")) <= CPU_TOLERANCE
    assert found.metric("cpus=0.5", "bogo_rate") > 0
