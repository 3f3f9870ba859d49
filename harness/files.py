"""Files that somebody else may have made, opened only where they are files of a bearable size.

A folder, a FIFO, a device or a socket in place of a file would be read for ever, or not at all; a
link would lead to whatever the reader may read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from harness.units import MIB, round_size

TEXT_BYTES = MIB
"""Of a file that a person writes: a sweep, a workload, settings."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def opened(path: Path, most_bytes: int, *, links: bool = False) -> BinaryIO:
    """A regular file, to be read from its begin; at its end a link is followed only if ``links``.

    OSError whose ``strerror`` says what it is where it is no file, or has more bytes than that.
    """
    _refuse(path, path.stat(follow_symlinks=links), most_bytes)  # before a device is touched
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW)
    fd = os.open(path, flags)
    try:
        _refuse(path, os.fstat(fd), most_bytes)  # and what was opened is what was meant
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def read(path: Path, most_bytes: int, *, links: bool = False) -> bytes:
    """The whole of such a file; errors as of ``opened``."""
    with opened(path, most_bytes, links=links) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:  # it grew, or says a size that is none, as files of /proc do
        raise _too_large(path, len(content), most_bytes)
    return content


def read_text(path: Path) -> str:
    """A file that a person wrote, and named: OSError as of ``opened``, UnicodeDecodeError."""
    return read(path, TEXT_BYTES, links=True).decode()


def _refuse(path: Path, found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, no file", str(path))
    if found.st_size > most_bytes:
        raise _too_large(path, found.st_size, most_bytes)


def _too_large(path: Path, size: int, most_bytes: int) -> OSError:
    said = f"it has {round_size(size)}, more than the {round_size(most_bytes)} that are read"
    return OSError(errno.EFBIG, said, str(path))
