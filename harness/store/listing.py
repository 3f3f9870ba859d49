"""The runs of a results folder in a list: no more of each than a line of it needs.

A folder of 10,000 runs would take seconds to be read. So what was read of finished runs is kept in
``.runs.json``, each beside the sizes and times of the files that it was read from: it counts only
as long as those are the same, and the code that read them is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness import files
from harness.errors import ResultsError
from harness.model import ForCalibration
from harness.store import checks, folder, levels, runs, trials
from harness.store.folder import CHANGED

INDEX = ".runs.json"
_MOST_BYTES = 1 << 28
"""Of 100,000 runs it takes 50 MB."""
_WORTH_KEEPING = 100
"""So many runs that had to be read: fewer take a moment, and a small folder stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One run in a list: some of its facts, and how many trials it has, none of them read."""

    path: Path
    created: str
    sweep: str
    axes: tuple[str, ...]
    status: str
    trials: int
    planned: int
    host: str
    cpus: int
    kernel: str
    cgroup_version: int
    engine_version: str
    runtime: str
    earlier: tuple[str, ...] = ()
    """Of a calibration's run: those before it."""
    changed: bool = False
    """Whether ``run.json`` is not as it was written."""

    @property
    def name(self) -> str:
        """Its folder's: a copy says the name of the run that it is a copy of."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Listing:
    """The runs of a results folder, newest first, and the folders that could not be read."""

    runs: tuple[Listed, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    """Of the runs, those whose ``run.json`` is not as it was written, each with what that means."""


_adapter = TypeAdapter(dict[str, tuple[str, Listed]])


def list_runs(root: Path) -> Listing:
    """All runs below a results folder. Folders without ``run.json`` are not runs and left out."""
    known = _known(root)
    found: dict[str, tuple[str, Listed]] = {}
    unreadable: dict[str, str] = {}
    read = 0
    for path in folder.folders(root):
        try:
            made_of = levels.source(path)
        except OSError:  # without trials.jsonl, so of claims, or never begun
            made_of = ""
        kept = known.get(path.name)
        if kept and made_of and kept[0] == made_of:
            found[path.name] = made_of, replace(kept[1], path=path)
            continue
        if folder.is_of_claims(path):
            continue
        try:
            found[path.name] = made_of, _listed(path)
            read += 1
        except ResultsError as error:
            unreadable[path.name] = error.message
    if read >= _WORTH_KEEPING:
        _keep(root, found)
    listed = [one for _, one in found.values()]
    return Listing(
        tuple(sorted(listed, key=lambda one: one.created, reverse=True)),
        unreadable,
        {one.name: f"{CHANGED}." for one in listed if one.changed},
    )


def _listed(path: Path) -> Listed:
    info, changed = runs.facts(path)
    engine, purpose = info.engine, info.purpose
    return Listed(
        path=path,
        created=info.created,
        sweep=info.plan.sweep,
        axes=tuple(dict.fromkeys(point.axis for point in info.plan.points)),
        status=info.status,
        trials=trials.count(path),
        planned=len(info.plan.trials),
        host=info.host.hostname,
        cpus=info.host.cpus,
        kernel=info.host.kernel,
        cgroup_version=engine.cgroup_version,
        engine_version=engine.version,
        runtime=f"{engine.runtime} {engine.runtime_version}",
        earlier=purpose.earlier if isinstance(purpose, ForCalibration) else (),
        changed=changed,
    )


def _known(root: Path) -> dict[str, tuple[str, Listed]]:
    """What is kept; nothing where it is not as it was written."""
    try:
        text = files.read(root / INDEX, _MOST_BYTES)
        if not checks.holds(text):
            return {}
        return _adapter.validate_python(json.loads(text)["runs"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError):
        return {}


def _keep(root: Path, found: dict[str, tuple[str, Listed]]) -> None:
    """Keep it for the next time; where the folder cannot be written, all is read again."""
    # Whether a run that has not finished goes on is asked of its process each time.
    finished = {name: one for name, one in found.items() if one[0] and one[1].status == "finished"}
    document = json.dumps({"runs": _adapter.dump_python(finished, mode="json")})
    folder.keep_document(root / INDEX, document.encode())
