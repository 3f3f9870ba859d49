"""Runs of claims: a folder each, as runs of sweeps have, with ``claims.jsonl`` in place of trials.

A line is one result, synced before the next claim begins. Of a claim that was tried again the last
line counts; the earlier ones stay. ``documented`` and ``read_document`` are the same as one JSON
document, which is what ``bench claims --json`` prints and ``--against`` takes.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness import __version__, files
from harness.errors import ResultsError
from harness.model import ClaimResult, ClaimsInfo, ClaimText, EngineFacts, HostFacts
from harness.store import checks, folder, runs, writer
from harness.store.anonymous import Names, without_engine_names, without_host_names
from harness.store.folder import CHANGED, CLAIMS, now

SCHEMA = 1
_KIND = "claims"
_MOST_BYTES = 1 << 26
"""Of the file of results, or of a document: a result has some hundred bytes."""
_MOST_LINES = 10_000

_info_adapter = TypeAdapter(ClaimsInfo)
_result_adapter = TypeAdapter(ClaimResult)


@dataclass(frozen=True, eq=False)
class ClaimsRun:
    """One run of claims as it lies on disk."""

    path: Path
    info: ClaimsInfo
    results: tuple[ClaimResult, ...]
    """One a claim at the most, in the catalogue's order."""
    damage: tuple[str, ...] = field(default=())
    """In words, what could not be read."""

    def result(self, claim_id: str) -> ClaimResult | None:
        """What was found of a claim; None where it was not put to the test."""
        return next((one for one in self.results if one.id == claim_id), None)


class ClaimsWriter:
    """Writes one run of claims: ``keep`` after each claim, ``finish`` at the end."""

    def __init__(self, path: Path, info: ClaimsInfo) -> None:
        self.path, self.info = path, info
        with folder.writing(path):
            # First, as it tells what kind of run this is.
            self._results = folder.open_lines(path / CLAIMS)
            self._write_info()

    def keep(self, result: ClaimResult) -> None:
        """Store what was found of a claim; it is on disk at return."""
        with folder.writing(self.path):
            line = checks.stamped(_result_adapter.dump_json(result))
            folder.append(self._results, line + b"\n")

    def finish(self, status: str, reason: str = "") -> None:
        """Close the run: ``finished``, ``interrupted`` or ``failed``."""
        os.close(self._results)
        self.info = replace(self.info, status=status, reason=reason, ended=now())
        with folder.writing(self.path):
            self._write_info()

    def _write_info(self) -> None:
        folder.write_info(self.path, _info_adapter.dump_json(self.info, indent=2))


def create(  # noqa: PLR0913 - each is one fact of the run, by name
    root: Path,
    claims: Iterable[ClaimText],
    *,
    seed: int,
    command: str,
    host: HostFacts,
    engine: EngineFacts,
) -> ClaimsWriter:
    """A new run's folder, named by its time (UTC)."""
    path = folder.new(root, _KIND)
    info = ClaimsInfo(
        schema=SCHEMA,
        name=path.name,
        created=now(),
        status="running",
        harness_version=__version__,
        python_version=platform.python_version(),
        command=command,
        seed=seed,
        claims=tuple(claims),
        host=host,
        engine=engine,
        writer=writer.own(),
    )
    try:
        return ClaimsWriter(path, info)
    except ResultsError:
        with contextlib.suppress(OSError):
            (path / CLAIMS).unlink(missing_ok=True)
            path.rmdir()
        raise


def load(path: Path) -> ClaimsRun:
    """A run of claims in any state; ResultsError where the folder is none, or of a newer schema."""
    document, holds = folder.read_info(path, SCHEMA)
    if document.get("kind") != _KIND:
        raise ResultsError(f"{path} is no run of claims.", "`bench runs` lists the runs.")
    info = folder.parsed(path, _info_adapter, document)
    info = replace(info, name=path.name or path.resolve().name)
    if info.status == "running" and info.writer is not None:
        status, reason = writer.state(info.writer)
        info = replace(info, status=status, reason=reason)
    results, damage = _results(path, info)
    if holds is not True:  # every run of claims has bench's checksum
        damage = (CHANGED, *damage)
    return ClaimsRun(path, info, results, damage)


def find(root: Path, name: str | None) -> runs.Run | ClaimsRun:
    """The run of that name, path or part of a name, of whichever kind; without one, the newest."""
    path = folder.find(root, name)
    return load(path) if folder.is_of_claims(path) else runs.load(path)


def find_former(root: Path, name: str) -> ClaimsRun:
    """A run of claims to compare with: a document of that path, or as ``find``; ResultsError."""
    if Path(name).is_file():
        return read_document(Path(name))
    found = find(root, name)
    if isinstance(found, ClaimsRun):
        return found
    raise ResultsError(f"{found.path} is a run of a sweep, not of claims.", "See `bench runs`.")


def is_of_claims(root: Path, name: str) -> bool:
    """Whether that name or path is of a run of claims, or of a document of one."""
    if Path(name).is_file():
        return True
    try:
        return folder.is_of_claims(folder.find(root, name))
    except ResultsError:  # it may be a baseline's
        return False


def listed(root: Path) -> tuple[list[ClaimsRun], dict[str, str]]:
    """All runs of claims below a results folder, and why others of them could not be read."""
    found: list[ClaimsRun] = []
    unreadable: dict[str, str] = {}
    for path in folder.folders(root, claims=True):
        try:
            found.append(load(path))
        except ResultsError as error:
            unreadable[path.name] = error.message
    return found, unreadable


def _results(path: Path, info: ClaimsInfo) -> tuple[tuple[ClaimResult, ...], tuple[str, ...]]:
    found: dict[str, ClaimResult] = {}
    damage: list[str] = []
    try:
        lines = files.read(path / CLAIMS, _MOST_BYTES).splitlines()
    except OSError as error:
        return (), (f"{CLAIMS} cannot be read: {error.strerror}",)
    known = {one.id for one in info.claims}
    for number, line in enumerate(lines[:_MOST_LINES], start=1):
        try:
            if not checks.holds(line):
                raise ValueError("it is not as it was written")
            result = _result_adapter.validate_json(line)
        except ValueError:  # pydantic's too
            damage.append(f"line {number} of {CLAIMS} is damaged and left out")
            continue
        if result.id in known:
            found[result.id] = result
        else:
            damage.append(f"line {number} of {CLAIMS} is left out: nobody asked for its claim")
    if len(lines) > _MOST_LINES:
        damage.append(f"the lines of {CLAIMS} from {_MOST_LINES + 1} on are left out")
    return tuple(found[one.id] for one in info.claims if one.id in found), tuple(damage)


# --- one document ------------------------------------------------------------------------------


def documented(run: ClaimsRun) -> dict[str, Any]:
    """The run as plain data with stable names, a flat object a result."""
    info = _info_adapter.dump_python(run.info, mode="json")
    texts = {one.id: one for one in run.info.claims}
    return {
        **{name: value for name, value in info.items() if name not in ("claims", "writer")},
        "asked": [one.id for one in run.info.claims],
        "results": [
            {
                "id": one.id,
                "topic": one.topic,
                "sentence": texts[one.id].sentence,
                "korean": texts[one.id].korean,
                "verdict": one.finding.verdict.value,
                "expected": one.expected and one.expected.value,
                "surprises": one.surprises,
                "evidence": one.finding.said,
                "numbers": dict(one.finding.numbers),
                "because": one.because,
                "source": one.source,
                "took_s": round(one.took_s, 3),
            }
            for one in run.results
        ],
        "damage": list(run.damage),
    }


def read_document(path: Path) -> ClaimsRun:
    """Such a document from a file; what it does not hold of the claims' words is empty."""
    try:
        said = json.loads(files.read(path, _MOST_BYTES, links=True))
        results = tuple(_result_of(one) for one in said["results"])
        if said["kind"] != _KIND:
            raise ValueError("it is of another kind")
        texts = {one["id"]: _text_of(one) for one in said["results"]}
        asked = tuple(texts[one] for one in said["asked"] if one in texts)
        info = _info_adapter.validate_python({**said, "claims": asked, "writer": None})
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = "" if isinstance(error, ValidationError) else f" ({error})"
        raise ResultsError(
            f"{path} is no result of claims{why}.", "`bench claims --json > FILE` makes one."
        ) from error
    return ClaimsRun(path, info, results, tuple(map(str, said.get("damage", ()))))


def _result_of(said: dict[str, Any]) -> ClaimResult:
    finding = {
        "verdict": said["verdict"],
        "said": said["evidence"],
        "numbers": tuple(said["numbers"].items()),
    }
    return _result_adapter.validate_python({**said, "finding": finding})


def _text_of(said: dict[str, Any]) -> ClaimText:
    return ClaimText(
        id=said["id"], topic=said["topic"], sentence=said["sentence"], korean=said["korean"],
        refuted_by="", by_hand=(), story="",
    )  # fmt: skip


# --- without names -----------------------------------------------------------------------------


def anonymous(run: ClaimsRun) -> ClaimsRun:
    """The run without names of hosts and users, addresses and paths."""
    names = Names(run.info)
    info = replace(
        run.info,
        name=names.without(run.info.name),
        reason=names.without(run.info.reason),
        command=names.without(run.info.command),
        host=without_host_names(run.info.host),
        engine=without_engine_names(run.info.engine, names),
        writer=None,
    )
    results = tuple(_result_without(one, names) for one in run.results)
    return ClaimsRun(run.path, info, results, tuple(map(names.without, run.damage)))


def _result_without(result: ClaimResult, names: Names) -> ClaimResult:
    """Evidence may quote the engine, which names paths."""
    found = result.finding
    numbers = tuple(
        (name, names.without(value) if isinstance(value, str) else value)
        for name, value in found.numbers
    )
    return replace(result, finding=replace(found, said=names.without(found.said), numbers=numbers))
