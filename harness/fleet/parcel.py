"""A host's reply with its run, as one compressed file: how they travel.

What comes is not believed: names are those of files in a run's folder, nothing but plain files is
taken, and sizes are bounded before a byte is written.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness import files
from harness.errors import ResultsError
from harness.model import Reply
from harness.store import claims, fleets, folder, runs
from harness.units import MIB

MOST_BYTES = 256 * MIB
"""Of a parcel: a run of 100,000 samples a trial and 1,000 trials has less."""
_MOST_UNPACKED_BYTES = 4 * MOST_BYTES
_MOST_FILES = 20_000
_PADDING_BYTES = 1 << 16
_REPLY, _RUN = "reply.json", "run"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_LEVEL = 6
"""Samples are compressed already; trials and plan shrink to a tenth."""


def pack(reply: Reply, run: Path | None) -> bytes:
    """The reply, with a run's folder if there is one; ResultsError where that is too large."""
    out = io.BytesIO()
    # No time of its own: the same run makes the same parcel.
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        _add(tar, _REPLY, fleets.reply_text(reply))
        for path in sorted(run.rglob("*")) if run else []:
            name = path.relative_to(run or path)
            if path.is_file() and all(_PART.fullmatch(part) for part in name.parts):
                _add(tar, f"{_RUN}/{name.as_posix()}", _content(path))
    if out.tell() > MOST_BYTES:
        raise ResultsError(
            f"a run of {out.tell() // MIB} MiB is more than the {MOST_BYTES // MIB} that a fleet "
            "carries.", "Sweep fewer points, or with a lower --cadence."
        )  # fmt: skip
    return out.getvalue()


def _content(path: Path) -> bytes:
    try:
        return files.read(path, MOST_BYTES)
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}.") from error


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def unpack(parcel: bytes, root: Path, host: str) -> tuple[Reply, Path | None]:
    """The reply, and its run as an ordinary one below ``root``, of whose name the host's is a part.

    A run that is there already is left as it is. ResultsError where the parcel is none of ours.
    """
    if len(parcel) > MOST_BYTES:
        raise ResultsError(f"{host} sent {len(parcel) // MIB} MiB, more than a fleet carries.")
    arriving = root / f".arriving-{host}"
    shutil.rmtree(arriving, ignore_errors=True)
    try:
        with folder.writing(root):
            arriving.mkdir()
        try:
            reply = _write_all(parcel, arriving)
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise ResultsError(f"what {host} sent is damaged: {error}.") from error
        except _StrangeError as error:
            raise ResultsError(f"what {host} sent is not taken: {error}.") from error
        if reply.host != host:
            raise ResultsError(f"what {host} sent is of {reply.host!r:.80}.")
        return reply, _settled(arriving / _RUN, reply, root)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


class _StrangeError(Exception):
    """What no host of ours sends."""


def _write_all(parcel: bytes, into: Path) -> Reply:
    reply: Reply | None = None
    with gzip.GzipFile(fileobj=io.BytesIO(parcel)) as packed:
        with tarfile.open(fileobj=packed, mode="r|") as tar:
            for member, content in _files(tar):
                if member == _REPLY and reply is None:
                    reply = fleets.read_reply(content)
                    continue
                path = into / member
                with folder.writing(into):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
        # A tar ends before its file does, which is where gzip has its checksum.
        if len(packed.read(_PADDING_BYTES)) == _PADDING_BYTES:
            raise _StrangeError("more follows its end")
    if reply is None:
        raise _StrangeError("it has no reply")
    return reply


def _files(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Name and content of each; the whole bounded by what its headers say, before it is read."""
    total = 0
    for number, member in enumerate(tar):
        name = PurePosixPath(member.name)
        known = member.name == _REPLY or (
            name.parts[:1] == (_RUN,) and 2 <= len(name.parts) <= 3 and "//" not in member.name
        )
        if not known or not all(_PART.fullmatch(part) for part in name.parts):
            raise _StrangeError(f"no run has a file {member.name!r:.80}")
        if not member.isreg():
            raise _StrangeError(f"{member.name!r:.80} is no file")
        total += member.size
        if number >= _MOST_FILES or total > _MOST_UNPACKED_BYTES:
            raise _StrangeError("it is larger than any run")
        opened = tar.extractfile(member)
        assert opened is not None
        content = opened.read()
        if len(content) != member.size:
            raise _StrangeError(f"{member.name!r:.80} is cut off")
        yield member.name, content


def _settled(arrived: Path, reply: Reply, root: Path) -> Path | None:
    """Where the run lies from now on: below its own name there and its host's."""
    if not arrived.is_dir():
        return None
    if not reply.run or not _PART.fullmatch(reply.run):
        raise ResultsError(f"{reply.host} sent a run without a name.")
    _understood(arrived)
    said = (arrived / "run.json").read_bytes()
    for number in range(1, 100):
        path = root / f"{reply.run}-{reply.host}{f'-{number}' * (number > 1)}"
        if path.exists():
            if (path / "run.json").exists() and (path / "run.json").read_bytes() == said:
                return path  # it was stored before whoever did could say so
            continue
        with folder.writing(root):
            arrived.rename(path)
            folder.sync_folder(root)
        return path
    raise ResultsError(f"{root} already holds a hundred runs named {reply.run}-{reply.host}.")


def _understood(run: Path) -> None:
    """ResultsError where it is no run that can be read."""
    if folder.is_of_claims(run):
        claims.load(run)
    else:
        runs.load(run)
