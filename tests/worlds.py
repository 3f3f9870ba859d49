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

from harness.host.lock import shared_folder

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""The name of this one among several; empty where there is one process of tests."""
_CLONE_NEWNS, _MS_REC, _MS_SLAVE = 0x20000, 1 << 14, 1 << 19


def own_lock() -> None:
    """From here on the host's lock is this process's, and of what it starts: by a mount of its own.

    Where that may not be, the lock stays everybody's, and commands wait for each other.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) == 0:
        libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None)  # its mounts are its own
        libc.mount(b"lock", bytes(shared_folder()), b"tmpfs", 0, b"mode=1777,size=1m")


@contextlib.contextmanager
def own_engine(start: Callable[[], object]) -> Iterator[None]:
    """A private engine in a new folder, named to every command; nothing of it is left."""
    from harness.engine import daemon  # noqa: PLC0415 - sessions without engines load no docker

    # A short path: pytest's own are too long for the engine's sockets.
    made = Path(tempfile.mkdtemp(prefix=f"lb-{WORKER}-", dir="/tmp"))
    os.environ["BENCH_ENGINE_DIR"] = str(made / "e")
    os.environ["DOCKER_HOST"] = daemon.host()
    try:
        start()
        yield
    finally:
        daemon.stop(purge=True)
        shutil.rmtree(made)
