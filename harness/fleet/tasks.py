"""What a worker is asked to call, by name: this module is all that a scheduler names of ours."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin

HOST = "limitbench"
"""The plugin's name in its worker."""


class Carries(Protocol):
    """A host, as far as a task needs it."""

    def measure(
        self, text: bytes, tell: Callable[[str], None], left: threading.Event
    ) -> bytes | None:
        """See ``host.Host``."""


class HostPlugin(WorkerPlugin):
    """Gives a worker its host; put in by whoever starts the worker, never sent to it."""

    name = HOST

    def __init__(self, hosts: Carries) -> None:
        self.host = hosts
        self.left = threading.Event()

    def teardown(self, worker: object) -> None:
        """The worker ends: its task is no longer waited for, what it measures goes on."""
        self.left.set()


def topic(fleet: str) -> str:
    """Where a fleet's hosts tell how far they are."""
    return f"limitbench-{fleet}"


def resource(host: str) -> str:
    """What each host has one of: its tasks come to it alone, and one at a time."""
    return f"host-{host}"


def measure(fleet: str, host: str, text: bytes) -> bytes:
    """Carry out a task on the host that this worker is on; a parcel of its reply."""
    worker = get_worker()
    plugin = worker.plugins[HOST]
    assert isinstance(plugin, HostPlugin)

    def tell(how_far: str) -> None:
        worker.log_event(topic(fleet), {"host": host, "said": how_far})

    tell("")
    done = plugin.host.measure(text, tell, plugin.left)
    if done is None:
        raise ConnectionAbortedError(f"the worker of {host} ended")
    return done
