"""Where a container's cgroup is, as far as this process can see it.

Found hierarchy by hierarchy from ``/proc/PID/cgroup``, and joined to a mount of that hierarchy that
is visible here (``harness.cgroup.mounts``): on v1 the memory path can differ from the cpu path, so
no path is ever guessed from the container's id.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import privileges
from harness.cgroup.mounts import Mount, Mounts, visible_mounts
from harness.cgroup.parsing import read_text
from harness.cgroup.v1 import V1
from harness.cgroup.v2 import V2
from harness.cgroup.version import CgroupVersion
from harness.errors import MeasurementError

CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids")
FOLDERS = (*CONTROLLERS, "blkio", "unified")
"""All that a container has a folder of; what v2 calls io is blkio here."""


@dataclass(frozen=True, slots=True)
class CgroupPaths:
    """The folders of one container's cgroup, by controller (``FOLDERS``).

    On v2 all of them are the same folder, on v1 there is one of ``freezer`` too. A controller that
    is not mounted is absent. ``unified`` is the v2 folder, where pressure is kept: on v1 there only
    where systemd's hybrid layout, or one like it, has mounted v2 beside it without controllers.
    """

    files: CgroupVersion
    """Which files are in the folders, and what they say."""
    folders: dict[str, Path]
    roots: dict[str, Path] = field(default_factory=dict)
    """Where each controller's hierarchy is mounted: nothing above that is visible."""
    scope: Path | None = None
    """Of crun under systemd: the container's scope around ``folders``, see ``_of_crun``."""
    process: Path | None = None
    """/proc/PID of the container's first process; None where that is not of this host."""
    moved: dict[str, str] = field(default_factory=dict)
    """Controllers for which the process runs outside of its container's cgroup, with the path of
    the cgroup that it is in: that one is not the container's, so there is no folder."""
    shared: dict[str, Path] = field(default_factory=dict)
    """Of a cgroup that was named (``cgroup.named``) on v1: controllers for which its processes are
    in another one, mostly above it with others, and that one's folder. Its limits hold for them,
    its figures are not theirs."""
    root_unseen: bool = False
    """Whether what is above the hierarchy's visible root cannot be seen: another cgroup namespace,
    or a part of the tree that was mounted as one."""
    at: str = ""
    """Of a cgroup above a container: its path below the mounts. Empty for the container's own."""

    @property
    def version(self) -> int:
        """The number of the cgroup version."""
        return self.files.number

    def folder(self, controller: str) -> Path | None:
        """The folder of a controller, or None where there is none."""
        return self.folders.get(controller)

    def above(self) -> list[CgroupPaths]:
        """The cgroups above, the nearest first, up to the mounts; on v1 each where it is above.

        The paths of two v1 controllers can differ: then a cgroup is above for some of them alone.
        """
        found: dict[str, dict[str, Path]] = {}
        for controller, root in self.roots.items():
            folder, shared = self.folders.get(controller), self.shared.get(controller)
            lowest = folder.parent if folder is not None and folder != root else shared
            for one in (lowest, *lowest.parents) if lowest is not None else ():
                if one != root and root not in one.parents:
                    break
                if one != self.scope:
                    path = one.relative_to(root)
                    found.setdefault("/" if one == root else f"/{path}", {})[controller] = one
        deepest = sorted(found, key=lambda at: (at == "/", -at.count("/")))
        return [CgroupPaths(self.files, found[at], self.roots, at=at) for at in deepest]

    @property
    def outside(self) -> str:
        """That the process is not in its cgroup, in words; empty where it is."""
        return outside(self.moved)

    @property
    def absent(self) -> dict[str, str]:
        """The controllers without a folder, with why; empty where that is nothing of this one."""
        none = {*CONTROLLERS, "unified", *self.moved} - self.folders.keys()
        return {one: self._why_absent(one) for one in none}

    def _why_absent(self, controller: str) -> str:
        if controller in self.moved:
            return outside({controller: self.moved[controller]})
        if controller in self.shared:
            return f"it has no cgroup of its own for {controller}"
        return ""


def outside(moved: Mapping[str, str]) -> str:
    """``moved`` (controller → path) in words; empty where there is nothing in it."""
    # cpuacct is the half of the CPU that only counts, and no option's.
    named = [one for one in moved if one != "cpuacct" or "cpu" not in moved]
    if not named:
        return ""
    *before, last = named
    which = f"{', '.join(before)} and {last}" if before else last
    where = ", ".join(dict.fromkeys(moved[one] for one in named))
    return f"it runs outside its cgroup for {which}, in {where}"


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
    inner = f"{path}/{V2.inner}"
    if path.endswith(".scope") and (whole == inner or whole.startswith(f"{inner}/")):
        return inner
    return None


def locate(pid: int, container_id: str, proc: Path = Path("/proc")) -> CgroupPaths:
    """The cgroup folders of the container of a process, as this process sees them.

    ``container_id`` must stand in the path (``docker/<id>``, ``docker-<id>.scope``,
    ``libpod-<id>.scope``): the pid comes from the engine, and with an engine on another machine
    the same number is some other process here. A hierarchy whose path does not bear it, beside one
    whose path does, is one that the process was moved out of its container's cgroup in.

    Raises MeasurementError where the process is gone or its cgroups are not visible here.
    """
    try:
        membership = (proc / str(pid) / "cgroup").read_text()
        mounts = visible_mounts(proc)
    except OSError as error:
        if not privileges.sees_every_process(proc):
            raise _elsewhere(pid) from error
        raise MeasurementError(
            f"cannot read the cgroup of process {pid}: {error.strerror}.",
            "Run on the engine's own host, as root.",
        ) from error
    at = memberships(membership)
    if container_id not in membership:
        # v1 leaves processes of another PID namespace out of cgroup.procs: it would look emptied.
        if not privileges.sees_every_process(proc):
            raise _elsewhere(pid)
        return _emptied(pid, container_id, mounts, at)
    own = {one: _of_container(path, container_id) for one, path in at.items()
           if container_id in path}  # fmt: skip
    unified = reach(mounts.v2, own[""]) if "" in own else None
    if own.keys() - {""}:
        found = {
            one: reached
            for one in (*CONTROLLERS, "blkio", "freezer")
            if one in own and (reached := reach(mounts.v1.get(one, ()), own[one]))
        }
        folders = {one: folder for one, (folder, _) in found.items()}
        moved = {one: at[one] for one in CONTROLLERS if one in at and one not in own}
        if found or moved:
            roots = {one: root for one, (_, root) in found.items()}
            if unified:
                folders["unified"], roots["unified"] = unified
            seen = [mount for one in folders for mount in mounts.v1.get(one, ())]
            return CgroupPaths(
                V1, folders, roots, process=proc / str(pid), moved=moved,
                root_unseen=bool(folders) and not shows_root(V1, seen),
            )  # fmt: skip
    if unified and (unified[0] / "cgroup.controllers").exists():
        return replace(
            _of_v2(*unified, at[""], own[""]), process=proc / str(pid),
            root_unseen=not shows_root(V2, mounts.v2),
        )  # fmt: skip
    raise MeasurementError(
        f"the cgroup of process {pid} is not visible here.", privileges.WHERE_VISIBLE
    )


def shows_root(version: CgroupVersion, mounts: Iterable[Mount]) -> bool:
    """Whether one of the mounts shows the host's root, so that nothing above is unseen."""
    return any(mount.may_be_root and version.is_root(mount.point) for mount in mounts)


def _elsewhere(pid: int) -> MeasurementError:
    return MeasurementError(
        f"bench runs in a PID namespace of its own, as in a container, where process {pid} of the "
        "engine is another or none.", privileges.WHERE_VISIBLE,
    )  # fmt: skip


def _of_v2(folder: Path, root: Path, whole: str, path: str) -> CgroupPaths:
    scope: Path | None = None
    inner = _of_crun(whole, path) and folder / str(V2.inner)
    if inner and (inner / "cpu.max").exists():  # an older crun leaves it without limits
        folder, scope = inner, folder
    every, roots = (dict.fromkeys(FOLDERS, one) for one in (folder, root))
    return CgroupPaths(V2, every, roots, scope)


def memberships(text: str) -> dict[str, str]:
    """The lines of /proc/PID/cgroup: each v1 controller's path, and that of v2 under no name."""
    out: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not path:
            continue
        out.update(dict.fromkeys(controllers.split(","), path))
    return out


def reach(mounts: Sequence[Mount], path: str) -> tuple[Path, Path] | None:
    """(folder, mount point) of a cgroup, through the mount that shows most of what is above it."""
    for mount in sorted(mounts, key=lambda one: len(one.root)):
        for folder in mount.below(path):
            if folder.is_dir():
                return folder, mount.point
    return None


def _emptied(pid: int, container_id: str, mounts: Mounts, at: Mapping[str, str]) -> CgroupPaths:
    """A container whose process is in none of its cgroups: moved out of all, or not on this host.

    Ids are unique: a cgroup here that bears it is the container's. Where no process is left in it,
    this one was moved out; where some are, the engine counts processes otherwise than we do (in
    another PID namespace), and this is not the container's.
    """
    of_v1 = dict.fromkeys(mount for one in CONTROLLERS for mount in mounts.v1.get(one, ()))
    v1, v2 = (
        [folder for mount in visible for folder in _bearing(mount.point, container_id)]
        for visible in (of_v1, mounts.v2)
    )
    if (v1 or v2) and not any(_populated(folder) for folder in (*v1, *v2)):
        if v1:
            return CgroupPaths(V1, {}, moved={one: at[one] for one in CONTROLLERS if one in at})
        return CgroupPaths(V2, {}, moved=dict.fromkeys(CONTROLLERS, at.get("", "/")))
    raise MeasurementError(
        f"process {pid} is not in the container's cgroup: the engine runs on another host.",
        "Run `bench` on the engine's own host.",
    )


def _bearing(root: Path, container_id: str) -> Iterator[Path]:
    """The cgroups that are named after a container, but for that of its monitor (conmon)."""
    for folder, below, _ in os.walk(root):
        own = [name for name in below if container_id in name and "conmon" not in name]
        yield from (Path(folder, name) for name in own)
        below[:] = [name for name in below if name not in own]


def _populated(folder: Path) -> bool:
    """Whether there is a process in a cgroup or below it."""
    # Unreadable in a threaded cgroup (v2), which has its processes in one above.
    return any(read_text(Path(at), "cgroup.procs") != b"" for at, _, _ in os.walk(folder))


def root_usage_path(proc: Path = Path("/proc")) -> tuple[CgroupVersion, Path] | None:
    """(version, file) of the whole host's CPU time; None where the root cgroup is not visible.

    Only the true root counts: a container's own cgroup can be mounted as one, or be the root of a
    cgroup namespace.
    """
    try:
        mounts = visible_mounts(proc)
    except OSError:
        return None
    for version, visible in ((V1, mounts.v1.get("cpuacct", ())), (V2, mounts.v2)):
        _, name = version.usage_files[0]
        for mount in visible:
            if shows_root(version, [mount]) and (mount.point / name).exists():
                return version, mount.point / name
    return None


def read_only_mount(proc: Path = Path("/proc")) -> Path | None:
    """Where the CPU or the memory hierarchy is mounted, where no mount of it may be written.

    None where each has one that may, or where none is visible. In a container without privileges
    they are read-only, and whatever is started there cannot be limited.
    """
    try:
        mounts = visible_mounts(proc)
    except OSError:
        return None
    hierarchies = [mounts.v1[one] for one in ("cpu", "memory") if one in mounts.v1] or [mounts.v2]
    for visible in hierarchies:
        if visible and not any(os.access(mount.point, os.W_OK) for mount in visible):
            return visible[0].point
    return None


def swap_accounted(proc: Path = Path("/proc")) -> bool | None:
    """Whether this kernel limits swap for each cgroup; None where that cannot be seen.

    v2 has its files in no root cgroup, so those below it are looked at.
    """
    try:
        mounts = visible_mounts(proc)
    except OSError:
        return None
    if memory := mounts.v1.get("memory"):
        return (memory[0].point / "memory.memsw.limit_in_bytes").exists()
    with_memory = [one.point for one in mounts.v2 if any(one.point.glob("*/memory.max"))]
    if not with_memory:
        return None
    return any(any(point.glob("*/memory.swap.max")) for point in with_memory)


def delegated_controllers(uid: int, proc: Path = Path("/proc")) -> tuple[str, ...] | None:
    """The controllers that systemd has handed to a user's own cgroups; None where not visible.

    Only v2 can hand any to a user who is not root (Documentation/admin-guide/cgroup-v2.rst,
    "Delegation").
    """
    try:
        mounts = visible_mounts(proc)
    except OSError:
        return None
    if mounts.v1:
        return ()
    for mount in mounts.v2:
        file = mount.point / f"user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
        try:
            return tuple(file.read_text().split())
        except OSError:
            continue
    return None
