"""The private engine, for real: one of its own in /tmp, beside whatever engine the others use."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from harness.engine import daemon
from harness.engine.connect import find_engine, start_private
from harness.engine.docker_engine import DockerEngine
from harness.judge.cpu import achieved_cpus
from harness.judge.laws.cpu import cpus_of
from harness.limits import format_cpu_list
from harness.model import Outcome
from harness.plan.axes import Options
from tests.docker.command import BENCH
from tests.docker.leftovers import left_of
from tests.docker.measuring import execute

pytestmark = [
    pytest.mark.engine,
    pytest.mark.beside,
    pytest.mark.skipif(os.geteuid() != 0, reason="a private engine takes root"),
]


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


def listens_to_nobody_else(pid: int | None, folder: Path) -> None:
    """No port of any network, and no file that another user could open, look into or connect to."""
    assert pid is not None
    engine = psutil.Process(pid)
    of_engine = {pid, *(one.pid for one in engine.children(recursive=True))}
    assert len(of_engine) > 1  # its containerd
    assert [c for c in psutil.net_connections("inet") if c.pid in of_engine] == []

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(folder) == 0o700
    assert mode(folder / "docker.sock") & 0o117 == 0  # root's, or its group's
    assert mode(folder / "dockerd.log") == 0o600
    others = [path for path in (folder, *folder.iterdir()) if path.stat().st_uid != os.geteuid()]
    assert others == []


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU is all that there is")
def test_an_engine_that_is_kept_to_the_last_cpu(folder: Path) -> None:
    """CPUAffinity=, taskset: its number of CPUs is 1, and its containers may be given all."""
    mine = os.sched_getaffinity(0)
    last = max(mine)
    os.sched_setaffinity(0, {last})
    try:
        start_private(lambda _: None)
    finally:
        os.sched_setaffinity(0, mine)
    connection = find_engine(daemon.host())
    assert connection is not None
    engine = DockerEngine(connection)
    facts = engine.facts()
    assert facts.cpus == 1
    assert set(facts.cpus_to_give.numbers) >= mine
    every = format_cpu_list(frozenset(mine))
    found = execute(engine, "cpuset", Options(values=f"{last};{every}", quick=True, repeats=1))
    # Those that others disturbed are measured again.
    assert {record.outcome for record in found.records} == {Outcome.COMPLETED}
    assert {record.point_id for record in found.records} == {f"cpuset={last}", f"cpuset={every}"}
    for record in found.records:
        (container,) = record.containers
        allowed = cpus_of(container)
        used = achieved_cpus(container)
        assert allowed is not None
        assert last in allowed  # all of them but for kernel 6.2 and later with an older runc
        assert used is not None
        assert used <= len(allowed) * 1.05
    connection.api.close()


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
    listens_to_nobody_else(started.pid, folder)
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
