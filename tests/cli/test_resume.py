"""`bench resume` where it needs no engine, and the line that tells how to go on.

What it measures is in tests/docker/test_resume.py, what it finds on disk in tests/store.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli import measuring
from harness.cli.resume import resume
from harness.cli.sweep import sweep
from harness.measure import runner
from harness.model import ForCalibration, ForCheck, ForFound, Purpose
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import runs
from tests.command import NO_ENGINE, bench, one_line
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World
from tests.runs import stored

SHORT = Options(values="0.5", repeats=2, duration_s=0.5, cadence_hz=4.0)


def altered(path: Path, **facts: Any) -> str:
    """Change a run's facts on disk; its name."""
    document = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**document, **facts}))
    return path.name


def dead(path: Path) -> str:
    """Have a run's process be one that there is not."""
    document = json.loads((path / "run.json").read_text())
    return altered(path, writer={**document["writer"], "pid": 1 << 30})


def purposed(root: Path, purpose: Purpose, name: str = "") -> str:
    plan = planning.build("cpu", SHORT, cpus=CPUS)
    run = runs.create(
        root, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS, purpose=purpose
    )
    where = World().surroundings()
    runner.run_plan(plan, run.info.name, where, run.keep, runner.Listener())
    run.finish("finished")
    return run.info.name


@pytest.mark.slow
def test_nothing_is_left_to_do_in_a_complete_run_and_where_none_is_unfinished(
    tmp_path: Path,
) -> None:
    stored(tmp_path / "results", options=SHORT)
    for args, words in (((), "No run in results is unfinished"), (("cpu",), "-cpu is complete")):
        done = bench("resume", *args, cwd=tmp_path)
        assert done.returncode == 0
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert words in line
        assert line.endswith("nothing is left to do.")


@pytest.mark.slow
def test_a_run_that_stopped_after_its_last_trial_is_closed_without_an_engine(
    tmp_path: Path,
) -> None:
    path = stored(tmp_path / "results", options=SHORT, status=None)
    dead(path)
    done = bench("resume", "--json", cwd=tmp_path, DOCKER_HOST=NO_ENGINE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], len(told["gaps"])) == ("finished", 1)
    assert (path / "samples.parquet").exists()


@pytest.mark.slow
def test_a_run_that_is_still_measured_is_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "results", options=SHORT, status=None)
    one_line(bench("resume", cwd=tmp_path), 2, f"{path.name} is still measured",
             f"process {os.getpid()}")  # fmt: skip
    document = json.loads((path / "run.json").read_text())
    altered(path, writer={**document["writer"], "host": "afar"})
    one_line(bench("resume", cwd=tmp_path), 2, "cannot be told here", "afar", "--allow host")
    assert bench("resume", "--allow", "host", cwd=tmp_path).returncode == 0
    one_line(bench("resume", "--allow", "kernal", cwd=tmp_path), 2, "Did you mean 'kernel'?")


@pytest.mark.slow
def test_what_would_do_nothing_or_be_in_vain_is_told_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    results = tmp_path / "results"
    name = altered(stored(results, options=SHORT), status="interrupted")
    one_line(bench("resume", "--junit", "x.xml", cwd=tmp_path), 2, "--junit does nothing here",
             f"{name} was begun by `bench sweep`")  # fmt: skip
    checked = purposed(results, ForCheck(against="v24"))
    altered(results / checked, status="failed")
    one_line(bench("resume", checked, cwd=tmp_path), 3, "no baseline 'v24'")
    calibrating = purposed(results, ForCalibration(runs=3, earlier=("gone",)))
    one_line(bench("resume", calibrating, cwd=tmp_path), 2, "no run 'gone'")


@pytest.mark.slow
def test_a_check_of_a_limit_that_was_found_ends_with_its_own_verdict(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for goal, code, said in (("cpus > 0.4", 0, "still does"), ("cpus > 0.6", 1, "no longer does")):
        setting = (("cpus", 0.5),)
        asked = ForFound(search="gone", setting=setting, goal=goal, confidence=0.5)
        name = purposed(results, asked)
        altered(results / name, status="interrupted")
        one_line(bench("resume", name, "--strict", cwd=tmp_path), 2, "--strict does nothing here",
                 "`bench check --found`")  # fmt: skip
        done = bench("resume", name, "--json", cwd=tmp_path)
        assert done.returncode == code, done.stderr
        told = json.loads(done.stdout)
        assert (told["answer"], told["point"], told["trials"]) == (said, "cpus=0.5", 2)


@pytest.mark.slow
def test_a_calibration_that_lacks_runs_is_unfinished_and_one_that_went_on_is_not(
    tmp_path: Path,
) -> None:
    results = tmp_path / "results"
    first = purposed(results, ForCalibration(runs=3))
    facts = asdict(replace(ENGINE_FACTS, host=NO_ENGINE, private=False))
    altered(results / first, engine=facts)
    failed = bench("resume", cwd=tmp_path)
    assert failed.returncode == 4
    said, how = failed.stderr.splitlines()
    assert NO_ENGINE in said
    assert how == f"To go on: bench resume {first}"
    second = purposed(results, ForCalibration(runs=3, earlier=(first,)))
    assert "nothing is left" in bench("resume", first, cwd=tmp_path).stderr
    purposed(results, ForCalibration(runs=3, earlier=(first, second)))
    assert "No run in results is unfinished" in bench("resume", cwd=tmp_path).stderr


# --- how to go on ------------------------------------------------------------------------------


@contextmanager
def executed(command: click.Command, *args: str) -> Iterator[None]:
    with command.make_context(command.name, list(args)):
        yield


def test_the_command_that_goes_on_has_what_it_needs_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCH_RESULTS", raising=False)
    with executed(sweep, "cpu", "--repeats", "9"):
        assert measuring.resuming(Path("results/run")) == "bench resume run"
    where = str(tmp_path / "my results; rm -r")
    with executed(sweep, "cpu", "--strict", "--json", "--results", where):
        told = measuring.resuming(Path(where) / "run")
    assert shlex.split(told) == [
        "bench", "resume", "run", "--strict", "--results", where, "--json",
    ]  # fmt: skip
    assert set(measuring._TAKEN) | {"allow"} <= {option.name for option in resume.params}
    with executed(resume, "run", "--allow", "kernel", "--allow", "image"):
        told = measuring.resuming(Path("elsewhere/run"))
    assert told == "bench resume elsewhere/run --allow kernel --allow image"


def test_an_error_bears_one_way_to_go_on_and_that_of_the_newest_run() -> None:
    with (
        pytest.raises(KeyboardInterrupt) as ended,
        measuring.resumable(Path("results/first")),
        measuring.resumable(Path("results/second")),
    ):
        raise KeyboardInterrupt
    assert ended.value.__notes__ == ["To go on: bench resume results/second"]
