"""What kill -9 at random moments costs a sweep: nothing that was finished."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.engine import leftovers
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.errors import ResultsError
from harness.store import runs
from harness.store.samples import TRIALS
from harness.wording import counted

KILLS = 50
SEED = 1
_BENCH = str(Path(sys.executable).with_name("bench"))
_SWEEP = ("sweep", "cpu", "--values", "0.5", "--duration", "0.3", "--warmup", "0.1")
_DONE = re.compile(r"(\d+) of \d+ trials? done")
_PLANNED, _WHOLE = 6, 4
"""Trials of a sweep that is killed, and of one that is not, which takes as long as one may live."""


@dataclass(slots=True)
class Report:
    """What came of it, in trials and in kills."""

    kills: int = 0
    finished: int = 0
    """Trials that a bench said were done before it was killed."""
    lost: int = 0
    """Of these, those that are not read back."""
    torn: int = 0
    """Half lines on disk: told as damage, and no trial of theirs is read."""
    misread: int = 0
    """Runs of which more trials are read than there are whole lines on disk."""
    unreadable: int = 0
    """Run folders that cannot be read at all."""
    left: int = 0
    """Containers and processes that the next command did not remove."""
    begun: int = 0
    """Runs that a kill met: their folder was there."""
    resumed: int = 0
    """Of these, those that `bench resume` completed, with every trial that was there before."""

    def __str__(self) -> str:
        return (
            f"{counted(self.kills, 'kill')}: {counted(self.finished, 'finished trial')}, "
            f"{self.lost} lost; {self.torn} torn, {self.misread} read as data; "
            f"{self.unreadable} unreadable; {self.left} left behind; "
            f"{self.resumed} of {counted(self.begun, 'run')} resumed to the end"
        )


def report(connection: Connection) -> str:
    """Kill a sweep so many times; in one line what it cost."""
    moments, found = random.Random(SEED), Report()
    with tempfile.TemporaryDirectory(prefix="limitbench-kills-") as folder:
        began = time.monotonic()
        _called(connection, Path(folder) / "whole", *_SWEEP, "--repeats", str(_WHOLE))
        whole_s = time.monotonic() - began
        for number in range(KILLS):
            results = Path(folder) / str(number)
            said = _killed(connection, results, moments.uniform(0, whole_s))
            found.kills += 1
            _examine(connection, results, said, found)
        _called(connection, Path(folder) / "next", *_SWEEP, "--repeats", "1")
    found.left = len(leftovers.strays()) + len(DockerEngine(connection).left_behind())
    return str(found)


def _killed(connection: Connection, results: Path, after_s: float) -> int:
    """How many trials a sweep said it had finished when it was killed."""
    with subprocess.Popen(
        [_BENCH, *_SWEEP, "--repeats", str(_PLANNED)], env=_environment(connection, results),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        time.sleep(after_s)
        process.kill()
        _, said = process.communicate()
    return max((int(number) for number in _DONE.findall(said)), default=0)


def _examine(connection: Connection, results: Path, said: int, found: Report) -> None:
    found.finished += said
    read = 0
    for path in results.glob("*"):
        try:
            run = runs.load(path)
            read += len(run.trials)
        except ResultsError:
            found.unreadable += 1
            continue
        *whole, rest = _lines(path)
        found.torn += bool(rest)
        found.misread += len(run.trials) > len(whole)
        found.begun += 1
        found.resumed += _resumed(connection, results, path)
    found.lost += max(0, said - read)


def _resumed(connection: Connection, results: Path, path: Path) -> bool:
    before = runs.load(path).trials
    _called(connection, results, "resume", path.name)
    after = runs.load(path)
    return after.info.status == "finished" and after.trials[: len(before)] == before


def _lines(path: Path) -> list[bytes]:
    file = path / TRIALS
    return file.read_bytes().split(b"\n") if file.exists() else [b""]


def _called(connection: Connection, results: Path, *args: str) -> None:
    environment = _environment(connection, results)
    subprocess.run([_BENCH, *args], env=environment, capture_output=True, check=False)


def _environment(connection: Connection, results: Path) -> dict[str, str]:
    engine = {"BENCH_ENGINE_HOST": connection.host, "BENCH_RESULTS": str(results)}
    return {**os.environ, **engine}
