"""The cgroups above a container's own, and what is set in them, on files of either version."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import cgroup, limits
from harness.cgroup import CgroupPaths
from harness.limits import UNLIMITED
from tests.trees import ID, PODS, make_tree, pod_files, pod_host, v1_host

VERSIONS = pytest.mark.parametrize("version", [1, 2])


def pod(tmp_path: Path, version: int) -> CgroupPaths:
    return cgroup.locate(77, ID, pod_host(tmp_path, version))


@VERSIONS
def test_every_cgroup_above_is_found_the_nearest_first(tmp_path: Path, version: int) -> None:
    paths = pod(tmp_path, version)
    above = paths.above()
    assert [one.at for one in above] == [*PODS, "/"]
    for one, nearer in zip(above, [paths, *above], strict=False):
        assert one.folder("memory") == (nearer.folder("memory") or Path()).parent
    assert not above[-1].above()


def test_on_v1_a_cgroup_is_above_for_its_own_controllers_alone(tmp_path: Path) -> None:
    above = {one.at: one for one in cgroup.locate(77, ID, v1_host(tmp_path)).above()}
    assert set(above) == {"/runner/abc/docker", "/runner/abc", "/runner", "/docker", "/"}
    assert set(above["/docker"].folders) == {"cpu", "cpuacct", "cpuset"}
    assert set(above["/runner"].folders) == {"memory"}


def test_the_scope_around_crun_s_cgroup_is_not_above(tmp_path: Path) -> None:
    scope = tmp_path / "fs/a.slice/x.scope"
    paths = CgroupPaths(
        cgroup.V2, {"cpu": scope / "container"}, {"cpu": tmp_path / "fs"}, scope=scope
    )
    assert [one.at for one in paths.above()] == ["/a.slice", "/"]


@VERSIONS
@pytest.mark.parametrize("at", PODS)
def test_what_binds_is_found_at_any_depth(tmp_path: Path, version: int, at: str) -> None:
    paths = pod(tmp_path, version)
    quota = (
        {"cpu/cpu.cfs_quota_us": "20000\n", "cpu/cpu.cfs_period_us": "100000\n"}
        if version == 1
        else {"cpu/cpu.max": "20000 100000\n"}
    )
    memory = "memory.limit_in_bytes" if version == 1 else "memory.max"
    pod_files(tmp_path, version, at, {**quota, f"memory/{memory}": "33554432\n"})
    found = cgroup.effective_limits(paths)
    assert (found.cpus, found.cpus_at, found.cpus_period_us) == (0.2, at, 100_000)
    assert (found.memory_bytes, found.memory_at) == (32 << 20, at)
    capping = {one.at: limits.caps(kernel) for one, kernel in cgroup.limited_above(paths)}
    assert {at: caps for at, caps in capping.items() if caps} == {at: {"cpu", "memory"}}


@VERSIONS
def test_the_counters_of_a_cgroup_above_are_read(tmp_path: Path, version: int) -> None:
    paths = pod(tmp_path, version)
    stat = "nr_periods 40\nnr_throttled 39\nthrottled_time 5000\n"
    files = (
        {"cpu/cpu.stat": stat, "memory/memory.usage_in_bytes": "8192\n"}
        if version == 1
        else {"cpu/cpu.stat": f"usage_usec 7\n{stat}", "memory/memory.current": "8192\n"}
    )
    pod_files(tmp_path, version, PODS[1], files)
    (above,) = [one for one in paths.above() if one.at == PODS[1]]
    reader = cgroup.CounterReader(above)
    sample = reader.parse(*reader.read_edge())
    reader.close()
    assert (sample.nr_periods, sample.nr_throttled, sample.memory_bytes) == (40, 39, 8192)
    # cpu and cpuacct can be two hierarchies: of one alone there are counters all the same.
    assert sample.cpu_usage_ns == (None if version == 1 else 7000)


def test_limits_that_no_option_sets_on_v1(tmp_path: Path) -> None:
    proc = pod_host(tmp_path, 1)
    proc_mounts = proc / "self/mountinfo"
    fs = tmp_path / "fs"
    more = "".join(
        f"4{i} 31 0:5{i} / {fs}/{name} rw - cgroup cgroup rw,{name}\n"
        for i, name in enumerate(("pids", "blkio"))
    )
    proc_mounts.write_text(more + proc_mounts.read_text())
    membership = proc / "77/cgroup"
    own = f"{PODS[0]}/{ID}"
    membership.write_text(f"8:pids:{own}\n9:blkio:{own}\n{membership.read_text()}")
    make_tree(fs, {f"{one}{own}/cgroup.procs": "77\n" for one in ("pids", "blkio")})
    for at, files in {
        own: {
            "cpu/cpu.cfs_burst_us": "20000\n",
            "blkio/blkio.throttle.read_bps_device": "8:0 1048576\n8:16 4096\n",
            "blkio/blkio.throttle.write_iops_device": "",
            "pids/pids.max": "max\n",
        },
        PODS[0]: {"blkio/blkio.throttle.write_iops_device": "8:0 120\n", "pids/pids.max": "50\n"},
    }.items():
        pod_files(tmp_path, 1, at, files)
    paths = cgroup.locate(77, ID, proc)
    held = cgroup.kernel_limits(paths)
    assert (held.cpu_burst_us, held.pids_limit, held.memory_low_bytes) == (20_000, UNLIMITED, None)
    assert held.io_max == (("8:0 rbps", 1 << 20), ("8:16 rbps", 4096))
    above = {one.at: kernel for one, kernel in cgroup.limited_above(paths)}[PODS[0]]
    assert (above.io_max, above.pids_limit) == ((("8:0 wiops", 120),), 50)


def test_limits_that_no_option_sets_on_v2(tmp_path: Path) -> None:
    paths = pod(tmp_path, 2)
    pod_files(tmp_path, 2, f"{PODS[0]}/docker-{ID}.scope", {
        "cpu/cpu.max.burst": "20000\n", "memory/memory.low": "33554432\n",
        "memory/memory.min": "0\n", "pids/pids.max": "max\n",
        "io/io.max": "8:0 rbps=1048576 wbps=max riops=max wiops=120\n",
    })  # fmt: skip
    held = cgroup.kernel_limits(paths)
    assert (held.cpu_burst_us, held.pids_limit) == (20_000, UNLIMITED)
    assert (held.memory_low_bytes, held.memory_min_bytes) == (32 << 20, 0)
    assert held.io_max == (("8:0 rbps", 1 << 20), ("8:0 wiops", 120))
