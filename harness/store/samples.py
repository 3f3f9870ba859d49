"""The samples of a run: one Parquet file, read column-wise."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from harness import files
from harness.errors import ResultsError, UsageError
from harness.model import (
    RunInfo,
    Sample,
    TrialRecord,
)
from harness.store import checks
from harness.store.sense import most_trials
from harness.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


ROWS_A_GROUP = 100_000
"""Of the merged samples, at least: whole trials, so that reading one reads a group or two."""


INFO, TRIALS, SAMPLES, PARTS = "run.json", "trials.jsonl", "samples.parquet", "samples"


_NO_NUMBERS = ("usage_percpu_ns", "devices")
SAMPLE_COLUMNS = tuple(name for name in Sample.__dataclass_fields__ if name not in _NO_NUMBERS)
"""All but those that are no number: ``trials.jsonl`` has them of the window's edges."""


_MOST_BYTES = 1 << 36
"""Of a file: it is read a piece at a time, so that any is bearable that a run can have."""
_LEAST_S = 3600.0
"""As long a window is believed, whatever its point declares: growth ends when it ends."""


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """The sample files of one run's folder."""

    path: Path
    info: RunInfo

    def damage(self) -> list[str]:
        """What of the samples cannot be read, in words."""
        merged, parts = self.path / SAMPLES, sorted((self.path / PARTS).glob("*.parquet"))
        found = []
        if os.path.lexists(merged):
            if not self.whole(merged):
                found.append(f"{SAMPLES} is damaged: no timelines")
        elif not (self.path / PARTS).exists():
            found.append("the samples are missing: no timelines")
        broken = sum(not self.whole(part) for part in parts)
        if broken:
            found.append(f"the samples of {counted(broken, 'trial')} are damaged and left out")
        return found

    def table(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all samples: straight from the files, in half a dataset's memory."""
        import pyarrow as pa

        with self._reading():
            tables = [
                completed(opened.read(columns=_held(opened, names)), names)
                for opened in self._opened()
            ]
        return pa.concat_tables(tables) if tables else sample_schema().empty_table().select(names)

    def of_trial(self, trial: int, names: Sequence[str]) -> pa.Table:
        """Some columns of one trial's samples."""
        import pyarrow.dataset as ds

        with self._reading():
            for _ in self._opened():  # no more rows than there can be
                pass
            found = ds.dataset(self._files(), schema=sample_schema())
            return found.to_table(columns=list(names), filter=ds.field("trial") == trial)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All samples in pieces, in their order on disk."""
        import pyarrow as pa

        names = sample_schema().names
        with self._reading():
            for opened in self._opened():
                for batch in opened.iter_batches(columns=_held(opened, names)):
                    yield from completed(pa.Table.from_batches([batch]), names).to_batches()

    def _files(self) -> list[Path]:
        """The files that hold samples, without those that were cut off or changed."""
        merged = self.path / SAMPLES
        there = os.path.lexists(merged)
        found = [merged] if there else sorted((self.path / PARTS).glob("*.parquet"))
        return [file for file in found if self.whole(file)]

    def whole(self, file: Path) -> bool:
        """Whether a file of samples is there as it was written."""
        try:
            now = file.lstat()
            held = _holds(file, (now.st_size, now.st_mtime_ns, now.st_ino))
        except OSError:
            return False
        return held or (held is None and not self.info.checks)

    def _opened(self) -> Iterator[pq.ParquetFile]:
        """Each file, its footer read; ResultsError where it has more rows than the plan can."""
        import pyarrow.parquet as pq

        most = _most_rows(self.info)
        for file in self._files():
            opened = pq.ParquetFile(file)
            facts = opened.metadata
            groups = [facts.row_group(i).num_rows for i in range(facts.num_row_groups)]
            most -= sum(groups)
            if most < 0 or sum(groups) != facts.num_rows:
                raise _unreadable(self.path, "more rows than its trials can have")
            yield opened

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """ResultsError where the files cannot be read."""
        import pyarrow as pa

        try:
            yield
        # A footer that is none may say what no text is: pyarrow decodes its names.
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            first = str(error).partition("\n")[0].rstrip(".")
            raise _unreadable(self.path, first) from error


def known_columns(columns: Sequence[str] | None) -> list[str]:
    """The columns that were asked for, all without; UsageError for one that there is none of."""
    known = sample_schema().names
    names = list(known if columns is None else columns)
    for name in names:
        if name not in known:
            raise UsageError(f"samples have no column '{name}'.", f"Known: {', '.join(known)}.")
    return names


def completed(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The columns in their order; those that an older file does not have are null."""
    import pyarrow as pa

    schema = sample_schema()
    return pa.table(
        {
            name: table[name] if name in table.column_names
            else pa.nulls(table.num_rows, schema.field(name).type)
            for name in names
        },
        schema=pa.schema([schema.field(name) for name in names]),
    )  # fmt: skip


def sample_schema() -> pa.Schema:
    """The columns of ``samples.parquet``."""
    import pyarrow as pa

    keys = [pa.field("trial", pa.int32()), pa.field("container", pa.int32())]
    return pa.schema([*keys, *(pa.field(name, pa.int64()) for name in SAMPLE_COLUMNS)])


def write(folder: Path, record: TrialRecord, samples: Sequence[Sequence[Sample]]) -> None:
    """Write the samples of one trial as a part of the run's; it is on disk at return."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(i, sample) for i, series in enumerate(samples) for sample in series]
    columns: dict[str, list[int | None]] = {
        "trial": [record.index] * len(rows),
        "container": [i for i, _ in rows],
    }
    for name in SAMPLE_COLUMNS:
        columns[name] = [getattr(sample, name) for _, sample in rows]
    table = pa.table(columns, schema=sample_schema())
    with replacing(folder / PARTS / f"{record.index:06d}.parquet") as file:
        pq.write_table(table, file, compression="zstd")


def merge(folder: Path, info: RunInfo) -> None:
    """One file instead of thousands of parts, with some trials in each row group.

    Parquet keeps facts of every column of every row group, 2 kB in all, and every read begins
    with them: with one group a trial, a large run would wait for them. A damaged part stays where
    it is, and is told: what is merged bears a checksum anew.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    stored = StoredSamples(folder, info)
    parts = [part for part in sorted((folder / PARTS).glob("*.parquet")) if stored.whole(part)]
    if not parts:
        return
    with (
        replacing(folder / SAMPLES) as file,
        pq.ParquetWriter(file, sample_schema(), compression="zstd") as writer,
    ):
        waiting: list[pa.Table] = []
        for table in _tables(parts):
            waiting.append(table)
            if sum(table.num_rows for table in waiting) >= ROWS_A_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    for done in (*parts, *(folder / PARTS).glob(".*.new")):  # a process that died left the latter
        done.unlink()
    with contextlib.suppress(OSError):  # damaged parts are left
        (folder / PARTS).rmdir()


def _tables(parts: Sequence[Path]) -> Iterator[pa.Table]:
    """The samples in some files, a row group at a time: one may be what another run merged."""
    import pyarrow.parquet as pq

    for part in parts:
        with pq.ParquetFile(part) as opened:
            for group in range(opened.num_row_groups):
                yield completed(opened.read_row_group(group), sample_schema().names)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A Parquet file to be written that is there with its checksum, on disk, or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w+b") as file:
            yield file
            checks.stamp_file(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@functools.lru_cache(maxsize=1 << 14)
def _holds(file: Path, _state: tuple[int, int, int]) -> bool | None:
    """Whether a file of samples is as it was written; None where only its ends tell. OSError.

    A Parquet file's end is written last, and holds where all the rest is. By the bytes alone, since
    pyarrow takes longer to load than most commands run; once for a file in one state.
    """
    with files.opened(file, _MOST_BYTES) as opened:
        begin = opened.read(4)
        opened.seek(-4, os.SEEK_END)
        if not begin == opened.read(4) == b"PAR1":
            return False
        return checks.file_holds(opened)


def _held(opened: pq.ParquetFile, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in opened.schema_arrow.names]


def _most_rows(info: RunInfo) -> int:
    """More rows than any run of this plan has."""
    plan = info.plan
    longest = max((point.duration_s for point in plan.points), default=0)
    most = max((len(point.containers) for point in plan.points), default=0)
    return int(most_trials(plan) * most * plan.cadence_hz * max(2 * longest, _LEAST_S))


def _unreadable(path: Path, why: str) -> ResultsError:
    return ResultsError(f"the samples of {path} cannot be read: {why}.", "Its trials can.")
