"""Baselines: runs that were chosen as the reference, as small files that can be committed.

``NAME.json`` holds the digest of a run, ``noise/…json`` what ``bench calibrate`` found out about a
host; both beside each other, so that a check gives the same verdict wherever they are checked out.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness import files
from harness.errors import ComparisonError, ResultsError, UsageError
from harness.model import Digest, Drift, Fingerprint, Floor, Noise

SCHEMA = 1
DEFAULT = "default"
"""The baseline's name where none is given."""
_MOST_BYTES = 1 << 24
"""Of a file: more than 10,000 points with a hundred trials need."""
_NOISE = "noise"
_REMEDY = {
    "baseline": "Restore it, or make it again: `bench baseline set RUN`.",
    _NOISE: "Restore it, or make it again: `bench calibrate`.",
}
"""What to do about a file that cannot be used, by its kind."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")

T = TypeVar("T")
_digest_adapter = TypeAdapter(Digest)
_noise_adapter = TypeAdapter(Noise)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A run under the name that it is referred to by."""

    name: str
    path: Path
    digest: Digest


@dataclass(frozen=True, slots=True)
class Listing:
    """The baselines of a folder by name, and the files that could not be read."""

    baselines: tuple[Baseline, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)


def save(folder: Path, name: str, digest: Digest) -> Baseline:
    """Write a baseline; one of that name is replaced. UsageError for a name that is no file's."""
    path = _path(folder, name)
    _write(path, "baseline", _digest_adapter.dump_python(digest, mode="json", exclude_none=True))
    return Baseline(name, path, digest)


def load(folder: Path, name: str) -> Baseline:
    """The baseline of that name.

    ComparisonError where there is none, ResultsError where the file is damaged, none of ours, or of
    a newer schema.
    """
    path = _path(folder, name)
    if not path.exists():
        known = ", ".join(one.name for one in listing(folder).baselines)
        raise ComparisonError(
            f"no baseline '{name}' in {folder}.",
            f"There are: {known}." if known else "`bench baseline set RUN` makes one.",
        )
    return Baseline(name, path, _digest_of(path))


def listing(folder: Path) -> Listing:
    """All baselines of a folder, by name; none where there is no such folder."""
    found, unreadable = [], {}
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Baseline(path.stem, path, _digest_of(path)))
        except ResultsError as error:
            unreadable[path.name] = error.message
    return Listing(tuple(found), unreadable)


def remove(folder: Path, name: str) -> Path:
    """Delete a baseline, readable or not; ComparisonError where there is none of that name."""
    path = _path(folder, name)
    try:
        path.unlink()
    except FileNotFoundError:
        raise ComparisonError(
            f"no baseline '{name}' in {folder}.", "`bench baseline list` lists them."
        ) from None
    except OSError as error:
        raise ResultsError(f"cannot delete {path}: {error.strerror}.") from error
    return path


def _digest_of(path: Path) -> Digest:
    """The digest in a file; ResultsError for one that no run can have."""
    digest = _read(path, "baseline", _digest_adapter)
    ids = [one.point.id for one in digest.points]
    series = [one for point in digest.points for one in point.series]
    wrong = {
        "it has no points": not ids,
        "a point is there twice": len(set(ids)) < len(ids),
        "a point has no container": not all(one.point.containers for one in digest.points),
        "a value is no number from 0 up": not all(
            0 <= value < math.inf for one in series for value in one.values
        ),
    }
    for what in (what for what, found in wrong.items() if found):
        raise ResultsError(f"{path} is damaged: {what}.", _REMEDY["baseline"])
    return digest


# --- noise -------------------------------------------------------------------------------------


def save_noise(
    folder: Path,
    digests: Sequence[Digest],
    floors: tuple[Floor, ...],
    drifts: tuple[Drift, ...] = (),
) -> Noise:
    """Keep the noise of a host, by its fingerprint; what was known of it before is replaced."""
    first = digests[0]
    noise = Noise(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hostname=first.hostname,
        fingerprint=first.fingerprint,
        runs=tuple(one.run for one in digests),
        repeats=min(point.valid for one in digests for point in one.points),
        floors=floors,
        drifts=drifts,
    )
    path = _noise_path(folder, first.fingerprint)
    _write(path, _NOISE, _noise_adapter.dump_python(noise, mode="json"))
    return noise


def noise_of(folder: Path, fingerprint: Fingerprint) -> Noise | None:
    """The noise that was found under exactly these facts; None where nobody calibrated them."""
    path = _noise_path(folder, fingerprint)
    return _read(path, _NOISE, _noise_adapter) if path.exists() else None


def _noise_path(folder: Path, fingerprint: Fingerprint) -> Path:
    text = json.dumps(TypeAdapter(Fingerprint).dump_python(fingerprint), sort_keys=True)
    return folder / _NOISE / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


# --- files -------------------------------------------------------------------------------------


def _path(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a baseline.",
            "Letters, digits, '.', '_' and '-' make one.",
        )
    return folder / f"{name}.json"


def _write(path: Path, kind: str, content: Any) -> None:
    document = {"limitbench": kind, "schema": SCHEMA, kind: content}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(_text(document) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise ResultsError(
            f"cannot write {path}: {error.strerror}.", "Choose another folder with --baselines."
        ) from error


def _text(document: Any) -> str:
    """JSON that a diff shows well: indented, but the values of one metric in one line."""
    text = json.dumps(document, indent=1)
    return re.sub(r"\[\s+([^\[\]{}\"]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)


def _read(path: Path, kind: str, adapter: TypeAdapter[T]) -> T:
    try:
        document = json.loads(
            files.read(path, _MOST_BYTES), parse_float=_finite, parse_constant=_finite
        )
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}.", _REMEDY[kind]) from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{path} is damaged: {error}.", _REMEDY[kind]) from error
    if not isinstance(document, dict) or document.get("limitbench") != kind:
        raise ResultsError(f"{path} is no {kind} of limitbench.", _REMEDY[kind])
    schema = document.get("schema")
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        raise ResultsError(
            f"{path} has schema {schema!r}, this limitbench reads {SCHEMA}.",
            "Install a newer limitbench." if newer else _REMEDY[kind],
        )
    try:
        return adapter.validate_python(document.get(kind))
    except UnicodeEncodeError as error:  # half of a surrogate pair, where a word is looked up
        raise ResultsError(f"{path} is damaged: it holds no text.", _REMEDY[kind]) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(
            f"{path} is damaged at {where}: {first['msg']}.", _REMEDY[kind]
        ) from error


def _finite(text: str) -> float:
    """A number of a file; ValueError for what JSON does not have, and what is too large for it."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number
