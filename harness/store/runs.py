"""Sole owner of ``results/``: one folder a run, written so that nothing finished is ever lost.

``run.json`` (the plan, the facts, the schema version) is replaced atomically; ``trials.jsonl`` gets
one line a finished trial, synced before the next begins; samples are Parquet, one part a trial
while the run goes on, one file once it has ended. The format is described in results/README.md.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from harness import __version__
from harness.errors import ResultsError
from harness.model import (
    EngineFacts,
    HostFacts,
    Plan,
    Purpose,
    RunInfo,
    Sample,
    Side,
    TrialRecord,
    WorkloadFacts,
)
from harness.store import folder, samples, trials, writer
from harness.store.folder import CHANGED
from harness.store.samples import INFO, PARTS, TRIALS
from harness.store.sense import wrong_info

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1


_info_adapter = TypeAdapter(RunInfo)


@dataclass(frozen=True, eq=False)
class Run:
    """One run as it lies on disk; its trials are read when they are first asked for, and once.

    Of a run that still goes on they may so be some more than when it was loaded. Compared by
    identity: what is worked out from a run is kept with it, and its trials are many.
    """

    path: Path
    info: RunInfo
    held: tuple[tuple[TrialRecord, ...], tuple[str, ...]] | None = field(default=None, repr=False)
    """Trials and damage in place of those on disk: see ``holding``."""
    changed: bool = False
    """Whether ``run.json`` is not as it was written; what it says is believed all the same."""

    def holding(self, trials: Iterable[TrialRecord], damage: tuple[str, ...] | None = None) -> Run:
        """The same run with these trials, and this damage if it is another."""
        return replace(self, held=(tuple(trials), self.damage if damage is None else damage))

    def telling(self, info: RunInfo) -> Run:
        """The same run with other facts of it; its trials are not read again."""
        return replace(self, info=info, held=self.__dict__.get("_read", self.held))

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """The finished trials, in their order on disk; a damaged line is left out."""
        return self._read[0]

    @property
    def damage(self) -> tuple[str, ...]:
        """In words, what could not be read."""
        return self._read[1]

    @functools.cached_property
    def _read(self) -> tuple[tuple[TrialRecord, ...], tuple[str, ...]]:
        if self.held is not None:
            return self.held
        # Samples alone, of a run of 10,000 trials, are read in half the time without these.
        found, damage = trials.read(self.path, self.info)
        if self.changed:
            damage = (CHANGED, *damage)
        if found:
            damage += tuple(self._samples.damage())
        return found, damage

    @property
    def _samples(self) -> samples.StoredSamples:
        return samples.StoredSamples(self.path, self.info)

    def samples(self, trial: int | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """The samples of the run, or of one trial, read column-wise.

        Columns: ``trial`` and ``container`` (int32), then the raw counters of ``model.Sample``
        (int64, null where they could not be measured), ordered by trial, container and time. An
        empty table where the run has no samples. ResultsError where they cannot be read, UsageError
        for a column that there is none of.
        """
        names = samples.known_columns(columns)
        if trial is None:
            return self._samples.table(names)
        return self._samples.of_trial(trial, names)

    def sample_batches(self) -> Iterator[pa.RecordBatch]:
        """All samples in pieces, in the order of ``samples``: they need not fit into memory."""
        yield from self._samples.batches()


class RunWriter:
    """Writes one run. Made by ``create``; ``keep`` after each trial; ``finish`` at the end."""

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self.info = info
        with folder.writing(path):
            self._write_info()
            self._trials = folder.open_lines(path / TRIALS)

    def keep(self, record: TrialRecord, series: Sequence[Sequence[Sample]]) -> None:
        """Store a finished trial: its samples, then its line; both are on disk at return."""
        with folder.writing(self.path):
            if series:
                samples.write(self.path, record, series)
            folder.append(self._trials, trials.line_of(record))

    def grow(self, plan: Plan) -> None:
        """Store a plan with more points, before a trial of one of them is kept."""
        self.info = replace(self.info, plan=plan)
        with folder.writing(self.path):
            self._write_info()

    def finish(self, status: str, reason: str = "") -> None:
        """Close the run: ``finished``, ``interrupted`` or ``failed``, and merge its samples."""
        os.close(self._trials)
        self.info = replace(self.info, status=status, reason=reason, ended=folder.now())
        with folder.writing(self.path):
            self._write_info()
            samples.merge(self.path, self.info)

    def _write_info(self) -> None:
        folder.write_info(self.path, _info_adapter.dump_json(self.info, indent=2))


def create(  # noqa: PLR0913 - each is one fact of the run, by name
    root: Path,
    plan: Plan,
    *,
    host: HostFacts,
    engine: EngineFacts,
    workload: WorkloadFacts,
    sides: tuple[Side, ...] = (),
    purpose: Purpose | None = None,
) -> RunWriter:
    """A new run's folder, named by its time (UTC) and sweep. ``sides`` are those of an A/B run."""
    path = folder.new(root, fit(plan.sweep), PARTS)
    info = RunInfo(
        schema=SCHEMA,
        name=path.name,
        created=folder.now(),
        status="running",
        harness_version=__version__,
        python_version=platform.python_version(),
        plan=plan,
        host=host,
        engine=engine,
        workload=workload,
        sides=sides,
        purpose=purpose,
        writer=writer.own(),
        checks=True,
    )
    try:
        return RunWriter(path, info)
    except ResultsError:
        with contextlib.suppress(OSError):  # a folder without run.json is no run
            (path / PARTS).rmdir()
            path.rmdir()
        raise


def fit(name: str) -> str:
    """A sweep's name as a part of a folder's name, which names the run's containers too.

    Docker takes [a-zA-Z0-9][a-zA-Z0-9_.-]+, and every file system that as well.
    """
    letters = "".join(
        c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)
    )
    return re.sub(r"[^A-Za-z0-9_.]+", "-", letters).strip("-.")[:40].rstrip("-.") or "sweep"


def load(path: Path) -> Run:
    """A run, whatever state it is in; see ``Run`` for when its trials are read.

    Raises ResultsError where the folder is no run, or one of a newer schema. A line of
    ``trials.jsonl`` that was cut off is left out and named in ``damage``.
    """
    info, changed = facts(path)
    return Run(path, info, changed=changed)


def facts(path: Path) -> tuple[RunInfo, bool]:
    """The facts of a run, and whether they are not as they were written."""
    if folder.is_of_claims(path):
        raise ResultsError(
            f"{path} is a run of claims, which has no trials.",
            "`bench show`, `report` and `compare` know it.",
        )
    document, holds = folder.read_info(path, SCHEMA)
    info = _parse_info(path, document)
    return info, holds is False or (holds is None and info.checks)


def _parse_info(path: Path, document: Any) -> RunInfo:
    info = folder.parsed(path, _info_adapter, document)
    if why := wrong_info(info):
        raise ResultsError(f"{path / INFO} is damaged: {why}.")
    # A copy says the name of the run that it is a copy of.
    info = replace(info, name=path.name or path.resolve().name)
    if info.status == "running" and info.writer is not None:
        status, reason = writer.state(info.writer)
        info = replace(info, status=status, reason=reason)
    return info


def find(root: Path, name: str | None) -> Run:
    """The run of that name or path; the newest where no name is given; ResultsError if none.

    The sample runs that come with limitbench are found by name only.
    """
    return load(folder.find(root, name, claims=False))
