"""Sole owner of ``results/``: one folder a run, written so that nothing finished is ever lost.

``run.json`` (the plan, the facts, the schema version) is replaced atomically; ``trials.jsonl`` gets
one line a finished trial, synced before the next begins; samples are Parquet, one part a trial
while the run goes on, one file once it has ended. The format is described in results/README.md.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from harness import __version__
from harness.errors import ResultsError, UsageError
from harness.model import (
    EngineFacts,
    HostFacts,
    Plan,
    RunInfo,
    Sample,
    Side,
    TrialRecord,
    WorkloadFacts,
)

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
SAMPLE_RUNS = "sample"
"""Folders whose names begin so are examples that come with limitbench, read when they are named."""
ROWS_A_GROUP = 100_000
"""Of the merged samples, at least: whole trials, so that reading one reads a group or two."""
_INFO, _TRIALS, _SAMPLES, _PARTS = "run.json", "trials.jsonl", "samples.parquet", "samples"

_SAMPLE_COLUMNS = (
    "t_mono_ns", "cpu_usage_ns", "nr_periods", "nr_throttled", "throttled_ns", "memory_bytes",
    "total_bytes", "peak_bytes", "anon_bytes", "file_bytes", "inactive_file_bytes", "major_faults",
    "limit_hits", "oom_kills", "cpu_some_us", "cpu_full_us", "memory_some_us", "memory_full_us",
    "io_some_us", "io_full_us",
)  # fmt: skip

_info_adapter = TypeAdapter(RunInfo)
_trial_adapter = TypeAdapter(TrialRecord)


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

    def holding(self, trials: Iterable[TrialRecord], damage: tuple[str, ...] | None = None) -> Run:
        """The same run with these trials, and this damage if it is another."""
        return replace(self, held=(tuple(trials), self.damage if damage is None else damage))

    def telling(self, info: RunInfo) -> Run:
        """The same run with other facts of it; its trials are not read again."""
        return Run(self.path, info, self.__dict__.get("_read", self.held))

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
        trials: list[TrialRecord] = []
        damage: list[str] = []
        try:
            lines = (self.path / _TRIALS).read_bytes().splitlines()
        except OSError:
            lines, damage = [], [f"{_TRIALS} is missing"]
        with _without_collections():
            for number, line in enumerate(lines, start=1):
                try:
                    trials.append(_trial_adapter.validate_json(line))
                except ValidationError:
                    damage.append(f"line {number} of {_TRIALS} is damaged and left out")
        if trials:
            damage += _damage_of_samples(self.path)
        return tuple(trials), tuple(damage)

    def samples(self, trial: int | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """The samples of the run, or of one trial, read column-wise.

        Columns: ``trial`` and ``container`` (int32), then the raw counters of ``model.Sample``
        (int64, null where they could not be measured), ordered by trial, container and time. An
        empty table where the run has no samples. ResultsError where they cannot be read, UsageError
        for a column that there is none of.
        """
        import pyarrow as pa
        import pyarrow.dataset as ds

        files = _sample_files(self.path)
        known = sample_schema().names
        names = list(known if columns is None else columns)
        for name in names:
            if name not in known:
                raise UsageError(f"samples have no column '{name}'.", f"Known: {', '.join(known)}.")
        if not files:
            return sample_schema().empty_table().select(names)
        try:
            if trial is None:
                return pa.concat_tables([_read_columns(file, names) for file in files])
            found = ds.dataset(files, schema=sample_schema())
            return found.to_table(columns=names, filter=ds.field("trial") == trial)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable_samples(self.path, error) from error

    def sample_batches(self) -> Iterator[pa.RecordBatch]:
        """All samples in pieces, in the order of ``samples``: they need not fit into memory."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = sample_schema().names
        try:
            for file in _sample_files(self.path):
                opened = pq.ParquetFile(file)
                held = [name for name in names if name in opened.schema_arrow.names]
                for batch in opened.iter_batches(columns=held):
                    yield from _completed(pa.Table.from_batches([batch]), names).to_batches()
        except (pa.ArrowException, OSError) as error:
            raise _unreadable_samples(self.path, error) from error


class RunWriter:
    """Writes one run. Made by ``create``; ``keep`` after each trial; ``finish`` at the end."""

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self.info = info
        self._write_info()
        self._trials = os.open(
            path / _TRIALS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        _sync_folder(path)
        _sync_folder(path.parent)

    def keep(self, record: TrialRecord, samples: Sequence[Sequence[Sample]]) -> None:
        """Store a finished trial: its samples, then its line; both are on disk at return."""
        try:
            if samples:
                _write_samples(self.path / _PARTS / f"{record.index:06d}.parquet", record, samples)
            line = _trial_adapter.dump_json(record, exclude_none=True) + b"\n"
            _write_all(self._trials, line)
            os.fsync(self._trials)
        except OSError as error:
            raise ResultsError(
                f"cannot write to {self.path}: {error.strerror}.", "Finished trials are kept."
            ) from error

    def finish(self, status: str, reason: str = "") -> None:
        """Close the run: ``finished``, ``interrupted`` or ``failed``, and merge its samples."""
        os.close(self._trials)
        self.info = replace(self.info, status=status, reason=reason, ended=_now())
        self._write_info()
        self._merge_samples()

    def _write_info(self) -> None:
        text = _info_adapter.dump_json(self.info, indent=2)
        temporary = self.path / f".{_INFO}.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _write_all(fd, text + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(self.path / _INFO)

    def _merge_samples(self) -> None:
        """One file instead of thousands of parts, with some trials in each row group.

        Parquet keeps facts of every column of every row group, 2 kB in all, and every read begins
        with them: with one group a trial, a large run would wait for them.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        parts = sorted((self.path / _PARTS).glob("*.parquet"))
        if not parts:
            return
        temporary = self.path / f".{_SAMPLES}.new"
        with pq.ParquetWriter(temporary, sample_schema(), compression="zstd") as writer:
            waiting: list[pa.Table] = []
            for part in parts:
                waiting.append(pq.read_table(part, schema=sample_schema()))
                if sum(table.num_rows for table in waiting) >= ROWS_A_GROUP:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
        temporary.replace(self.path / _SAMPLES)
        for part in parts:
            part.unlink()
        (self.path / _PARTS).rmdir()


def prepare_root(root: Path) -> None:
    """Make the results folder and prove that it can be written, before anything is measured."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ResultsError(
            f"cannot write results to {root}: {error.strerror}.",
            "Choose another folder with --results.",
        ) from error


def create(  # noqa: PLR0913 - each is one fact of the run, by name
    root: Path,
    plan: Plan,
    *,
    host: HostFacts,
    engine: EngineFacts,
    workload: WorkloadFacts,
    sides: tuple[Side, ...] = (),
) -> RunWriter:
    """A new run's folder, named by its time (UTC) and sweep. ``sides`` are those of an A/B run."""
    prepare_root(root)
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{plan.sweep}"
    for attempt in range(100):
        name = stem if attempt == 0 else f"{stem}-{attempt + 1}"
        try:
            (root / name).mkdir()
        except FileExistsError:
            continue
        (root / name / _PARTS).mkdir()
        info = RunInfo(
            schema=SCHEMA,
            name=name,
            created=_now(),
            status="running",
            harness_version=__version__,
            python_version=platform.python_version(),
            plan=plan,
            host=host,
            engine=engine,
            workload=workload,
            sides=sides,
        )
        return RunWriter(root / name, info)
    raise ResultsError(f"{root} already holds a hundred runs named {stem}.", "Wait a second.")


def load(path: Path) -> Run:
    """A run, whatever state it is in; see ``Run`` for when its trials are read.

    Raises ResultsError where the folder is no run, or one of a newer schema. A line of
    ``trials.jsonl`` that was cut off is left out and named in ``damage``.
    """
    return Run(path, _load_info(path))


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Many records are made, none of them garbage: looking for it takes as long as making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _damage_of_samples(path: Path) -> list[str]:
    merged, parts = path / _SAMPLES, path / _PARTS
    if merged.exists():
        return [] if _is_whole(merged) else [f"{_SAMPLES} is damaged: no timelines"]
    if not parts.exists():
        return ["the samples are missing: no timelines"]
    damaged = sum(not _is_whole(part) for part in parts.glob("*.parquet"))
    return [f"the samples of {damaged} trials are damaged and left out"] if damaged else []


def _sample_files(path: Path) -> list[Path]:
    """The files that hold a run's samples, without those that were cut off."""
    merged = path / _SAMPLES
    files = [merged] if merged.exists() else sorted((path / _PARTS).glob("*.parquet"))
    return [file for file in files if _is_whole(file)]


def _read_columns(file: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of a file: straight from it, which takes half the memory of a dataset."""
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(file)
    held = [name for name in names if name in opened.schema_arrow.names]
    return _completed(opened.read(columns=held), names)


def _completed(table: pa.Table, names: Sequence[str]) -> pa.Table:
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


def _is_whole(file: Path) -> bool:
    """Whether a Parquet file has its end: that is written last, and holds where all the rest is.

    By the four bytes at both ends, since pyarrow takes longer to load than most commands run.
    """
    try:
        with file.open("rb") as opened:
            begin = opened.read(4)
            opened.seek(-4, os.SEEK_END)
            return begin == opened.read(4) == b"PAR1"
    except OSError:  # no four bytes, or not to be read
        return False


def _unreadable_samples(path: Path, error: Exception) -> ResultsError:
    first = str(error).partition("\n")[0].rstrip(".")
    return ResultsError(f"the samples of {path} cannot be read: {first}.", "Its trials can.")


def _load_info(path: Path) -> RunInfo:
    try:
        document = json.loads((path / _INFO).read_bytes())
    except OSError as error:
        raise ResultsError(
            f"{path} is not a run: it has no readable {_INFO}.", "`bench runs` lists the runs."
        ) from error
    except ValueError as error:
        raise ResultsError(f"{path / _INFO} is damaged: {error}.") from error
    return _parse_info(path, document)


def _parse_info(path: Path, document: Any) -> RunInfo:
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, int):
        raise ResultsError(f"{path} is not a run: {_INFO} names no schema.")
    if schema > SCHEMA:
        raise ResultsError(
            f"{path} has schema {schema}, this limitbench reads up to {SCHEMA}.",
            "Install a newer limitbench.",
        )
    try:
        return _info_adapter.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{path / _INFO} is damaged at {where}: {first['msg']}.") from error


@dataclass(frozen=True, slots=True)
class Listed:
    """One run in a list: its facts, and how many trials it has, none of them read."""

    path: Path
    info: RunInfo
    trials: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The runs of a results folder, newest first, and the folders that could not be read."""

    runs: tuple[Listed, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)


def list_runs(root: Path) -> Listing:
    """All runs below a results folder. Folders without ``run.json`` are not runs and left out."""
    runs: list[Listed] = []
    unreadable: dict[str, str] = {}
    for path in sorted(root.glob(f"*/{_INFO}"), reverse=True):
        try:
            info = _load_info(path.parent)
        except ResultsError as error:
            unreadable[path.parent.name] = error.message
        else:
            runs.append(Listed(path.parent, info, _count_lines(path.with_name(_TRIALS))))
    return Listing(tuple(sorted(runs, key=lambda r: r.info.created, reverse=True)), unreadable)


def find(root: Path, name: str | None) -> Run:
    """The run of that name or path; the newest where no name is given; ResultsError if none.

    The sample runs that come with limitbench are found by name only.
    """
    if name is not None:
        for path in (root / name, Path(name)):
            if (path / _INFO).exists():
                return load(path)
        if Path(name).is_dir():
            return load(Path(name))  # tells why it is no run
        near = [path.parent.name for path in root.glob(f"*{name}*/{_INFO}")]
        near = [one for one in near if not one.startswith(SAMPLE_RUNS)] or near
        if len(near) == 1:
            return load(root / near[0])
        hint = f"It could be: {', '.join(sorted(near)[:5])}." if near else "See `bench runs`."
        raise ResultsError(f"no run '{name}' in {root}.", hint)
    names = sorted(path.parent.name for path in root.glob(f"*/{_INFO}"))
    own = [one for one in names if not one.startswith(SAMPLE_RUNS)]
    if not own:
        hint = "`bench sweep cpu` makes one."
        if names:
            hint += f" The examples are named: {', '.join(names)}."
        raise ResultsError(f"no run in {root}.", hint)
    return load(root / own[-1])


# --- below: files ----------------------------------------------------------------------------


def sample_schema() -> pa.Schema:
    """The columns of ``samples.parquet``."""
    import pyarrow as pa

    keys = [pa.field("trial", pa.int32()), pa.field("container", pa.int32())]
    return pa.schema([*keys, *(pa.field(name, pa.int64()) for name in _SAMPLE_COLUMNS)])


def _count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


def _write_samples(path: Path, record: TrialRecord, samples: Sequence[Sequence[Sample]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(i, sample) for i, series in enumerate(samples) for sample in series]
    columns: dict[str, list[int | None]] = {
        "trial": [record.index] * len(rows),
        "container": [i for i, _ in rows],
    }
    for name in _SAMPLE_COLUMNS:
        columns[name] = [getattr(sample, name) for _, sample in rows]
    pq.write_table(pa.table(columns, schema=sample_schema()), path, compression="zstd")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
