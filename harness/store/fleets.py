"""What a fleet keeps, or sends: data, read like any file from outside.

``fleet-ID.json`` below a results folder says which hosts were asked what, and how far each came;
the runs themselves are ordinary folders beside it. It is replaced atomically, at most once a second
and at the end: what a crash loses of it is asked of the hosts again, which keep their runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness import files
from harness.errors import PlanError, ResultsError, UsageError
from harness.model import BesideRun, Fleet, FleetHost, HostStatus, Order, Reply, Task
from harness.store import checks, folder, runs, writer
from harness.store.sense import wrong_plan

SCHEMA = 1
BESIDE = "fleet.json"
"""In the folder of a run that a fleet made."""
TASK_BYTES = 1 << 24
"""Of a task: a plan of 100,000 trials needs less, and a baseline of 10,000 points."""
_MOST_BYTES = 1 << 26
"""Of fleet-ID.json: 100,000 hosts and a plan need less."""
_EACH_S = 1.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A host's name: part of a folder's name, and of a resource's."""
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[A-Za-z0-9][A-Za-z0-9._-]{0,60}")

T = TypeVar("T")
_fleet, _order, _task = TypeAdapter(Fleet), TypeAdapter(Order), TypeAdapter(Task)
_reply, _beside = TypeAdapter(Reply), TypeAdapter(BesideRun)


class FleetWriter:
    """Writes one ``fleet-ID.json``, of a new fleet or of one that is gone on with."""

    def __init__(self, root: Path, fleet: Fleet) -> None:
        self.root = root
        self._fleet = replace(fleet, writer=writer.own(), ended="")
        self._hosts = {host.name: host for host in fleet.hosts}
        self._written_s = 0.0
        self._write()

    @property
    def fleet(self) -> Fleet:
        """As it is now."""
        return replace(self._fleet, hosts=tuple(self._hosts.values()))

    def host(self, name: str) -> FleetHost:
        """How far a host is."""
        return self._hosts[name]

    def note(self, host: FleetHost) -> None:
        """A host came further; on disk within about a second, where others come further too."""
        self._hosts[host.name] = host
        if time.monotonic() - self._written_s >= _EACH_S:
            self._write()

    def close(self, *, ended: bool) -> None:
        """Nobody collects any more; ``ended``: because nothing is left."""
        self._fleet = replace(self._fleet, writer=None, ended=folder.now() if ended else "")
        self._write()

    def _write(self) -> None:
        with folder.writing(self.root):
            text = _fleet.dump_json(self.fleet, indent=1)
            folder.replace_document(_path(self.root, self._fleet.id), text)
        self._written_s = time.monotonic()


def create(  # noqa: PLR0913 - each is one fact of the fleet, by name
    root: Path,
    order: Order,
    hosts: Iterable[str],
    *,
    command: str,
    scheduler: str,
    baselines: str = "",
) -> FleetWriter:
    """A new fleet, named by its time (UTC) and what it is about."""
    folder.prepare_root(root)
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{runs.fit(order.about)}"
    for attempt in range(1, 100):
        fleet_id = stem if attempt == 1 else f"{stem}-{attempt}"
        try:
            _path(root, fleet_id).touch(exist_ok=False)
        except FileExistsError:
            continue
        except OSError as error:
            raise ResultsError(f"cannot write results to {root}: {error.strerror}.") from error
        break
    else:
        raise ResultsError(f"{root} already holds a hundred fleets named {stem}.", "Wait a second.")
    return FleetWriter(
        root,
        Fleet(
            schema=SCHEMA, id=fleet_id, kind=order.kind, command=command, plan_digest=digest(order),
            started=folder.now(), scheduler=scheduler, order=order, baselines=baselines,
            hosts=tuple(FleetHost(name=name) for name in hosts),
        ),
    )  # fmt: skip


def reopen(root: Path, fleet: Fleet) -> FleetWriter:
    """The writer that goes on with a fleet whose own has ended; what was finished stays.

    UsageError where another process still collects it, as far as can be told here.
    """
    path = _path(root, fleet.id)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # of two that begin at once, the second sees the first
        fleet = load(path)
        if fleet.writer is not None and writer.state(fleet.writer)[0] == "running":
            raise UsageError(
                f"{fleet.id} is still collected, by process {fleet.writer.pid} on "
                f"{fleet.writer.host}.", "Wait for its end."
            )  # fmt: skip
        again = tuple(
            one
            if one.status is HostStatus.FINISHED and (root / (one.run or "")).is_dir()
            else replace(one, status=HostStatus.WAITING, run=None, reason="")
            for one in fleet.hosts
        )
        return FleetWriter(root, replace(fleet, hosts=again))


def load(path: Path) -> Fleet:
    """A fleet as it lies on disk; ResultsError where the file is none, damaged, or newer."""
    try:
        text = files.read(path, _MOST_BYTES)
        document = json.loads(text)
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{path} is damaged: {error}.") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise ResultsError(f"{path} is no fleet: it names no schema.")
    if schema > SCHEMA:
        raise ResultsError(
            f"{path} has schema {schema}, this limitbench reads up to {SCHEMA}.",
            "Install a newer limitbench.",
        )
    if not checks.holds(text):
        raise ResultsError(f"{path} is damaged: it is not as it was written.")
    fleet = _parsed(_fleet, text, str(path))
    if why := _wrong_order(fleet.order):
        raise ResultsError(f"{path} is damaged: {why}.")
    return fleet


@dataclass(frozen=True, slots=True)
class Listing:
    """The fleets of a results folder, the newest first, and (file → why) of those not read."""

    fleets: tuple[Fleet, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)


def listing(root: Path) -> Listing:
    """All fleets of a results folder; none where it has no such file."""
    found, unreadable = [], {}
    for path in _all(root):
        try:
            found.append(load(path))
        except ResultsError as error:
            unreadable[path.name] = error.message
    return Listing(tuple(sorted(found, key=lambda one: one.started, reverse=True)), unreadable)


def find(root: Path, fleet_id: str | None) -> Path:
    """The file of that fleet, or of the newest that has not ended; ResultsError if none."""
    if fleet_id is not None:
        path = _path(root, fleet_id) if _ID.fullmatch(fleet_id) else Path(fleet_id)
        if path.is_file():
            return path
        there = ", ".join(_id_of(one) for one in _all(root)[:5])
        hint = f"There are: {there}." if there else "`bench fleet sweep` makes one."
        raise ResultsError(f"no fleet '{fleet_id}' in {root}.", hint)
    for path in _all(root):
        if not load(path).ended:
            return path
    raise ResultsError(f"no fleet in {root} is unfinished.", "`bench fleet sweep` begins one.")


def _all(root: Path) -> list[Path]:
    return sorted(root.glob("fleet-*.json"), reverse=True)


def _path(root: Path, fleet_id: str) -> Path:
    return root / f"fleet-{fleet_id}.json"


def _id_of(path: Path) -> str:
    return path.stem.removeprefix("fleet-")


def digest(order: Order) -> str:
    """SHA-256 of an order."""
    return hashlib.sha256(_order.dump_json(order)).hexdigest()


# --- what travels ------------------------------------------------------------------------------


def task_text(task: Task) -> bytes:
    """A task as it travels; PlanError where it is too large for that."""
    text = _task.dump_json(task)
    if len(text) > TASK_BYTES:
        raise PlanError(
            f"the plan is too large for a fleet: {len(text) >> 20} MiB of {TASK_BYTES >> 20}.",
            "Sweep fewer points, or with fewer repeats.",
        )
    return text


def read_task(text: bytes) -> Task:
    """A task that came from elsewhere; PlanError where it is none that can be carried out."""
    if len(text) > TASK_BYTES:
        raise PlanError(f"a task has {len(text)} bytes, more than are read.")
    try:
        task = _parsed(_task, text, "a task")
    except ResultsError as error:
        raise PlanError(error.message, error.remedy) from error
    wrong = {
        f"it is of schema {task.schema}, this limitbench reads {SCHEMA}": task.schema != SCHEMA,
        "its fleet has no name that can be a folder's": not _ID.fullmatch(task.fleet),
        "its host has no name that can be a folder's": not NAME.fullmatch(task.host),
    }
    why = next((what for what, so in wrong.items() if so), "") or _wrong_order(task.order)
    if why:
        raise PlanError(f"a task cannot be carried out: {why}.", "Is limitbench older here?")
    return task


def _wrong_order(order: Order) -> str:
    if order.plan is None:
        return "it has neither a plan nor claims" if order.purpose else ""
    return wrong_plan(order.plan)


def reply_text(reply: Reply) -> bytes:
    """A host's reply as it travels."""
    return _reply.dump_json(reply)


def read_reply(text: bytes) -> Reply:
    """A reply that came from elsewhere; ResultsError."""
    return _parsed(_reply, text, "a host's reply")


def write_beside(run: Path, beside: BesideRun) -> None:
    """Add to a run what its fleet knows of it."""
    with folder.writing(run):
        folder.replace_document(run / BESIDE, _beside.dump_json(beside, indent=1))


def beside(run: Path) -> BesideRun | None:
    """What a fleet added to a run; None where none did. ResultsError where that is damaged."""
    try:
        text = files.read(run / BESIDE, files.TEXT_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultsError(f"cannot read {run / BESIDE}: {error.strerror}.") from error
    return _parsed(_beside, text, str(run / BESIDE))


def _parsed(adapter: TypeAdapter[T], text: bytes, what: str) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{what} is damaged at {where}: {first['msg']}.") from error
