"""Where output cannot be written: by real processes, as a shell starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = f"{sys.executable} -c 'from harness.cli import main; main()'"
COMMANDS = [
    "--help",
    "--version",
    "runs",
    "show sample-cpu",
    "show sample-cpu --json",
    "report sample-cpu --format md --output /dev/stdout",
    "compare sample-cpu sample-cpu-busy --strict",
]

pytestmark = pytest.mark.slow


def sh(script: str) -> subprocess.CompletedProcess[str]:
    """Run by bash, with ``bench`` as a command."""
    return subprocess.run(
        ["bash", "-c", f'bench() {{ {COMMAND} "$@"; }}\n{script}'],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "BENCH_RESULTS": "results", "PYTHONPATH": str(ROOT)},
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_went_away_is_no_verdict(command: str) -> None:
    run = sh(f"(sleep 0.5; bench {command}) | true; exit ${{PIPESTATUS[0]}}")
    assert run.returncode == 141
    assert run.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_output_is_told_in_one_line(command: str) -> None:
    run = sh(f"bench {command} > /dev/full")
    assert run.returncode == 2
    assert run.stderr.startswith("bench: cannot write ")
    assert "No space left on device" in run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_output_is_told_in_one_line(command: str) -> None:
    run = sh(f"bench {command} >&-")
    assert run.returncode == 2
    assert run.stderr == ("bench: standard output is closed. Send it to a file, or to /dev/null.\n")


def test_a_log_that_is_full_or_closed_ends_nothing() -> None:
    for there in ("2>/dev/full", "2>&-", "<&-", "<&- 2>&-"):
        assert sh(f"bench show sample-cpu {there}").returncode == 0
        assert sh(f"bench show nosuch {there}").returncode == 2


def test_letters_that_a_terminal_lacks() -> None:
    run = sh(
        "set -o pipefail; PYTHONIOENCODING=latin-1 bench report sample-cpu --format md"
        " | iconv -f latin1 -t utf-8"
    )
    assert run.returncode == 0, run.stderr
    assert "\\u2713" in run.stdout or "\\u2013" in run.stdout
