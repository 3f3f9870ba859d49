"""``bench inspect`` where what binds is a cgroup above the container, which others are in too."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import cgroup
from harness.cgroup import CgroupPaths
from harness.engine.boundary import LABEL, Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.measure import protocol
from harness.model import Growth, Spin, Workload
from tests.docker.inspecting import MIB, bench

pytestmark = pytest.mark.engine

PARENTS = {"cgroupfs": "/limitbench-test-above/pod", "systemd": "limitbench_test-above.slice"}
"""Two cgroups deep: systemd makes those of a slice's name."""


class Pod:
    """Containers that share what is above them; its upper cgroup is where limits are written."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine, self._containers = engine, list[Container]()
        self.paths: CgroupPaths | None = None

    def run(self, name: str, workload: Workload) -> Container:
        """A container below it, which waits for ``go``."""
        engine = self._engine
        engine.prepare_images()
        parent = PARENTS[engine.facts().cgroup_driver]
        container = engine._created(
            engine._image_id,
            command=workload.command_line(60),
            name=name, labels={LABEL: "inspect"}, stdin_open=True, network_disabled=True,
            host_config=engine._api.create_host_config(cgroup_parent=parent, network_mode="none"),
        )  # fmt: skip
        self._containers.append(container)
        pid = container.start()
        container.read_line(20)
        self.paths = cgroup.locate(pid, container.id).above()[1]
        return container

    def write(self, controller: str, name: str, text: str) -> None:
        assert self.paths is not None
        folder = self.paths.folder(controller)
        assert folder is not None
        (folder / name).write_text(text)

    def remove(self) -> None:
        for container in self._containers:
            container.remove()
        if self.paths is not None:
            at = self.paths.at.strip("/")
            assert at.startswith("limitbench")
            # On v1 in hierarchies too that nobody here reads.
            every = set(self.paths.folders.values()).union(Path("/sys/fs/cgroup").glob(f"*/{at}"))
            for folder in every:
                for below, *_ in os.walk(folder, topdown=False):
                    with contextlib.suppress(OSError):  # systemd has removed its own
                        Path(below).rmdir()


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


@pytest.fixture
def pod(engine: DockerEngine) -> Iterator[Pod]:
    found = Pod(engine)
    try:
        yield found
    finally:
        found.remove()


def told(engine: DockerEngine, name: str) -> dict[str, Any]:
    done = bench(engine, name, "--duration", "3", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_quota_above_is_told_with_its_own_counters(engine: DockerEngine, pod: Pod) -> None:
    spinning = pod.run("limitbench-below-quota", Spin(threads=1))
    if engine.facts().cgroup_version == 1:
        pod.write("cpu", "cpu.cfs_quota_us", "10000")
    else:
        pod.write("cpu", "cpu.max", "10000 100000")
    spinning.write_line(protocol.go(0, 60_000_000_000))
    found = told(engine, spinning.id)
    assert pod.paths is not None
    at = pod.paths.at
    (above,) = found["use"]["above"]
    assert (above["at"], above["cpus_limit"]) == (at, 0.1)
    assert above["cpus"] == pytest.approx(0.1, rel=0.15)
    assert above["throttled_periods"] / above["periods"] > 0.8
    # The container's own cgroup has no quota, and counts nothing of this.
    assert found["use"]["throttled_periods"] is None
    said = {one["id"]: one for one in found["findings"]}
    assert f"{at}'s 0.1 CPUs, throttled in" in said["cpu-throttled-above"]["text"]
    assert said["cpu-throttled-above"]["remedy"].startswith(f"Raise the quota of {at}")
    assert not {"cpu-contended", "cpu-quota-above", "cpu-not-throttled"} & said.keys()
    page = bench(engine, spinning.id, "--duration", "1").stdout
    assert f"{at}, all in it: 0." in page
    assert max(map(len, page.splitlines())) <= 80


def test_memory_that_others_fill_above_is_told(engine: DockerEngine, pod: Pod) -> None:
    small = pod.run("limitbench-below-memory", Spin(threads=1))
    others = pod.run("limitbench-beside", Growth(target_bytes=60 * MIB, victim="self"))
    v1 = engine.facts().cgroup_version == 1
    limit = 64 * MIB
    pod.write("memory", "memory.limit_in_bytes" if v1 else "memory.max", str(limit))
    with contextlib.suppress(OSError):  # swap is not accounted for
        swap, most = ("memsw.limit_in_bytes", limit) if v1 else ("swap.max", 0)
        pod.write("memory", f"memory.{swap}", str(most))
    others.write_line(protocol.go(0, 60_000_000_000))
    found = told(engine, small.id)
    assert pod.paths is not None
    (above,) = found["use"]["above"]
    assert above["memory_limit_bytes"] == limit
    assert above["memory_bytes"] > 58 * MIB > 20 * found["use"]["memory_bytes"]
    said = {one["id"]: one for one in found["findings"]}
    assert said["memory-oom-near"]["grade"] == "bad"
    assert f"of the 64.0 MiB of {pod.paths.at} others hold" in said["memory-oom-near"]["text"]
    assert not {"memory-below-limit", "memory-page-cache"} & said.keys()


def test_limits_that_no_option_sets_are_in_the_table(engine: DockerEngine, pod: Pod) -> None:
    idle = pod.run("limitbench-below-files", Spin(threads=1))
    assert pod.paths is not None
    v1 = engine.facts().cgroup_version == 1
    pod.write("pids", "pids.max", "77")
    pod.write("cpu", "cpu.cfs_quota_us" if v1 else "cpu.max", "50000" if v1 else "50000 100000")
    pod.write("cpu", "cpu.cfs_burst_us" if v1 else "cpu.max.burst", "20000")
    rows = {row["option"]: row for row in told(engine, idle.id)["limits"]}
    at = pod.paths.at
    assert (rows["--pids-limit"]["effective"], rows["--pids-limit"]["at"]) == ("77", at)
    burst = rows["cpu.max.burst"]
    assert (burst["effective"], burst["at"]) == ("up to 20000 µs over the quota", at)
    assert (rows["--cpus"]["effective"], rows["--cpus"]["at"]) == ("0.5 CPUs", at)
