"""Which cgroups are a container's own, and which the host's root, where things lie otherwise.

On inputs that others recorded: ``tests/data/cases``, each with what is right in ``expected.txt``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import cgroup
from harness.errors import MeasurementError
from harness.host.counters import parse_host_sample
from tests.trees import ID, crun_host, make_tree, v1_host, v2_host

CASES = Path(__file__).parents[1] / "data/cases"
OWN, OTHER = "a" * 64, "b" * 64
MOVED = "c8cef9e2ff114e429cb845559c4a0dff" + "0" * 32
IN_INITIAL, IN_ANOTHER = "cgroup:[4026531835]", "cgroup:[4026532478]"


def process(
    tmp_path: Path, mountinfo: str, membership: str = "", namespace: str | None = None
) -> Path:
    """A /proc of ours, whose mounts lie below ``tmp_path``."""
    proc = tmp_path / "proc"
    text = mountinfo.replace(" /sys", f" {tmp_path}/sys").replace(" /host", f" {tmp_path}/host")
    make_tree(proc, {"self/mountinfo": text, "77/cgroup": membership})
    if namespace:
        (proc / "self/ns").mkdir()
        (proc / "self/ns/cgroup").symlink_to(namespace)
    return proc


def case(tmp_path: Path, name: str, membership: str = "", namespace: str | None = None) -> Path:
    return process(tmp_path, (CASES / name).read_text(), membership, namespace)


def lines(**paths: str) -> str:
    """The text of /proc/PID/cgroup on v1."""
    return "".join(f"{i}:{one}:{path}\n" for i, (one, path) in enumerate(paths.items(), 1))


# --- the host's root (C08) -------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("told_by", ["namespace", "files"])
def test_the_root_of_a_cgroup_namespace_is_not_the_host_s(
    tmp_path: Path, version: int, told_by: str
) -> None:
    files = {"cpuacct/cpuacct.usage": "999\n", "cpu.stat": "usage_usec 999\n"}
    namespace = IN_ANOTHER
    if told_by == "files":  # /proc of another namespace, or one that hides it
        namespace, files["cgroup.type"] = IN_INITIAL, "domain\n"
    else:
        files["cpuacct/release_agent"] = "\n"
    make_tree(tmp_path / "sys/fs/cgroup", files)
    proc = case(tmp_path, f"C08-private-cgroupns/mountinfo-v{version}", namespace=namespace)
    assert cgroup.root_usage_path(proc) is None


@pytest.mark.parametrize("namespace", [IN_INITIAL, None])
@pytest.mark.parametrize(
    ("version", "files", "told"),
    [
        (cgroup.V1, {"cpuacct/cpuacct.usage": "9\n", "cpuacct/release_agent": "\n"}, b"9\n"),
        (cgroup.V2, {"cpu.stat": "usage_usec 9\n"}, b"usage_usec 9\n"),
    ],
)
def test_the_host_s_own_root_is_seen_as_that(
    tmp_path: Path,
    namespace: str | None,
    version: cgroup.CgroupVersion,
    files: dict[str, str],
    told: bytes,
) -> None:
    make_tree(tmp_path / "sys/fs/cgroup", files)
    name = f"C08-private-cgroupns/mountinfo-v{version.number}"
    found = cgroup.root_usage_path(case(tmp_path, name, namespace=namespace))
    assert found is not None
    assert (found[0], found[1].read_bytes()) == (version, told)


def test_the_host_s_tree_beside_a_namespace_of_one_s_own_shows_the_root_and_its_containers(
    tmp_path: Path,
) -> None:
    mountinfo = (
        "40 30 0:30 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
        "50 30 0:30 /../../.. /host/sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    )
    make_tree(
        tmp_path,
        {
            "sys/fs/cgroup/cpu.stat": "usage_usec 1\n",
            "sys/fs/cgroup/cgroup.type": "domain\n",
            "host/sys/fs/cgroup/cpu.stat": "usage_usec 9\n",
            f"host/sys/fs/cgroup/docker/{OTHER}/cgroup.controllers": "cpu\n",
            f"host/sys/fs/cgroup/docker/ci/{ID}/cgroup.controllers": "cpu\n",
            f"host/sys/fs/cgroup/docker/ci/{OWN}/in/{MOVED}/cgroup.controllers": "cpu\n",
        },
    )
    # Our own cgroup is /docker/ci/aaaa, and in its namespace nothing above it has a name.
    for path, own, other in (
        (f"/../../../docker/{OTHER}", f"docker/{OTHER}", OTHER),
        (f"/../../{OTHER}", f"docker/{OTHER}", OTHER),
        (f"/../{ID}", f"docker/ci/{ID}", ID),
        (f"/in/{MOVED}", f"docker/ci/{OWN}/in/{MOVED}", MOVED),
    ):
        found = cgroup.locate(77, other, process(tmp_path, mountinfo, f"0::{path}\n"))
        assert found.folder("cpu") == tmp_path / "host/sys/fs/cgroup" / own, path
    proc = process(tmp_path, mountinfo, namespace=IN_ANOTHER)
    assert cgroup.root_usage_path(proc) == (cgroup.V2, tmp_path / "host/sys/fs/cgroup/cpu.stat")


def test_a_host_whose_root_is_not_seen_has_no_cpu_time() -> None:
    sample = parse_host_sample(None, 5, (b"cpu0 1 2 3 4 5 6 7 8 9 10\n", None, None))
    assert (sample.root_usage_ns, sample.root_percpu_ns) == (None, None)
    assert sample.steal_ns is not None


# --- several mounts, and such as are covered (C09) ---------------------------------------------


def test_a_later_mount_at_the_same_point_is_the_one_that_is_seen(tmp_path: Path) -> None:
    make_tree(
        tmp_path / "sys/fs/cgroup",
        {
            "cgroup.type": "domain\n",
            "cpu.stat": "usage_usec 9\n",
            f"docker/{OTHER}/cgroup.controllers": "cpu\n",
        },
    )
    proc = case(tmp_path, "C09-overmount/mountinfo-v2", f"0::/docker/{OTHER}\n")
    found = cgroup.locate(77, OTHER, proc)
    assert found.folder("cpu") == tmp_path / f"sys/fs/cgroup/docker/{OTHER}"
    assert found.roots["cpu"] == tmp_path / "sys/fs/cgroup"
    assert cgroup.root_usage_path(proc) is None


def test_a_later_mount_over_a_folder_above_hides_those_below_it(tmp_path: Path) -> None:
    controllers = ("cpu", "cpuacct", "cpuset", "memory")
    # What is seen is the container's own cgroup, with one of its own below it.
    make_tree(
        tmp_path / "sys/fs/cgroup",
        {f"{one}/docker/{OTHER}/cgroup.procs": "" for one in controllers}
        | {"cpuacct/cpuacct.usage": "9\n", "cpuacct/release_agent": "\n"},
    )
    name = "C09-overmount/mountinfo-v1-sys-bind"
    proc = case(tmp_path, name, lines(**dict.fromkeys(controllers, f"/docker/{OWN}")))
    found = cgroup.locate(77, OWN, proc)
    assert found.folders == {one: tmp_path / "sys/fs/cgroup" / one for one in controllers}
    assert cgroup.root_usage_path(proc) is None
    proc = case(tmp_path, name, lines(**dict.fromkeys(controllers, f"/docker/{OTHER}")))
    with pytest.raises(MeasurementError, match="not visible here"):
        cgroup.locate(77, OTHER, proc)


def test_of_several_mounts_that_one_counts_through_which_the_cgroup_is_reached(
    tmp_path: Path,
) -> None:
    host = tmp_path / "host/sys/fs/cgroup"
    make_tree(host, {f"{one}/docker/{OTHER}/cgroup.procs": "" for one in ("cpu", "memory")})
    make_tree(tmp_path / "sys/fs/cgroup", {"cpu/cpu.stat": "", "memory/memory.stat": ""})
    name = "C09-overmount/mountinfo-v1-own-then-host"
    other = cgroup.locate(
        77, OTHER, case(tmp_path, name, lines(cpu=f"/docker/{OTHER}", memory=f"/docker/{OTHER}"))
    )
    assert other.folders == {one: host / f"{one}/docker/{OTHER}" for one in ("cpu", "memory")}
    assert other.roots == {one: host / one for one in ("cpu", "memory")}
    own = case(tmp_path, name, lines(cpu=f"/docker/{OWN}", memory=f"/docker/{OWN}"))
    assert cgroup.locate(77, OWN, own).folder("cpu") == tmp_path / "sys/fs/cgroup/cpu"
    # Where both reach it, the one that shows more of what is above it does.
    make_tree(host, {f"cpu/docker/{OWN}/cgroup.procs": ""})
    assert cgroup.locate(77, OWN, own).folder("cpu") == host / f"cpu/docker/{OWN}"


def test_a_root_that_is_listed_after_what_was_moved_to_it_hides_nothing(tmp_path: Path) -> None:
    """As on every host that came up by an initramfs: /sys was there before its root was."""
    mountinfo = (
        "22 27 0:21 / /sys rw - sysfs sysfs rw\n"
        "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    )
    make_tree(tmp_path, {f"sys/fs/cgroup/docker/{ID}/cgroup.controllers": "cpu\n"})
    found = cgroup.locate(77, ID, process(tmp_path, mountinfo, f"0::/docker/{ID}\n"))
    assert found.version == 2


def test_a_point_whose_name_has_blanks_and_a_backslash(tmp_path: Path) -> None:
    mountinfo = r"30 22 0:26 / /sys/my\040own\134 rw - cgroup2 cgroup2 rw" + "\n"
    make_tree(tmp_path, {f"sys/my own\\/docker/{ID}/cgroup.controllers": "cpu\n"})
    assert cgroup.locate(77, ID, process(tmp_path, mountinfo, f"0::/docker/{ID}\n")).version == 2


# --- a process that was moved (C05) --------------------------------------------------------------


def moved_host(tmp_path: Path) -> Path:
    """The recorded process, with counters in the cgroup that it was moved to."""
    proc = v1_host(tmp_path)
    membership = (CASES / "C05-moved-process/cgroup").read_text()
    make_tree(
        tmp_path,
        {
            "proc/77/cgroup": membership,
            "fs/cpu/user.slice/cpu.stat": "nr_periods 1\nnr_throttled 1\nthrottled_time 1\n",
            "fs/cpu/user.slice/cpu.cfs_quota_us": "70000\n",
            "fs/cpu/user.slice/cpu.cfs_period_us": "100000\n",
            "fs/cpuacct/user.slice/cpuacct.usage": "777\n",
            "fs/memory/user.slice/memory.usage_in_bytes": "777\n",
            "fs/memory/user.slice/memory.limit_in_bytes": "777\n",
            f"fs/cpuset/docker/{MOVED}/cpuset.cpus": "0-1\n",
        },
    )
    return proc


def test_a_foreign_cgroup_is_never_taken_for_the_container_s(tmp_path: Path) -> None:
    paths = cgroup.locate(77, MOVED, moved_host(tmp_path))
    assert paths.moved == dict.fromkeys(("cpu", "cpuacct", "memory"), "/user.slice")
    assert paths.folders == {"cpuset": tmp_path / f"fs/cpuset/docker/{MOVED}"}
    held = cgroup.kernel_limits(paths)
    assert (held.cpu_quota_us, held.memory_bytes, held.cpuset_cpus) == (None, None, "0-1")
    force = cgroup.effective_limits(paths)
    assert (force.cpus, force.memory_bytes, force.cpuset_cpus) == (None, None, "0-1")
    assert cgroup.memory_counters(paths).usage_bytes is None
    words = "it runs outside its cgroup for cpu and memory, in /user.slice"
    with pytest.raises(MeasurementError, match=words):
        cgroup.CounterReader(paths)


def test_the_counters_of_the_controllers_that_it_is_still_in_are_read(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    membership = proc / "77/cgroup"
    text = membership.read_text()
    membership.write_text(text.replace(f"/runner/abc/docker/{ID}", "/system.slice"))
    paths = cgroup.locate(77, ID, proc)
    reader = cgroup.CounterReader(paths)
    sample = reader.parse(*reader.read_edge())
    reader.close()
    assert (sample.cpu_usage_ns, sample.memory_bytes) == (123456789, None)
    words = "it runs outside its cgroup for memory, in /system.slice"
    assert reader.absent["memory_bytes"] == reader.absent["oom_kills"] == words
    assert "cpu_usage_ns" not in reader.absent
    # And the other way round.
    membership.write_text(text.replace(f":cpu:/docker/{ID}", ":cpu:/").replace(
        f":cpuacct:/docker/{ID}", ":cpuacct:/"
    ))  # fmt: skip
    paths = cgroup.locate(77, ID, proc)
    reader = cgroup.CounterReader(paths)
    sample = reader.parse(*reader.read_edge())
    reader.close()
    assert (sample.cpu_usage_ns, sample.memory_bytes, sample.usage_percpu_ns) == (None, 4096, None)
    assert "outside its cgroup for cpu, in /" in reader.absent["nr_throttled"]
    assert "outside its cgroup for cpuacct, in /" in reader.absent["usage_percpu_ns"]


NAMES: Mapping[str, str] = {
    "cgroupfs": f"/docker/{ID}",
    "systemd": f"/system.slice/docker-{ID}.scope",
    "parent": f"/limited/a b/{ID}",
    "podman": f"/machine.slice/libpod-{ID}.scope/container",
    "kubernetes": f"/kubepods.slice/kubepods-burstable.slice/cri-containerd-{ID}.scope",
    "cri-o": f"/kubepods/burstable/pod7/crio-{ID}",
    "init moved itself": f"/docker/{ID}/init.scope",
}


@pytest.mark.parametrize("path", NAMES.values(), ids=NAMES.keys())
def test_whoever_named_its_cgroup_it_has_not_moved(tmp_path: Path, path: str) -> None:
    proc = v1_host(tmp_path)
    (proc / "77/cgroup").write_text(
        lines(cpu=path, cpuacct=path, cpuset=path, memory=path, devices="/") + "0::/\n"
    )
    for one in ("cpu", "cpuacct", "cpuset", "memory"):
        (tmp_path / f"fs/{one}{path}").mkdir(parents=True, exist_ok=True)
    paths = cgroup.locate(77, ID, proc)
    assert (paths.moved, len(paths.folders)) == ({}, 4)


@pytest.mark.parametrize("host", [v2_host, crun_host])
def test_a_v2_host_with_a_v1_hierarchy_of_its_own_beside_it(tmp_path: Path, host: object) -> None:
    assert callable(host)
    proc: Path = host(tmp_path)
    membership = proc / "77/cgroup"
    membership.write_text("5:cpuset:/\n4:net_cls:/\n" + membership.read_text())
    paths = cgroup.locate(77, ID, proc)
    assert (paths.version, paths.moved) == (2, {})


@pytest.mark.parametrize("version", [cgroup.V1, cgroup.V2])
def test_a_process_outside_all_of_its_cgroups_is_told_by_their_being_empty(
    tmp_path: Path, version: cgroup.CgroupVersion
) -> None:
    proc = (v1_host if version is cgroup.V1 else v2_host)(tmp_path)
    membership = proc / "77/cgroup"
    elsewhere = "".join(
        line.partition("/")[0] + "/user.slice\n" for line in membership.read_text().splitlines()
    )
    membership.write_text(elsewhere)
    own = [folder for folder in (tmp_path / "fs").rglob("*") if ID in folder.name]
    monitor = own[0].parent / f"libpod-conmon-{ID}.scope"
    make_tree(monitor, {"cgroup.procs": "76\n"})
    for folder in own:
        make_tree(folder, {"cgroup.procs": ""})
    paths = cgroup.locate(77, ID, proc)
    assert (paths.files, paths.folders) == (version, {})
    mounted = ("cpu", "cpuacct", "cpuset", "memory")  # of v2's all, by one mount
    controllers = mounted if version is cgroup.V1 else cgroup.CONTROLLERS
    assert paths.moved == dict.fromkeys(controllers, "/user.slice")
    # Its processes are there: 77 is another one here, as in a container with a PID namespace.
    make_tree(own[-1], {"inner/cgroup.procs": "5\n"})
    with pytest.raises(MeasurementError, match="another host"):
        cgroup.locate(77, ID, proc)


def test_a_tree_that_may_not_be_written_is_told_unless_another_mount_of_it_may(
    tmp_path: Path,
) -> None:
    own, host = tmp_path / "sys/fs/cgroup", tmp_path / "host/cgroup"
    text = "".join(
        f"{i} 1 0:{i} / {point} rw - cgroup2 cgroup2 rw\n"
        for i, point in ((2, "/host/cgroup"), (3, "/sys/fs/cgroup"))
    )
    proc = process(tmp_path, text)
    # What is not there may not be written, by root either, as what is mounted read-only.
    assert cgroup.read_only_mount(proc) == host
    own.mkdir(parents=True)
    assert cgroup.read_only_mount(proc) is None


# --- a cgroup in every hierarchy -------------------------------------------------------------


def test_a_cgroup_is_found_in_hierarchies_too_that_nobody_reads(tmp_path: Path) -> None:
    mounts = "".join(
        f"{i} 20 0:{i} / /sys/fs/cgroup/{name} rw - cgroup {name} rw,{name}\n"
        for i, name in enumerate(("cpu", "freezer", "name=systemd"), 30)
    )
    proc = process(tmp_path, mounts)
    root = tmp_path / "sys/fs/cgroup"
    make_tree(root, {"cpu/mine/tasks": "", "freezer/mine/tasks": "", "name=systemd/tasks": ""})
    assert cgroup.everywhere("/mine", proc) == [root / "cpu/mine", root / "freezer/mine"]
    assert cgroup.everywhere("/other", proc) == []
