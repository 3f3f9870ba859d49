"""`bench check` and `bench ab` on a real engine: red where a fault is, green where none is."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.host import identity
from harness.measure import runner
from harness.model import ContainerSpec
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import runs as store_runs
from tests.docker.command import BENCH, bench_env

pytestmark = pytest.mark.engine

VALUES, SECONDS, REPEATS = "0.5", 1.0, 10
Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(engine_connection: Connection, tmp_path: Path) -> Bench:
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BENCH, *args], cwd=tmp_path, env=bench_env(engine_connection), capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


class AnotherQuota(DockerEngine):
    """A product made wrong on purpose: the quota in force is 5 % less than the plan says."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        assert spec.limits.cpus is not None
        limits = dataclasses.replace(spec.limits, cpus=spec.limits.cpus * 0.95)
        wrong = dataclasses.replace(spec, limits=limits)
        return super().create(
            name=name, run=run, spec=wrong, deadline_s=deadline_s, together=together
        )


def measured(engine: DockerEngine, results: Path) -> str:
    """A run of the same points on that engine; its name."""
    facts, host_facts = engine.facts(), identity.facts()
    plan = planning.build(
        "cpu", Options(values=VALUES, duration_s=SECONDS, repeats=REPEATS), cpus=facts.cpus_to_give
    )
    run = store_runs.create(results, plan, host=host_facts, engine=facts,
                       workload=engine.prepare_images(()))  # fmt: skip
    where = runner.real_surroundings(engine, facts, host_facts)
    runner.run_plan(plan, run.info.name, where, run.keep, runner.Listener())
    run.finish("finished")
    return run.info.name


def test_a_check_is_green_where_nothing_changed_and_red_where_the_quota_did(
    engine_connection: Connection, bench: Bench, tmp_path: Path
) -> None:
    before = bench("sweep", "cpu", "--values", VALUES, "--duration", f"{SECONDS}", "--repeats",
                   f"{REPEATS}", "--json")  # fmt: skip
    assert before.returncode == 0, before.stderr
    assert bench("baseline", "set").returncode == 0
    # No --sweep: it measures the points of the baseline again, as they were measured.
    same = bench("check", "--json")
    told = json.loads(same.stdout)
    assert same.returncode == 0, told["headline"]
    (cpus,) = [one for one in told["comparisons"] if one["metric"] == "cpus"]
    assert (cpus["point"], cpus["verdict"]) == ("cpus=0.5", "same")

    wrong = measured(AnotherQuota(engine_connection), tmp_path / "results")
    red = bench("check", wrong, "--json")
    assert red.returncode == 1
    (cpus,) = [one for one in json.loads(red.stdout)["comparisons"] if one["metric"] == "cpus"]
    assert cpus["verdict"] == "regressed"
    assert cpus["change"] == pytest.approx(-0.05, abs=0.01)
    assert "the kernel holds 47500/100000 µs" in cpus["reason"]


def test_who_takes_the_cpus_for_a_while_is_waited_out(bench: Bench) -> None:
    busy = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"
    cpus = os.cpu_count() or 1
    with contextlib.ExitStack() as stack:
        for _ in range(cpus):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", busy]))
            stack.callback(process.kill)
        done = bench("check", "--sweep", "cpu", "--values", VALUES, "--duration", f"{SECONDS}",
                     "--repeats", "5", "--budget", "20", "--json")  # fmt: skip
    assert "Paused: other processes used" in done.stderr
    assert "Resumed after" in done.stderr
    assert done.returncode == 0, done.stderr
    (law,) = json.loads(done.stdout)["laws"]
    assert law["after"] == "conforms"


def test_nothing_is_measured_where_it_could_not_be_compared(bench: Bench, tmp_path: Path) -> None:
    swept = bench("sweep", "cpu", "--values", "0.5", "--duration", "0.5", "--repeats", "5")
    assert swept.returncode == 0, swept.stderr
    assert bench("baseline", "set").returncode == 0
    runs = sorted((tmp_path / "results").iterdir())
    other = bench("check", "--sweep", "shares", "--values", "1024:512")
    assert other.returncode == 3
    assert "has none of the points of this sweep" in other.stderr

    path = tmp_path / "baselines" / "default.json"
    document = json.loads(path.read_text())
    document["baseline"]["fingerprint"]["kernel"] = "2.6.32"
    path.write_text(json.dumps(document))
    elsewhere = bench("check")
    assert elsewhere.returncode == 3
    assert elsewhere.stdout == ""
    assert "kernel was 2.6.32" in elsewhere.stderr
    assert "--allow kernel" in elsewhere.stderr
    assert sorted((tmp_path / "results").iterdir()) == runs


def test_two_settings_alternate_in_one_run(bench: Bench, tmp_path: Path) -> None:
    done = bench(
        "ab", "--a", "--cpus 0.5", "--b", "--cpu-quota 5000 --cpu-period 10000 --runtime runc",
        "--duration", "1", "--repeats", "6", "--threads", "1", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    found = {one["metric"]: one for one in told["comparisons"] if one["point"] == "limits"}
    assert found["cpus"]["verdict"] != "regressed", found["cpus"]["reason"]
    assert found["cpus"]["change"] == pytest.approx(0, abs=0.02)
    # What a period of 10 ms instead of 100 is good for.
    assert found["gap_s"]["verdict"] == "improved", found["gap_s"]["reason"]
    (run,) = (store_runs.load(path) for path in (tmp_path / "results").iterdir())
    assert [side.name for side in run.info.sides] == ["a", "b"]
    assert [trial.point_id[0] for trial in run.trials[:2]] in (["a", "b"], ["b", "a"])
