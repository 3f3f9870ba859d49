"""Finding and reading cgroups, on recorded v1 and v2 files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import cgroup
from harness.cgroup import parsing
from harness.errors import MeasurementError
from harness.model import UNLIMITED, Sample
from tests.trees import ID, crun_host, make_tree, v1_host, v2_host


def test_v1_counters_come_from_each_hierarchy_of_its_own(tmp_path: Path) -> None:
    reader = cgroup.CounterReader(cgroup.locate(77, ID, v1_host(tmp_path)))
    raw, percpu = reader.read_edge()
    sample = reader.parse(raw, percpu)
    reader.close()
    assert sample.cpu_usage_ns == 123456789
    assert (sample.nr_periods, sample.nr_throttled, sample.throttled_ns) == (12, 7, 350000)
    assert sample.memory_bytes == 4096
    assert sample.usage_percpu_ns == (123456700, 89)


def test_the_cpus_of_a_large_host_are_read_to_the_last(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    every = tuple(10**18 + i for i in range(2048))
    text = " ".join(map(str, every)) + " \n"
    make_tree(tmp_path / f"fs/cpuacct/docker/{ID}", {"cpuacct.usage_percpu": text})
    reader = cgroup.CounterReader(cgroup.locate(77, ID, proc))
    assert reader.parse(*reader.read_edge()).usage_percpu_ns == every
    reader.close()


def test_v2_counters(tmp_path: Path) -> None:
    reader = cgroup.CounterReader(cgroup.locate(77, ID, v2_host(tmp_path)))
    raw, percpu = reader.read_edge()
    sample = reader.parse(raw, percpu)
    reader.close()
    assert sample.cpu_usage_ns == 123456000
    assert (sample.nr_periods, sample.nr_throttled, sample.throttled_ns) == (12, 7, 350000)
    assert sample.memory_bytes == 8192
    assert sample.usage_percpu_ns is None


@pytest.mark.parametrize("version", cgroup.VERSIONS.values())
def test_every_counter_of_a_sample_has_one_row_in_each_version_s_table(
    version: cgroup.CgroupVersion,
) -> None:
    fields = [counter.field for counter in version.counters]
    apart = ["t_mono_ns", "usage_percpu_ns", "devices"]
    assert sorted(fields + apart) == sorted(Sample.__dataclass_fields__)
    read = [*version.tick_files, *version.detail_files]
    assert len(read) == len(set(read))
    files = [file for counter in version.counters for file in counter.files]
    assert {file.file for file in (*files, *version.device_files.files)} == set(read)
    assert version.tick_files[0] == version.counters[0].files[0].file


PRESSURE = (
    "some avg10=1.00 avg60=2.00 avg300=0.00 total=12345\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=678\n"
)


def test_v2_details_are_read_at_the_edges_and_absent_files_say_why(tmp_path: Path) -> None:
    paths = cgroup.locate(77, ID, v2_host(tmp_path))
    folder = paths.folder("memory")
    assert folder is not None
    make_tree(
        folder,
        {
            "memory.stat": "anon 4096\nfile 2048\ninactive_file 1024\npgmajfault 3\n",
            "memory.events": "low 0\nhigh 0\nmax 17\noom 1\noom_kill 1\n",
            "cpu.pressure": PRESSURE,
            "io.pressure": PRESSURE.splitlines()[0],  # before kernel 5.13 cpu.pressure was so
        },
    )
    reader = cgroup.CounterReader(paths)
    sample = reader.parse(*reader.read_edge())
    raw, _ = reader.read_edge()
    assert reader.parse(raw._replace(details=())).anon_bytes is None  # of a tick without them
    reader.close()
    assert (sample.anon_bytes, sample.file_bytes, sample.inactive_file_bytes) == (4096, 2048, 1024)
    assert (sample.major_faults, sample.limit_hits, sample.oom_kills) == (3, 17, 1)
    assert (sample.cpu_some_us, sample.cpu_full_us) == (12345, 678)
    assert (sample.io_some_us, sample.io_full_us) == (12345, None)
    assert sample.memory_some_us is None
    assert "PSI" in reader.absent["memory_some_us"]
    assert "5.19" in reader.absent["peak_bytes"]
    assert "per CPU" in reader.absent["usage_percpu_ns"]
    assert "cpu_some_us" not in reader.absent
    assert "cpu_full_us" not in reader.absent
    assert "io.pressure has no such line" in reader.absent["io_full_us"]


def absent_of(proc: Path) -> dict[str, str]:
    reader = cgroup.CounterReader(cgroup.locate(77, ID, proc))
    sample = reader.parse(*reader.read_edge())
    reader.close()
    none = {name for name in Sample.__dataclass_fields__ if getattr(sample, name) is None}
    assert set(reader.absent) == none  # each with its reason, and nothing that is there
    assert all(reader.absent.values())
    return reader.absent


def test_v2_counters_that_a_file_does_not_hold_say_why(tmp_path: Path) -> None:
    proc = v2_host(tmp_path)
    folder = cgroup.locate(77, ID, proc).folder("cpu")
    assert folder is not None
    # The cpu controller is not delegated, and the kernel is older than 5.13.
    make_tree(
        folder,
        {
            "cpu.stat": "usage_usec 123456\nuser_usec 100000\nsystem_usec 23456\n",
            "cpu.pressure": PRESSURE.splitlines()[0],
            "memory.events": "low 0\nhigh 0\nmax 17\noom 1\n",
            "memory.stat": "anon 4096\nfile 2048\ninactive_file 1024\n",
        },
    )
    absent = absent_of(proc)
    for counter in ("nr_periods", "nr_throttled", "throttled_ns"):
        assert "the cpu controller is not enabled" in absent[counter]
    assert "5.13" in absent["cpu_full_us"]
    assert "4.13" in absent["oom_kills"]
    assert "memory.stat does not hold it" in absent["major_faults"]
    assert "swap is not accounted for" in absent["total_bytes"]
    (folder / "memory.current").unlink()
    absent = absent_of(proc)
    assert absent["memory_bytes"] == absent["total_bytes"] == "the memory controller is not enabled"


def test_v1_counters_that_a_file_does_not_hold_say_why(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    make_tree(
        tmp_path / f"fs/memory/runner/abc/docker/{ID}",
        {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n", "memory.failcnt": "0\n"},
    )
    assert "usage_percpu_ns" not in absent_of(proc)
    (tmp_path / f"fs/cpuacct/docker/{ID}/cpuacct.usage_percpu").unlink()
    (tmp_path / f"fs/cpu/docker/{ID}/cpu.stat").unlink()
    absent = absent_of(proc)
    assert "4.13" in absent["oom_kills"]
    assert "not there" in absent["usage_percpu_ns"]
    assert "the cpu controller is not mounted" in absent["nr_throttled"]
    assert "not mounted" in absent["peak_bytes"]


def test_v1_details_come_from_the_v2_folder_beside_it_where_there_is_one(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    alone = cgroup.CounterReader(cgroup.locate(77, ID, proc))
    alone.close()
    assert "in no v2 cgroup" in alone.absent["cpu_some_us"]
    make_tree(
        tmp_path,
        {
            "fs/unified/docker/" + ID + "/cpu.pressure": PRESSURE,
            f"fs/memory/runner/abc/docker/{ID}/memory.stat": "cache 1\nrss 2\ntotal_cache 100\n"
            "total_rss 200\ntotal_inactive_file 50\ntotal_pgmajfault 4\n",
            f"fs/memory/runner/abc/docker/{ID}/memory.oom_control": "oom_kill 2\n",
            f"fs/memory/runner/abc/docker/{ID}/memory.failcnt": "5\n",
            f"fs/memory/runner/abc/docker/{ID}/memory.max_usage_in_bytes": "8192\n",
        },
    )
    membership = proc / "77/cgroup"
    membership.write_text(membership.read_text().replace("0::/\n", f"0::/docker/{ID}\n"))
    reader = cgroup.CounterReader(cgroup.locate(77, ID, proc))
    sample = reader.parse(*reader.read_edge())
    reader.close()
    assert (sample.anon_bytes, sample.file_bytes, sample.inactive_file_bytes) == (200, 100, 50)
    assert (sample.limit_hits, sample.oom_kills, sample.peak_bytes) == (5, 2, 8192)
    assert (sample.cpu_some_us, sample.cpu_full_us) == (12345, 678)
    assert "cpu_some_us" not in reader.absent
    assert "memory_some_us" in reader.absent  # that file is not there


def test_an_init_that_moved_itself_further_down_is_still_in_its_container(tmp_path: Path) -> None:
    proc = v2_host(tmp_path)
    membership = proc / "77/cgroup"
    membership.write_text(membership.read_text().strip() + "/init.scope\n")
    paths = cgroup.locate(77, ID, proc)
    folder = paths.folder("cpu")
    assert folder is not None
    assert folder.name == f"docker-{ID}.scope"
    assert cgroup.kernel_limits(paths).cpu_quota_us == 50000


@given(st.binary(max_size=200))
def test_the_pressure_parser_never_raises(raw: bytes) -> None:
    parsing.parse_pressure(raw)


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_pressure_survives_a_round_trip(some: int, full: int) -> None:
    text = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={some}\nfull avg10=9.9 total={full}\n"
    assert parsing.parse_pressure(text.encode()) == {"some": some, "full": full}


def test_a_total_that_no_kernel_writes_is_no_number() -> None:
    raw = b"some total=" + b"9" * 5000 + b"\nfull total=7\n"
    assert parsing.parse_pressure(raw) == {"full": 7}


def test_v1_limits(tmp_path: Path) -> None:
    held = cgroup.kernel_limits(cgroup.locate(77, ID, v1_host(tmp_path)))
    assert (held.cpu_quota_us, held.cpu_period_us, held.cpu_shares) == (50000, 100000, 1024)
    assert held.cpu_weight is None
    assert held.cpuset_cpus == "0-1"
    assert held.memory_bytes == UNLIMITED  # PAGE_COUNTER_MAX
    assert held.memory_swap_bytes == 134217728


def test_v2_limits(tmp_path: Path) -> None:
    held = cgroup.kernel_limits(cgroup.locate(77, ID, v2_host(tmp_path)))
    assert (held.cpu_quota_us, held.cpu_period_us, held.cpu_weight) == (50000, 100000, 39)
    assert held.cpu_shares is None
    assert (held.memory_bytes, held.memory_swap_bytes) == (67108864, 134217728)
    assert held.memory_high_bytes == UNLIMITED


def test_v2_no_quota_and_no_memory_limit(tmp_path: Path) -> None:
    proc = v2_host(tmp_path)
    paths = cgroup.locate(77, ID, proc)
    folder = paths.folder("cpu")
    assert folder is not None
    (folder / "cpu.max").write_text("max 100000\n")
    (folder / "memory.max").write_text("max\n")
    (folder / "memory.swap.max").unlink()
    held = cgroup.kernel_limits(paths)
    assert held.cpu_quota_us == UNLIMITED
    assert held.memory_bytes == UNLIMITED
    assert held.memory_swap_bytes is None  # no swap accounting: not measured, and not "no swap"


def test_the_tightest_limit_on_the_path_is_the_effective_one(tmp_path: Path) -> None:
    paths = cgroup.locate(77, ID, v1_host(tmp_path))
    found = cgroup.effective_limits(paths)
    assert (found.cpus, found.cpus_at) == (0.5, "")  # the container's own
    assert found.cpus_period_us == 100_000
    assert (found.memory_bytes, found.memory_at) == (None, "")
    make_tree(
        tmp_path / "fs",
        {
            "cpu/docker/cpu.cfs_quota_us": "60000\n",
            "cpu/docker/cpu.cfs_period_us": "200000\n",
            "memory/runner/memory.limit_in_bytes": "33554432\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cpuset/docker/cpuset.cpus": "1\n",
        },
    )
    found = cgroup.effective_limits(paths)
    assert (found.cpus, found.cpus_at, found.cpus_period_us) == (0.3, "/docker", 200_000)
    assert (found.memory_bytes, found.memory_at) == (32 << 20, "/runner")
    assert found.cpuset_cpus == "1"


def test_v2_effective_limits(tmp_path: Path) -> None:
    paths = cgroup.locate(77, ID, v2_host(tmp_path))
    make_tree(
        tmp_path / "fs",
        {
            "system.slice/cpu.max": "20000 100000\n",
            "system.slice/memory.max": "max\n",
            "system.slice/memory.high": "33554432\n",
            "system.slice/cpuset.cpus.effective": "0\n",
        },
    )
    found = cgroup.effective_limits(paths)
    assert (found.cpus, found.cpus_at) == (0.2, "/system.slice")
    assert (found.memory_bytes, found.memory_at) == (64 << 20, "")
    assert (found.memory_high_bytes, found.memory_high_at) == (32 << 20, "/system.slice")
    assert found.cpuset_cpus == "0"


@pytest.mark.parametrize(
    ("slice_", "own_swap", "total", "at"),
    [
        ({}, "67108864", 128, ""),
        ({"memory.max": "33554432\n"}, "67108864", 96, "/system.slice"),
        ({"memory.swap.max": "33554432\n"}, "67108864", 96, "/system.slice"),
        ({"memory.max": "33554432\n", "memory.swap.max": "0\n"}, "max", 32, "/system.slice"),
        ({"memory.max": "max\n", "memory.swap.max": "268435456\n"}, "67108864", 128, ""),
        ({}, "0", 64, ""),
        ({"memory.max": "33554432\n", "memory.swap.max": "max\n"}, "max", None, ""),
    ],
)
def test_v2_memory_with_swap_is_the_sum_of_the_tightest_of_both(
    tmp_path: Path, slice_: dict[str, str], own_swap: str, total: int | None, at: str
) -> None:
    paths = cgroup.locate(77, ID, v2_host(tmp_path))
    make_tree(tmp_path / "fs/system.slice", slice_)
    make_tree(tmp_path / f"fs/system.slice/docker-{ID}.scope", {"memory.swap.max": own_swap})
    found = cgroup.effective_limits(paths)
    assert found.memory_swap_bytes == (total if total is None else total << 20)
    assert found.memory_swap_at == at


def test_v2_two_cgroups_above_can_set_the_parts_of_memory_with_swap(tmp_path: Path) -> None:
    proc = v2_host(tmp_path)
    moved = f"system.slice/pod/docker-{ID}.scope"
    (proc / "77/cgroup").write_text(f"0::/{moved}\n")
    make_tree(
        tmp_path / "fs",
        {
            "system.slice/memory.max": "16777216\n",
            "system.slice/pod/memory.swap.max": "8388608\n",
            f"{moved}/cgroup.controllers": "cpu memory\n",
            f"{moved}/memory.max": "max\n",
            f"{moved}/memory.swap.max": "max\n",
        },
    )
    found = cgroup.effective_limits(cgroup.locate(77, ID, proc))
    assert (found.memory_bytes, found.memory_at) == (16 << 20, "/system.slice")
    assert (found.memory_swap_bytes, found.memory_swap_at) == (24 << 20, "/system.slice/pod")


def test_v1_memory_with_swap_has_a_limit_of_its_own(tmp_path: Path) -> None:
    paths = cgroup.locate(77, ID, v1_host(tmp_path))
    found = cgroup.effective_limits(paths)
    assert (found.memory_swap_bytes, found.memory_swap_at) == (128 << 20, "")
    # The tightest of memory alone is no part of it.
    make_tree(
        tmp_path / "fs/memory/runner",
        {"memory.limit_in_bytes": "33554432\n", "memory.memsw.limit_in_bytes": "100663296\n"},
    )
    found = cgroup.effective_limits(paths)
    assert (found.memory_bytes, found.memory_at) == (32 << 20, "/runner")
    assert (found.memory_swap_bytes, found.memory_swap_at) == (96 << 20, "/runner")


def test_v1_memory_at_one_moment(tmp_path: Path) -> None:
    paths = cgroup.locate(77, ID, v1_host(tmp_path))
    folder = paths.folder("memory")
    assert folder is not None
    make_tree(
        folder,
        {
            "memory.max_usage_in_bytes": "8192\n",
            "memory.memsw.usage_in_bytes": "12288\n",
            "memory.failcnt": "3\n",
            "memory.memsw.failcnt": "5\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            "memory.stat": "cache 100\nrss 200\nswap 8192\n",
        },
    )
    found = cgroup.memory_counters(paths)
    assert (found.usage_bytes, found.peak_bytes, found.total_bytes) == (4096, 8192, 12288)
    assert (found.limit_hits, found.oom_kills) == (5, 2)
    assert (found.file_bytes, found.swap_bytes) == (100, 8192)


def test_v2_memory_at_one_moment(tmp_path: Path) -> None:
    paths = cgroup.locate(77, ID, v2_host(tmp_path))
    folder = paths.folder("memory")
    assert folder is not None
    events = "low 0\nhigh 5\nmax 17\noom 1\noom_kill 1\n"
    make_tree(folder, {"memory.events": events, "memory.swap.current": "4096\n"})
    make_tree(folder.parent, {"memory.events": "low 0\nhigh 0\nmax 20\noom 2\noom_kill 2\n"})
    found = cgroup.memory_counters(paths)
    assert (found.limit_hits, found.high_hits, found.oom_kills) == (17, 5, 1)
    assert found.oom_kills_above == 2
    shutil.rmtree(folder)  # as the kernel does when its last process is gone
    assert (cgroup.memory_counters(paths).oom_kills_above, found.oom_kills) == (2, 1)
    assert found.total_bytes == 8192 + 4096
    assert found.peak_bytes is None  # before kernel 5.19


def test_a_pid_that_is_some_other_process_here_is_refused(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    with pytest.raises(MeasurementError, match="another host"):
        cgroup.locate(77, "f" * 64, proc)


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="cannot read"):
        cgroup.locate(78, ID, v1_host(tmp_path))


def test_a_mount_that_is_itself_a_cgroup(tmp_path: Path) -> None:
    """In a CI runner's container the mounts' roots are cgroups: paths below them are relative."""
    proc = v1_host(tmp_path, mount_root="/elsewhere")
    with pytest.raises(MeasurementError, match="not visible"):
        cgroup.locate(77, ID, proc)
    assert cgroup.root_usage_path(proc) is None  # that is not the host's root


def test_the_root_counter(tmp_path: Path) -> None:
    found = cgroup.root_usage_path(v1_host(tmp_path))
    assert found is not None
    assert found[0] is cgroup.V1
    assert found[1].read_text() == "999\n"


def test_a_cgroup_that_vanishes_gives_none_and_not_zero(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    (tmp_path / "fs" / f"cpu/docker/{ID}/cpu.stat").unlink()
    reader = cgroup.CounterReader(cgroup.locate(77, ID, proc))
    sample = reader.parse(*reader.read_edge())
    reader.close()
    assert sample.nr_periods is None
    assert sample.nr_throttled is None


@given(st.binary(max_size=200))
def test_parsers_never_raise(raw: bytes) -> None:
    cgroup.parse_flat(raw)
    cgroup.parse_int(raw)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.integers(0, 2**63)))
def test_flat_files_survive_a_round_trip(values: dict[str, int]) -> None:
    raw = "".join(f"{key} {value}\n" for key, value in values.items()).encode()
    assert cgroup.parse_flat(raw) == values


@pytest.mark.parametrize(
    ("total", "failed_total", "peak", "hits"),
    [
        ("33554432", "0", "16777216", 0),  # room for swap: memory.failcnt would have counted
        ("16777216", "0", "16777216", None),  # met, and not counted by this kernel
        ("16777216", "4", "16777216", 4),
        ("16777216", "0", "8388608", 0),  # never met
    ],
)
def test_a_hit_that_the_kernel_does_not_count_is_none_and_not_zero(
    tmp_path: Path, total: str, failed_total: str, peak: str, hits: int | None
) -> None:
    paths = cgroup.locate(77, ID, v1_host(tmp_path))
    folder = paths.folder("memory")
    assert folder is not None
    files = {
        "memory.failcnt": "0",
        "memory.memsw.failcnt": failed_total,
        "memory.limit_in_bytes": "16777216",
        "memory.memsw.limit_in_bytes": total,
        "memory.max_usage_in_bytes": peak,
    }
    make_tree(folder, files)
    assert cgroup.memory_counters(paths).limit_hits == hits


def test_crun_keeps_the_limits_below_the_scope_that_systemd_makes(tmp_path: Path) -> None:
    fs, proc = tmp_path / "fs", crun_host(tmp_path)
    paths = cgroup.locate(77, ID, proc)
    inner = fs / f"system.slice/docker-{ID}.scope/container"
    assert paths.folder("cpu") == inner
    held = cgroup.kernel_limits(paths)
    assert (held.cpu_quota_us, held.cpu_period_us, held.cpu_weight) == (25_000, 100_000, 39)
    assert (held.memory_bytes, held.memory_swap_bytes) == (64 << 20, 96 << 20)
    assert held.memory_reservation_bytes == 0
    found = cgroup.effective_limits(paths)
    assert (found.cpus, found.cpus_at) == (0.25, "")
    assert (found.memory_bytes, found.memory_at) == (64 << 20, "")
    # The scope holds what crun itself took too, and meets the same limit first.
    counted = cgroup.memory_counters(paths)
    assert (counted.limit_hits, counted.oom_kills) == (17, 1)
    (inner / "cpu.max").unlink()  # an older crun
    assert cgroup.locate(77, ID, proc).folder("cpu") == inner.parent


def test_the_cpuset_that_binds_is_named(tmp_path: Path) -> None:
    """tests/data/cases/C03-parent-cpuset: the folder above has lost a CPU that the root has."""
    proc = v1_host(tmp_path)
    cpusets = {"cpuset.cpus": "0-1\n", "docker/cpuset.cpus": "0\n"}
    make_tree(tmp_path / "fs", {f"cpuset/{name}": text for name, text in cpusets.items()})
    (tmp_path / f"fs/cpuset/docker/{ID}/cpuset.cpus").write_text("0\n")
    found = cgroup.effective_limits(cgroup.locate(77, ID, proc))
    assert (found.cpuset_cpus, found.cpuset_at) == ("0", "/docker")
    # as wide as the root's: nobody limits anything
    make_tree(tmp_path / "fs", {"cpuset/docker/cpuset.cpus": "0-1\n"})
    found = cgroup.effective_limits(cgroup.locate(77, ID, proc))
    assert (found.cpuset_cpus, found.cpuset_at) == ("0", "")


@pytest.mark.parametrize(
    ("mask", "cpuset", "found"),
    [
        ("1", "0-1", "1"),  # dockerd under `taskset -c 1`, runc 1.1.5, kernel 6.18
        ("0-1", "0-1", None),
        ("0-127", "0,2-3", None),  # all that could ever be
        ("2-3", "0,3", "3"),
        ("0", "0", None),  # in a cpuset without CPU 1 of the engine's, that mask is not in force
    ],
)
def test_an_affinity_that_a_container_was_handed(
    tmp_path: Path, mask: str, cpuset: str, found: str | None
) -> None:
    proc = v1_host(tmp_path)
    make_tree(proc, {"77/status": f"Name:\tx\nCpus_allowed:\t2\nCpus_allowed_list:\t{mask}\n"})
    make_tree(tmp_path / f"fs/cpuset/docker/{ID}", {"cpuset.cpus": f"{cpuset}\n"})
    paths = cgroup.locate(77, ID, proc)
    assert cgroup.effective_limits(paths).affinity == found
    # A thread of its own that may run on all of them: it is not kept to fewer.
    make_tree(proc, {"78/status": f"Cpus_allowed_list:\t{cpuset}\n"})
    make_tree(tmp_path / f"fs/cpu/docker/{ID}", {"tasks": "77\n78\n79\n"})
    assert cgroup.effective_limits(paths).affinity is None


def test_the_cpus_that_a_new_container_may_have(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    cpuset = tmp_path / "fs/cpuset"
    make_tree(cpuset, {"cpuset.cpus": "0-5\n", "cpuset.effective_cpus": "1,3-5\n"})  # some offline
    assert cgroup.cpus_below("none", proc) == "1,3-5"
    make_tree(cpuset, {"docker/cpuset.cpus": "0,3\n"})
    assert cgroup.cpus_below("docker", proc) == "3"
    of_v2 = v2_host(tmp_path / "2")
    make_tree(tmp_path / "2/fs", {"cpuset.cpus.effective": "0,2,4\n"})
    assert cgroup.cpus_below("system.slice", of_v2) == "0,2,4"  # no cpuset of its own
    make_tree(tmp_path / "2/fs", {"system.slice/cpuset.cpus.effective": "2\n"})  # AllowedCPUs=
    assert cgroup.cpus_below("system.slice", of_v2) == "2"
    assert cgroup.cpus_below("docker", tmp_path) is None


def test_a_partition_s_cpus_are_its_own(tmp_path: Path) -> None:
    """They are taken from what is in effect above it (cgroup-v2.rst, cpuset.cpus.partition)."""
    proc = v2_host(tmp_path)
    scope = tmp_path / f"fs/system.slice/docker-{ID}.scope"
    make_tree(scope, {"cpuset.cpus.effective": "1\n", "cpuset.cpus.partition": "root\n"})
    make_tree(scope.parent, {"cpuset.cpus.effective": "0\n"})
    found = cgroup.effective_limits(cgroup.locate(77, ID, proc))
    assert (found.cpuset_cpus, found.cpuset_at) == ("1", "")


def test_cpusets_that_overlap_bind_together(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    (tmp_path / f"fs/cpuset/docker/{ID}/cpuset.cpus").write_text("0-1\n")
    make_tree(tmp_path / "fs", {"cpuset/docker/cpuset.cpus": "1-2\n"})
    found = cgroup.effective_limits(cgroup.locate(77, ID, proc))
    assert (found.cpuset_cpus, found.cpuset_at) == ("1", "")
