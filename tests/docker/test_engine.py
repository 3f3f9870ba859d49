"""The private engine, for real: one of its own in /tmp, beside whatever engine the others use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engine import Connection, DockerEngine, daemon, find_engine, start_private
from harness.engine.install import find_tool

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="a private engine takes root"),
]

BENCH = str(Path(sys.executable).with_name("bench"))


@pytest.fixture
def folder(engine_connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The engine's folder. After each test, nothing of the engine is left."""
    if find_tool("dockerd") is None:
        pytest.skip("dockerd is not installed: the engine in use came from elsewhere")
    sockets = sorted(Path("/run/containerd").rglob("*"))
    # A short path: pytest's own are too long for the engine's sockets.
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as made:
        folder = Path(made) / "e"
        monkeypatch.setenv("BENCH_ENGINE_DIR", str(folder))
        try:
            yield folder
        finally:
            daemon.stop(purge=True)
        assert not folder.exists()
        assert left_of(folder) == []
    assert sorted(Path("/run/containerd").rglob("*")) == sockets


def left_of(folder: Path) -> list[str]:
    """Command lines and mounts, here and in every process's namespace, that name the folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                line = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
                mounts = (process / "mounts").read_text().splitlines()
            except OSError:
                continue
            found += [text for text in (line, *mounts) if f"{folder}/" in text]
    return found


def run_container() -> tuple[int, list[Path]]:
    """A container that waits for a word that never comes: its pid, its cgroups."""
    connection = find_engine(daemon.host())
    assert connection is not None
    assert connection.private
    api = connection.api
    image = DockerEngine(connection).prepare_images().image_id
    created = api.create_container(
        image, ["spin", "--threads", "1", "--deadline", "300"], stdin_open=True,
        network_disabled=True, host_config=api.create_host_config(network_mode="none"),
    )  # fmt: skip
    api.start(created["Id"])
    pid = int(api.inspect_container(created["Id"])["State"]["Pid"])
    api.close()
    cgroups = [path for path in Path("/sys/fs/cgroup").rglob(f"*{created['Id']}*") if path.is_dir()]
    assert pid
    assert cgroups
    return pid, cgroups


def gone(pid: int) -> bool:
    """Whether the process ends soon: the last bit of that is up to its new parent."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_start_again_and_stop_while_a_container_runs(folder: Path) -> None:
    said: list[str] = []
    started = start_private(said.append)
    assert started.answers
    assert len(said) == 1
    assert str(folder) in said[0]
    assert start_private(pytest.fail) == started
    # the system's containerd, if there is one, is out of its sight
    assert " /run/containerd tmpfs " in Path(f"/proc/{started.pid}/mounts").read_text()

    pid, cgroups = run_container()
    # what it mounts, it mounts for itself
    assert str(folder) not in Path("/proc/self/mounts").read_text()
    assert daemon.stop()
    assert gone(pid)
    assert not any(path.exists() for path in cgroups)
    assert left_of(folder) == []
    assert sorted(p.name for p in folder.iterdir()) == ["data", "dockerd.json", "dockerd.log"]
    assert not daemon.stop()

    # the image is still there
    started = start_private(said.append)
    connection = find_engine(started.host)
    assert connection is not None
    assert len(connection.api.images()) == 1
    connection.api.close()


def test_two_commands_start_one_engine(folder: Path, tmp_path: Path) -> None:
    commands = [
        subprocess.Popen([BENCH, "engine", "start", "--json"], cwd=tmp_path, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    told = [command.communicate(timeout=90) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], told
    first, second = (json.loads(stdout)["pid"] for stdout, _ in told)
    assert first == second
    # the commands are gone, it is not
    status = subprocess.run([BENCH, "engine", "status", "--json"], cwd=tmp_path, text=True,
                            capture_output=True, check=True)  # fmt: skip
    assert json.loads(status.stdout)["pid"] == first


def test_a_dockerd_that_was_killed_is_followed_by_a_clean_one(folder: Path) -> None:
    started = start_private(lambda _: None)
    assert started.pid is not None
    pid, cgroups = run_container()
    os.kill(started.pid, signal.SIGKILL)
    assert gone(started.pid)
    assert Path(f"/proc/{pid}/cmdline").read_bytes()  # the container goes on without its engine
    assert not daemon.status().answers

    again = start_private(lambda _: None)
    assert again.pid != started.pid
    assert gone(pid)
    assert not any(path.exists() for path in cgroups)
    run_container()


def test_stop_cleans_up_after_a_dockerd_that_was_killed(folder: Path) -> None:
    started = start_private(lambda _: None)
    assert started.pid is not None
    pid, cgroups = run_container()
    os.kill(started.pid, signal.SIGKILL)
    assert gone(started.pid)
    daemon.stop()
    assert gone(pid)
    assert not any(path.exists() for path in cgroups)
    assert left_of(folder) == []
