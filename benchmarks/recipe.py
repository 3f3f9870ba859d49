"""The README's recipe for `bench check`, followed word for word on this host, again and again.

``sweep cpu --repeats 10``, ``baseline set``, then ``check``: on the idle host, and beside a
neighbour that comes and goes and takes a fifth of a CPU while it is there. Nothing changes, so each
check should be green; how many are not, with what they said, is what is told.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.commands import CHECK_CODES, Commands
from harness.cli.dialogue import say
from harness.engine.connect import Connection
from harness.errors import UsageError

CHECKS = 10
KNOWN = ("idle", "neighbour")
SHARE = 0.2
"""Of a CPU, while the neighbour is there."""
STAYS_S = (5.0, 20.0)
"""It is there, and away, for a time in between."""
_SLICE_S = 0.1


def report(connection: Connection, checks: int = CHECKS, only: str | None = None) -> str:
    """Both, or that of ``only``; a line each. UsageError for another."""
    if only and only not in KNOWN:
        raise UsageError(f"--only {only} is none of them.", f"Known: {', '.join(KNOWN)}.")
    with tempfile.TemporaryDirectory(prefix="limitbench-recipe-") as made:
        here = Commands(connection, Path(made))
        here.run("sweep", "cpu", "--repeats", "10")
        here.run("baseline", "set")
        around: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
            "idle": contextlib.nullcontext, "neighbour": neighbour,
        }  # fmt: skip
        lines = []
        for name in [only] if only else KNOWN:
            with around[name]():
                lines.append(f"{name}: {_checked(here, checks)}")
        return "\n".join(lines)


def _checked(here: Commands, checks: int) -> str:
    ended: Counter[str] = Counter()
    taken = []
    for number in range(checks):
        began = time.monotonic()
        one = here.run("check", codes=CHECK_CODES)
        taken.append(time.monotonic() - began)
        ended[CHECK_CODES[one.code]] += 1
        word = CHECK_CODES[one.code]
        say(f"check {number + 1} of {checks}, {taken[-1]:.0f} s: {word}: {one.first}")
        if one.code:
            say(one.said)
    told = ", ".join(f"{count} {name}" for name, count in ended.most_common())
    taken.sort()
    return f"{checks} checks: {told}; {taken[len(taken) // 2]:.0f} s in the median"


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """One that comes and goes, and takes a fifth of a CPU while it is there."""
    process = multiprocessing.Process(target=_come_and_go, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _come_and_go() -> None:
    os.setsid()  # another's: what the scheduler groups by session is not the harness's
    rng = random.Random(1)
    while True:
        until = time.monotonic() + rng.uniform(*STAYS_S)
        while time.monotonic() < until:
            idle_at = time.monotonic() + SHARE * _SLICE_S
            while time.monotonic() < idle_at:
                pass
            time.sleep((1 - SHARE) * _SLICE_S)
        time.sleep(rng.uniform(*STAYS_S))
