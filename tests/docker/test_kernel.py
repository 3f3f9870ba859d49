"""What the kernel's own files tell of a real container, on cgroup v1 and v2 alike."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import cgroup
from harness import limits as rules
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.judge import readbacks
from harness.measure import protocol
from harness.model import UNLIMITED, ContainerRecord, ContainerSpec, Limits
from harness.plan.axes import Options
from tests.docker.measuring import CPU_TOLERANCE, EMULATED, execute

pytestmark = pytest.mark.engine

MIB = 1 << 20


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    return DockerEngine(engine_connection)


@contextmanager
def running(engine: DockerEngine, limits: Limits) -> Iterator[tuple[str, cgroup.CgroupPaths]]:
    """A container at full load: its id, and where its cgroup is."""
    container = engine.create(
        name="limitbench-kernel", run="kernel", spec=ContainerSpec(limits=limits), deadline_s=60
    )
    try:
        pid = container.start()
        container.read_line(20)
        container.write_line(protocol.go(0, 60_000_000_000))
        yield container.id, cgroup.locate(pid, container.id)
    finally:
        container.remove()


def test_a_paused_container_uses_nothing_and_goes_on_after(engine: DockerEngine) -> None:
    api = engine._connection.api
    with running(engine, Limits(cpus=0.5)) as (container_id, paths):
        reader = cgroup.CounterReader(paths)

        def used_in(seconds: float) -> int:
            first = reader.parse(*reader.read_edge()).cpu_usage_ns
            time.sleep(seconds)
            last = reader.parse(*reader.read_edge()).cpu_usage_ns
            assert first is not None
            assert last is not None
            return last - first

        try:
            assert used_in(1.0) > 0
            api.pause(container_id)
            assert engine.find(container_id).state == "paused"
            time.sleep(0.1)  # what runs is stopped at its next tick
            assert used_in(1.0) == 0
            api.unpause(container_id)
            assert used_in(1.0) > 0
        finally:
            reader.close()


def test_pressure_tells_of_waiting_for_a_cpu_where_the_kernel_keeps_it(
    engine: DockerEngine,
) -> None:
    found = execute(engine, "cpu", Options(values="0.5", duration_s=1.0, repeats=3))
    summary = found.summary("cpus=0.5")
    for record in found.records:
        (container,) = record.containers
        if why := container.absent.get("cpu_some_us"):
            assert not EMULATED, why  # the machine's kernel keeps it
            assert "PSI" in why or "cgroup v1 keeps no pressure" in why
            assert summary.estimate("cpu_some") is None
            return
    # One thread is off the CPU for half of the time, wanting to run.
    assert found.metric("cpus=0.5", "cpu_some") == pytest.approx(0.5, abs=0.1 + CPU_TOLERANCE)
    assert found.metric("cpus=0.5", "memory_full") == 0


def test_the_kernel_s_peak_is_the_limit_and_swapping_makes_all_wait(
    engine: DockerEngine, swap: int
) -> None:
    found = execute(engine, "swap", Options(values="128m", repeats=3))
    (point,) = found.plan.points
    # In steps of what a CPU charges ahead.
    assert found.metric(point.id, "peak_bytes") == pytest.approx(64 * MIB, abs=MIB)
    assert found.metric(point.id, "peak_swap_bytes") > 32 * MIB
    if any("memory_full_us" in c.absent for record in found.records for c in record.containers):
        assert not EMULATED
        return
    assert found.metric(point.id, "memory_full") > 0


def test_the_weight_in_force_is_that_of_the_runtime_s_formula(engine: DockerEngine) -> None:
    facts = engine.facts()
    for shares in (2, 512, 1024, 262144):
        limits = Limits(cpu_shares=shares)
        with running(engine, limits) as (_, paths):
            held = cgroup.kernel_limits(paths)
        told = held.cpu_shares if facts.cgroup_version == 1 else held.cpu_weight
        assert (told,) == rules.weights(limits, facts)
    if facts.cgroup_version == 2:
        one, half = (rules.weights(Limits(cpu_shares=shares), facts) for shares in (1024, 512))
        assert (*one, *half) in ((39, 20), (100, 59))  # before and since runc 1.3.2


def test_systemd_rounds_the_quota_once_it_writes_it_itself(engine: DockerEngine) -> None:
    facts = engine.facts()
    if facts.cgroup_driver != "systemd" or not EMULATED:
        pytest.skip("needs the systemd driver, on a host whose systemd may be reloaded")
    limits = Limits(cpus=0.333)
    with running(engine, limits) as (_, paths):
        before = cgroup.kernel_limits(paths)
        subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=60)
        deadline = time.monotonic() + 20
        while (after := cgroup.kernel_limits(paths)) == before and time.monotonic() < deadline:
            time.sleep(0.1)
    # runc 1.1.5 writes the exact value after systemd has; on forky systemd's is what stays.
    exact_at_first = facts.runtime_version.startswith("1.1.")
    assert before.cpu_quota_us == (33_300 if exact_at_first else 34_000)
    assert after.cpu_quota_us == 34_000
    # Both are what may be in force, and neither is a limit that was altered.
    for kernel in (before, after):
        record = ContainerRecord(requested=limits, engine=limits, kernel=kernel)
        (told,) = readbacks.readbacks(record, facts)
        assert told.agrees


@pytest.mark.parametrize("total_mib", [None, 192])
def test_what_an_update_of_memory_and_swap_leaves_in_force(
    engine: DockerEngine, total_mib: int | None
) -> None:
    """``docker update -m 96m --memory-swap 96m``: no swap, whatever there was before."""
    size = None if total_mib is None else total_mib * MIB
    with running(engine, Limits(memory_bytes=size, memory_swap_bytes=size)) as (name, paths):
        if cgroup.kernel_limits(paths).memory_swap_bytes is None:
            pytest.skip("this kernel does not account for swap")
        engine._connection.api.update_container(name, mem_limit="96m", memswap_limit="96m")
        held = cgroup.kernel_limits(paths)
    assert (held.memory_bytes, held.memory_swap_bytes) == (96 * MIB, 96 * MIB)


def test_limits_that_no_law_speaks_of_are_read_back_all_the_same(engine: DockerEngine) -> None:
    fixed = Limits(cpuset_mems="0", memory_swappiness=10, pids_limit=64, oom_score_adj=500)
    found = execute(engine, "cpu", Options(values="0.5", repeats=1, duration_s=0.5, fixed=fixed))
    record = found.records[-1]  # one that others disturbed is measured again
    told = {one.option: one for one in readbacks.readbacks(record.containers[0], engine.facts())}
    for option, value in (
        ("--cpuset-mems", "0"),
        ("--pids-limit", "64"),
        ("--oom-score-adj", "500"),
    ):
        one = told[option]
        assert (one.requested, one.engine, one.kernel, one.agrees) == (value, value, value, True)
    swappiness = told["--memory-swappiness"]
    if engine.facts().cgroup_version == 1:
        assert (swappiness.kernel, swappiness.agrees) == ("10", True)
    else:  # the engine takes it with a warning, and the kernel has no such file
        assert "dropped" in swappiness.kernel
        assert swappiness.agrees is None


def test_what_was_not_to_be_limited_is_not_and_can_be_read_again(engine: DockerEngine) -> None:
    fixed = Limits(pids_limit=-1, oom_score_adj=0)
    found = execute(engine, "cpu", Options(values="0.5", repeats=1, duration_s=0.5, fixed=fixed))
    record = found.records[-1]  # one that others disturbed is measured again
    told = {one.option: one for one in readbacks.readbacks(record.containers[0], engine.facts())}
    pids = told.pop("--pids-limit")
    assert "--oom-score-adj" in told
    assert [one.text for one in told.values() if one.agrees is not True] == []
    kernel = record.containers[0].kernel
    assert kernel is not None
    if kernel.pids_limit == UNLIMITED:
        assert pids.agrees
    else:  # no limit was handed on, so systemd set its own (systemd-system.conf(5))
        assert engine.facts().cgroup_driver == "systemd"
        assert pids.agrees is False
        held = f"the engine holds not set and the kernel holds {kernel.pids_limit}"
        assert f"requested -1, {held}" in pids.text
