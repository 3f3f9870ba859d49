"""What a container's use means under its limits, as a catalogue of findings.

A file a subject. In it each finding is one entry (id, grade, condition, what to do, source) above
the function that fires it; thresholds stand beside them, and the condition is written with them. A
new finding is such an entry, and nothing else: the command line, JSON, ``bench inspect --explain``
and docs/findings.md are made of the catalogue.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from harness.errors import UsageError
from harness.inspection.findings import (
    cpu,
    disk,
    limits,
    memory,
    named,
    pressure,
    program,
    state,
    stats,
    tasks,
)
from harness.inspection.findings.entry import Entry, Evidence, Finding

__all__ = ["CATALOGUE", "Entry", "Evidence", "Finding", "entry_of", "findings"]

CATALOGUE = {
    one.id: one
    # In the order of their weight: what ended, what is held up, what will be, what is odd.
    for subject in (state, named, cpu, program, memory, disk, tasks, pressure, limits, stats)
    for one in vars(subject).values()
    if isinstance(one, Entry)
}
"""Every entry by its id, in the order in which they are told."""


def findings(of: Evidence) -> Iterator[Finding]:
    """What there is to be said of a window, the gravest subject first."""
    for one in CATALOGUE.values():
        yield from one.findings(of)


def entry_of(id: str) -> Entry:
    """The entry of that id. UsageError, with the nearest ones, where there is none."""
    if found := CATALOGUE.get(id):
        return found
    near = difflib.get_close_matches(id, CATALOGUE, n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"there is no finding '{id}'.", f"{meant}--explain list names all.")
