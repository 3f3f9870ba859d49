"""The finished trials of a run: a line each, of which those that make no sense are left out."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from harness import files
from harness.model import RunInfo, TrialRecord
from harness.store import checks
from harness.store.samples import TRIALS
from harness.store.sense import TrialSense, most_trials

_MOST_BYTES = 1 << 36
"""Of the file, of which a line at a time is read."""
_LINE_BYTES = 1 << 24
"""Of a line: more than 1,000 threads on 100 CPUs need. Read as JSON it takes 25 times as much."""
_MOST_LINES = 2
"""For each trial that there can be: some may be torn, or there twice."""

_adapter = TypeAdapter(TrialRecord)


def line_of(record: TrialRecord) -> bytes:
    """A trial as its line, checksum and end of line included."""
    return checks.stamped(_adapter.dump_json(record, exclude_none=True)) + b"\n"


def read(folder: Path, info: RunInfo) -> tuple[tuple[TrialRecord, ...], tuple[str, ...]]:
    """The trials in their order on disk, and in words what is damaged and was left out."""
    trials: list[TrialRecord] = []
    damage: list[str] = []
    try:
        with without_collections():
            for number, (_, trial, why) in enumerate(lines(folder, info), start=1):
                if trial is not None:
                    trials.append(trial)
                else:
                    damage.append(f"line {number} of {TRIALS} is {why}")
    except FileNotFoundError:
        damage.append(f"{TRIALS} is missing")
    except OSError as error:
        damage.append(f"{TRIALS} cannot be read: {error.strerror}")
    return tuple(trials), tuple(damage)


def lines(folder: Path, info: RunInfo) -> Iterator[tuple[bytes, TrialRecord | None, str]]:
    """Each line as it is on disk, with its trial, or in words why it is left out. OSError.

    One that is too long is cut off. Of lines beyond all that the run can have one is told.
    """
    sense, most = TrialSense(info), _MOST_LINES * most_trials(info.plan)
    known: set[int] = set()
    with files.opened(folder / TRIALS, _MOST_BYTES) as file:
        for number, line in enumerate(_lines(file), start=1):
            trial, why = _trial(line, stamped=info.checks)
            if trial is not None:
                twice = "it is there twice" if trial.index in known else ""
                if wrong := sense.wrong(trial) or twice:
                    trial, why = None, f"left out: {wrong}"
                else:
                    known.add(trial.index)
            if number > most:
                yield line, None, "left out with those after it: the run has fewer trials"
                return
            yield line, trial, why


def count(folder: Path) -> int:
    """So many lines, none of them looked at."""
    try:
        with files.opened(folder / TRIALS, _MOST_BYTES) as file:
            return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
    except OSError:
        return 0


def _trial(line: bytes, *, stamped: bool) -> tuple[TrialRecord | None, str]:
    """A line's trial, or in words why there is none."""
    if len(line) >= _LINE_BYTES:
        return None, f"left out: it is longer than {_LINE_BYTES >> 20} MiB"
    holds = checks.holds(line)
    if holds is False:
        return None, "left out: it is not as it was written"
    if holds is None and stamped:
        return None, "damaged and left out"
    try:
        return _adapter.validate_json(line), ""
    except ValidationError:
        return None, "damaged and left out"


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Line by line, each without its end; of one that is too long as much as is too long."""
    while line := file.readline(_LINE_BYTES):
        if len(line) == _LINE_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        yield line.removesuffix(b"\n")


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """For many records, none of them garbage: looking for it takes as long as making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
