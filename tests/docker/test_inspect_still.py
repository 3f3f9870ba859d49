"""``bench inspect`` of what stands still or is killed where its own counters do not show it."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import cgroup
from harness.cgroup import CgroupPaths
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.measure import protocol
from harness.model import ContainerSpec, Limits, Spin
from tests.docker.inspecting import MIB, bench

pytestmark = pytest.mark.engine

LIMITS = Limits(cpus=0.2, memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB)


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


def started(engine: DockerEngine, limits: Limits) -> Container:
    spec = ContainerSpec(limits=limits, workload=Spin(threads=1))
    container = engine.create(name="limitbench-still", run="inspect", spec=spec, deadline_s=60)
    container.start()
    container.read_line(20)
    container.write_line(protocol.go(0, 60_000_000_000))
    return container


@pytest.fixture
def spinning(engine: DockerEngine) -> Iterator[Container]:
    container = started(engine, LIMITS)
    try:
        yield container
    finally:
        container.remove()


def placed(engine: DockerEngine, container: Container) -> CgroupPaths:
    return cgroup.locate(engine.find(container.id).pid, container.id)


def told(engine: DockerEngine, container: Container, seconds: int = 1) -> dict[str, Any]:
    done = bench(engine, container.id, "--duration", f"{seconds}", "--json")
    assert done.returncode == 0, done.stderr
    return {one["id"]: one for one in json.loads(done.stdout)["findings"]}


def told_of_all(engine: DockerEngine, name: str) -> dict[str, Any]:
    done = bench(engine, "--all", "--duration", "2", "--json")
    assert done.returncode == 0, done.stderr
    of_all = {one["container"]["name"]: one for one in json.loads(done.stdout)["containers"]}
    return {one["id"]: one for one in of_all[name]["findings"]}


def test_what_the_freezer_holds_is_no_idle_container(
    engine: DockerEngine, spinning: Container
) -> None:
    paths = placed(engine, spinning)
    file, held, free = (
        ("freezer/freezer.state", "FROZEN", "THAWED")
        if paths.version == 1
        else ("unified/cgroup.freeze", "1", "0")
    )
    controller, name = file.split("/")
    folder = paths.folder(controller)
    assert folder is not None
    assert "container-frozen" not in told(engine, spinning)
    (folder / name).write_text(held)
    try:
        found = told(engine, spinning)
    finally:
        (folder / name).write_text(free)
    assert "its own cgroup is frozen" in found["container-frozen"]["text"]
    assert "threads-stuck" not in found


def test_what_a_signal_has_stopped_is_no_idle_container(
    engine: DockerEngine, spinning: Container
) -> None:
    assert "threads-stopped" not in told(engine, spinning)
    engine._api.kill(spinning.id, signal.SIGSTOP)
    found = told(engine, spinning)
    of_all = told_of_all(engine, "limitbench-still")
    engine._api.kill(spinning.id, signal.SIGCONT)
    assert "stopped by a signal" in found["threads-stopped"]["text"]
    assert of_all["threads-stopped"]["text"] == found["threads-stopped"]["text"]


def test_every_cpu_of_a_cpuset_in_use_below_a_wider_quota_is_no_ok(engine: DockerEngine) -> None:
    cpus = engine.facts().cpus_to_give
    quota = min(2, cpus.most)
    container = started(engine, Limits(cpus=quota, cpuset_cpus=f"{max(cpus.numbers)}"))
    try:
        found = told(engine, container, 3)
    finally:
        container.remove()
    # It has all of that CPU, or others have their part of it just now.
    assert {"cpu-all-used", "cpu-contended"} & found.keys()


HOARDER = """
import sys
input()
held = bytearray(200 << 20)
"""


def test_a_kill_in_a_cgroup_below_is_the_containers(
    engine: DockerEngine, spinning: Container
) -> None:
    """As of a nested engine's container: v1 counts it there alone."""
    paths = placed(engine, spinning)
    folder = paths.folder("memory")
    assert folder is not None
    if paths.version == 2:
        pytest.skip("v2 counts a kill in each cgroup above, and has none below one with processes")
    inner = folder / "inner"
    inner.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOARDER], stdin=subprocess.PIPE) as hoarder:
        try:
            (inner / "cgroup.procs").write_text(f"{hoarder.pid}")
            assert "memory-oom-killed-before" not in told(engine, spinning)
            hoarder.communicate(b"\n", timeout=30)
            assert hoarder.returncode == -signal.SIGKILL
            found = told(engine, spinning)
        finally:
            hoarder.kill()
            hoarder.wait()
            time.sleep(0.2)
            inner.rmdir()
    assert "killed 1 process in it" in found["memory-oom-killed-before"]["text"]


def test_shared_memory_that_is_full_is_told_and_one_that_is_not_is_not(
    engine: DockerEngine,
) -> None:
    container = started(engine, dataclasses.replace(LIMITS, shm_size_bytes=4 * MIB))
    try:
        assert "disk-full" not in told(engine, container)
        shm = Path(f"/proc/{engine.find(container.id).pid}/root/dev/shm/all-of-it")
        with pytest.raises(OSError, match="No space left"):
            shm.write_bytes(bytes(5 * MIB))
        found = told(engine, container)["disk-full"]
        assert found["grade"] == "bad"
        assert "0 KiB of the 4.0 MiB at /dev/shm are left" in found["text"]
        assert "disk-full" in told_of_all(engine, "limitbench-still")
    finally:
        container.remove()
