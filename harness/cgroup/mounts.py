"""The cgroup hierarchies that are mounted where this process can see them.

Source: cgroup_namespaces(7) on paths that begin with ``/..``.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness.mountinfo import Mounted, parse

_INITIAL_NAMESPACE = "cgroup:[4026531835]"
"""include/linux/proc_ns.h, PROC_CGROUP_INIT_INO."""


class Mount(NamedTuple):
    """A hierarchy, or a part of it, at a point."""

    root: str
    """The cgroup that is seen at ``point``, by its path in our cgroup namespace."""
    point: Path
    may_be_root: bool
    """Whether that can be the host's root: ``/`` in another namespace is that one's own root."""

    def below(self, path: str) -> Iterator[Path]:
        """Where a cgroup, by its path in our namespace, can lie below ``point``.

        From within a namespace what is above its root has no names, only ``/..``: where the mount
        shows more of that than the path names, every folder there may be meant. A path that ends in
        a container's id is then found in one of them alone.
        """
        root, parts = PurePosixPath(self.root).parts[1:], PurePosixPath(path).parts[1:]
        shared = next((i for i, (a, b) in enumerate(zip(root, parts, strict=False)) if a != b),
                      min(len(root), len(parts)))  # fmt: skip
        unnamed, rest = root[shared:], parts[shared:]
        if ".." in rest or any(one != ".." for one in unnamed):
            return
        if not unnamed:
            yield self.point.joinpath(*rest)
        elif rest:
            pattern = [*("*" for _ in unnamed), *map(glob.escape, rest)]
            yield from self.point.glob("/".join(pattern))


@dataclass(frozen=True, slots=True)
class Mounts:
    """What is visible of each hierarchy."""

    v1: dict[str, tuple[Mount, ...]]
    """By controller."""
    v2: tuple[Mount, ...]


def visible_mounts(proc: Path) -> Mounts:
    """The cgroup mounts of this process that no other hides. OSError where they cannot be read."""
    mountinfo = (proc / "self" / "mountinfo").read_bytes()
    try:
        # Before kernel 4.6 there is no such file, and no other namespace.
        initial = str((proc / "self/ns/cgroup").readlink()) == _INITIAL_NAMESPACE
    except OSError:
        initial = True
    return _visible(mountinfo, initial)


def everywhere(path: str, proc: Path = Path("/proc")) -> list[Path]:
    """The folders of a cgroup of that path, in hierarchies too that nobody here reads."""
    mounts = visible_mounts(proc)
    every = dict.fromkeys(one for them in (*mounts.v1.values(), mounts.v2) for one in them)
    return [folder for mount in every for folder in mount.below(path) if folder.is_dir()]


@lru_cache(maxsize=1)  # of a host with hundreds of containers it takes ms, and is asked for each
def _visible(mountinfo: bytes, initial: bool) -> Mounts:
    lines = list(parse(mountinfo))
    parents = {line.id: line.parent for line in lines}
    v1: dict[str, tuple[Mount, ...]] = {}
    v2: tuple[Mount, ...] = ()
    for i, line in enumerate(lines):
        if not line.kind.startswith("cgroup") or _hidden(line, lines[i + 1 :], parents):
            continue
        beyond = line.root.startswith("/..")
        mount = Mount(line.root, Path(line.point), beyond or (initial and line.root == "/"))
        if line.kind == "cgroup2":
            v2 = (*v2, mount)
            continue
        for option in line.of_all:
            v1[option] = (*v1.get(option, ()), mount)
    return Mounts(v1, v2)


def _hidden(line: Mounted, later: list[Mounted], parents: dict[str, str]) -> bool:
    """Whether a later mount, at the same point or at a folder above it, covers this one.

    One that it hangs on does not, though it can stand later: a host's root is mounted over the
    initramfs when /sys has long been there, and /sys is moved to it.
    """
    on: set[str] = set()
    parent: str | None = line.parent
    while parent is not None and parent not in on:
        on.add(parent)
        parent = parents.get(parent)
    point = PurePosixPath(line.point)
    return any(point.is_relative_to(one.point) for one in later if one.id not in on)
