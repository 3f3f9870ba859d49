"""What is left where a container writes: a file system that is full fails its writes.

Source: proc(5) on mountinfo; statvfs(3).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.mountinfo import parse

_LOCAL = {
    "aufs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs",
    "reiserfs", "tmpfs", "vfat", "xfs", "zfs",
}  # fmt: skip
"""To ask any other is to wait for a server or a process that may never answer."""


@dataclass(frozen=True, slots=True)
class Space:
    """A file system that the container may write to. No size or no number of files: 0."""

    at: str
    """Where the container has it."""
    size_bytes: int
    left_bytes: int
    """To whoever is not root."""
    reserved_bytes: int
    """To root beyond that."""
    files: int
    files_left: int


class Spaces:
    """Those of a process, each once, wherever else it is mounted.

    ``process`` is a folder of /proc; its ``root`` is looked through, which takes root. What cannot
    be asked from here is left out. Which there are is read once: of hundreds of containers that
    costs more than all that is asked of them afterwards.
    """

    def __init__(self, process: Path) -> None:
        self._root = f"{process}/root"
        try:
            text = (process / "mountinfo").read_bytes()
        except OSError:
            text = b""
        self._at: dict[str, str] = {}
        """Device → where it is mounted; by its number, as two that are empty look alike."""
        isdir = os.path.isdir  # what pathlib takes counts for many
        for device, at in _writable(text):
            # A single file that is laid in, such as /etc/hosts, is of a file system of the host.
            if device not in self._at and isdir(self._root + at):
                self._at[device] = at

    def now(self) -> tuple[Space, ...]:
        """What each has left at this moment."""
        found = []
        for at in self._at.values():
            try:
                told = os.statvfs(self._root + at)
            except OSError:
                continue
            found.append(Space(
                at, told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize,
                (told.f_bfree - told.f_bavail) * told.f_frsize, told.f_files, told.f_favail,
            ))  # fmt: skip
        return tuple(found)


def _writable(mountinfo: bytes) -> Iterator[tuple[str, str]]:
    """(device, point) of local mounts for writing, none of them below one that is not local.

    Of several at one point the last is what is seen.
    """
    mounted: dict[str, tuple[str, bool, bool]] = {}
    """Point → (device, local, for writing)."""
    for one in parse(mountinfo):
        writes = "rw" in one.options and "rw" in one.of_all
        mounted[one.point] = (one.device, one.kind in _LOCAL, writes)
    far = tuple(f"{at.rstrip('/')}/" for at, (_, local, _) in mounted.items() if not local)
    for at, (device, local, writes) in mounted.items():
        if local and writes and not at.startswith(far):
            yield device, at
