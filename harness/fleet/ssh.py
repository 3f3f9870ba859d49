"""Workers that are started on their hosts by SSH, as Dask has it.

What runs there is ``bench fleet worker``, which ends with the connection: nothing of it stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distributed import Scheduler
from distributed.deploy.spec import ProcessInterface, SpecCluster
from distributed.deploy.ssh import Process
from distributed.security import Security

from harness.errors import UsageError
from harness.fleet import reach
from harness.fleet.scheduler import refused

if TYPE_CHECKING:
    import asyncssh

_THERE = "is there for"
"""In the line that a worker says once it has joined."""
_CONNECT_S = 30.0


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts, and how they are reached."""

    names: Sequence[str]
    """Each as ssh takes it: ``web1``, ``root@web1``."""
    config: str | None
    """A file as ssh_config(5) has it; None = the user's own."""
    command: Sequence[str]
    """``bench`` as it is called there, with the options of a worker."""


def name_of(host: str) -> str:
    """What a host is called in the fleet."""
    return host.rpartition("@")[2]


def refuse_loopback(hosts: Sequence[str], listen: str) -> None:
    """UsageError where hosts cannot reach a scheduler that is told to listen to this one alone."""
    afar = [one for one in hosts if not reach.is_loopback(name_of(one))]
    if afar and reach.is_loopback(listen):
        raise UsageError(
            f"{afar[0]} cannot reach a scheduler on {listen}.",
            "Give --listen an address of this host that it reaches, and the --tls options.",
        )


class SshWorker(Process):
    """One host's worker; where it cannot be started it is told, and the others are unaffected."""

    def __init__(
        self, scheduler: str, *, host: str, hosts: Hosts, say: Callable[[str], None], **_dask: Any
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Dask's own
        self._scheduler, self._host, self._hosts, self._say = scheduler, host, hosts, say
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and start it; returns once it has joined, or cannot."""
        import asyncssh  # noqa: PLC0415 - part of the extra that only this needs

        user, _, host = self._host.rpartition("@")
        given: dict[str, Any] = {"username": user} if user else {}
        if self._hosts.config:
            given["config"] = [self._hosts.config]
        try:
            self.connection = await asyncssh.connect(
                host, connect_timeout=_CONNECT_S, keepalive_interval=30, **given
            )
            command = [*self._hosts.command, "--scheduler", self._scheduler, "--name", host]
            # With a terminal, as sshd ends what has none not before it writes again.
            self.proc = await self.connection.create_process(shlex.join(command), term_type="dumb")
            await self._joined(self.proc)
        except (OSError, asyncssh.Error) as error:
            self._say(f"{host}: no worker by SSH: {str(error) or type(error).__name__}")
            await ProcessInterface.start(self)
        else:
            await super().start()  # type: ignore[no-untyped-call]  # Dask's own

    async def _joined(self, process: asyncssh.SSHClientProcess[str]) -> None:
        last = ""
        while line := await process.stdout.readline():
            last = line.strip()
            self._say(f"{name_of(self._host)}: {last}")
            if _THERE in line:
                self._reading = asyncio.create_task(self._go_on(process))
                return
        raise OSError("it ended at once" + (f": {last}" if last else ""))

    async def _go_on(self, process: asyncssh.SSHClientProcess[str]) -> None:
        """What it says later is passed on: that its scheduler is gone, that it failed."""
        with contextlib.suppress(OSError):
            while line := await process.stdout.readline():
                self._say(f"{name_of(self._host)}: {line.strip()}")

    async def close(self) -> None:
        """End it, in order where there is time: it closes the run that it measures."""
        if self._reading is not None:
            self._reading.cancel()
        if self.proc is not None:
            with contextlib.suppress(OSError, TimeoutError):
                self.proc.terminate()
                await asyncio.wait_for(self.proc.wait_closed(), _CONNECT_S)
        await super().close()  # type: ignore[no-untyped-call]  # Dask's own


@contextlib.asynccontextmanager
async def cluster(
    hosts: Hosts, listen: tuple[str, int], security: Security, say: Callable[[str], None]
) -> AsyncIterator[str]:
    """A scheduler here, and a worker on each host, until the block ends; its address."""
    host, port = listen
    options: dict[str, Any] = {
        "host": host or None, "port": port, "security": security,
        "protocol": "tls" if security.require_encryption else "tcp",
        "dashboard": False, "dashboard_address": f"{reach.LOOPBACK}:0",
    }  # fmt: skip
    workers = {
        name_of(one): {"cls": SshWorker, "options": {"host": one, "hosts": hosts, "say": say}}
        for one in hosts.names
    }
    made = SpecCluster(
        workers=workers, scheduler={"cls": Scheduler, "options": options}, asynchronous=True,
        security=security,
    )  # fmt: skip
    try:
        running = await made
    except (OSError, RuntimeError) as error:
        raise refused(host, port, error) from error
    async with running:
        yield running.scheduler_address
