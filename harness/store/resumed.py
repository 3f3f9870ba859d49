"""A run that stopped early, opened again to be written to its end.

What was torn when it stopped is set aside in its folder, under a name that ends in ``.torn-1`` (or
the next number): it is never read as data, and never lost. Each step leaves a run that can be read,
so that a process that dies in the middle of this does no harm.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.model import Gap, RunInfo, TrialRecord
from harness.store import trials as trial_lines
from harness.store import writer
from harness.store.folder import CHANGED, now, sync_folder, write_all, writing
from harness.store.runs import Run, RunWriter
from harness.store.samples import PARTS, SAMPLES, TRIALS, StoredSamples, replacing


def reopen(run: Run, differences: Sequence[str] = ()) -> RunWriter:
    """The writer that goes on with a run whose own has ended; its folder says so from now on.

    ``differences``: in words, what has changed since and was allowed to. ResultsError where the
    folder cannot be written.
    """
    info, trials = run.info, run.trials
    with writing(run.path):
        _set_torn_lines_aside(run)
        _reopen_samples(run, {trial.index for trial in trials})
        sync_folder(run.path)
    told = {name for gap in info.gaps for name in gap.aside}
    gap = Gap(
        stopped=info.ended or _last_sign(info, trials),
        resumed=now(),
        why=": ".join(part for part in (info.status, info.reason) if part),
        trials=len(trials),
        aside=tuple(sorted({path.name for path in run.path.glob("*.torn-*")} - told)),
        # Written anew, it will bear a checksum that is right.
        differences=(*differences, *([CHANGED] if run.changed else [])),
    )
    going_on = replace(
        info, status="running", reason="", ended="", writer=writer.own(), gaps=(*info.gaps, gap)
    )
    return RunWriter(run.path, going_on)


def _last_sign(info: RunInfo, trials: Sequence[TrialRecord]) -> str:
    """When a run that could not tell its end was still there: at the end of its last trial."""
    if not trials:
        return info.created
    last = max(trials, key=lambda trial: trial.started_at)
    took = timedelta(seconds=sum(last.phases_s.values()))
    try:
        return (datetime.fromisoformat(last.started_at) + took).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return info.created


def _set_torn_lines_aside(run: Run) -> None:
    """Have ``trials.jsonl`` of whole lines that are trials, each with its end."""
    file = run.path / TRIALS
    if not file.exists():
        return
    lines = list(trial_lines.lines(run.path, run.info))
    torn = [line for line, trial, _ in lines if trial is None]
    size = file.stat().st_size
    whole = b"".join(line + b"\n" for line, trial, _ in lines if trial is not None)
    if size > sum(len(line) + 1 for line, _, _ in lines):  # some are too long to be held
        shutil.copyfile(file, _aside(file))
    elif torn:
        _write(_aside(file), b"\n".join(torn))
    if torn or size != len(whole):
        temporary = run.path / f".{TRIALS}.new"
        _write(temporary, whole)
        temporary.replace(file)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def _aside(file: Path) -> Path:
    """A free name in the run's folder for what is to be kept of a file and not read."""
    parent, name = file.parent, file.name
    if parent.name == PARTS:
        parent, name = parent.parent, f"{PARTS}-{name}"
    numbers = iter(range(1, 1_000_000))
    return next(path for n in numbers if not (path := parent / f"{name}.torn-{n}").exists())


# --- samples -----------------------------------------------------------------------------------


def _reopen_samples(run: Run, finished: Collection[int]) -> None:
    """Have what is held of the finished trials in parts again, and nothing else."""
    merged, parts = run.path / SAMPLES, run.path / PARTS
    stored = StoredSamples(run.path, run.info)
    parts.mkdir(exist_ok=True)
    if stored.whole(merged):
        # Left by a merging that was not brought to its end: it has all that are whole.
        for part in parts.glob("*.parquet"):
            if stored.whole(part):
                part.unlink()
            else:
                part.rename(_aside(part))
        _part_again(merged, parts, finished)
    else:
        if merged.exists():
            merged.rename(_aside(merged))
        for part in list(parts.iterdir()):
            named = part.stem.isdecimal() and part.suffix == ".parquet"
            if not (named and stored.whole(part) and _trials_in(part) <= set(finished)):
                part.rename(_aside(part))
    sync_folder(parts)


def _trials_in(file: Path) -> set[int]:
    """The trials whose samples a file holds; one that there is none of where it cannot be read."""
    found: set[int] = set()
    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches():
                found.update(pc.unique(batch["trial"]).to_pylist())
    except (pa.ArrowException, OSError, KeyError):
        return {-1}
    return found


def _part_again(merged: Path, parts: Path, finished: Collection[int]) -> None:
    """The merged samples as a part, under the first of its trials.

    As several where a trial is missing among them, whose own will come between, and without those
    of a trial that is to be measured again.
    """
    held = _trials_in(merged)
    series: list[list[int]] = []
    for trial in sorted(held & set(finished)):
        if series and all(one in finished for one in range(series[-1][-1], trial)):
            series[-1].append(trial)
        else:
            series.append([trial])
    if len(series) == 1 and held <= set(finished):
        merged.rename(_part(parts, series[0]))
        return
    for trials in series:
        _copy(merged, _part(parts, trials), trials)
    merged.rename(_aside(merged))


def _part(parts: Path, trials: Sequence[int]) -> Path:
    return parts / f"{trials[0]:06d}.parquet"


def _copy(merged: Path, part: Path, trials: Sequence[int]) -> None:
    with (
        pq.ParquetFile(merged) as opened,
        replacing(part) as file,
        pq.ParquetWriter(file, opened.schema_arrow) as out,
    ):
        for batch in opened.iter_batches():
            mine: pa.RecordBatch = batch.filter(
                pc.and_(
                    pc.greater_equal(batch["trial"], trials[0]),
                    pc.less_equal(batch["trial"], trials[-1]),
                )
            )
            out.write_batch(mine)
