"""Which cgroup a process, a path or a systemd unit means, where no container's id tells.

Whatever runs in it: a Kubernetes pod, a service, a shell. Where systemd keeps a unit: a folder of
the unit's name (systemd.unit(5); the manager need not be asked). Types of cgroups:
Documentation/admin-guide/cgroup-v2.rst, "Threads".
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness import privileges
from harness.cgroup.mounts import Mount, Mounts, visible_mounts
from harness.cgroup.parsing import parse_flat, read_text
from harness.cgroup.paths import CONTROLLERS, CgroupPaths, memberships, reach, shows_root
from harness.cgroup.v1 import V1
from harness.cgroup.v2 import V2
from harness.errors import MeasurementError, UsageError

_UNITS = "name=systemd"
"""The v1 hierarchy in which systemd keeps every unit, whatever controllers that has."""
_UNIT_KINDS = ("service", "scope", "slice", "socket", "mount", "swap")
"""Those that can have a cgroup (systemd.resource-control(5))."""


@dataclass(frozen=True, slots=True)
class NamedCgroup:
    """A cgroup that somebody named."""

    path: str
    """As /proc/PID/cgroup tells it: in our cgroup namespace."""
    paths: CgroupPaths
    folder: Path
    """One of its folders: it is there for as long as the cgroup is."""
    pid: int
    """Of a process in it; 0 where that has no number here: it is in another PID namespace."""
    by_process: bool
    """Whether it was that process that was named, and not the cgroup."""
    below: int = 0
    """Cgroups below it that have processes: its figures are those of all together."""
    threaded: str = ""
    """Of a threaded cgroup (v2) the path of its domain, which alone accounts for memory."""

    @property
    def elsewhere(self) -> dict[str, str]:
        """Controller → path of the cgroup that its processes are in, where that is not its own."""
        roots, shared = self.paths.roots, self.paths.shared
        where = {one: folder.relative_to(roots[one]) for one, folder in shared.items()}
        return {one: f"/{path}" if path.parts else "/" for one, path in where.items()}


def is_populated(folder: Path) -> bool:
    """Whether there is a process in a cgroup or below it; False where it is gone."""
    events = read_text(folder, "cgroup.events")  # of v2, but not of its root
    if events is not None:
        return parse_flat(events).get("populated") != 0
    return next(_processes(folder), None) is not None


def of_process(pid: int, proc: Path = Path("/proc")) -> NamedCgroup:
    """The cgroup that a process is in: that of the hierarchy in which it lies deepest.

    UsageError where there is no such process; MeasurementError where it is in the root cgroup, or
    in one that is not visible here.
    """
    try:
        at = memberships((proc / str(pid) / "cgroup").read_text())
    except OSError:
        raise UsageError(f"there is no process {pid} here.", "ps -e lists them.") from None
    mounts = _mounts(proc)
    usual = [one for one in (*CONTROLLERS, "", _UNITS) if one in at]  # the first on a tie
    path = max((at[one] for one in usual), key=lambda one: len(_parts(one)), default="/")
    return _named(_Member(path, pid, at, by_process=True), mounts, proc)


def of_path(path: str, proc: Path = Path("/proc")) -> NamedCgroup:
    """The cgroup at a folder below /sys/fs/cgroup, or at a path as /proc/PID/cgroup tells it.

    UsageError where there is none; MeasurementError where it is the root cgroup, has no process,
    or is in no hierarchy that counts.
    """
    mounts = _mounts(proc)
    every = [*dict.fromkeys(mount for some in mounts.v1.values() for mount in some), *mounts.v2]
    within = _within(path, every)
    found = [at[0] for mount in every if (at := reach((mount,), within))]
    if not found:
        beside = ", ".join(sorted({str(mount.point) for mount in every})[:4]) or "nothing"
        raise UsageError(
            f"there is no cgroup {path} here (looked below {beside}).",
            "Name it as /proc/PID/cgroup does, or by its folder below /sys/fs/cgroup.",
        )
    pid = next((pid for folder in found for pid in _processes(folder)), None)
    # v1 leaves processes of another PID namespace out of cgroup.procs; v2 tells each as 0.
    if pid is None and privileges.sees_every_process(proc):
        raise MeasurementError(
            f"the cgroup {within} has no process, nor has one below it: there is nothing to "
            "measure.",
            "Start what runs in it, or name one that has (systemd-cgls shows them).",
        )
    try:
        where = memberships((proc / str(pid) / "cgroup").read_text())
    except OSError:  # a process of another PID namespace, or one that has just ended
        where = dict.fromkeys((*CONTROLLERS, ""), within)
    return _named(_Member(within, pid or 0, where, by_process=False), mounts, proc)


def of_unit(name: str, proc: Path = Path("/proc")) -> NamedCgroup:
    """The cgroup of a systemd unit, found in the tree by its name.

    UsageError where none is named so, or several are: those of users, or of containers with a
    systemd of their own.
    """
    unit = name if name.rpartition(".")[2] in _UNIT_KINDS else f"{name}.service"
    if "/" in unit:
        raise UsageError(f"'{name}' is no unit's name.", "For a path there is --cgroup.")
    mounts = _mounts(proc)
    where = mounts.v1.get(_UNITS, ()) or mounts.v2
    where = where or tuple(mount for one in CONTROLLERS for mount in mounts.v1.get(one, ()))
    found, units = set[str](), set[str]()
    for mount in where:
        for folder, below, _ in os.walk(mount.point):
            units.update(one for one in below if one.rpartition(".")[2] in _UNIT_KINDS)
            if unit in below:
                found.add(_joined(mount, Path(folder, unit)))
    if not found:
        near = difflib.get_close_matches(unit, units, n=3)
        raise UsageError(
            f"no cgroup here is named {unit}: it does not run, or on another host.",
            f"Did you mean {' or '.join(near)}?" if near else f"See systemctl status {unit}.",
        )
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} cgroups are named {unit}: {', '.join(sorted(found)[:4])}.",
            "Name one of them with --cgroup.",
        )
    return of_path(found.pop(), proc)


class _Member(NamedTuple):
    """A cgroup's path, with a process in it, and where that is in each hierarchy."""

    path: str
    pid: int
    at: Mapping[str, str]
    by_process: bool

    @property
    def said(self) -> str:
        """How an error begins."""
        return f"process {self.pid} is in" if self.by_process else "that is"

    def own(self, hierarchy: str) -> str | None:
        """The cgroup's path in a hierarchy, by its process's there; None where that is another.

        It is that path, or one above it that was named. An engine in a container gives its cgroups
        one name in every hierarchy, but not what is above them.
        """
        where = self.at.get(hierarchy, "")
        own, other = _parts(self.path), _parts(where)
        if other[: len(own)] == own:
            return self.path
        return where if other[-1:] == own[-1:] else None


def _named(member: _Member, mounts: Mounts, proc: Path) -> NamedCgroup:
    v1 = {one: visible for one in CONTROLLERS if (visible := mounts.v1.get(one, ()))}
    on_v1 = {one for one in v1 if one in member.at}
    used = [mount for visible in (v1.values() if on_v1 else [mounts.v2]) for mount in visible]
    version = V1 if on_v1 else V2
    whole = shows_root(version, used)
    if whole and member.path == "/":
        raise MeasurementError(
            f"{member.said} the root cgroup, which is the whole host: no limit can be set there.",
            "Name a cgroup below it.",
        )
    # What a process has for itself (oom_score_adj) is not the cgroup's.
    process = proc / str(member.pid) if member.by_process else None
    paths = _of_v1(member, mounts) if on_v1 else _of_v2(member, mounts)
    folder = next(iter(paths.folders.values()))
    domain = "" if on_v1 else _domain(folder, paths)
    return NamedCgroup(
        member.path,
        replace(paths, process=process, root_unseen=not whole),
        folder,
        member.pid,
        member.by_process,
        below=sum(_holds_processes(one) for one in _descendants(folder)),
        threaded=domain,
    )


def _of_v1(member: _Member, mounts: Mounts) -> CgroupPaths:
    folders: dict[str, Path] = {}
    roots: dict[str, Path] = {}
    shared: dict[str, Path] = {}
    for one in CONTROLLERS:
        if one not in member.at:
            continue
        own = member.own(one)
        found = reach(mounts.v1.get(one, ()), own or member.at[one])
        if found is not None:
            (folders if own else shared)[one], roots[one] = found
    # Of its own alone: systemd makes none of them.
    if (own := member.own("freezer")) and (
        found := reach(mounts.v1.get("freezer", ()), own)
    ):  # fmt: skip
        folders["freezer"], roots["freezer"] = found
    if not folders.keys() & {"cpuacct", "memory"}:
        raise MeasurementError(
            f"{member.said} {member.path}, for which neither CPU nor memory is counted: it has no "
            "cgroup of its own in those hierarchies.",
            "Of a systemd unit: CPUAccounting=yes, MemoryAccounting=yes.",
        )
    unified = member.own("") if "" in member.at else None
    if unified and (found := reach(mounts.v2, unified)):
        folders["unified"] = found[0]
    return CgroupPaths(V1, folders, roots, shared=shared)


def _of_v2(member: _Member, mounts: Mounts) -> CgroupPaths:
    found = reach(mounts.v2, member.path)
    if found is None or not (found[0] / "cgroup.controllers").exists():
        raise MeasurementError(
            f"{member.said} {member.path}, which is not visible here.",
            privileges.WHERE_VISIBLE,
        )
    folder, root = found
    every = dict.fromkeys((*CONTROLLERS, "unified"), folder)
    return CgroupPaths(V2, every, dict.fromkeys(CONTROLLERS, root))


def _domain(folder: Path, paths: CgroupPaths) -> str:
    """The path of a threaded cgroup's domain; empty for any other cgroup."""
    if (read_text(folder, "cgroup.type") or b"").strip() != b"threaded":
        return ""
    root = paths.roots["memory"]
    while (read_text(folder, "cgroup.type") or b"").strip() == b"threaded" and folder != root:
        folder = folder.parent
    return f"/{folder.relative_to(root)}" if folder != root else "/"


def _descendants(folder: Path) -> Iterator[Path]:
    walked = (Path(at) for at, _, _ in os.walk(folder))
    return (one for one in walked if one != folder)


def _holds_processes(folder: Path) -> bool:
    # cgroup.procs cannot be read in a threaded cgroup, cgroup.threads is of v2 alone.
    return bool(read_text(folder, "cgroup.procs") or read_text(folder, "cgroup.threads"))


def _processes(folder: Path) -> Iterator[int]:
    """The processes of a cgroup, then of those below; 0 is one of another PID namespace.

    A threaded cgroup tells only threads, each of which is found in /proc by its number too.
    """
    for at, _, _ in os.walk(folder):
        names = ("cgroup.procs", "cgroup.threads")
        text = next((text for name in names if (text := read_text(Path(at), name))), b"")
        yield from (int(line) for line in text.split())


def _mounts(proc: Path) -> Mounts:
    try:
        mounts = visible_mounts(proc)
    except OSError as error:
        raise MeasurementError(
            f"cannot read the mounts of this process: {error.strerror}.", "Mount /proc."
        ) from error
    if not (mounts.v1 or mounts.v2):
        raise MeasurementError(
            "no cgroup hierarchy is mounted here.", "Mount the host's /sys/fs/cgroup."
        )
    return mounts


def _within(path: str, mounts: list[Mount]) -> str:
    """A cgroup's path, of its folder or of the path itself."""
    folder = Path(path).resolve()  # /sys/fs/cgroup/cpu may be a link to cpu,cpuacct
    over = [mount for mount in mounts if folder.is_relative_to(mount.point)]
    if path.startswith("/") and over:
        return _joined(max(over, key=lambda mount: len(mount.point.parts)), folder)
    return f"/{path.strip('/')}"


def _joined(mount: Mount, folder: Path) -> str:
    return str(PurePosixPath(mount.root) / folder.relative_to(mount.point))


def _parts(path: str) -> tuple[str, ...]:
    return PurePosixPath(path).parts[1:]
