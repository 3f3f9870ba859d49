"""What an engine that stands still for long costs a sweep: a trial, and no wait without an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness.engine import daemon
from harness.engine.connect import Connection
from harness.measure.runner import ENGINE_BACK_S
from harness.model import Outcome
from harness.store import runs
from harness.wording import counted

STOPPED_S = 600.0
_BENCH = str(Path(sys.executable).with_name("bench"))
_SWEEP = ("sweep", "cpu", "--values", "0.5", "--duration", "0.5", "--repeats", "12")
_FIRST_S = 600.0
"""Another measurement on this host is waited for."""
_AFTER_S = 240.0
"""So long a bench whose engine goes on may take to its end."""


def report(connection: Connection, stopped_s: float = STOPPED_S) -> str:
    """Stop the private engine's daemon so long amid a sweep; in one line what came of it."""
    pid = daemon.status().pid
    if pid is None or connection.host != daemon.host():
        return "faults: only the private engine is stopped; see `bench engine start`."
    with tempfile.TemporaryDirectory(prefix="limitbench-faults-") as folder:
        environment = {**os.environ, "BENCH_ENGINE_HOST": connection.host, "BENCH_RESULTS": folder}
        with subprocess.Popen(
            [_BENCH, *_SWEEP], env=environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            finished = _first(Path(folder))
            if not finished:
                process.terminate()
                return f"faults: no trial was finished within {_FIRST_S:g} s."
            began = time.monotonic()
            goes_on = threading.Timer(stopped_s, os.kill, (pid, signal.SIGCONT))
            os.kill(pid, signal.SIGSTOP)
            goes_on.start()
            try:
                _, said = process.communicate(timeout=stopped_s + _AFTER_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return f"stopped for {stopped_s:g} s: bench never ended"
            finally:
                ended_s = time.monotonic() - began
                goes_on.join()
        before = _counts(Path(folder))
        resumed = subprocess.run(
            [_BENCH, "resume"], env=environment, capture_output=True, text=True, check=False
        )
        after = _counts(Path(folder))
    return (
        f"stopped for {stopped_s:g} s: exit code {process.returncode} after {ended_s:.0f} s "
        f"(an engine is waited for {ENGINE_BACK_S:g} s); {counted(finished, 'trial')} finished "
        f"before, {before} kept; resume: exit code {resumed.returncode}, {after}. Last said: "
        f"{' | '.join(said.strip().splitlines()[-2:])}"
    )


def _first(folder: Path) -> int:
    """How many trials are on disk, once there are some."""
    deadline = time.monotonic() + _FIRST_S
    while time.monotonic() < deadline:
        lines = sum(one.read_bytes().count(b"\n") for one in folder.glob("*/trials.jsonl"))
        if lines:
            return lines
        time.sleep(0.05)
    return 0


def _counts(folder: Path) -> str:
    (path,) = folder.iterdir()
    run = runs.load(path)
    failed = sum(one.outcome is not Outcome.COMPLETED for one in run.trials)
    return f"{len(run.trials)} ({failed} failed, {run.info.status})"
