"""Mounts as the kernel lists them for a process. Pure, standard library only.

Source: proc(5) on /proc/PID/mountinfo; fs/proc_namespace.c, show_mountinfo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Mounted(NamedTuple):
    """One line."""

    id: str
    parent: str
    device: str
    """``major:minor``."""
    root: str
    """What of the file system is mounted there, by its path in it."""
    point: str
    options: tuple[str, ...]
    """Of this mount."""
    kind: str
    """Of file system: ``ext4``, ``cgroup2``, ``fuse.lxcfs``."""
    source: str
    of_all: tuple[str, ...]
    """Options of the file system, wherever it is mounted."""


def parse(raw: bytes) -> Iterator[Mounted]:
    """The mounts in their order, those that are hidden by later ones too; what is no line is none.

    Bytes that are no UTF-8, which paths may hold, are as ``os.fsdecode`` has them.
    """
    for line in raw.decode("utf-8", "surrogateescape").split("\n"):
        # Not by splitlines: a path may hold whatever else ends a line for Python.
        before, separator, after = line.partition(" - ")
        fields, of_kind = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6 or len(of_kind) < 3:
            continue
        yield Mounted(
            fields[0], fields[1], fields[2], _path(fields[3]), _path(fields[4]),
            tuple(fields[5].split(",")), of_kind[0], _path(of_kind[1]),
            tuple(of_kind[2].split(",")),
        )  # fmt: skip


def _path(told: str) -> str:
    """The kernel writes blanks, tabs, newlines and backslashes as octal numbers."""
    if "\\" not in told:
        return told
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), told)
