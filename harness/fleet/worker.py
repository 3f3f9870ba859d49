"""A host's worker: Dask's own, with as little as possible of what it does by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Worker
from distributed.security import Security

from harness import __version__
from harness.errors import MeasurementError
from harness.fleet import reach
from harness.fleet.tasks import HOST, Carries, HostPlugin, resource

HEARTBEAT_S = 15.0
"""A scheduler asks for one each half a second where it has few workers; it gives a worker up after
300 s without."""
_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Joining:
    """Which scheduler a host joins, and as what."""

    scheduler: str
    security: Security
    name: str
    about: Mapping[str, Any]
    """What a plan for all hosts must know: ``cpus`` and ``most``, see ``controller.Joined``."""
    local: Path
    """A folder for Dask's own files."""


class FleetWorker(Worker):
    """One thread, one resource that is its host's, nothing listening but its own port."""

    def __init__(self, joining: Joining, carries: Carries) -> None:
        told = {"version": __version__, **joining.about}
        super().__init__(
            joining.scheduler, name=joining.name, nthreads=1,
            resources={resource(joining.name): 1}, security=joining.security,
            host=reach.listens_beside(joining.scheduler) or None, memory_limit=0,
            dashboard=False, dashboard_address=f"{reach.LOOPBACK}:0",
            local_directory=str(joining.local), plugins=(HostPlugin(carries),),
            heartbeat_interval=f"{HEARTBEAT_S}s", startup_information={HOST: lambda _worker: told},
        )  # fmt: skip

    async def heartbeat(self) -> None:
        """As seldom as ours, whatever the scheduler asks for."""
        await super().heartbeat()
        beating = self.periodic_callbacks["heartbeat"]
        beating.callback_time = max(beating.callback_time, HEARTBEAT_S * 1000)


async def serve(joining: Joining, carries: Carries, say: Callable[[str], None]) -> None:
    """Be there for a scheduler until a signal comes; where it goes away, until it is back.

    MeasurementError where a worker of this name is there for good.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    failures = 0
    while not ended.is_set():
        began_s = loop.time()
        try:
            async with FleetWorker(joining, carries) as worker:
                say(f"{joining.name} is there for {joining.scheduler}. Ctrl-C ends it.")
                await _first(ended.wait(), worker.finished())
        except (OSError, ValueError, RuntimeError) as error:
            _log.info("no scheduler: %s", error)
            taken = "name taken" in f"{error} {error.__cause__}"
            # One that died is known for a while yet where its host went down with it.
            if taken and failures > len(_AGAIN_S):
                raise MeasurementError(
                    f"a worker named {joining.name} is there already.", "End it, or give --name."
                ) from error
        if ended.is_set():
            return
        failures = 0 if loop.time() - began_s > 60 else failures + 1
        if failures <= 1:
            say(f"{joining.scheduler} does not answer, and is tried again until it does.")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _AGAIN_S[min(failures, len(_AGAIN_S) - 1)])


async def _first(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in tasks:
            one.cancel()
