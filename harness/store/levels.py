"""A run's levels, kept beside its trials: what a history reads instead of them.

``levels.json`` is made of the run, and can be made again: it counts only as long as the run's files
are those that it was made from, and the code that judges is the code that made it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness import files
from harness.model import RunLevels
from harness.store import checks
from harness.store import folder as folders
from harness.store.samples import INFO, TRIALS

LEVELS = "levels.json"
_MOST_BYTES = 1 << 24
"""More than 1,000 points need."""
_MADE_BY = ("comparison", "judge", "limits", "model", "store")
"""The rooms whose code makes levels of a run."""

_adapter = TypeAdapter(RunLevels)


def source(folder: Path) -> str:
    """What the levels of a run are made of: its files as they are now, and the code; else OSError.

    Told by sizes and times, so that nothing is read: 10,000 runs have 20,000 files.
    """
    found = [(folder / name).stat() for name in (INFO, TRIALS)]
    return " ".join([*(f"{one.st_size}:{one.st_mtime_ns}" for one in found), _code()])


def read(folder: Path) -> RunLevels | None:
    """The levels that are kept; None where there are none, or they are of something else."""
    try:
        text = files.read(folder / LEVELS, _MOST_BYTES)
        if not checks.holds(text):
            return None
        document = json.loads(text)
        if document["made_of"] != source(folder):
            return None
        found = _adapter.validate_python(document["levels"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError):
        return None
    return found if found.run == folder.name else None  # a copy says the name of its original


def keep(folder: Path, made_of: str, levels: RunLevels) -> None:
    """Keep them for the next time; where the folder cannot be written, they are made again."""
    document = {
        "made_of": made_of,
        "levels": _adapter.dump_python(levels, mode="json", exclude_defaults=True),
    }
    folders.keep_document(folder / LEVELS, json.dumps(document).encode())


@cache
def _code() -> str:
    """The checksum of the code that makes levels: a metric may be worked out otherwise now."""
    whole = hashlib.sha256()
    top = Path(__file__).parents[1]
    for room in _MADE_BY:
        for path in sorted((top / room).rglob("*.py")):
            whole.update(path.read_bytes())
    return whole.hexdigest()[:12]
