"""``bench`` from outside: as a process of its own, and what a part of it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner, Result

BENCH = [sys.executable, "-c", "from harness.cli import main; main()"]
NO_ENGINE = "unix:///nonexistent/docker.sock"


def bench(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "DOCKER_"))}
    return subprocess.run(
        [*BENCH, *args],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**clean, "HOME": str(cwd), "PYTHONPATH": str(Path(__file__).parents[1]), **env},
        check=False,
    )


def one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("bench: ")
    for word in words:
        assert word in result.stderr


def spoken(speak: object) -> str:
    return ran(speak).stdout


def ran(speak: object) -> Result:
    """What is printed, as to a file: rich and click both write to stdout."""
    command = click.Command("speak", callback=speak)  # type: ignore[arg-type]
    return CliRunner().invoke(command, catch_exceptions=False)
