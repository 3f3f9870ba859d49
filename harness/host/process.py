"""What the host knows of a process, what this one asks of it for itself."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept_from_the_oom_killer() -> Iterator[None]:
    """While memory runs short, let the kernel choose anybody but us; only root may ask for it.

    A container's processes are the engine's children, not ours: they do not inherit it.
    """
    file = Path("/proc/self/oom_score_adj")
    before = None
    try:
        own = file.read_text()
        file.write_text("-900")
        before = own
    except OSError:
        pass  # not root
    try:
        yield
    finally:
        if before is not None:
            file.write_text(before)


@contextmanager
def many_files_open() -> Iterator[None]:
    """Let this process open as many files as it may: the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def kept_off(measured: frozenset[int] | None) -> Iterator[None]:
    """Keep this thread, and those that it starts, off the CPUs that are measured.

    ``measured`` is None where the containers may run on any CPU. Where they leave none of those
    that this thread may use, nothing is changed.
    """
    before = os.sched_getaffinity(0)
    rest = before - measured if measured is not None else frozenset[int]()
    if rest:
        os.sched_setaffinity(0, rest)
    try:
        yield
    finally:
        if rest:
            os.sched_setaffinity(0, before)


def stat_fields(text: bytes) -> tuple[bytes, list[bytes]]:
    """(name, fields from the third on) of /proc/PID/stat (proc(5)): field n stands at n - 3.

    The name stands in brackets, and may itself hold blanks and brackets.
    """
    before, _, rest = text.rpartition(b")")
    return before.partition(b"(")[2], rest.split()
