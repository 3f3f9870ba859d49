"""The hosts of a results folder, each by its newest run.

Of those without one, the file of a fleet tells what became. Lazy: of all runs but the newest of a
host and a sweep the facts alone are read, and of that one its kept levels (``store.levels``) where
there are any. So a thousand hosts are a few megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.comparison.collected import LeftOutError, made
from harness.errors import ResultsError, UsageError
from harness.model import Fleet, FleetHost, RunLevels
from harness.store import fleets, folder, runs
from harness.store import levels as kept

FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Member:
    """One host: the levels of its newest runs, one a sweep, or why there are none."""

    name: str
    levels: tuple[RunLevels, ...] = ()
    """The newest first."""
    status: str = FINISHED
    """As the file of a fleet has it."""
    why: str = ""
    runs: tuple[str, ...] = ()
    """Those that were looked at, with figures or without."""


@dataclass(frozen=True, slots=True)
class Found:
    """The hosts by name, and (run or file, why) of what tells of no host."""

    members: tuple[Member, ...]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Run:
    """A run as far as it must be known to choose among many."""

    path: Path
    host: str
    sweep: str
    created: str
    levels: RunLevels | None
    """None = still to be worked out of its trials."""


def found(
    root: Path,
    *,
    fleet: str | None = None,
    sweep: str | None = None,
    listen: Callable[[int, int], None] = lambda _done, _of: None,
) -> Found:
    """The hosts of a results folder, of one fleet or sweep where that is named.

    ``listen`` is told how many of how many runs are read. ResultsError where there is no such
    folder, UsageError where it has no such fleet.
    """
    if not root.is_dir():
        raise ResultsError(f"there is no folder {root}.", "`bench sweep cpu` makes a run.")
    listing = fleets.listing(root)
    chosen = _chosen(listing.fleets, fleet)
    names = {
        host.run: host.name for one in reversed(chosen) for host in one.hosts if host.run
    }  # fmt: skip
    paths = [
        path
        for path in folder.folders(root, claims=False)
        if not path.name.startswith(folder.SAMPLE_RUNS) and (fleet is None or path.name in names)
    ]
    left_out = list(listing.unreadable.items())
    newest: dict[tuple[str, str], _Run] = {}
    others: set[str] = set()
    for i, path in enumerate(paths):
        listen(i, len(paths))
        try:
            one = _looked_at(path, names)
        except ResultsError as error:
            left_out.append((path.name, str(error)))
            continue
        if sweep is not None and one.sweep != sweep:
            others.add(path.name)
            continue
        key = one.host, one.sweep
        if key not in newest or (newest[key].created, newest[key].path.name) < (
            one.created, path.name,
        ):  # fmt: skip
            newest[key] = one
    return Found(tuple(_members(newest.values(), chosen, others)), tuple(left_out))


def _chosen(there: Sequence[Fleet], name: str | None) -> Sequence[Fleet]:
    if name is None:
        return there
    found = [one for one in there if one.id == name]
    if not found:
        known = ", ".join(one.id for one in there[:5])
        raise UsageError(
            f"no fleet '{name}' is kept there.",
            f"There are: {known}." if known else "Leave it away: every run there is then shown.",
        )
    return found


def _looked_at(path: Path, names: dict[str, str]) -> _Run:
    levels = kept.read(path)
    if levels is not None:
        host = names.get(path.name, levels.hostname)
        return _Run(path, host, levels.sweep, levels.created, levels)
    info = runs.load(path).info
    host = names.get(path.name, info.host.hostname)
    return _Run(path, host, info.plan.sweep, info.created, None)


def _members(
    newest: Iterable[_Run], there: Sequence[Fleet], others: Collection[str]
) -> Iterable[Member]:
    """The hosts by name; of ``others``, runs of another sweep, nothing is asked."""
    by_host: dict[str, list[_Run]] = {}
    for one in newest:
        by_host.setdefault(one.host, []).append(one)
    told: dict[str, tuple[str, FleetHost]] = {}
    for called in reversed(there):
        told |= {host.name: (called.started, host) for host in called.hosts}
    for name in sorted({*by_host, *told}):
        mine = sorted(by_host.get(name, ()), key=lambda one: _moment(one.created), reverse=True)
        started, host = told.get(name, ("", None))
        if host is not None and host.run in others and not mine:
            continue
        if host is not None and not _is_done(host, started, mine):
            why = host.reason
            if host.status == FINISHED:
                why = f"its run {host.run} is not in this folder, or cannot be read"
            yield Member(
                name, status="failed" if host.status == FINISHED else host.status, why=why,
                runs=tuple(one.path.name for one in mine),
            )  # fmt: skip
        else:
            yield _measured(name, mine)


def _is_done(host: FleetHost, started: str, mine: Sequence[_Run]) -> bool:
    """Whether a run of the host is news beside what the fleet's file says of it."""
    if host.status == FINISHED:
        return bool(mine)
    return bool(mine) and mine[0].path.name != host.run and (
        _moment(mine[0].created) > _moment(started)
    )  # fmt: skip


def _measured(name: str, mine: Sequence[_Run]) -> Member:
    levels: list[RunLevels] = []
    status, why = FINISHED, ""
    for one in mine:
        try:
            levels.append(one.levels or made(runs.load(one.path)))
        except (LeftOutError, ResultsError) as error:
            why = why or f"{one.path.name}: {error}"
            status = "running" if isinstance(error, LeftOutError) and error.goes_on else status
    return Member(name, tuple(levels), FINISHED if levels else status, "" if levels else why,
                  tuple(one.path.name for one in mine))  # fmt: skip


def _moment(text: str) -> datetime:
    """A time of a file; of one that is none, long ago."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
