"""One measurement at a time on a host: commands as processes of their own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engine.connect import Connection
from tests.docker.command import BENCH, bench_env, wait_for_trials

pytestmark = [pytest.mark.engine, pytest.mark.beside]

LONG = ("sweep", "cpu", "--values", "0.5", "--quick", "--repeats", "100")


@pytest.fixture
def measuring(engine_connection: Connection, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep that goes on and on."""
    with begun(engine_connection, tmp_path, *LONG) as process:
        try:
            wait_for_trials(tmp_path, 1)
            yield process
        finally:
            process.terminate()


def begun(connection: Connection, folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BENCH, *args], cwd=folder, env=bench_env(connection), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def done(connection: Connection, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BENCH, *args], cwd=folder, env=bench_env(connection), text=True, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_a_second_one_waits_or_refuses_and_readers_do_neither(
    measuring: subprocess.Popen[str], engine_connection: Connection, tmp_path: Path
) -> None:
    whose = f"`bench {' '.join(LONG)}` (pid {measuring.pid}, "
    for command in (LONG, ("check", "--repeats", "5"), ("audit", "--quick"), ("calibrate",),
                    ("ab", "--a", "--cpus 1", "--b", "--cpus 0.5")):  # fmt: skip
        refused = done(engine_connection, tmp_path, *command, "--no-wait")
        assert refused.returncode == 4
        assert whose in refused.stderr
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
    for reader in (("runs",), ("show",), ("sweep", "cpu", "--dry-run"), ("doctor",)):
        read = done(engine_connection, tmp_path, *reader)
        assert read.returncode == 0, read.stderr
        assert "another measurement" not in read.stderr
    with begun(engine_connection, tmp_path, *LONG) as waiting:
        assert waiting.stderr is not None
        assert whose in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(10) == 130
    with begun(engine_connection, tmp_path, *LONG[:-1], "1") as waiting:
        assert waiting.stderr is not None
        assert whose in waiting.stderr.readline()
        measuring.kill()
        told = waiting.stderr.read()
        assert waiting.wait(30) in (0, 4), told  # 4 where the host is too busy to measure
        assert "The host is free, after " in told
