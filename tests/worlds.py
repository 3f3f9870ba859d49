"""What each of several test workers on one host has to itself: an engine, and the host's lock.

Tests that measure no time may run beside each other; what they look at must still be theirs alone:
the containers of an engine, what a command left of its own, who holds the lock of the host.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from harness.host.lock import shared_folder

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""The name of this one among several; empty where there is one process of tests."""
_FOLDER = "lb-worker-"
_CLONE_NEWNS, _MS_REC, _MS_SLAVE = 0x20000, 1 << 14, 1 << 19


def own_lock() -> None:
    """From here on the host's lock is this process's, and of what it starts: by a mount of its own.

    Where that may not be, the lock stays everybody's, and commands wait for each other.
    """
    libc, folder = ctypes.CDLL(None, use_errno=True), shared_folder()
    if folder == Path("/tmp") or libc.unshare(_CLONE_NEWNS) != 0:  # in /tmp lies more than it
        return
    # Its mounts are its own: else the host's folder would be covered.
    if libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None) == 0:
        libc.mount(b"lock", bytes(folder), b"tmpfs", 0, b"mode=1777,size=1m")


@contextlib.contextmanager
def own_engine(start: Callable[[], object]) -> Iterator[None]:
    """A private engine in a new folder, named to every command; nothing of it is left."""
    from harness.engine import daemon  # noqa: PLC0415 - sessions without engines load no docker

    # A short path: pytest's own are too long for the engine's sockets.
    made = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir="/tmp"))
    os.environ["BENCH_ENGINE_DIR"] = str(made / "e")
    os.environ["DOCKER_HOST"] = daemon.host()
    try:
        start()
        yield
    finally:
        _remove(made)


def remove_dead() -> None:
    """What workers left that were killed: an engine outlives whoever started it.

    Not by a worker: two would remove the same.
    """
    for made in Path("/tmp").glob(f"{_FOLDER}*"):
        if not psutil.pid_exists(int(made.name.split("-")[2])):
            _remove(made)


def _remove(made: Path) -> None:
    from harness.engine import daemon  # noqa: PLC0415 - as above

    os.environ["BENCH_ENGINE_DIR"] = str(made / "e")
    try:
        daemon.stop(purge=True)
    finally:
        shutil.rmtree(made)
