"""The scheduler of a fleet: Dask's own, with nothing else that listens."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from distributed import Scheduler

from harness.errors import MeasurementError
from harness.fleet import reach

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from distributed.security import Security


@asynccontextmanager
async def alone(host: str, port: int, security: Security) -> AsyncIterator[str]:
    """One at this address, every one of this host where it is empty; its address.

    MeasurementError where that is not to be had.
    """
    try:
        serving = await Scheduler(
            host=host or None, port=port, security=security,
            protocol="tls" if security.require_encryption else "tcp",
            dashboard=False, dashboard_address=f"{reach.LOOPBACK}:0",
        )  # fmt: skip
    except (OSError, RuntimeError) as error:
        raise refused(host, port, error) from error
    async with serving:
        yield serving.address


def refused(host: str, port: int, error: Exception) -> MeasurementError:
    """Why no scheduler is to be had there, in a line."""
    why: BaseException = error
    while why.__cause__ is not None:
        why = why.__cause__
    said = f"{getattr(why, 'strerror', None) or why}".rstrip(".")
    return MeasurementError(
        f"cannot listen at {host or 'any address'}, port {port}: {said}.",
        "Is there a scheduler already? Else give another --listen.",
    )


async def serve(
    serving: AbstractAsyncContextManager[str, Any], ready: Callable[[str], None]
) -> None:
    """Be there until a signal comes; ``ready`` is called with the address."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with serving as address:
        ready(address)
        await ended.wait()
