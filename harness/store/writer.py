"""Whether the process that writes a run still does.

Which process that is, and whether it lives: what a lock file would tell.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from harness.model import WriterProcess

_SAME_S = 2.0
"""Start times are told apart by more: the clock that they are counted from is corrected at times,
and a process id comes again much later."""


def own() -> WriterProcess:
    """This process."""
    import psutil  # noqa: PLC0415 - most commands write no run

    return WriterProcess(
        host=socket.gethostname(),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
        pid_namespace=_link("/proc/self/ns/pid"),
        pid=os.getpid(),
        started_s=round(psutil.Process().create_time() - psutil.boot_time(), 2),
    )


def state(process: WriterProcess) -> tuple[str, str]:
    """(status, reason) of a run that this process has not closed: whether it is still written."""
    import psutil  # noqa: PLC0415 - most runs have ended

    here = own()
    same = process.host == here.host and process.boot_id and here.boot_id
    if same and process.boot_id != here.boot_id:
        return "interrupted", "its host was started anew"
    if not same or process.pid_namespace != here.pid_namespace:
        return "running", f"as far as is known here: its process is on {process.host}"
    try:
        found = psutil.Process(process.pid)
        since = found.create_time() - psutil.boot_time()
        lives = found.status() != psutil.STATUS_ZOMBIE and abs(since - process.started_s) < _SAME_S
    except psutil.AccessDenied:  # /proc tells nothing of it, so it is there
        lives = True
    except psutil.NoSuchProcess:
        # Under hidepid= another user's process has no folder in /proc, and takes signals.
        lives = psutil.pid_exists(process.pid)
    return ("running", "") if lives else ("interrupted", "its process is gone")


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
