"""``bench`` as a process of its own, on the engine of the tests."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from harness.engine.connect import Connection

BENCH = str(Path(sys.executable).with_name("bench"))


def bench_env(connection: Connection) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "DOCKER_"))}
    return {**kept, "BENCH_ENGINE_HOST": connection.host}


def wait_for_trials(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = [p.read_bytes().count(b"\n") for p in folder.glob("results/*/trials.jsonl")]
        if sum(lines) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("no trial was finished in time")
