"""`bench sweep cpu` on a real engine: measured numbers against the promise, and what goes wrong."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from harness.engine.boundary import LABEL, Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.errors import EngineRefusedError
from harness.measure import runner
from harness.model import ContainerSpec, Limits, Outcome, Status
from harness.plan.axes import Options
from harness.store import runs
from tests.docker.command import BENCH, bench_env, wait_for_trials
from tests.docker.leftovers import ours
from tests.docker.measuring import CPU_TOLERANCE, execute

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


def test_the_command_measures_what_the_limits_promise(
    engine_connection: Connection, tmp_path: Path
) -> None:
    done = subprocess.run(
        [BENCH, "sweep", "cpu", "--values", "0.25,0.5,1", "--duration", "2.5", "--json"],
        cwd=tmp_path, env=bench_env(engine_connection), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [point["value"] for point in result["points"]] == ["0.25", "0.5", "1"]
    for point in result["points"]:
        assert point["valid"] >= 3, result["rejected"]
        (law,) = point["laws"]
        assert law["promised"] == float(point["value"])
        assert abs(law["error"]["median"]) <= CPU_TOLERANCE
        held = f"{float(point['value']) * 100_000:.0f}/100000 µs"
        assert point["limits"] == [
            {"option": "--cpus", "container": 0, "requested": held, "engine": held,
             "kernel": held, "agrees": True}
        ]  # fmt: skip
        metrics = {metric["metric"]: metric["median"] for metric in point["metrics"]}
        assert metrics["throttled_share"] > 0.9
        assert point["docker_stats_frames"] >= 1
        # an outside and an inside that nothing connects but the container
        assert metrics["inside_cpus"] == pytest.approx(metrics["cpus"], rel=0.02)
        if point["value"] == "0.5":
            assert 0.040 <= metrics["gap_max_s"] <= 0.110  # 50 ms, or a period more
    run = runs.load(tmp_path / result["path"])
    assert run.info.status == "finished"
    assert run.damage == ()
    assert run.info.workload.image_id.startswith("sha256:")
    assert run.samples().num_rows > 0.9 * 15 * 2.5 * 50
    assert ours(engine_connection) == []


def test_nothing_that_was_opened_is_left_to_be_complained_of(
    engine_connection: Connection, tmp_path: Path
) -> None:
    # In development mode Python tells of what fails while it is collected, as 3.14 always does.
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", "from harness.cli import main; main()", "sweep", "cpu",
         "--values", "0.5", "--duration", "1", "--repeats", "2"],
        cwd=tmp_path, env={**bench_env(engine_connection), "PYTHONWARNINGS": "always"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Exception ignored" not in done.stderr
    assert "ResourceWarning" not in done.stderr
    assert "2 of 2 trials done" in done.stderr
    assert done.returncode in (0, 3), done.stderr  # two trials of a second may not tell


class Unattachable:
    """The engine's client, but for one call that is refused."""

    def __init__(self, api: docker.APIClient) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def attach_socket(self, *_args: object, **_options: object) -> None:
        raise docker.errors.APIError("500 Server Error", explanation="no such runtime")


@pytest.mark.beside
def test_a_container_that_cannot_be_attached_does_not_stay(engine_connection: Connection) -> None:
    engine = DockerEngine(
        dataclasses.replace(engine_connection, api=Unattachable(engine_connection.api))
    )
    with pytest.raises(EngineRefusedError, match="no such runtime"):
        engine.create(
            name="limitbench-alone", run="alone", spec=ContainerSpec(limits=Limits()), deadline_s=5
        )
    assert ours(engine_connection) == []


def test_a_point_that_wants_the_host_is_judged_by_what_is_left(engine: DockerEngine) -> None:
    cpus = engine.facts().cpus
    found = execute(engine, "cpu", Options(values=f"{cpus}", duration_s=2.0))
    summary = found.summary(f"cpus={cpus}")
    assert summary.valid >= 3, summary.rejected
    expected = summary.results[0].expected
    assert expected is not None
    assert expected < cpus
    assert abs(found.error(f"cpus={cpus}")) <= CPU_TOLERANCE


class FivePercentOff(DockerEngine):
    """A product made wrong on purpose: the limit that it sets is not the one asked for."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        assert spec.limits.cpus is not None
        limits = dataclasses.replace(spec.limits, cpus=spec.limits.cpus * 1.05)
        wrong = dataclasses.replace(spec, limits=limits)
        return super().create(
            name=name, run=run, spec=wrong, deadline_s=deadline_s, together=together
        )


def test_a_quota_five_percent_off_is_found_by_its_numbers_and_by_the_read_back(
    engine_connection: Connection,
) -> None:
    wrong = FivePercentOff(engine_connection)
    found = execute(wrong, "cpu", Options(values="0.5", duration_s=2.0))
    verdict = found.verdict("cpus=0.5")
    assert verdict.status is Status.DEVIATES, verdict.reason
    assert "the kernel holds 52500/100000 µs" in verdict.reason
    assert found.error("cpus=0.5") == pytest.approx(0.05, abs=0.01)


@pytest.mark.beside
def test_the_wrong_containers_cgroup_is_rejected(engine: DockerEngine) -> None:
    idle = engine.create(
        name="limitbench-test-idle", run="test-idle", spec=ContainerSpec(limits=Limits()),
        deadline_s=60,
    )  # fmt: skip
    try:
        pid = idle.start()

        def wrong(where: runner.Surroundings) -> runner.Surroundings:
            right = where.observe
            return dataclasses.replace(
                where, observe=lambda _containers, *rest: right([(pid, idle.id)], *rest)
            )

        found = execute(
            engine, "cpu", Options(values="0.5", duration_s=1.0, repeats=2), change=wrong
        )
    finally:
        idle.remove()
    assert all("not the same thing was measured" in (r.invalid or "") for r in found.records)
    assert found.status("cpus=0.5") is Status.INCONCLUSIVE


@pytest.mark.beside
def test_a_limit_that_the_engine_refuses_is_a_trial_that_did_not_start(
    engine_connection: Connection,
) -> None:
    class Refused(DockerEngine):
        def create(
            self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
        ) -> Container:
            beyond = dataclasses.replace(spec, limits=Limits(cpus=4096.0))
            return super().create(
                name=name, run=run, spec=beyond, deadline_s=deadline_s, together=together
            )

    found = execute(Refused(engine_connection), "cpu", Options(values="0.5", repeats=2))
    assert found.outcomes("cpus=0.5") == [Outcome.NOT_STARTED] * 2
    assert "range of cpus" in (found.records[0].failure or "").lower()


@pytest.mark.beside
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupt_keeps_finished_trials_and_leaves_no_container(
    engine_connection: Connection, tmp_path: Path, signum: int, code: int
) -> None:
    process = subprocess.Popen(
        [BENCH, "sweep", "cpu", "--quick", "--repeats", "50"], cwd=tmp_path,
        env=bench_env(engine_connection), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_trials(tmp_path, 1)
    time.sleep(0.9)  # into a window
    process.send_signal(signum)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == code, stderr
    assert "Traceback" not in stderr
    assert "interrupted" in stdout
    (path,) = (tmp_path / "results").iterdir()
    run = runs.load(path)
    assert run.info.status == "interrupted"
    assert len(run.trials) >= 1
    assert run.samples().num_rows > 0
    assert ours(engine_connection) == []


@pytest.mark.beside
def test_the_workload_ends_by_itself_where_the_harness_is_killed(
    engine_connection: Connection, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [BENCH, "sweep", "cpu", "--values", "0.5", "--duration", "1"], cwd=tmp_path,
        env=bench_env(engine_connection), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for_trials(tmp_path, 1)
    time.sleep(0.9)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if not engine_connection.api.containers(filters={"label": LABEL}):
                break
            time.sleep(0.1)
        assert engine_connection.api.containers(filters={"label": LABEL}) == []
    finally:
        done = subprocess.run(
            [BENCH, "clean", "--json"], env=bench_env(engine_connection), cwd=tmp_path,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert json.loads(done.stdout)["removed"] == 1
    assert ours(engine_connection) == []
