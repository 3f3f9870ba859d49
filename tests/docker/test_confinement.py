"""What a live container of ours may do, by the kernel's word: one of each kind."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness import cgroup
from harness.engine.boundary import LABEL, SAMPLER_CGROUP
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.errors import MeasurementError
from harness.judge import readbacks
from harness.limits import EngineCpus
from harness.measure import runner
from harness.measure.observer import Observer
from harness.model import (
    SCRATCH,
    Batch,
    ContainerSpec,
    Growth,
    KernelLimits,
    Limits,
    Outcome,
    Point,
    Program,
    Requests,
    Server,
    Serving,
    Spin,
)
from harness.plan.axes import Options
from tests.docker.measuring import execute
from tests.docker.scripts import needs, shell

pytestmark = [pytest.mark.engine, pytest.mark.beside]

MIB = 1 << 20
SYS_NICE = 1 << 23
NOBODY = "65534"
ENGINES_OWN = {"/dev", "/dev/shm", "/dev/pts", "/dev/mqueue", "/sys/fs/cgroup"}
"""Mounts that a container may write to, and that every one has: each in memory of its own. The last
is runc's, on cgroup v1: a tmpfs of root's that holds the hierarchies, which are read-only."""


@dataclasses.dataclass(frozen=True)
class Live:
    """A container in a trial's window."""

    told: dict[str, Any]
    status: dict[str, str]
    interfaces: set[str]
    writable: set[str]
    """Where something is mounted that can be written to, but for the kernel's own in /proc."""
    mountinfo: str
    network: str
    """The namespace, as the kernel names it."""
    kernel: KernelLimits

    @property
    def name(self) -> str:
        return str(self.told["Name"]).lstrip("/")

    @property
    def capabilities(self) -> int:
        """All that it has, may have, or may ever get."""
        sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        return sum({int(self.status[name], 16) for name in sets})


def looked_at(told: dict[str, Any]) -> Live:
    pid = told["State"]["Pid"]
    process = Path(f"/proc/{pid}")
    mountinfo = (process / "mountinfo").read_text()
    mounts = [line.split() for line in mountinfo.splitlines()]
    return Live(
        told=told,
        status=dict(re.findall(r"^(\w+):\s*(.*)$", (process / "status").read_text(), re.MULTILINE)),
        interfaces=set(re.findall(r"^\s*(\w+):", (process / "net/dev").read_text(), re.MULTILINE)),
        writable={m[4] for m in mounts if "rw" in m[5].split(",") and not m[4].startswith("/proc")},
        mountinfo=mountinfo,
        network=str((process / "ns/net").readlink()),
        kernel=cgroup.kernel_limits(cgroup.locate(pid, told["Id"])),
    )


def measured(engine: DockerEngine, *specs: ContainerSpec, remote: bool = False) -> list[Live]:
    """The containers of one trial of these, each looked at in its window."""
    api = engine._connection.api
    seen: list[Live] = []

    def elsewhere(*_given: object) -> Observer:
        raise MeasurementError("the engine runs on another host.", "")

    def looking(where: runner.Surroundings) -> runner.Surroundings:
        there = (
            runner.real_surroundings(
                where.engine, where.engine_facts, where.host_facts, local=elsewhere
            )
            if remote
            else where
        )

        def observe(*given: Any) -> Observer:
            observer = there.observe(*given)
            if seen:  # a trial that was disturbed is repeated
                return observer
            ours = api.containers(filters={"label": f"{LABEL}=test"})
            seen.extend(looked_at(api.inspect_container(one["Id"])) for one in ours)
            return observer

        return dataclasses.replace(where, observe=observe)

    def points(_options: Options, _cpus: EngineCpus) -> Iterable[Point]:
        yield Point(id="p", axis="file", value="p", containers=specs, duration_s=0.5)

    found = execute(engine, "file", Options(repeats=1), points_of=points, change=looking)
    assert set(found.outcomes("p")) == {Outcome.COMPLETED}, found.records[0].failure
    for container in found.records[0].containers:
        options = {one.option for one in readbacks.readbacks(container, engine.facts())}
        assert "--memory" not in options  # the cap is nothing that was asked for
    return sorted(seen, key=lambda one: one.name)


def confined(one: Live, *, user: str, capabilities: int = 0) -> None:
    assert one.capabilities == capabilities
    assert one.status["Uid"].split() == [user] * 4
    assert one.status["NoNewPrivs"] == "1"
    assert one.status["Seccomp"] == "2"
    assert one.interfaces == {"lo"}
    assert "docker.sock" not in one.mountinfo
    assert one.told["HostConfig"]["LogConfig"]["Type"] == "none"
    assert not one.told["HostConfig"]["Privileged"]
    assert not one.told["HostConfig"]["Devices"]
    assert one.kernel.pids_limit is not None
    assert 0 < one.kernel.pids_limit <= 1100


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


def test_trials_and_their_competitors(engine: DockerEngine) -> None:
    spec = ContainerSpec(limits=Limits(cpu_shares=512), workload=Spin(threads=1))
    found = measured(engine, spec, spec)
    assert len(found) == 2
    for one in found:
        confined(one, user=NOBODY)
        assert one.writable <= ENGINES_OWN
        assert one.told["Mounts"] == []
    # Where the sweep sets no limit of memory, the host is safe all the same: from all together.
    caps = [one.kernel.memory_bytes for one in found if one.kernel.memory_bytes is not None]
    assert len(caps) == len(found)
    assert sum(caps) <= engine.facts().memory_bytes // 2


def test_a_growing_workload_may_write_to_its_scratch_alone(engine: DockerEngine) -> None:
    for kind, user in (("file", "0"), ("tmpfs", NOBODY)):
        growth = Growth(target_bytes=8 * MIB, kind=kind)
        (one,) = measured(engine, ContainerSpec(limits=Limits(), workload=growth))
        confined(one, user=user)
        assert one.writable <= {*ENGINES_OWN, SCRATCH}
        assert [mount["Destination"] for mount in one.told["Mounts"]] == [SCRATCH]
        assert one.told["Mounts"][0]["Type"] in ("volume", "tmpfs")  # no folder of the host


def test_a_program(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    program = shell("while :; do :; done", signal="SIGKILL")
    (one,) = measured(engine, ContainerSpec(limits=Limits(cpus=0.5), workload=program))
    confined(one, user=NOBODY)
    assert one.writable <= ENGINES_OWN
    assert one.told["Mounts"] == []


def test_a_server_and_its_load(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    served = "busybox nc -ll -p 8080 -e echo hello"
    server = Server(
        name="mine",
        description=shell(served, signal="SIGKILL").description,
        serving=Serving(port=8080, ready="tcp", requests=Requests(rate_hz=1, connections=1)),
    )
    one, load = measured(engine, ContainerSpec(limits=Limits(cpus=0.5), workload=server))
    assert load.name.endswith("-load-0")
    for each in (one, load):
        confined(each, user=NOBODY)
        assert each.writable <= ENGINES_OWN
        assert each.told["Mounts"] == []
    # They share the loopback, and nothing else: neither limits nor a cgroup.
    assert one.network == load.network
    assert load.told["HostConfig"]["NetworkMode"] == f"container:{one.told['Id']}"
    assert load.kernel.cpu_quota_us in (-1, None)
    assert load.kernel.memory_bytes == 256 * MIB


def test_a_program_that_runs_to_its_end(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    batch = Batch(name="mine", description=shell("sleep 1").description)
    (one,) = measured(engine, ContainerSpec(limits=Limits(cpus=0.5), workload=batch))
    confined(one, user=NOBODY)
    assert one.writable <= ENGINES_OWN
    assert one.told["Mounts"] == []


def test_a_programs_volume_is_its_own(engine: DockerEngine) -> None:
    needs("busybox", "busybox-static")
    described = shell("echo x > /data/x && while :; do :; done", signal="SIGKILL").description
    image = dataclasses.replace(described.image, volume="/data")
    program = Program(name="mine", description=dataclasses.replace(described, image=image))
    (one,) = measured(engine, ContainerSpec(limits=Limits(cpus=0.5), workload=program))
    confined(one, user=NOBODY)
    assert one.writable <= {*ENGINES_OWN, "/data"}
    (mount,) = one.told["Mounts"]
    assert (mount["Type"], mount["Destination"]) == ("volume", "/data")


def test_a_sidecar(engine: DockerEngine) -> None:
    spec = ContainerSpec(limits=Limits(cpus=0.5), workload=Spin(threads=1))
    sidecar, _ = measured(engine, spec, remote=True)  # by their names
    assert "sampler" in sidecar.name
    confined(sidecar, user="0", capabilities=SYS_NICE)
    assert sidecar.writable <= ENGINES_OWN
    for mount in sidecar.told["Mounts"]:
        assert mount["Source"] == mount["Destination"].replace(SAMPLER_CGROUP, "/sys/fs/cgroup")
        assert not mount["RW"]
    assert sidecar.kernel.pids_limit == 8
    assert sidecar.kernel.memory_bytes is not None
    assert sidecar.kernel.memory_bytes <= 512 * MIB


def test_a_limit_that_a_sweep_sets_is_the_limit(engine: DockerEngine) -> None:
    spec = ContainerSpec(limits=Limits(memory_bytes=64 * MIB), workload=Spin(threads=1))
    found = engine.create(name="limitbench-own", run="own", spec=spec, deadline_s=5)
    try:
        found.start()
        assert found.limits().memory_bytes == 64 * MIB
    finally:
        found.remove()
