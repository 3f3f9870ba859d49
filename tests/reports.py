"""What the probe says at the end of a load on files."""

from __future__ import annotations

import json
from typing import Any

from harness.measure import protocol
from harness.model import Io, IoReport


def io_message(**changed: Any) -> dict[str, Any]:
    """A second of 4 KiB I/Os: 200 of them, of which all but two took 1 to 1.3 ms."""
    edges = [10**6, 1333521, 1778279, 10**7, 10**8]
    return {
        "probe": "report", "version": 1, "mode": "io", "complete": True,
        "t_start_ns": 10**9, "t_end_ns": 2 * 10**9, "operation": "write", "way": "fsync",
        "order": "random", "block_bytes": 4096, "file_bytes": 1 << 24, "depth": 1,
        "rate_hz": None, "filesystem": 0xEF53, "open_ns": 2000, "first_ns": 3 * 10**6,
        "refused": None, "errno": 0, "errors": 0, "ios": 200, "bytes": 200 * 4096,
        "offered": 200, "completed": 200, "unfinished": 0,
        "latency_p50_ns": 1_100_000, "latency_p90_ns": 1_200_000, "latency_p99_ns": 1_300_000,
        "latency_p999_ns": 9_000_000, "latency_max_ns": 9_000_000,
        "latency_edges_ns": edges, "latency_histogram": [198, 0, 2, 0],
        **changed,
    }  # fmt: skip


NOTHING = dict.fromkeys(f"latency_{name}_ns" for name in ("p50", "p90", "p99", "p999", "max"))
REFUSED = {
    "refused": "open", "errno": 22, "ios": 0, "bytes": 0, "offered": 0, "completed": 0,
    "first_ns": None, "filesystem": None, "latency_histogram": [0, 0, 0, 0], **NOTHING,
}  # fmt: skip
"""Of a file system without direct I/O."""


def io_line(**changed: Any) -> str:
    """The same as the line that it is."""
    return json.dumps(io_message(**changed))


def io_report(**changed: Any) -> IoReport:
    """The same as the harness understands it."""
    found = protocol.report(io_message(**changed), Io())["io"]
    assert isinstance(found, IoReport)
    return found
