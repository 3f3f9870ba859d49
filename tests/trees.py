"""Hosts as files: /proc and cgroups of either version that hold one container."""

from __future__ import annotations

from pathlib import Path

ID = "0b5c" * 16


def make_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def v1_host(tmp_path: Path, *, mount_root: str = "/") -> Path:
    """A host whose container's memory cgroup lies elsewhere than its cpu cgroup."""
    fs, proc = tmp_path / "fs", tmp_path / "proc"
    mounts = "".join(
        f"3{i} 31 0:2{i} {mount_root} {fs}/{name} rw,relatime - cgroup cgroup rw,{name}\n"
        for i, name in enumerate(("cpu", "cpuacct", "cpuset", "memory"))
    )
    make_tree(
        proc,
        {
            "77/cgroup": f"4:memory:/runner/abc/docker/{ID}\n3:cpuset:/docker/{ID}\n"
            f"2:cpuacct:/docker/{ID}\n1:cpu:/docker/{ID}\n0::/\n",
            "self/mountinfo": mounts + f"41 31 0:38 / {fs}/unified rw - cgroup2 cgroup2 rw\n",
        },
    )
    make_tree(
        fs,
        {
            "cpuacct/cpuacct.usage": "999\n",
            "cpuacct/release_agent": "\n",
            f"cpu/docker/{ID}/cpu.stat": "nr_periods 12\nnr_throttled 7\nthrottled_time 350000\n",
            f"cpu/docker/{ID}/cpu.cfs_quota_us": "50000\n",
            f"cpu/docker/{ID}/cpu.cfs_period_us": "100000\n",
            f"cpu/docker/{ID}/cpu.shares": "1024\n",
            f"cpuacct/docker/{ID}/cpuacct.usage": "123456789\n",
            f"cpuacct/docker/{ID}/cpuacct.usage_percpu": "123456700 89 \n",
            f"cpuset/docker/{ID}/cpuset.cpus": "0-1\n",
            f"memory/runner/abc/docker/{ID}/memory.usage_in_bytes": "4096\n",
            f"memory/runner/abc/docker/{ID}/memory.limit_in_bytes": "9223372036854771712\n",
            f"memory/runner/abc/docker/{ID}/memory.memsw.limit_in_bytes": "134217728\n",
        },
    )
    return proc


def v2_host(tmp_path: Path) -> Path:
    fs, proc = tmp_path / "fs", tmp_path / "proc"
    scope = f"system.slice/docker-{ID}.scope"
    make_tree(
        proc,
        {
            "77/cgroup": f"0::/{scope}\n",
            "self/mountinfo": f"30 23 0:26 / {fs} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
        },
    )
    make_tree(
        fs,
        {
            "cpu.stat": "usage_usec 5000\n",
            f"{scope}/cgroup.controllers": "cpuset cpu memory pids\n",
            f"{scope}/cpu.stat": "usage_usec 123456\nuser_usec 100000\nsystem_usec 23456\n"
            "nr_periods 12\nnr_throttled 7\nthrottled_usec 350\n",
            f"{scope}/cpu.max": "50000 100000\n",
            f"{scope}/cpu.weight": "39\n",
            f"{scope}/cpuset.cpus.effective": "0-1\n",
            f"{scope}/memory.current": "8192\n",
            f"{scope}/memory.max": "67108864\n",
            f"{scope}/memory.swap.max": "67108864\n",
            f"{scope}/memory.low": "0\n",
            f"{scope}/memory.high": "max\n",
        },
    )
    return proc


def crun_host(tmp_path: Path) -> Path:
    """The same with crun under systemd: limits in a cgroup within the scope (Podman 5.8)."""
    proc = v2_host(tmp_path)
    scope = f"system.slice/docker-{ID}.scope"
    (proc / "77/cgroup").write_text(f"0::/{scope}/container\n")
    make_tree(
        tmp_path / "fs",
        {
            f"{scope}/memory.events": "low 0\nhigh 0\nmax 17\noom 1\noom_kill 1\n",
            f"{scope}/container/cgroup.controllers": "cpuset cpu memory pids\n",
            f"{scope}/container/cpu.stat": "usage_usec 123000\n",
            f"{scope}/container/cpu.max": "25000 100000\n",
            f"{scope}/container/cpu.weight": "100\n",
            f"{scope}/container/memory.current": "4096\n",
            f"{scope}/container/memory.max": "67108864\n",
            f"{scope}/container/memory.swap.max": "33554432\n",
            f"{scope}/container/memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\n",
        },
    )
    return proc


def v2_cgroups(tmp_path: Path, members: dict[str, str], *, mount_root: str = "/") -> Path:
    """Cgroups of a v2 host: path → pids of its processes; each has the counters that all have."""
    fs, proc = tmp_path / "fs", tmp_path / "proc"
    mount = f"30 23 0:26 {mount_root} {fs} rw,nosuid - cgroup2 cgroup2 rw\n"
    make_tree(proc, {"self/mountinfo": mount})
    for path, pids in members.items():
        make_tree(
            fs / path.strip("/"),
            {
                "cgroup.controllers": "cpuset cpu memory pids\n",
                "cgroup.type": "domain\n",
                "cgroup.events": f"populated {int(bool(pids))}\nfrozen 0\n",
                "cgroup.procs": "".join(f"{pid}\n" for pid in pids.split()),
                "cpu.stat": "usage_usec 9000\nnr_periods 12\nnr_throttled 7\nthrottled_usec 350\n",
                "memory.current": "8192\n",
            },
        )
        for pid in pids.split():
            make_tree(proc, {f"{pid}/cgroup": f"0::{path}\n", f"{pid}/stat": stat(pid)})
    return proc


def v1_cgroups(tmp_path: Path, members: dict[str, dict[str, str]]) -> Path:
    """The same on v1: pid → hierarchy → path; ``systemd`` is the one without controllers."""
    fs, proc = tmp_path / "fs", tmp_path / "proc"
    hierarchies = ("cpu", "cpuacct", "cpuset", "memory", "systemd")
    make_tree(proc, {"self/mountinfo": "".join(
        f"3{i} 31 0:2{i} / {fs}/{one} rw - cgroup cgroup rw,{'name=' * (one == 'systemd')}{one}\n"
        for i, one in enumerate(hierarchies)
    )})  # fmt: skip
    for one in hierarchies:
        make_tree(fs / one, {"release_agent": "\n", "cgroup.procs": ""})
    counted = {
        "cpu": {"cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n"},
        "cpuacct": {"cpuacct.usage": "5000\n"},
        "memory": {"memory.usage_in_bytes": "4096\n"},
    }
    for pid, at in members.items():
        lines = []
        for i, one in enumerate(hierarchies):
            path = at.get(one, "/")
            lines.append(f"{i}:{'name=' * (one == 'systemd')}{one}:{path}\n")
            make_tree(fs / one / path.strip("/"), counted.get(one, {}))
            (fs / one / path.strip("/")).mkdir(parents=True, exist_ok=True)
            with (fs / one / path.strip("/") / "cgroup.procs").open("a") as file:
                file.write(f"{pid}\n")
        make_tree(proc, {f"{pid}/cgroup": "".join(lines), f"{pid}/stat": stat(pid)})
    return proc


def stat(pid: str) -> str:
    return f"{pid} (sh) S 1 " + "0 " * 17 + "5000 0 0\n"


PODS = ("/kubepods/burstable/pod1", "/kubepods/burstable", "/kubepods")
"""The cgroups above the container of ``pod_host``, the nearest first."""


def pod_host(tmp_path: Path, version: int) -> Path:
    """A host whose container is three cgroups deep; none above it limits anything yet."""
    proc = v1_host(tmp_path) if version == 1 else v2_host(tmp_path)
    own = f"docker/{ID}" if version == 1 else f"system.slice/docker-{ID}.scope"
    at = f"{PODS[0]}/{Path(own).name}"
    membership = proc / "77/cgroup"
    membership.write_text("".join(
        f"{line.rpartition(':')[0]}:{at}\n" for line in membership.read_text().splitlines()
    ))  # fmt: skip
    for folder in list((tmp_path / "fs").rglob(Path(own).name)):
        hierarchy = tmp_path / "fs" / (folder.relative_to(tmp_path / "fs").parts[0])
        target = Path(f"{hierarchy if version == 1 else tmp_path / 'fs'}{at}")
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
    return proc


def pod_files(tmp_path: Path, version: int, at: str, files: dict[str, str]) -> None:
    """Write files of one of the cgroups of ``PODS``, or of the container's own.

    Named CONTROLLER/FILE; on v2 the controller says nothing.
    """
    fs = tmp_path / "fs"
    for name, text in files.items():
        controller, _, file = name.partition("/")
        make_tree(fs, {f"{controller if version == 1 else ''}{at}/{file}".lstrip("/"): text})
