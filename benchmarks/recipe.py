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
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.cli.dialogue import say
from harness.engine.connect import Connection
from harness.errors import MeasurementError, UsageError

CHECKS = 10
KNOWN = ("idle", "neighbour")
SHARE = 0.2
"""Of a CPU, while the neighbour is there."""
STAYS_S = (5.0, 20.0)
"""It is there, and away, for a time in between."""
_SLICE_S = 0.1
_ENDS_S = 60.0
"""A bench that is interrupted is given so long to remove what it made."""
_BENCH = str(Path(sys.executable).with_name("bench"))
_CODES = {0: "green", 1: "red", 3: "open", 4: "refused"}


def report(connection: Connection, checks: int = CHECKS, only: str | None = None) -> str:
    """Both, or that of ``only``; a line each. UsageError for another."""
    if only and only not in KNOWN:
        raise UsageError(f"--only {only} is none of them.", f"Known: {', '.join(KNOWN)}.")
    with tempfile.TemporaryDirectory(prefix="limitbench-recipe-") as made:
        here = _Here(connection, Path(made))
        here.run("sweep", "cpu", "--repeats", "10", codes=(0,))
        here.run("baseline", "set", codes=(0,))
        around: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
            "idle": contextlib.nullcontext, "neighbour": _neighbour,
        }  # fmt: skip
        lines = []
        for name in [only] if only else KNOWN:
            with around[name]():
                lines.append(f"{name}: {_checked(here, checks)}")
        return "\n".join(lines)


class _Here:
    """Commands on an engine, in a folder of their own."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "BENCH_ENGINE_HOST": connection.host}

    def run(self, *asked: str, codes: tuple[int, ...]) -> tuple[int, str]:
        """Its exit code and what it printed. MeasurementError where it ended by another."""
        with subprocess.Popen(
            [_BENCH, *asked], cwd=self._folder, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                said, told = process.communicate()
            except KeyboardInterrupt:
                process.terminate()  # it removes its containers
                process.wait(timeout=_ENDS_S)
                raise
        if process.returncode not in codes:
            raise MeasurementError(f"`bench {' '.join(asked)}`: {told.strip()[-300:]}")
        return process.returncode, said or told


def _checked(here: _Here, checks: int) -> str:
    ended: Counter[str] = Counter()
    taken = []
    for number in range(checks):
        began = time.monotonic()
        code, said = here.run("check", codes=tuple(_CODES))
        taken.append(time.monotonic() - began)
        ended[_CODES[code]] += 1
        first = next((line for line in said.splitlines() if line.strip()), "")
        say(f"check {number + 1} of {checks}, {taken[-1]:.0f} s: {_CODES[code]}: {first}")
        if code:
            say(said)
    told = ", ".join(f"{count} {name}" for name, count in ended.most_common())
    taken.sort()
    return f"{checks} checks: {told}; {taken[len(taken) // 2]:.0f} s in the median"


@contextlib.contextmanager
def _neighbour() -> Iterator[None]:
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
