"""One container of ours on a real engine, with its attached stream."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Sequence
from typing import Any

import docker
import docker.errors

from harness import limits
from harness.engine.attached import MOST_LINE_BYTES, Attached
from harness.engine.boundary import Exit, StatsStream
from harness.engine.events import done_by_others
from harness.engine.refusals import engine_errors
from harness.engine.state import exit_of
from harness.engine.stats import DockerStats
from harness.errors import EngineRefusedError
from harness.model import Limits

_log = logging.getLogger(__name__)
_CHUNK_BYTES = 65536
_MOST_CHUNKS = 16
"""Of a container that never stops talking, read at one look: it is looked at in the window."""


class DockerContainer:
    """One real container, with its attached stream."""

    def __init__(
        self,
        api: docker.APIClient,
        container_id: str,
        stream: Any,
        *,
        tells_oom_kills: bool,
        most_line_bytes: int = MOST_LINE_BYTES,
    ) -> None:
        self._api = api
        self._tells_oom_kills = tells_oom_kills
        self._id = container_id
        self._stream = stream
        # The SDK wraps the hijacked connection; below it lies the socket (TLS has none below).
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._said = Attached(most_line_bytes)
        self._inspect: dict[str, Any] = {}
        self._started_s = 0.0
        self._signals = 0
        self._heard_s: float | None = None
        self._heard_bytes = 0
        self._stream_end = "closed by us"
        self.afterwards = contextlib.ExitStack()
        """What was made for it alone, and goes with it."""

    @property
    def id(self) -> str:
        """The engine's own id of it (64 hexadecimal digits)."""
        return self._id

    def start(self) -> int:
        """Start it; the pid of its first process on the engine's host."""
        with engine_errors("start a container"):
            self._api.start(self._id)
            self._started_s = time.monotonic()
            self._inspect = self._api.inspect_container(self._id)
        return int(self._inspect["State"]["Pid"])

    def limits(self) -> Limits:
        """The limits in the engine's ``inspect``, taken right after the start."""
        return limits.from_engine(self._inspect["HostConfig"])

    def read_line(self, timeout_s: float) -> str:
        """The next line of standard output, without its end.

        TimeoutError where none came in time; EOFError where the container ended first.
        """
        deadline = time.monotonic() + timeout_s
        while (line := self._said.take_line()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no line within {timeout_s:g} s")
            self._socket.settimeout(left)
            try:
                chunk = self._socket.recv(_CHUNK_BYTES)
            except TimeoutError:
                continue
            except OSError as error:
                self._stream_end = f"broken by {error!r}"
                raise EOFError("the attached stream broke") from error
            if not chunk:
                self._stream_end = "ended by the container"
                raise EOFError("the container ended its output")
            self._hear(chunk)
        return line

    def has_line(self) -> bool:
        """Whether a line is there, or the end of the output; waits for nothing."""
        for _ in range(_MOST_CHUNKS):
            if self._said.has_line():
                return True
            self._socket.settimeout(0)
            try:
                chunk = self._socket.recv(_CHUNK_BYTES)
            except BlockingIOError:
                return False
            except OSError:
                return True
            if not chunk:
                return True
            self._hear(chunk)
        return self._said.has_line()

    def _hear(self, chunk: bytes) -> None:
        """Take what came. Its moment is kept, and logged at the end: this may be in a window."""
        if self._heard_s is None:
            self._heard_s = time.monotonic()
        self._heard_bytes += len(chunk)
        self._said.feed(chunk)

    def write_line(self, text: str) -> None:
        """A line to standard input; EOFError where the container is gone."""
        try:
            self._socket.settimeout(5)
            self._socket.sendall(text.encode() + b"\n")
        except OSError as error:
            raise EOFError("the container's standard input is closed") from error

    def signal(self, name: str) -> None:
        """A signal to its first process; none where it has ended (the engine says 409 then)."""
        if name == "SIGKILL":
            self._hear_out()
        with contextlib.suppress(EngineRefusedError), engine_errors("signal a container"):
            self._api.kill(self._id, signal=name)
            self._signals += 1

    def _hear_out(self) -> None:
        """Take what it has said and listen no more: it is about to be killed.

        Docker answers to a SIGKILL when the container's output is through. One that nobody reads
        fills the pipes, and the answer never comes (20.10; more than a minute, measured).
        """
        for _ in range(MOST_LINE_BYTES // _CHUNK_BYTES):
            self._socket.settimeout(0)
            try:
                chunk = self._socket.recv(_CHUNK_BYTES)
            except OSError:
                break
            if not chunk:
                break
            self._hear(chunk)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def stderr(self) -> str:
        """The end of what came on standard error so far."""
        return self._said.stderr()

    def follow_stats(self) -> StatsStream:
        """Begin to collect docker stats in a thread that sleeps in the socket."""
        return DockerStats(self._api, self._id)

    def touched(self) -> Sequence[str]:
        """What others did to it since its start, in words, where this engine tells."""
        if not self._inspect:
            return ()
        return done_by_others(
            self._api, self._id, self._inspect["State"]["StartedAt"],
            time.monotonic() - self._started_s, self._signals,
        )  # fmt: skip

    def wait(self, timeout_s: float) -> Exit:
        """How it ended; TimeoutError where it still runs after that time."""
        deadline = time.monotonic() + timeout_s
        while True:
            state = self._state(last=time.monotonic() >= deadline)
            if state is not None and not state["Running"]:
                return exit_of(state, tells_oom_kills=self._tells_oom_kills)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the container still runs after {timeout_s:g} s")
            time.sleep(0.01)

    def _state(self, *, last: bool) -> dict[str, Any] | None:
        """Its state; None where the engine cannot tell at this moment and will be asked again.

        Podman (4.3) reads /proc/PID/cgroup to describe a container, and answers 500 where the
        process ends just then.
        """
        try:
            with engine_errors("tell how a container ended"):
                state: dict[str, Any] = self._api.inspect_container(self._id)["State"]
                return state
        except EngineRefusedError as refused:
            cause = refused.__cause__
            if last or not (isinstance(cause, docker.errors.APIError) and cause.is_server_error()):
                raise
            return None

    def remove(self) -> None:
        """Close the stream, then kill and remove the container; gone already is well."""
        self._log_stream()
        # From the outside in: the SDK's response flushes what it holds when it is collected, which
        # Python 3.14 calls an error once that is closed; and its close leaves the socket open.
        for opened in (getattr(self._stream, "_response", None), self._stream, self._socket):
            with contextlib.suppress(OSError):
                if opened is not None:
                    opened.close()
        with engine_errors("remove a container"):
            remove(self._api, self._id)
        self.afterwards.close()

    def _log_stream(self) -> None:
        """What came of the attached stream, which is never asked for again."""
        after = "never"
        if self._heard_s is not None and self._started_s:
            after = f"{(self._heard_s - self._started_s) * 1e3:.1f} ms after the start"
        _log.debug(
            "attached stream of %s: first heard %s, %d bytes, %s",
            self._id[:12], after, self._heard_bytes, self._stream_end,
        )  # fmt: skip


_REMOVE_TIMEOUT_S = 5.0


def remove(api: docker.APIClient, container_id: str) -> None:
    """Kill and remove a container; gone already is well.

    Podman (4.3) kills it by a signal that it refuses, with 500, to one that ends just then; asked
    again it removes it.
    """
    deadline = time.monotonic() + _REMOVE_TIMEOUT_S
    while True:
        try:
            api.remove_container(container_id, force=True, v=True)
            return
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if not error.is_server_error() or time.monotonic() >= deadline:
                raise
            _log.info("remove a container: asked again after %s", error)
            time.sleep(0.05)
