"""Collects what hosts were asked for: the side of whoever has the fleet.

A session is as long as a connection to the scheduler. Where that is lost, or the scheduler is
another one by now, all that is open is asked for anew in the next: a host that measured meanwhile
sends what it has. Which host gets which task is said by a resource of that host's name, not by a
worker's address, so that a worker that was started again gets it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Client, Future, wait
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker
from distributed.security import Security

from harness.errors import BenchError, MeasurementError, ResultsError
from harness.fleet import parcel, tasks
from harness.model import FleetHost, HostStatus, Reply
from harness.store.fleets import FleetWriter

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
_HOSTS_A_SECOND = 100
"""Of a look at who is there: each is told with some 900 bytes."""
_UNPACKED_AT_ONCE = 2
_FUTILE_SESSIONS = 20
"""In a row, none of which brought a reply: then it is no accident."""
_REACHED = (OSError, TimeoutError)  # distributed.comm's errors are OSErrors
_TRY_AGAIN = 4
"""The exit code of a host or engine that was unfit, which may pass; a plan does not."""
_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the scheduler is, and what is borne with."""

    address: str
    security: Security
    wait_s: float = 60.0
    """So long a host, or the scheduler, may be away."""
    attempts: int = 3
    """So often a host is asked in all, where its engine is away or its worker dies."""
    again_s: float = _AGAIN_S
    """Between two attempts."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A host whose worker is there."""

    name: str
    version: str
    cpus: str
    """Those of its engine, as the kernel writes them; empty where that is not known."""
    most: int
    """How many CPUs a container may be given."""


class Listener:
    """What a user interface may want to know."""

    def told(self, host: FleetHost) -> None:
        """A host has another status, or reason."""

    def stored(self, host: FleetHost, run: Path) -> None:
        """A host's run is an ordinary one by now."""

    def lost(self, address: str) -> None:
        """The scheduler does not answer, and is waited for."""


async def joined(client: Client) -> dict[str, Joined]:
    """The hosts that are there, by their names."""
    assert client.scheduler is not None
    told = await client.scheduler.identity(n_workers=-1)
    found = {}
    for worker in told["workers"].values():
        about = worker.get(tasks.HOST)
        if isinstance(about, Mapping):
            name = str(worker["name"])
            found[name] = Joined(
                name, str(about.get("version")), str(about.get("cpus") or ""),
                int(about.get("most") or 0),
            )  # fmt: skip
    return found


@contextlib.asynccontextmanager
async def connected(reach: Reach) -> Any:
    """A client of the scheduler. OSError where it does not answer.

    It takes bytes and exceptions, and unpickles no result.
    """
    client = Client(
        reach.address, asynchronous=True, security=reach.security, set_as_default=False,
        timeout=max(1.0, min(10.0, reach.wait_s)), deserializers=["dask", "msgpack", "error"],
    )  # fmt: skip
    async with client:
        yield client


async def awaited(
    reach: Reach, wanted: Collection[str] | None, grace_s: float
) -> dict[str, Joined]:
    """The hosts that joined: the wanted ones or, for None, those that are there.

    Once all are, or so long after the first. At least one is waited for as long as a host may be
    away. MeasurementError where none comes.
    """
    began = time.monotonic()
    found: dict[str, Joined] = {}
    first_s: float | None = None
    while True:
        waited_s = time.monotonic() - began
        try:
            async with connected(reach) as client:
                while True:
                    there = await joined(client)
                    found = {n: one for n, one in there.items() if wanted is None or n in wanted}
                    waited_s = time.monotonic() - began
                    if found and first_s is None:
                        first_s = waited_s
                    whole = bool(found) if wanted is None else len(found) == len(set(wanted))
                    graced = first_s is not None and waited_s - first_s >= grace_s
                    if whole or graced:
                        return found
                    if not found and waited_s >= reach.wait_s:
                        raise _none_there(reach, wanted)
                    await asyncio.sleep(min(_LOOK_S, 0.2 + len(there) / _HOSTS_A_SECOND))
        except _REACHED as error:
            if time.monotonic() - began >= reach.wait_s:
                raise _unreached(reach) from error
            await asyncio.sleep(_LOOK_S)


def _none_there(reach: Reach, wanted: Collection[str] | None) -> MeasurementError:
    who = "no host" if wanted is None else f"none of {', '.join(sorted(wanted)[:5])}"
    return MeasurementError(
        f"{who} has joined {reach.address} within {reach.wait_s:g} s.",
        f"On each host: bench fleet worker --scheduler {reach.address}.",
    )


def _unreached(reach: Reach) -> MeasurementError:
    return MeasurementError(
        f"no scheduler answers at {reach.address}.", "`bench fleet up` starts one."
    )


class _LostError(Exception):
    """The session's scheduler is gone, or another one."""


async def collect(
    writer: FleetWriter, reach: Reach, text_for: Callable[[str], bytes], listener: Listener
) -> None:
    """Ask each host that is open, and keep what comes, until none is.

    ``text_for``: a host's task as it travels. MeasurementError where the scheduler is gone for
    longer than is borne with; whatever is finished by then is stored.
    """
    collecting = _Collecting(writer, reach, text_for, listener)
    futile, lost_s = 0, time.monotonic()
    while open_ := collecting.open:
        try:
            async with connected(reach) as client:
                before = len(open_)
                lost_s = time.monotonic()
                try:
                    await collecting.session(client)
                finally:
                    lost_s = time.monotonic()
                    futile = futile + 1 if len(collecting.open) == before else 0
        except (_LostError, *_REACHED) as error:
            _log.info("lost the scheduler: %s", error)
            if time.monotonic() - lost_s > reach.wait_s or futile > _FUTILE_SESSIONS:
                raise _unreached(reach) from error
            listener.lost(reach.address)
            await asyncio.sleep(_LOOK_S)


class _Collecting:
    def __init__(
        self, writer: FleetWriter, reach: Reach, text_for: Callable[[str], bytes],
        listener: Listener,
    ) -> None:  # fmt: skip
        self._writer, self._reach = writer, reach
        self._text_for, self._listener = text_for, listener
        self._fleet = writer.fleet.id
        self._asked: dict[str, int] = {}
        """So often each host was asked, and did not answer with a run."""
        self._seen_s: dict[str, float] = {}
        self._unpacking = asyncio.Semaphore(_UNPACKED_AT_ONCE)

    @property
    def open(self) -> list[str]:
        """The hosts that nothing final is known of."""
        return [
            host.name
            for host in self._writer.fleet.hosts
            if host.status in (HostStatus.WAITING, HostStatus.RUNNING)
        ]

    async def session(self, client: Client) -> None:
        """Ask all that are open; returns when none is. ``_LostError``."""
        client.subscribe_topic(tasks.topic(self._fleet), self._told)
        now = time.monotonic()
        self._seen_s = dict.fromkeys(self.open, now)
        asking = [asyncio.create_task(self._host(client, name)) for name in self.open]
        looking = asyncio.create_task(self._look(client))
        everything = asyncio.gather(*asking)
        try:
            both: set[asyncio.Future[Any]] = {looking, everything}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                looking.result()
            await everything
        finally:
            for one in (looking, *asking):
                one.cancel()
            await asyncio.gather(looking, *asking, return_exceptions=True)
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await everything

    async def _look(self, client: Client) -> None:
        """Note again and again who is there."""
        while True:
            there = await joined(client)
            now = time.monotonic()
            self._seen_s.update(dict.fromkeys(there, now))
            await asyncio.sleep(_LOOK_S + len(there) / _HOSTS_A_SECOND)
            if client.status != "running":
                raise _LostError

    def _told(self, event: tuple[float, Any]) -> None:
        """A host tells how far it is; from outside, so nothing of it is believed but as a word."""
        said = event[1]
        if not isinstance(said, Mapping) or said.get("host") not in self._asked:
            return
        host = self._writer.host(str(said["host"]))
        if host.status in (HostStatus.WAITING, HostStatus.RUNNING):
            self._note(
                replace(host, status=HostStatus.RUNNING, reason=str(said.get("said", ""))[:80])
            )

    def _note(self, host: FleetHost) -> None:
        if host != self._writer.host(host.name):
            self._writer.note(host)
            self._listener.told(host)

    async def _host(self, client: Client, name: str) -> None:
        """Ask a host, again where that may help, until something final is known."""
        while True:
            number = self._asked.setdefault(name, 0)
            # As large as a plan, so as bytes for each host and not as one for all: Dask keeps what
            # several tasks need in some worker, from which the others would have to fetch it.
            future = client.submit(
                tasks.measure, self._fleet, name, self._text_for(name), pure=False, retries=0,
                key=f"{self._fleet}/{name}/{number}/{time.monotonic_ns()}",
                resources={tasks.resource(name): 1},
            )  # fmt: skip
            try:
                why = await self._answered(client, future, name)
            finally:
                future.release()
            if not why:
                return
            self._asked[name] = number + 1
            host = self._writer.host(name)
            if number + 1 >= self._reach.attempts:
                self._note(replace(host, status=HostStatus.FAILED, reason=why))
                return
            self._note(replace(host, status=HostStatus.WAITING, reason=f"to be tried again: {why}"))
            await asyncio.sleep(self._reach.again_s)

    async def _answered(self, client: Client, future: Future[bytes], name: str) -> str:
        """Take a host's answer; why it is to be asked again, empty where it is not."""
        if not await self._awaited(client, future, name):
            await client.cancel([future], reason="unreachable")
            host = self._writer.host(name)
            away = f"no worker for {self._reach.wait_s:g} s"
            self._note(replace(host, status=HostStatus.UNREACHABLE, reason=away))
            return ""
        if future.status in ("cancelled", "lost"):
            raise _LostError
        if future.status == "error":
            error = await future.exception()
            if isinstance(error, ConnectionAbortedError | KilledWorker):
                return "its worker ended"
            if isinstance(error, BenchError):
                self._failed(name, str(error))
                return ""
            return f"{type(error).__name__}: {error}"[:300]
        async with self._unpacking:
            data = await future
            return await self._stored(name, data)

    async def _awaited(self, client: Client, future: Future[bytes], name: str) -> bool:
        """Whether a host's answer came; False once it has been away for too long."""
        waiting = asyncio.ensure_future(_settled(client, future))
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=_LOOK_S)
                if done:
                    return True
                away_s = time.monotonic() - self._seen_s[name]
                if away_s > self._reach.wait_s:
                    return False
        finally:
            waiting.cancel()

    async def _stored(self, name: str, data: object) -> str:
        """Keep what a host sent; why it is to be asked again, empty where it is not."""
        if not isinstance(data, bytes):
            self._failed(name, f"it sent {type(data).__name__} in place of bytes")
            return ""
        try:
            reply, run = await asyncio.to_thread(parcel.unpack, data, self._writer.root, name)
        except ResultsError as error:
            self._failed(name, str(error))
            return ""
        if run is not None:
            host = replace(
                self._writer.host(name), status=HostStatus.FINISHED, run=run.name, reason="",
                attempts=reply.attempts,
            )  # fmt: skip
            self._writer.note(host)
            self._listener.stored(host, run)
            return ""
        if _may_pass(reply):
            return reply.reason
        self._failed(name, reply.reason, reply.attempts)
        return ""

    def _failed(self, name: str, why: str, attempts: int | None = None) -> None:
        host = self._writer.host(name)
        attempts = host.attempts if attempts is None else attempts
        self._note(replace(host, status=HostStatus.FAILED, reason=why, attempts=attempts))


async def _settled(client: Client, future: Future[bytes]) -> None:
    """Until a task has an end of any kind, which its status tells."""
    with contextlib.suppress(FutureCancelledError), client.as_current():
        await wait([future])


def _may_pass(reply: Reply) -> bool:
    """Whether it may go well another time: an engine was away, or what measured was killed."""
    return reply.code == _TRY_AGAIN or reply.code < 0 or reply.code > 128
