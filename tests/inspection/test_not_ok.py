"""What was told to be well, or to be about to fail, and is not: each by what should have known."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cgroup import V2, CgroupPaths, CounterReader, of_process
from harness.inspection.findings import Evidence, Finding, findings
from harness.inspection.observe import frozen_still
from harness.inspection.use import Observation, used
from harness.measure.above import Above
from harness.measure.clock import SystemClock
from harness.model import (
    UNLIMITED,
    CgroupAbove,
    EffectiveLimits,
    HostFacts,
    KernelLimits,
    Limits,
    MemoryCounters,
    RunningContainer,
    Sample,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule
from tests.trees import make_tree, v2_cgroups

MIB = 1 << 20
CALM = schedule(quota_ms=50, threads=1, busy_ms=10)


def holding(memory: int, *, total: int | None = None, **counters: Any) -> tuple[Sample, ...]:
    """A calm container that holds so many MiB, with swap so many."""
    sizes: dict[str, Any] = {
        "memory_bytes": memory * MIB, "total_bytes": (total or memory) * MIB,
        "anon_bytes": memory * MIB, "file_bytes": 0, "shmem_bytes": 0,
        "inactive_file_bytes": 0, "active_file_bytes": 0,
    }  # fmt: skip
    return tuple(replace(one, **{**sizes, **counters}) for one in CALM)


def on_host(seen: Observation, **counters: Any) -> Observation:
    assert seen.trial.host_last is not None
    last = replace(seen.trial.host_last, **counters)
    return replace(seen, trial=replace(seen.trial, host_last=last))


def told(seen: Observation, host: HostFacts = HOST_FACTS) -> dict[str, Finding]:
    use = used(seen, ENGINE_FACTS, host)
    return {one.id: one for one in findings(Evidence(seen, use, ENGINE_FACTS, host))}


def test_a_quota_wider_than_the_cpuset_is_no_ok_where_every_cpu_is_used() -> None:
    spinning = tuple(
        replace(one, nr_throttled=0, throttled_ns=0)
        for one in schedule(quota_ms=100, threads=1, busy_ms=100)
    )
    found = told(observation(
        spinning, limits=Limits(cpus=2, cpuset_cpus="1"),
        kernel=KernelLimits(cpu_quota_us=200_000, cpu_period_us=100_000, cpuset_cpus="1"),
        effective=EffectiveLimits(cpus=2.0, cpuset_cpus="1"),
    ))  # fmt: skip
    assert "cpu-not-throttled" not in found
    assert "every CPU that it may run on (1.00 of 1), and no quota binds (its own is 2)" in (
        found["cpu-all-used"].text
    )


def test_throttling_of_the_past_is_told_once_it_is_not_of_now() -> None:
    past = tuple(
        replace(one, nr_periods=1000 + (one.nr_periods or 0), nr_throttled=400) for one in CALM
    )
    assert "40% of its 1000 periods before" in told(observation(past))["cpu-throttled-before"].text
    assert "cpu-throttled-before" not in told(observation(schedule(quota_ms=50, threads=2)))


def limited(memory: int, total: int, **more: Any) -> dict[str, Any]:
    """By so many MiB of memory, and of both together, on v1."""
    return {
        "kernel": KernelLimits(memory_bytes=memory * MIB, memory_swap_bytes=total * MIB, **more),
        "effective": EffectiveLimits(memory_bytes=memory * MIB, memory_swap_bytes=total * MIB),
    }


def test_memory_with_swap_at_its_limit_is_no_ok_however_little_is_in_memory() -> None:
    seen = observation(holding(50, total=98), **limited(100, 100))
    found = told(on_host(seen, swap_free_bytes=4096 * MIB))
    assert "memory-below-limit" not in found
    assert "98.0 MiB of 100.0 MiB of memory and swap together (98%)" in (
        found["memory-oom-near"].text
    )
    calm = observation(holding(50, total=60), **limited(100, 200))
    assert "memory-below-limit" in told(on_host(calm, swap_free_bytes=4096 * MIB))


@pytest.mark.parametrize(
    ("swappiness", "swappable", "id"),
    [(60, 90, "memory-will-swap"), (0, 90, "memory-oom-near"), (60, 2, "memory-oom-near")],
    ids=["swappable", "swappiness 0", "mlocked"],
)
def test_free_swap_saves_nothing_where_nothing_can_be_swapped(
    swappiness: int, swappable: int, id: str
) -> None:
    seen = observation(
        holding(95), memory_last=MemoryCounters(swappable_bytes=swappable * MIB),
        **limited(100, 300, memory_swappiness=swappiness),
    )  # fmt: skip
    found = told(on_host(seen, swap_free_bytes=4096 * MIB))
    assert id in found
    assert {"memory-will-swap", "memory-oom-near"} & found.keys() == {id}
    assert ("swappiness is 0" in found[id].text) is (swappiness == 0)


def test_on_v2_the_swappiness_is_the_hosts() -> None:
    seen = observation(holding(95), **limited(100, 1100, swap_bytes=1000 * MIB))
    swap = {"swap_free_bytes": 4096 * MIB}
    assert "memory-will-swap" in told(on_host(seen, swappiness=60, **swap))
    assert "memory-oom-near" in told(on_host(seen, swappiness=0, **swap))


def test_swap_that_others_below_the_same_slice_have_taken_is_none_to_come() -> None:
    slice_ = CgroupAbove(
        at="/pods", kernel=KernelLimits(memory_bytes=-1, memory_swap_bytes=-1,
                                        swap_bytes=500 * MIB),
    )  # fmt: skip
    for swapped, id in ((100, "memory-will-swap"), (499, "memory-oom-near")):
        seen = observation(
            holding(95), above=(slice_,), series=(holding(800, total=800 + swapped),),
            **limited(100, 10_100, swap_bytes=10_000 * MIB),
        )  # fmt: skip
        assert id in told(on_host(seen, swap_free_bytes=8192 * MIB)), swapped


def test_dentries_and_inodes_give_way_as_page_cache_does() -> None:
    """Kubernetes: "memory usage near the limit" of what lists many files, and nothing is killed."""
    seen = observation(
        holding(95, anon_bytes=20 * MIB, slab_reclaimable_bytes=70 * MIB), **limited(100, 100)
    )
    found = told(seen)
    assert "memory-oom-near" not in found
    assert "0 KiB of it is page cache and 70.0 MiB the kernel's dentries and inodes" in (
        found["memory-page-cache"].text
    )


def test_a_limit_beyond_the_hosts_memory_is_none() -> None:
    seen = observation(holding(3900), **limited(65_536, 65_536))
    found = told(seen)
    assert "memory-below-limit" not in found
    assert "its limit of 64.0 GiB is more than the host's 4.0 GiB" in found["memory-no-limit"].text


@pytest.mark.parametrize(("left", "short"), [(100, True), (1000, False)])
def test_a_host_without_memory_is_no_ok_for_whoever_may_have_more(left: int, short: bool) -> None:
    seen = observation(holding(500), **limited(2000, 2000))
    found = told(on_host(seen, memory_available_bytes=left * MIB))
    assert ("memory-host-short" in found) is short
    assert ("memory-below-limit" in found) is not short
    # Whose own limit comes first is not killed for the host's sake.
    near = observation(holding(50), **limited(64, 64))
    assert "memory-below-limit" in told(on_host(near, memory_available_bytes=100 * MIB))


def test_memory_high_alone_slows_and_is_told_so() -> None:
    seen = observation(
        holding(63), kernel=KernelLimits(memory_high_bytes=64 * MIB),
        effective=EffectiveLimits(memory_high_bytes=64 * MIB),
    )  # fmt: skip
    assert "memory.high slows it above 64.0 MiB" in told(seen)["memory-no-limit"].text
    slowed = replace(limited_high(), earlier=())
    found = told(slowed)
    assert "memory-slowed-at-high" in found
    assert "memory-below-limit" not in found


def limited_high() -> Observation:
    """Held at a memory.high far below its memory.max."""
    return observation(
        holding(64),
        memory_first=MemoryCounters(high_hits=0), memory_last=MemoryCounters(high_hits=70),
        effective=EffectiveLimits(memory_bytes=1024 * MIB, memory_high_bytes=64 * MIB),
    )  # fmt: skip


def test_kills_in_cgroups_below_are_the_containers() -> None:
    """v1 counts them there alone; they are added up at the window's edges."""
    seen = observation(
        holding(20),
        memory_first=MemoryCounters(oom_kills=1),
        memory_last=MemoryCounters(oom_kills=3),
    )
    assert "killed 2 processes in it" in told(seen)["memory-oom-killed"].text


def test_a_cgroup_above_that_caps_tasks_alone_is_read(tmp_path: Path) -> None:
    pod = "kubepods/pod1"
    proc = v2_cgroups(tmp_path, {f"/{pod}": "", f"/{pod}/c1": "77"})
    make_tree(tmp_path / f"fs/{pod}", {"pids.max": "64\n", "pids.current": "63\n"})
    with closing(Above(of_process(77, proc).paths)) as above:
        (reader,) = above.readers
        assert isinstance(reader, CounterReader)
        assert reader.parse(*reader.read_edge()).tasks == 63


def test_tasks_of_a_pod_near_its_limit_are_told() -> None:
    pod = CgroupAbove(at="/kubepods/pod1", kernel=KernelLimits(pids_limit=1024))
    series = tuple(replace(one, tasks=1000, tasks_refused=0) for one in CALM)
    refused = (*series[:-1], replace(series[-1], tasks_refused=4))
    seen = observation(
        CALM, above=(pod,), series=(refused,),
        effective=EffectiveLimits(pids=1024, pids_at="/kubepods/pod1"),
    )  # fmt: skip
    found = told(seen)
    assert found["tasks-near-limit"].text == "all in /kubepods/pod1 have 1000 of 1024 tasks (98%)"
    assert "4 tasks refused at pids.max of /kubepods/pod1" in found["tasks-refused"].text
    assert "pids.max of /kubepods/pod1" in found["tasks-refused"].remedy


@pytest.mark.parametrize(
    ("most", "tasks", "told_of"), [(UNLIMITED, 1000, False), (1024, 30, False), (1024, 1000, True)]
)
def test_what_met_a_limit_beside_it_is_not_its_pods(most: int, tasks: int, told_of: bool) -> None:
    """From kernel 6.12 on each cgroup above counts what was refused anywhere below it."""
    pod = CgroupAbove(at="/kubepods/pod1", kernel=KernelLimits(pids_limit=most))
    series = tuple(replace(one, tasks=tasks, tasks_refused=0) for one in CALM)
    refused = (*series[:-1], replace(series[-1], tasks_refused=4))
    found = told(observation(CALM, above=(pod,), series=(refused,)))
    assert ("tasks-refused" in found) is told_of


def test_one_thread_that_uses_all_of_its_quota_is_no_ok() -> None:
    spinning = tuple(
        replace(one, nr_throttled=0, throttled_ns=0)
        for one in schedule(quota_ms=100, threads=1, busy_ms=100)
    )
    found = told(observation(spinning, limits=Limits(cpus=1)))
    assert "cpu-not-throttled" not in found
    assert "hardly throttled" in found["cpu-up-to-limit"].text


def test_a_large_host_with_gigabytes_left_is_not_short() -> None:
    host = replace(HOST_FACTS, memory_bytes=1 << 40)
    seen = on_host(observation(holding(100), **limited(1 << 21, 1 << 21)),
                   memory_available_bytes=45 << 30)  # fmt: skip
    assert "memory-host-short" not in told(seen, host)


def test_memory_that_is_limited_above_alone_is_not_said_to_be_free() -> None:
    why = {"memory_bytes": "the memory controller is not enabled"}
    seen = observation(
        holding(20, memory_bytes=None), limits=Limits(), absent=why,
        effective=EffectiveLimits(memory_bytes=64 * MIB, memory_at="/pods"),
    )  # fmt: skip
    text = told(seen)["memory-not-counted"].text
    assert text.startswith("it is not counted by itself, and 64.0 MiB of /pods limit it: ")


class Engine:
    def __init__(self, state: str) -> None:
        self._state = state

    def describe(self, container_id: str) -> RunningContainer:
        return RunningContainer(
            id=container_id, name="web", image="", pid=1, state=self._state, started_at="",
            limits=None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("files", "state", "told_of"),
    [("11", "running", "container-frozen"), ("11", "paused", "container-paused"),
     ("10", "running", None)],
)  # fmt: skip
def test_a_freeze_is_looked_at_twice_and_a_pause_meanwhile_is_one(
    tmp_path: Path, files: str, state: str, told_of: str | None
) -> None:
    """An engine freezes for a moment what it updates; a pause may come after the list was made."""
    make_tree(tmp_path, {"cgroup.events": f"frozen {files[0]}\n", "cgroup.freeze": "1\n"})

    class Thaws(SystemClock):
        def sleep_ns(self, duration_ns: int) -> None:
            (tmp_path / "cgroup.events").write_text(f"frozen {files[1]}\n")

    seen = observation(CALM)
    frozen, container = frozen_still(
        CgroupPaths(V2, {"unified": tmp_path}, {}), seen.container, Engine(state).describe, Thaws()
    )
    found = told(replace(seen, frozen=frozen, container=container))
    assert [one for one in found if one.startswith("container-")] == ([told_of] if told_of else [])


def test_what_is_above_a_namespace_is_no_host_without_limits() -> None:
    """A nested engine's container: the outer one's limit ends its growth before the host does."""
    seen = observation(holding(20), kernel=KernelLimits(), effective=EffectiveLimits())
    assert "the host's memory is all" in told(seen)["memory-no-limit"].text
    found = told(replace(seen, root_unseen=True))
    assert "cgroup-root-unseen" in found
    assert "no limit that is visible from here" in found["memory-no-limit"].text
    assert "the host's memory is all" not in found["memory-no-limit"].text


def test_memory_without_a_controller_is_not_passed_over() -> None:
    """Raspberry Pi OS boots with cgroup_disable=memory, and Docker drops --memory."""
    why = {"memory_bytes": "the memory controller is not mounted"}
    seen = observation(holding(20, memory_bytes=None), limits=Limits(), absent=why)
    assert why["memory_bytes"] in told(seen)["memory-not-counted"].text
    assert "memory-not-counted" not in told(replace(seen, moved={"memory": "/"}))


def test_a_container_that_was_started_again_has_counters_that_are_young() -> None:
    seen = observation(CALM)
    again = replace(seen, container=replace(seen.container, restarts=7))
    assert "container-restarted" not in told(seen)
    text = told(again)["container-restarted"].text
    assert "again 7 times, last at 2026-01-01 00:00:00 UTC" in text
