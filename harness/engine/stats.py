"""docker stats of one container: its stream, read in the background, by the CLI's formulas.

A stream's frames come once a second from Docker and once in 5 s from Podman, whatever is asked.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import logging
import math
import threading
import time
from datetime import datetime
from typing import Any

import docker
import requests

from harness.model import StatsFrame

_log = logging.getLogger(__name__)
_CLOSING_S = 1.0


class DockerStats:
    """Collects raw lines with their time of arrival; parses when asked, after the window."""

    def __init__(self, api: docker.APIClient, container_id: str) -> None:
        self._lines: list[tuple[int, bytes]] = []
        self._api, self._id = api, container_id
        self._answer: requests.Response | None = None
        self._closed = False
        self._asked_ns = time.monotonic_ns()
        self._first_ns = self._taken = 0
        self._ended = "no answer"
        # A daemon thread: it ends with the stream, which ends with the container.
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 - a broken second source never breaks a trial
            self._ended = self._unless_closed(f"broken by {error!r}")
        # At its end and not as it happens, which is in a window. It is never asked for again.
        heard = "no frame"
        if self._first_ns:
            heard = f"first frame after {(self._first_ns - self._asked_ns) / 1e6:.0f} ms"
        _log.debug(
            "stats stream of %s: %s, %d in all, %s", self._id[:12], heard, self._taken, self._ended
        )

    def _unless_closed(self, why: str) -> str:
        """How it ended: what another thread has closed breaks, or ends, for no other reason."""
        return "closed by us" if self._closed else why

    def _follow(self) -> None:
        pending = b""
        # By the SDK's session and not its stats(): that one (7.2) leaves the connection of a stream
        # that breaks, as where the engine is killed, to the garbage collector.
        url = f"{self._api.base_url}/v{self._api.api_version}/containers/{self._id}/stats"
        with self._api.get(
            url, params={"stream": True}, stream=True, timeout=self._api.timeout
        ) as answer:
            self._answer = answer
            if answer.status_code != 200:
                self._ended = f"refused with {answer.status_code}"
                return
            if self._closed:
                self._ended = "closed by us"
                return
            for chunk in answer.raw.stream(None):
                pending += chunk
                *lines, pending = pending.split(b"\n")
                now = time.monotonic_ns()
                self._first_ns = self._first_ns or now
                self._taken += len(lines)
                self._lines.extend((now, line) for line in lines if line.strip())
            self._ended = self._unless_closed("ended with the container")

    def frames(self, start_ns: int, end_ns: int) -> tuple[StatsFrame, ...]:
        """Usable frames inside the window: the first of a stream has no predecessor."""
        found = usable_frames(self._lines, start_ns, end_ns)
        older = bisect.bisect_left(self._lines, start_ns, key=lambda line: line[0])
        # But for the last, which tells that the first of the window has a predecessor.
        del self._lines[: max(0, older - 1)]
        return found

    def close(self) -> None:
        """End the stream, and wait until its response is closed; may be called again.

        Left to the interpreter's end a response may be finalised after the file below it, which it
        then flushes (http.client, ``HTTPResponse.flush``): Python 3.14 prints what comes of that.
        """
        self._closed = True
        # It has ended already, or urllib3 is older than 2.3: then the thread ends with the process.
        with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):
            if self._answer is not None:
                self._answer.raw.shutdown()
            self._thread.join(_CLOSING_S)


def usable_frames(
    lines: list[tuple[int, bytes]], start_ns: int, end_ns: int
) -> tuple[StatsFrame, ...]:
    """Frames that arrived in the window with their predecessor in it too.

    A frame's rate spans the time from the frame before it (``preread``) to itself (``read``), so
    both must lie in the window. The first frame of a stream has none before it: zeros for
    ``precpu`` (Docker), or a reading a millisecond earlier (Podman).
    """
    out: list[StatsFrame] = []
    previous_ns: int | None = None
    for arrived_ns, raw in lines:
        if arrived_ns < start_ns:
            previous_ns = arrived_ns
            continue
        try:
            stats = json.loads(raw)
        except (ValueError, RecursionError):
            continue
        if previous_ns is not None and start_ns <= previous_ns and arrived_ns <= end_ns:
            # What is no frame at all, or holds no numbers, tells nothing.
            with contextlib.suppress(AttributeError, TypeError, ValueError, OverflowError):
                percent, memory = cpu_percent(stats), memory_bytes(stats)
                if percent is not None and math.isfinite(percent):
                    read = str(stats.get("read", ""))
                    out.append(StatsFrame(read=read, cpu_percent=percent, memory_bytes=memory,
                                          t_mono_ns=arrived_ns))  # fmt: skip
        previous_ns = arrived_ns
    return tuple(out)


def cpu_percent(stats: dict[str, Any]) -> float | None:
    """CPU % as the docker CLI computes it (cli/command/container/stats_helpers.go).

    (Δ container / Δ system) × online CPUs × 100; None where either difference is not positive:
    then the frame says nothing (the CLI prints 0.00 %).

    Podman's ``system_cpu_usage`` is the CPU time that was *used* on the host, not the time of its
    CPUs (measured on 4.3: the CLI's formula makes 190 % of half a CPU on an idle host of two). Its
    frames, known by a ``cpu`` of their own, are taken against the time between their two readings.
    """
    cpu, before = stats.get("cpu_stats") or {}, stats.get("precpu_stats") or {}
    try:
        used = cpu["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
        if "cpu" in cpu:
            system = seconds_between(stats["preread"], stats["read"]) * 1e9
            online = 1
        else:
            system = cpu["system_cpu_usage"] - before["system_cpu_usage"]
            online = cpu.get("online_cpus") or len(cpu["cpu_usage"].get("percpu_usage") or ())
    except (KeyError, TypeError, ValueError):
        return None
    if used < 0 or system <= 0 or not online:
        return None
    return float(used / system * online * 100.0)


def seconds_between(earlier: str, later: str) -> float:
    """Between two time stamps as Go writes them (RFC 3339), to the microsecond."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def memory_bytes(stats: dict[str, Any]) -> int | None:
    """Memory as the docker CLI shows it: usage less inactive page cache; None if not told.

    Podman gives no detail, so that page cache counts in what it calls memory.
    """
    memory = stats.get("memory_stats") or {}
    usage = memory.get("usage")
    if usage is None:
        return None
    detail = memory.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):  # v1, v2
        cache = detail.get(key)
        if cache is not None:
            return int(usage - cache) if cache < usage else int(usage)
    return int(usage)
