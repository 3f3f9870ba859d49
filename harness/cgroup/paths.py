"""Where a container's cgroup is, hierarchy by hierarchy, and what of them this process can see.

Found from ``/proc/PID/cgroup``, and joined to the mount that ``/proc/self/mountinfo`` names for
that hierarchy: on v1 the memory path can differ from the cpu path, so no path is ever guessed from
the container's id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import MeasurementError


@dataclass(frozen=True, slots=True)
class CgroupPaths:
    """The folders of one container's cgroup: ``cpu``, ``cpuacct``, ``cpuset``, ``memory``.

    On v2 all of them are the same folder. A controller that is not mounted is absent. ``unified``
    is the v2 folder, where pressure is kept: on v1 there only where systemd's hybrid layout, or one
    like it, has mounted v2 beside it without controllers.
    """

    version: int
    folders: dict[str, Path]
    roots: dict[str, Path] = field(default_factory=dict)
    """Where each controller's hierarchy is mounted: nothing above that is visible."""
    scope: Path | None = None
    """Of crun under systemd: the container's scope around ``folders``, see ``_of_crun``."""

    def folder(self, controller: str) -> Path | None:
        """The folder of a controller, or None where that controller is not mounted."""
        return self.folders.get(controller)


CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory")


def _mounts(mountinfo: str) -> tuple[dict[str, tuple[str, Path]], tuple[str, Path] | None]:
    """(v1 controller → (mount root, mount point), the same of v2) from mountinfo's text."""
    v1: dict[str, tuple[str, Path]] = {}
    v2: tuple[str, Path] | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if len(fields) < 5 or len(tail) < 3:
            continue
        # The kernel writes blanks in paths as \040 (proc(5)).
        root, point = (f.replace("\\040", " ") for f in fields[3:5])
        if tail[0] == "cgroup2" and v2 is None:
            v2 = (root, Path(point))
        elif tail[0] == "cgroup":
            for option in tail[2].split(","):
                v1.setdefault(option, (root, Path(point)))
    return v1, v2


def _join(root: str, point: Path, path: str) -> Path | None:
    """Where a cgroup path lies below a mount whose root may itself be a cgroup (in a container)."""
    if root == "/":
        return point / path.lstrip("/")
    if path == root or path.startswith(root + "/"):
        return point / path[len(root) :].lstrip("/")
    return None


def _of_container(path: str, container_id: str) -> str:
    """A process's cgroup path, cut behind the container's own cgroup.

    An init inside the container may have moved itself further down (systemd to ``init.scope``): the
    limits and the counters of all are those above it.
    """
    parts = path.split("/")
    for i, part in enumerate(parts):
        if container_id in part:
            return "/".join(parts[: i + 1])
    return path


def _of_crun(whole: str, path: str) -> str | None:
    """The cgroup below a container's scope that crun keeps its processes in; None without one.

    crun writes the exact limits there, and hands them to systemd for the scope as well, where they
    are not always the same (seen with crun 1.28 and Podman 5.8: no quota where no period was given,
    memory.swap.max larger by the memory). What binds is the tighter one of each.
    """
    inner = f"{path}/container"
    if path.endswith(".scope") and (whole == inner or whole.startswith(f"{inner}/")):
        return inner
    return None


def locate(pid: int, container_id: str, proc: Path = Path("/proc")) -> CgroupPaths:
    """The cgroup folders of the container of a process, as this process sees them.

    ``container_id`` must stand in the path (``docker/<id>``, ``docker-<id>.scope``,
    ``libpod-<id>.scope``): the pid comes from the engine, and with an engine on another machine
    the same number is some other process here.

    Raises MeasurementError where the process is gone or its cgroups are not visible here.
    """
    try:
        membership = (proc / str(pid) / "cgroup").read_text()
        mountinfo = (proc / "self" / "mountinfo").read_text()
    except OSError as error:
        raise MeasurementError(
            f"cannot read the cgroup of process {pid}: {error.strerror}.",
            "Run on the engine's own host, as root.",
        ) from error
    v1_mounts, v2_mount = _mounts(mountinfo)
    if container_id not in membership:
        raise MeasurementError(
            f"process {pid} is not in the container's cgroup: the engine runs on another host.",
            "Run `bench` on the engine's own host.",
        )
    folders: dict[str, Path] = {}
    roots: dict[str, Path] = {}
    unified: Path | None = None
    scope: Path | None = None
    for line in membership.splitlines():
        hierarchy, controllers, whole = line.split(":", 2)
        path = _of_container(whole, container_id)
        if hierarchy == "0" and not controllers:
            if v2_mount:
                unified = _join(*v2_mount, path)
                inner = _of_crun(whole, path)
                below = inner and _join(*v2_mount, inner)
                if below and (below / "cpu.max").exists():  # an older crun leaves it without limits
                    unified, scope = below, unified
            continue
        for controller in controllers.split(","):
            if controller in CONTROLLERS and controller in v1_mounts:
                folder = _join(*v1_mounts[controller], path)
                if folder and folder.is_dir():
                    folders[controller] = folder
                    roots[controller] = v1_mounts[controller][1]
    if folders:
        if unified and unified.is_dir() and container_id in unified.name:
            folders["unified"] = unified
        return CgroupPaths(1, folders, roots)
    if v2_mount and unified and (unified / "cgroup.controllers").exists():
        roots = dict.fromkeys(CONTROLLERS, v2_mount[1])
        return CgroupPaths(2, dict.fromkeys((*CONTROLLERS, "unified"), unified), roots, scope)
    raise MeasurementError(
        f"the cgroup of process {pid} is not visible here.", "Run on the engine's own host."
    )


def root_usage_path(proc: Path = Path("/proc")) -> tuple[int, Path] | None:
    """(version, file) of the whole host's CPU time; None where the root cgroup is not visible.

    Only the true root counts: below a container's own mount it would be that container's.
    """
    mounts = _visible(proc)
    if mounts is None:
        return None
    v1, v2 = mounts
    for version, mount, name in ((1, v1.get("cpuacct"), "cpuacct.usage"), (2, v2, "cpu.stat")):
        if mount and mount[0] == "/" and (mount[1] / name).exists():
            return version, mount[1] / name
    return None


def swap_accounted(proc: Path = Path("/proc")) -> bool | None:
    """Whether this kernel limits swap for each cgroup; None where that cannot be seen.

    v2 has its files in no root cgroup, so those below it are looked at.
    """
    mounts = _visible(proc)
    if mounts is None:
        return None
    v1, v2 = mounts
    if "memory" in v1:
        return (v1["memory"][1] / "memory.memsw.limit_in_bytes").exists()
    if v2 is None or not any(v2[1].glob("*/memory.max")):
        return None
    return any(v2[1].glob("*/memory.swap.max"))


def delegated_controllers(uid: int, proc: Path = Path("/proc")) -> tuple[str, ...] | None:
    """The controllers that systemd has handed to a user's own cgroups; None where not visible.

    Only v2 can hand any to a user who is not root (Documentation/admin-guide/cgroup-v2.rst,
    "Delegation").
    """
    mounts = _visible(proc)
    if mounts is None:
        return None
    v1, v2 = mounts
    if v1:
        return ()
    if v2 is None:
        return None
    file = v2[1] / f"user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
    try:
        return tuple(file.read_text().split())
    except OSError:
        return None


def _visible(
    proc: Path,
) -> tuple[dict[str, tuple[str, Path]], tuple[str, Path] | None] | None:
    try:
        return _mounts((proc / "self" / "mountinfo").read_text())
    except OSError:
        return None
