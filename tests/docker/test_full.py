"""The commands on a results folder that is full, read-only, or goes away while they measure."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engine.connect import Connection
from harness.store import runs
from tests.docker.command import BENCH, bench_env, wait_for_trials
from tests.docker.leftovers import ours

pytestmark = [
    pytest.mark.engine,
    pytest.mark.beside,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root"),
]

SWEEP = ("sweep", "cpu", "--values", "0.5", "--duration", "0.3", "--warmup", "0.1")
EVERY = ("--values", "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1")
"""So many points that the plan alone takes more than 8 KiB."""


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A results folder that is a file system of so many KiB."""
    path = tmp_path / "results"
    path.mkdir()
    options = ["-o", f"size={request.param}k", "none", str(path)]
    if subprocess.run(["mount", "-t", "tmpfs", *options], check=False).returncode:
        pytest.skip("no mounting here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def begun(connection: Connection, folder: Path, repeats: int, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BENCH, *SWEEP, "--repeats", str(repeats), *more], cwd=folder, env=bench_env(connection),
        text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def told(process: subprocess.Popen[str]) -> list[str]:
    """The lines that stand where a command ended with 2, but for its progress."""
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    assert "Traceback" not in stderr
    lines = stderr.splitlines()
    assert sum(line.startswith("bench: ") for line in lines) == 1, stderr
    return lines[next(i for i, line in enumerate(lines) if line.startswith("bench: ")) :]


@pytest.mark.parametrize("small", [64], indirect=True)
def test_a_folder_that_grows_full_ends_a_sweep_in_a_line_and_it_is_resumed(
    engine_connection: Connection, small: Path, tmp_path: Path
) -> None:
    error, resume = told(begun(engine_connection, tmp_path, 60))
    assert "No space left on device. Finished trials are kept." in error
    assert resume.startswith("To go on: bench resume ")
    (path,) = (one for one in small.iterdir() if one.is_dir())
    kept = runs.load(path)
    assert kept.trials
    assert kept.damage == ()
    assert ours(engine_connection) == []
    shown = subprocess.run([BENCH, "show"], cwd=tmp_path, capture_output=True, check=False)
    assert shown.returncode in (0, 3), shown.stderr


@pytest.mark.parametrize("small", [8], indirect=True)
def test_a_folder_without_room_for_a_run_is_told_in_a_line(
    engine_connection: Connection, small: Path, tmp_path: Path
) -> None:
    (error,) = told(begun(engine_connection, tmp_path, 5, *EVERY))
    assert "No space left on device" in error
    assert list(small.iterdir()) == []


@pytest.mark.parametrize("small", [8], indirect=True)
def test_a_folder_without_room_for_a_trial_keeps_a_run_that_can_be_resumed(
    engine_connection: Connection, small: Path, tmp_path: Path
) -> None:
    error, resume = told(begun(engine_connection, tmp_path, 5))
    assert "No space left on device" in error
    assert resume.startswith("To go on: bench resume ")
    (path,) = small.iterdir()
    assert runs.load(path).trials == ()
    assert ours(engine_connection) == []


@pytest.mark.parametrize("small", [64], indirect=True)
def test_a_folder_that_is_read_only_is_told_in_a_line(
    engine_connection: Connection, small: Path, tmp_path: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    (error,) = told(begun(engine_connection, tmp_path, 5))
    assert "Read-only file system" in error


def test_a_folder_that_becomes_read_only_keeps_what_it_has(
    engine_connection: Connection, tmp_path: Path
) -> None:
    """By a bind mount: a tmpfs with a file that is open for writing is not made read-only."""
    results = tmp_path / "results"
    process = begun(engine_connection, tmp_path, 60)
    wait_for_trials(tmp_path, 1)
    (path,) = results.iterdir()
    subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
    try:
        error, *_ = told(process)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
    assert "Read-only file system" in error
    assert runs.load(path).trials
    assert ours(engine_connection) == []


def test_a_folder_that_is_removed_amid_a_sweep_is_told_in_a_line(
    engine_connection: Connection, tmp_path: Path
) -> None:
    process = begun(engine_connection, tmp_path, 60)
    wait_for_trials(tmp_path, 1)
    time.sleep(0.2)
    shutil.rmtree(tmp_path / "results", ignore_errors=True)
    error, *_ = told(process)
    assert "No such file or directory" in error or "is gone" in error
    assert ours(engine_connection) == []
