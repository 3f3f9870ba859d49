"""`bench resume` on a real engine: what was cut off comes to the end that it would have had."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine.connect import Connection
from harness.measure.queue import Queue
from harness.plan.axes import Options
from harness.store import checks, listing, runs
from harness.store.runs import Run
from tests.docker.command import BENCH, bench_env, wait_for_trials
from tests.docker.leftovers import ours
from tests.runs import stored

pytestmark = [pytest.mark.engine, pytest.mark.beside]

Bench = Callable[..., subprocess.CompletedProcess[str]]
SWEEP = ("--sweep", "cpu", "--values", "0.25", "--duration", "0.5", "--repeats", "5")


@pytest.fixture
def bench(engine_connection: Connection, tmp_path: Path) -> Bench:
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BENCH, *args], cwd=tmp_path, env=bench_env(engine_connection), capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def ended_by(engine_connection: Connection, tmp_path: Path) -> Callable[..., str]:
    def run(signum: int, trials: int, *args: str) -> str:
        """A command that got a signal after so many trials; what it had said."""
        process = subprocess.Popen(
            [BENCH, *args], cwd=tmp_path, env=bench_env(engine_connection),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for_trials(tmp_path, trials)
        process.send_signal(signum)
        return process.communicate(timeout=60)[1]

    return run


def only_run(folder: Path) -> Run:
    (path,) = (folder / "results").iterdir()
    return runs.load(path)


def is_what_it_would_have_been(run: Run) -> bool:
    """Whether its trials are those that the plan comes to, each once and none too many."""
    info = run.info
    queue = Queue(info.plan, info.engine, info.host, run.trials)
    return not queue.is_open and queue.done == len(run.trials)


def test_a_sweep_that_was_killed_is_resumed_to_the_set_of_one_that_was_not(
    engine_connection: Connection, bench: Bench, ended_by: Callable[..., str], tmp_path: Path
) -> None:
    ended_by(signal.SIGKILL, 2, "sweep", "cpu", "--values", "0.25,0.5", "--duration", "0.5",
             "--repeats", "4")  # fmt: skip
    killed = only_run(tmp_path)
    assert (killed.info.status, killed.info.reason) == ("interrupted", "its process is gone")
    with (killed.path / "trials.jsonl").open("ab") as lines:
        lines.write(b'{"index": 3, "torn')
    kept = (killed.path / "trials.jsonl").read_bytes().splitlines()[:-1]

    document = json.loads((killed.path / "run.json").read_text())
    kernel = document["engine"]["kernel"]
    document["engine"]["kernel"] = "6.0.0"
    (killed.path / "run.json").write_bytes(checks.stamped(json.dumps(document).encode()))
    refused = bench("resume")
    assert refused.returncode == 3
    assert f"kernel was 6.0.0, is {kernel}." in refused.stderr
    assert only_run(tmp_path).info.gaps == ()

    done = bench("resume", "--allow", "kernel", "--json")
    run = only_run(tmp_path)
    # Beside other tests no trial may count: then it has measured, and says so.
    assert done.returncode in (0, 4), done.stderr
    told = json.loads(done.stdout)
    assert told["state"] == run.info.status == "finished"
    assert is_what_it_would_have_been(run)
    assert (run.path / "trials.jsonl").read_bytes().splitlines()[: len(kept)] == kept
    rows = Counter(run.samples(columns=["trial"])["trial"].to_pylist())
    assert set(rows) == {trial.index for trial in run.trials}
    (gap,) = run.info.gaps
    assert gap.trials == len(kept)
    assert gap.differences == (f"kernel was 6.0.0, is {kernel}",)
    assert (run.path / gap.aside[0]).read_bytes() == b'{"index": 3, "torn'
    assert ours(engine_connection) == []


def test_an_interrupted_ab_run_ends_with_the_command_that_resumes_it(
    engine_connection: Connection, ended_by: Callable[..., str], tmp_path: Path
) -> None:
    said = ended_by(
        signal.SIGINT, 1, "ab", "--a", "--cpus 0.25", "--b", "--cpus 0.5", "--duration", "0.5",
        "--repeats", "5", "--markdown", "a b.md", "--results", "results",
    )  # fmt: skip
    head, _, command = said.splitlines()[-1].partition(": ")
    assert head == "To go on"
    assert only_run(tmp_path).info.status == "interrupted"
    done = subprocess.run(
        [BENCH, *shlex.split(command)[1:]], cwd=tmp_path, env=bench_env(engine_connection),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 4), done.stderr
    run = only_run(tmp_path)
    assert run.info.status == "finished"
    assert is_what_it_would_have_been(run)
    assert (tmp_path / "a b.md").exists()
    assert "a: --cpus 0.25" in done.stdout


def test_a_check_goes_on_to_its_verdict_against_the_baseline_it_began_with(
    bench: Bench, ended_by: Callable[..., str], tmp_path: Path
) -> None:
    # Another host's, so that it is told by name and by what was allowed to differ.
    before = stored(tmp_path / "before", options=Options(values="0.25", repeats=10))
    assert bench("baseline", "set", str(before), "--name", "mine").returncode == 0
    ended_by(signal.SIGKILL, 1, "check", "--against", "mine", "--allow", "all", *SWEEP)
    done = bench("resume", "--json")
    told = json.loads(done.stdout)
    run = only_run(tmp_path)
    assert is_what_it_would_have_been(run)
    assert (told["before"]["run"], told["after"]["run"]) == (before.name, run.path.name)
    assert {one["allowed"] for one in told["differences"]} == {True}


def test_a_calibration_goes_on_with_the_runs_that_it_lacks(
    bench: Bench, ended_by: Callable[..., str], tmp_path: Path
) -> None:
    ended_by(signal.SIGTERM, 6, "calibrate", "--runs", "3", *SWEEP)
    bench("resume")
    found = [runs.load(one.path) for one in listing.list_runs(tmp_path / "results").runs]
    assert [run.info.status for run in found] == ["finished"] * 3
    assert all(is_what_it_would_have_been(run) for run in found)
    assert sorted(len(run.info.gaps) for run in found) == [0, 0, 1]
    assert "nothing is left to do" in bench("resume").stderr
