"""Cgroups that are named by a process, a path or a systemd unit, in trees of either version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cgroup import (
    NamedCgroup,
    effective_limits,
    is_populated,
    of_path,
    of_process,
    of_unit,
)
from harness.errors import BenchError, MeasurementError, UsageError
from tests.trees import ID, make_tree, v1_cgroups, v1_host, v2_cgroups

POD = "/kubepods.slice/kubepods-pod1.slice/cri-containerd-0b5c.scope"
NGINX = "/system.slice/nginx.service"


def v2_host(tmp_path: Path) -> Path:
    return v2_cgroups(tmp_path, {POD: "77", NGINX: "80 81", "/system.slice/empty.service": ""})


def service_host(tmp_path: Path, **at: str) -> Path:
    """A v1 host whose service has a cgroup of its own only in some hierarchies."""
    return v1_cgroups(tmp_path, {"80": {"systemd": NGINX, **at}})


@pytest.mark.parametrize(
    ("find", "path", "pid"),
    [
        (lambda proc: of_process(77, proc), POD, 77),
        (lambda proc: of_path(POD, proc), POD, 77),
        (lambda proc: of_path("system.slice/nginx.service", proc), NGINX, 80),
        (lambda proc: of_path(f"{proc.parent}/fs{NGINX}/", proc), NGINX, 80),
        (lambda proc: of_unit("nginx.service", proc), NGINX, 80),
        (lambda proc: of_unit("nginx", proc), NGINX, 80),
    ],
)
def test_a_cgroup_of_v2_is_found_by_all_that_names_it(
    find: Callable[[Path], NamedCgroup], path: str, pid: int, tmp_path: Path
) -> None:
    found = find(v2_host(tmp_path))
    assert (found.path, found.pid) == (path, pid)
    assert set(found.paths.folders.values()) == {tmp_path / f"fs{path}"}
    assert (found.below, found.threaded, found.paths.root_unseen) == (0, "", False)


@pytest.mark.parametrize(
    ("find", "words"),
    [
        (lambda proc: of_process(99, proc), "there is no process 99 here"),
        (lambda proc: of_path("/nosuch", proc), "there is no cgroup /nosuch here"),
        (lambda proc: of_path("/", proc), "the root cgroup, which is the whole host"),
        (lambda proc: of_path("/system.slice/empty.service", proc), "has no process"),
        (lambda proc: of_unit("ngins", proc), "Did you mean nginx.service"),
        (lambda proc: of_unit("../x", proc), "no unit's name"),
    ],
)
def test_what_cannot_be_looked_at_has_its_own_word(
    find: Callable[[Path], NamedCgroup], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchError) as caught:
        find(v2_host(tmp_path))
    assert words in str(caught.value)
    assert caught.value.remedy


def test_a_process_in_the_root_cgroup_is_in_none_that_could_be_limited(tmp_path: Path) -> None:
    proc = v2_cgroups(tmp_path, {POD: "77"})
    make_tree(proc, {"1/cgroup": "0::/\n"})
    with pytest.raises(MeasurementError, match="process 1 is in the root cgroup"):
        of_process(1, proc)


def test_a_unit_s_name_that_several_cgroups_bear_is_told_with_their_paths(tmp_path: Path) -> None:
    user = "/user.slice/user@1000.service/app.slice/nginx.service"
    proc = v2_cgroups(tmp_path, {NGINX: "80", user: "90"})
    with pytest.raises(UsageError, match=f"2 cgroups are named nginx.service: {NGINX}, {user}"):
        of_unit("nginx", proc)


def test_what_a_service_on_v1_has_no_cgroup_for_is_not_its_figure(tmp_path: Path) -> None:
    """A unit has a cgroup only where it is accounted for: its CPU is in its slice, with others'."""
    proc = service_host(tmp_path, memory=NGINX, cpu="/system.slice")
    make_tree(tmp_path / "fs/cpu/system.slice",
              {"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"})  # fmt: skip
    found = of_unit("nginx.service", proc)
    assert found.path == NGINX == of_process(80, proc).path
    assert found.elsewhere == {"cpu": "/system.slice", "cpuacct": "/", "cpuset": "/"}
    assert found.paths.folders == {"memory": tmp_path / f"fs/memory{NGINX}"}
    assert "no cgroup of its own for cpu" in found.paths.absent["cpu"]
    # Its slice's quota holds for it all the same.
    force = effective_limits(found.paths)
    assert (force.cpus, force.cpus_at) == (0.5, "/system.slice")


def test_a_service_that_nothing_counts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="neither CPU nor memory is counted") as caught:
        of_unit("nginx", service_host(tmp_path))
    assert "MemoryAccounting=yes" in caught.value.remedy


def test_a_container_s_cgroup_lies_elsewhere_in_each_hierarchy_of_v1(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    (tmp_path / f"fs/cpu/docker/{ID}/cgroup.procs").write_text("77\n")
    for found in (of_process(77, proc), of_path(f"/docker/{ID}", proc)):
        assert found.paths.folder("memory") == tmp_path / f"fs/memory/runner/abc/docker/{ID}"
        assert found.paths.folder("cpu") == tmp_path / f"fs/cpu/docker/{ID}"
        assert not found.paths.shared


def test_processes_of_cgroups_below_are_counted_in(tmp_path: Path) -> None:
    """On v2 a cgroup with controllers for those below it has no process of its own."""
    pod = POD.rpartition("/")[0]
    proc = v2_cgroups(tmp_path, {pod: "", POD: "77", f"{pod}/b": "78", f"{pod}/c": ""})
    found = of_path(pod, proc)
    assert (found.path, found.pid in {77, 78}, found.below) == (pod, True, 2)


def test_a_threaded_cgroup_knows_its_domain(tmp_path: Path) -> None:
    proc = v2_cgroups(tmp_path, {NGINX: "80", f"{NGINX}/io": "81"})
    make_tree(
        tmp_path / f"fs{NGINX}",
        {"cgroup.type": "domain threaded\n", "io/cgroup.type": "threaded\n",
         "io/cgroup.threads": "81\n", "memory.max": "1000000\n"},
    )  # fmt: skip
    (tmp_path / f"fs{NGINX}/io/cgroup.procs").unlink()  # the kernel's EOPNOTSUPP
    (tmp_path / f"fs{NGINX}/io/memory.current").unlink()
    found = of_process(81, proc)
    assert found.threaded == NGINX == of_path(f"{NGINX}/io", proc).threaded
    assert effective_limits(found.paths).memory_at == NGINX


def test_in_a_namespace_the_own_root_is_a_cgroup_and_what_is_above_it_hidden(
    tmp_path: Path,
) -> None:
    proc = v2_cgroups(tmp_path, {"/": "1", NGINX: "80"})
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/cgroup").symlink_to("cgroup:[4026532999]")
    for found in (of_process(1, proc), of_path("/", proc), of_process(80, proc)):
        assert found.paths.root_unseen


def test_processes_of_another_pid_namespace_have_no_number_and_are_no_emptiness(
    tmp_path: Path,
) -> None:
    proc = v1_cgroups(tmp_path, {"80": {"cpuacct": NGINX, "memory": NGINX}})
    for one in ("cpuacct", "memory"):
        (tmp_path / f"fs/{one}{NGINX}/cgroup.procs").write_text("")
    with pytest.raises(MeasurementError, match="has no process"):
        of_path(NGINX, proc)
    (proc / "self/ns").mkdir()
    (proc / "self/ns/pid").symlink_to("pid:[4026532999]")
    assert of_path(NGINX, proc).pid == 0


def test_a_cgroup_is_populated_while_a_process_is_in_it_or_below(tmp_path: Path) -> None:
    v1_cgroups(tmp_path, {"80": {"memory": NGINX}})
    slice_ = tmp_path / "fs/memory/system.slice"
    assert is_populated(slice_)
    (slice_ / "nginx.service/cgroup.procs").write_text("")
    assert not is_populated(slice_)
    assert not is_populated(tmp_path / "gone")
