"""A socket before an engine's that lets some of its requests wait, as a busy engine does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK_BYTES = 65536


@dataclass
class Slowed:
    """What stands before the engine, and when it lets a request wait."""

    host: str
    waiting: threading.Event = field(default_factory=threading.Event)
    """Set while a request waits."""


@contextmanager
def slowed(engine_host: str, folder: Path, request: bytes, after_s: float) -> Iterator[Slowed]:
    """Requests whose first line has ``request`` in it are passed on so much later."""
    engine = engine_host.removeprefix("unix://")
    path = folder / "slow.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(100)
        found = Slowed(f"unix://{path}")

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed at the end
                while True:
                    client, _ = listening.accept()
                    upstream = socket.socket(socket.AF_UNIX)
                    upstream.connect(engine)
                    for source, target, slow in (
                        (client, upstream, True), (upstream, client, False),
                    ):  # fmt: skip
                        threading.Thread(
                            target=pump, args=(source, target, slow), daemon=True
                        ).start()

        def pump(source: socket.socket, target: socket.socket, slow: bool) -> None:
            with contextlib.suppress(OSError):
                while chunk := source.recv(_CHUNK_BYTES):
                    if slow and request in chunk.split(b"\r\n", 1)[0]:
                        found.waiting.set()
                        time.sleep(after_s)
                    target.sendall(chunk)
            # One side's end is told the other: an attached stream is closed by halves.
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield found
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
