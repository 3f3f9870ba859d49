"""The levels of every run of some results folders: kept ones as they are, others made of the run.

What is no part of a history is left out, each with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.comparison.levels import levels
from harness.errors import ResultsError
from harness.model import RunLevels
from harness.store import folder, runs
from harness.store import levels as kept
from harness.store.runs import Run


@dataclass(frozen=True, slots=True)
class Collected:
    """The runs of a history, the oldest first, and (name, why) of those that are none of it."""

    runs: tuple[RunLevels, ...]
    left_out: tuple[tuple[str, str], ...]


class LeftOutError(Exception):
    """Why a run is no part of what is told of many."""

    def __init__(self, why: str, *, goes_on: bool = False) -> None:
        super().__init__(why)
        self.goes_on = goes_on
        """Whether it is one only because it is not finished."""


def collected(roots: Sequence[Path]) -> Collected:
    """The runs of these results folders; ResultsError where a folder is none.

    The samples that come with limitbench are no history of anybody's.
    """
    found: dict[tuple[str, str, str], RunLevels] = {}
    left_out: list[tuple[str, str]] = []
    for path in _folders(roots):
        try:
            one = kept.read(path) or made(runs.load(path))
        except (LeftOutError, ResultsError) as error:
            left_out.append((path.name, str(error)))
            continue
        key = one.hostname, one.run, one.created
        if key in found:
            left_out.append((path.name, "it is there twice"))
        found.setdefault(key, one)
    ordered = sorted(found.values(), key=lambda one: (one.created, one.run))
    return Collected(tuple(ordered), tuple(left_out))


def _folders(roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        if not root.is_dir():
            raise ResultsError(f"there is no folder {root}.", "`bench sweep cpu` makes a run.")
        for path in folder.folders(root, claims=False):
            if not path.name.startswith(folder.SAMPLE_RUNS):
                yield path


def made(run: Run) -> RunLevels:
    """The levels of a run, worked out of its trials and kept; LeftOutError where it has none."""
    if run.info.status == "running":
        raise LeftOutError("it is not finished", goes_on=True)
    if run.info.sides:
        raise LeftOutError("it is an A/B run, whose sides differ on purpose")
    try:
        made_of = kept.source(run.path)
    except OSError:
        made_of = ""
    found = levels(run.info, run.trials)
    if not any(point.levels for point in found.points):
        why = next((point.rejected for point in found.points if point.rejected), "")
        raise LeftOutError("none of its points has 5 trials that count" + (why and f": {why}"))
    if made_of:
        kept.keep(run.path, made_of, found)
    return found
