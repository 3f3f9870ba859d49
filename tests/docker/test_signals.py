"""Signals at any moment of a sweep, and a terminal that goes away."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness.engine.connect import Connection
from harness.store import runs
from tests.docker.command import BENCH, bench_env, wait_for_trials
from tests.docker.leftovers import ours
from tests.docker.slowed import slowed

pytestmark = [pytest.mark.engine, pytest.mark.beside, pytest.mark.slow]

SHORT = ("sweep", "cpu", "--values", "0.5,1", "--duration", "0.5", "--warmup", "0.1")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOMENTS = 9
UP_S = 1.0
"""After a command's start: Python itself answers a signal before its first line is read."""
AFTER_S = 4.0
SLOW_S = 1.0


def test_a_signal_at_any_moment_leaves_nothing_but_finished_trials(
    engine_connection: Connection, tmp_path: Path
) -> None:
    moments = random.Random(13)
    for number in range(MOMENTS):
        signum = SIGNALS[number % len(SIGNALS)]
        folder = tmp_path / str(number)
        folder.mkdir()
        with subprocess.Popen(
            [BENCH, *SHORT, "--repeats", "50"], cwd=folder, env=bench_env(engine_connection),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            time.sleep(UP_S + moments.uniform(0, AFTER_S))
            process.send_signal(signum)
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 128 + signum, stderr
        assert "Traceback" not in stderr
        assert ours(engine_connection) == []
        for path in folder.glob("results/*"):
            run = runs.load(path)
            assert run.info.status == "interrupted"
            assert run.damage == ()
            assert len(run.trials) == (path / "trials.jsonl").read_bytes().count(b"\n")


@pytest.mark.parametrize("signum", SIGNALS, ids=lambda one: one.name)
@pytest.mark.parametrize("request_", [b"POST /v1.41/containers/create", b"DELETE "])
def test_a_signal_while_the_engine_creates_or_removes_leaves_nothing(
    engine_connection: Connection, tmp_path: Path, request_: bytes, signum: signal.Signals
) -> None:
    request_ = request_.replace(b"1.41", engine_connection.api.api_version.encode())
    with (
        tempfile.TemporaryDirectory(prefix="lb-") as folder,  # short, as a socket's path must be
        slowed(engine_connection.host, Path(folder), request_, SLOW_S) as slow,
        subprocess.Popen(
            [BENCH, *SHORT, "--repeats", "50", "--engine-host", slow.host], cwd=tmp_path,
            env=bench_env(engine_connection), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):  # fmt: skip
        assert slow.waiting.wait(60)
        time.sleep(SLOW_S / 2)  # into the middle of it
        process.send_signal(signum)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, stderr
    assert "Traceback" not in stderr
    assert "To go on: bench resume" in stderr
    assert ours(engine_connection) == []
    (path,) = (tmp_path / "results").iterdir()
    assert runs.load(path).info.status == "interrupted"


def test_readers_that_go_away_end_no_measurement(
    engine_connection: Connection, tmp_path: Path
) -> None:
    read, write = os.pipe()
    with subprocess.Popen(
        [BENCH, *SHORT, "--repeats", "2"], cwd=tmp_path, env=bench_env(engine_connection),
        stdout=write, stderr=write,
    ) as process:  # fmt: skip
        os.close(write)
        os.read(read, 1)
        os.close(read)
        assert process.wait(120) in (4, 128 + signal.SIGPIPE)  # 4 where the host is too busy
    (path,) = (tmp_path / "results").iterdir()
    assert runs.load(path).info.status == "finished"
    assert ours(engine_connection) == []
    log = (path / "bench.log").read_text()
    for stream in ("attach to ", "attached stream of ", "stats stream of "):
        assert log.count(stream) >= 4, "two points of two trials"
    assert " ms after the start, " in log


def test_a_terminal_that_goes_away_ends_it_like_an_interrupt(
    engine_connection: Connection, tmp_path: Path
) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(BENCH, [BENCH, *SHORT, "--repeats", "50"], bench_env(engine_connection))
    wait_for_trials(tmp_path, 1)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGHUP
    (path,) = (tmp_path / "results").iterdir()
    assert runs.load(path).info.status == "interrupted"
    assert ours(engine_connection) == []
