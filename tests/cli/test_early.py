"""Ctrl-C, SIGTERM and SIGHUP while `bench` still loads: its code, a line, no traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.alone]

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BEGINS = {
    "bench": [str(Path(sys.executable).with_name("bench"))],
    "./bench": [str(ROOT / "bench")],
    # As the first line of .venv/bin/bench has it: Python's own start is not ours to answer in.
    "python -m harness": ["env", "--block-signal=INT", sys.executable, "-m", "harness"],
}
LATEST_MS = 600
STEP_MS = 37


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of an engine that takes a call and never answers, so that nothing ends early."""
    with tempfile.TemporaryDirectory(prefix="lb-") as folder, socket.socket(socket.AF_UNIX) as end:
        end.bind(f"{folder}/s")
        end.listen(1000)
        yield f"unix://{folder}/s"


def signalled(begun: str, silent: str, signum: int, after_ms: int) -> tuple[int, str]:
    """The code, and what was said, of a command that got a signal so long after its start."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "DOCKER_"))}
    with subprocess.Popen(
        [*BEGINS[begun], "inspect", "nothing", "--engine-host", silent], cwd=ROOT, env=kept,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        time.sleep(after_ms / 1e3)
        process.send_signal(signum)
        _, said = process.communicate(timeout=20)
    return process.returncode, said


def can_hold() -> bool:
    """Whether env can block a signal, without which Python's own start answers Ctrl-C."""
    return subprocess.run(["env", "--block-signal=INT", "true"], check=False).returncode == 0


@pytest.mark.skipif(not can_hold(), reason="env is older than coreutils 8.31")
@pytest.mark.parametrize("begun", BEGINS)
def test_a_signal_in_the_first_half_second_ends_it_quietly(begun: str, silent: str) -> None:
    for number, after_ms in enumerate(range(0, LATEST_MS, STEP_MS)):
        signum = SIGNALS[number % len(SIGNALS)]
        code, said = signalled(begun, silent, signum, after_ms)
        # By the kernel's hand too, which a shell tells as 128 and the signal.
        assert code in (-signum, 128 + signum), (after_ms, said)
        assert len(said.strip().splitlines()) <= 1, (after_ms, said)
