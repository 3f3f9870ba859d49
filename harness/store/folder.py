"""The folder of a run of any kind, in which nothing finished is ever lost.

``run.json`` is replaced atomically; a line is at the end of its file whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness import files
from harness.errors import ResultsError
from harness.store import checks
from harness.store.samples import INFO

Facts = TypeVar("Facts")
CLAIMS = "claims.jsonl"
"""The results of a run of claims; a folder that has it is no run of a sweep."""
SAMPLE_RUNS = "sample"
"""Folders whose names begin so are examples that come with limitbench, read when they are named."""
_INFO_BYTES = 1 << 24
"""Of run.json: more than 100,000 trials need. Read as JSON it takes 25 times as much."""
_DAY = re.compile(r"[0-9]{8}(?=-[0-9]{6}-)")
CHANGED = (
    f"{INFO} is not as it was written: where nobody changed it on purpose, what it says of plan, "
    "host and engine may be wrong"
)
"""What is told of a run whose ``run.json`` has another checksum."""


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


def new(root: Path, about: str, *inside: str) -> Path:
    """A new run's folder, named by its time (UTC) and what it is about, with folders inside."""
    prepare_root(root)
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{about}"
    for attempt in range(100):
        path = root / (stem if attempt == 0 else f"{stem}-{attempt + 1}")
        try:
            with writing(root):
                path.mkdir()
                for name in inside:
                    (path / name).mkdir()
        except ResultsError as error:
            if isinstance(error.__cause__, FileExistsError):
                continue
            raise
        return path
    raise ResultsError(f"{root} already holds a hundred runs named {stem}.", "Wait a second.")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """ResultsError where a run's folder cannot be written: full, gone, no longer ours."""
    try:
        yield
    except OSError as error:  # pyarrow's have no strerror
        why = error.strerror or str(error).partition("\n")[0].rstrip(".")
        kept = "Finished trials are kept." if path.is_dir() else "Was the folder removed or moved?"
        raise ResultsError(f"cannot write to {path}: {why}.", kept) from error


def open_lines(path: Path) -> int:
    """A descriptor of a file of lines, made where it is missing, to ``append`` to."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    sync_folder(path.parent)
    sync_folder(path.parent.parent)
    return fd


def append(fd: int, line: bytes) -> None:
    """A line at the end of a file and on disk, whole or, where it fails, not at all."""
    end = os.fstat(fd).st_size
    try:
        write_all(fd, line)
        os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, end)
        raise
    if not os.fstat(fd).st_nlink:
        raise FileNotFoundError(errno.ENOENT, "its file was removed")


def write_info(folder: Path, text: bytes) -> None:
    """Replace ``run.json`` by this JSON object and its checksum."""
    replace_document(folder / INFO, text)


def replace_document(path: Path, text: bytes) -> None:
    """Replace a file by this JSON object and its checksum: it is on disk, or as it was."""
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(fd, checks.stamped(text) + b"\n")
        os.fsync(fd)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    temporary.replace(path)


def keep_document(path: Path, text: bytes) -> None:
    """Replace a file that can be made again, whoever else does; where it cannot be, it is not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    with contextlib.suppress(OSError):
        temporary.write_bytes(checks.stamped(text) + b"\n")
        temporary.replace(path)
    with contextlib.suppress(OSError):
        temporary.unlink()


def read_info(folder: Path, newest: int) -> tuple[dict[str, Any], bool | None]:
    """What ``run.json`` holds, of a schema up to ``newest``, and whether its checksum is right.

    None where it bears none. ResultsError where it cannot be read, or is of a newer schema.
    """
    try:
        text = files.read(folder / INFO, _INFO_BYTES)
        document = json.loads(text)
    except OSError as error:
        raise ResultsError(
            f"{folder} is not a run: it has no readable {INFO} ({error.strerror}).",
            "`bench runs` lists the runs.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{folder / INFO} is damaged: {error}.") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, int):
        raise ResultsError(f"{folder} is not a run: {INFO} names no schema.")
    if schema > newest:
        raise ResultsError(
            f"{folder} has schema {schema}, this limitbench reads up to {newest}.",
            "Install a newer limitbench.",
        )
    return document, checks.holds(text)


def parsed(folder: Path, adapter: TypeAdapter[Facts], document: dict[str, Any]) -> Facts:
    """What such a document says; ResultsError that names the first thing that makes no sense."""
    try:
        return adapter.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{folder / INFO} is damaged at {where}: {first['msg']}.") from error
    except UnicodeEncodeError as error:  # half of a surrogate pair, where a word is looked up
        said = f"{error.object!a:.40} is no text"
        raise ResultsError(f"{folder / INFO} is damaged: {said}.") from error


def is_of_claims(folder: Path) -> bool:
    """Whether a folder is a run of claims: told by its file of results, without a look inside."""
    return (folder / CLAIMS).exists()


def folders(root: Path, *, claims: bool | None = None) -> list[Path]:
    """Those of runs below a results folder, of claims or of trials or of both, the last first."""
    try:
        found = sorted(root.iterdir(), reverse=True)
    except OSError:
        return []
    found = [one for one in found if (one / INFO).exists()]
    return [one for one in found if claims is None or is_of_claims(one) is claims]


def find(root: Path, name: str | None, *, claims: bool | None = None) -> Path:
    """The folder of that name or path, or of the only one whose name holds it.

    Without a name, the newest of that kind which is no sample. ResultsError where there is none.
    """
    if name is not None:
        for path in (root / name, Path(name)):
            if (path / INFO).exists():
                return path
        if Path(name).is_dir():
            return Path(name)  # who reads it tells why it is no run
        near = [path.name for path in folders(root) if name in path.name]
        near = [one for one in near if not one.startswith(SAMPLE_RUNS)] or near
        if len(near) == 1:
            return root / near[0]
        hint = f"It could be: {', '.join(sorted(near)[:5])}." if near else "See `bench runs`."
        raise ResultsError(f"no run '{name}' in {root}.", hint)
    there = folders(root, claims=claims)
    own = [one for one in there if not one.name.startswith(SAMPLE_RUNS)]
    if not own:
        hint = "`bench sweep cpu` makes one."
        if there:
            hint += f" The examples are named: {', '.join(sorted(one.name for one in there))}."
        raise ResultsError(f"no run in {root}.", hint)
    return max(_latest(own), key=created)


def _latest(there: list[Path]) -> list[Path]:
    """Those that may be the newest: named by the last day of all, or by no day.

    A name's time is when the run's folder was made, a little before it was ``created``. So of
    10,000 runs some few are read.
    """
    days = {path: found[0] for path in there if (found := _DAY.match(path.name))}
    last = max(days.values(), default="")
    return [path for path in there if days.get(path, last) == last]


def created(folder: Path) -> str:
    """When a run was created; where it does not tell that, when its file was written."""
    try:
        said = json.loads(files.read(folder / INFO, _INFO_BYTES))["created"]
        return datetime.fromisoformat(said).astimezone(UTC).isoformat()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        with contextlib.suppress(OSError):
            return datetime.fromtimestamp((folder / INFO).stat().st_mtime, UTC).isoformat()
        return ""


def write_all(fd: int, data: bytes) -> None:
    """All of it: a file that grows full takes a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: Path) -> None:
    """Have on disk which files a folder has, as far as its file system can promise that."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # 9p, FUSE and some NFS have none
            raise
    finally:
        os.close(fd)


def now() -> str:
    """The time of a run's records: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
