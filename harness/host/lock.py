"""The lock of a host: one measurement at a time.

It is the kernel's flock(2) on a file in a folder that everybody on the host may write to, and ends
with the process that holds it, however that ends. The file is empty and is only ever opened for
reading, so users share it whoever made it, and nothing that another user puts there is believed:
who holds the lock is the kernel's to say (/proc/locks).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.errors import MeasurementError

_FOLDERS = (Path("/run/lock"), Path("/dev/shm"), Path("/tmp"))
_LONGEST_COMMAND = 120


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that measures now."""

    pid: int
    user: str
    command: str
    """Its command line, shortened, fit for a terminal."""
    since: str
    """When it was started, in local time."""

    def __str__(self) -> str:
        return f"`{self.command}` (pid {self.pid}, {self.user}), started at {self.since}"


def this_host() -> str:
    """What this host's lock is called: by its boot, as a folder may be shared between machines."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def shared_folder() -> Path:
    """Where every user of this host may make a file, and none can remove another's.

    By the folder's mode and not by what we may do, so that root and users come to the same one:
    /run/lock is everybody's on Debian and root's on Fedora.
    """
    for folder in _FOLDERS:
        with contextlib.suppress(OSError):
            if folder.stat().st_mode & 0o1007 == 0o1007:
                return folder
    raise MeasurementError(
        f"this host has no folder for its lock: none of {', '.join(map(str, _FOLDERS))} is "
        "everybody's.", "chmod 1777 /tmp.",
    )  # fmt: skip


@contextmanager
def held(name: str, waits: Callable[[Holder | None], None], folder: Path) -> Iterator[None]:
    """The lock ``name``, for as long as the block takes.

    Where another process has it, ``waits`` is called once with that process, or with None where it
    cannot be told (it is in another pid namespace), and then we wait for it without end; it may
    raise instead. MeasurementError where the file is not what it should be.
    """
    path = folder / f"limitbench-{name}.lock"
    while True:
        fd = _opened(path)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waits(_holder(os.fstat(fd)))
                fcntl.flock(fd, fcntl.LOCK_EX)  # takes no CPU, and is first come, first served
            if _is_still(path, fd):
                yield
                return
        finally:
            os.close(fd)


def _opened(path: Path) -> int:
    """The file, made where it is missing.

    In two steps: fs.protected_regular lets not even root open another user's file with O_CREAT in
    such a folder (Documentation/admin-guide/sysctl/fs.rst). A link is not followed, and a pipe is
    not waited for.
    """
    try:
        while (fd := _found(path)) is None:
            _make(path)
    except OSError as error:
        raise _strange(
            path, "it is a link" if error.errno == errno.ELOOP else error.strerror
        ) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _strange(path, "it is no regular file")
    return fd


def _found(path: Path) -> int | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    return None


def _make(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        os.fchmod(fd, 0o444)  # whatever our umask is
        os.close(fd)


def _strange(path: Path, why: str | None) -> MeasurementError:
    return MeasurementError(
        f"this host cannot be locked: {path}: {why}.", "See who made it, and remove it."
    )


def _is_still(path: Path, fd: int) -> bool:
    """Whether others who open the path get the file that we locked."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _holder(file: os.stat_result) -> Holder | None:
    """Who has the lock on a file, as the kernel says (proc_locks(5))."""
    wanted = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()  # those who wait have an arrow in the second
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == wanted:
            return _described(int(fields[4]))
    return None


def _described(pid: int) -> Holder | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Holder(
                pid,
                process.username(),
                _command(process.cmdline()),
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process.create_time())),
            )
    except psutil.Error:
        return None


def _command(argv: list[str]) -> str:
    """As its user wrote it: without the interpreter and the folder of ``bench``."""
    names = [Path(word).name for word in argv]
    if "bench" in names:
        argv = ["bench", *argv[names.index("bench") + 1 :]]
    text = "".join(letter if letter.isprintable() else "?" for letter in shlex.join(argv))
    return text if len(text) <= _LONGEST_COMMAND else text[: _LONGEST_COMMAND - 1] + "…"
