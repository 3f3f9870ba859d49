"""A cgroup's files by descriptors that stay open: opening costs several times what a read does."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from harness.cgroup.paths import CgroupPaths
from harness.cgroup.version import File
from harness.errors import MeasurementError

_PART_BYTES = 8192


def open_file(paths: CgroupPaths, file: File) -> int | None:
    """A descriptor; None where there is no such file. MeasurementError where too many are open."""
    controller, name = file
    of_process = controller == "process"  # beside the cgroup, not in it
    folder = paths.process if of_process else paths.folder(controller)
    if folder is None:
        return None
    try:
        return os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EMFILE:  # it is there, and would be told as absent
            raise MeasurementError(
                "this process may not open as many files as it needs.", "Raise ulimit -n."
            ) from None
        return None


def read_at(fd: int | None, most: int) -> bytes | None:
    """What the file says now; None where there is none, or where the cgroup is gone."""
    if fd is None:
        return None
    try:
        return os.pread(fd, most, 0)
    except OSError:  # ENODEV: the cgroup is gone
        return None


def read_whole(fd: int | None) -> bytes | None:
    """The same of a file that the kernel tells in parts, as it does those of /proc/PID."""
    text = part = read_at(fd, _PART_BYTES)
    while fd is not None and text and part:
        try:
            part = os.pread(fd, _PART_BYTES, len(text))
        except OSError:
            return None
        text += part
    return text


def close_all(fds: Iterable[int | None]) -> None:
    """Close those that there are."""
    for fd in fds:
        if fd is not None:
            os.close(fd)
