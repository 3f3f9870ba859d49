"""What a bench that died leaves: on an engine that lives, and beside one that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.engine import daemon
from harness.engine.connect import Connection, find_engine, start_private
from tests.docker.command import BENCH, bench_env, wait_for_trials
from tests.docker.leftovers import ours

pytestmark = [pytest.mark.engine, pytest.mark.beside, pytest.mark.slow]

SWEEP = ("sweep", "cpu", "--values", "0.5", "--duration", "0.5")
HOLDS = """\
import sys, time
from harness.engine.connect import find_engine
from harness.engine.docker_engine import DockerEngine
from harness.model import ContainerSpec, Limits, Spin
spec = ContainerSpec(limits=Limits(cpus=0.5), workload=Spin(threads=1))
engine = DockerEngine(find_engine(sys.argv[1]))
made = engine.create(name="limitbench-left", run="left", spec=spec, deadline_s=300)
print(made.start(), made.id, flush=True)
time.sleep(300)
"""


def bench(connection: Connection, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BENCH, *args], cwd=folder, env=bench_env(connection), text=True, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip


@contextmanager
def holder(host: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A process that has a container: with the container's pid and id."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, host], text=True, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            pid, container = process.stdout.readline().split()
            yield process, int(pid), container
        finally:
            process.kill()


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def cgroups(container: str) -> list[Path]:
    """Of a container: named after it, or as systemd does (``docker-ID.scope``)."""
    return list(Path("/sys/fs/cgroup").rglob(f"*{container}*"))


def test_the_next_command_removes_what_a_dead_one_left_and_nothing_of_a_living_one(
    engine_connection: Connection, tmp_path: Path
) -> None:
    with holder(engine_connection.host) as (process, _, container):
        assert json.loads(bench(engine_connection, tmp_path, "clean", "--json").stdout) == {
            "removed": 0, "images": 0, "volumes": 0, "folders": 0, "devices": 0,
            "cgroups": 0, "engine": engine_connection.host, "ended": [],
        }  # fmt: skip
        assert ours(engine_connection) == [container]
        process.kill()
        process.wait()
        doctor = bench(engine_connection, tmp_path, "doctor").stdout
        assert f"a bench that died has left container {container[:12]}" in doctor
        swept = bench(engine_connection, tmp_path, *SWEEP, "--repeats", "1")
        assert "Removed 1 container that a bench which died had left" in swept.stderr
    assert ours(engine_connection) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a private engine takes root")
def test_what_a_killed_engine_left_is_named_and_ended_by_its_process(
    engine_connection: Connection, folder: Path, tmp_path: Path
) -> None:
    status = start_private(print)
    assert status.pid is not None
    with holder(status.host) as (process, pid, container):
        os.kill(status.pid, signal.SIGKILL)
        time.sleep(0.5)
        process.kill()
        process.wait()
    assert b"spin" in command_of(pid)  # its shim lives, and it with it
    assert cgroups(container)
    doctor = bench(engine_connection, tmp_path, "doctor").stdout
    assert f"pid {pid} (" in doctor
    cleaned = bench(engine_connection, tmp_path, "clean")
    assert f"Ended pid {pid} (" in cleaned.stdout
    assert command_of(pid) == b""
    assert cgroups(container) == []
    again = bench(engine_connection, tmp_path, "clean")
    assert "Ended" not in again.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="a private engine takes root")
def test_a_sweep_whose_engine_is_killed_keeps_its_trials_and_ends_its_containers(
    engine_connection: Connection, folder: Path, tmp_path: Path
) -> None:
    status = start_private(print)
    assert status.pid is not None
    private = find_engine(daemon.host())
    assert private is not None
    with subprocess.Popen(
        [BENCH, *SWEEP, "--repeats", "50"], cwd=tmp_path, env=bench_env(private), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_for_trials(tmp_path, 1)
        time.sleep(0.7)  # into a window
        os.kill(status.pid, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 4, stderr
    assert "the engine stopped answering" in stderr
    assert "failed" in stdout
    left = bench(engine_connection, tmp_path, "clean", "--json").stdout
    assert json.loads(left)["ended"] == []
