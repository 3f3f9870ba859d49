"""The probe's run mode, as a plain process: a program to its end, and what that took."""

from __future__ import annotations

import platform
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from harness.measure import protocol
from tests.probing import MS, running

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def probe() -> Path:
    return probe_binary(platform.machine()).path


def ran(probe: Path, *command: str, warmup_ms: int = 1) -> tuple[dict[str, Any], str]:
    """Its report, and what the program said."""
    with running(probe, "run", "--deadline", "20", "--", *command) as run:
        assert run.hear() == {"probe": "ready", "version": 1, "mode": "run"}
        run.tell(f"go {warmup_ms * MS} {MS}")
        assert run.hear() == {"probe": "done"}
        run.tell("stop")
        report = run.hear()
        code, said = run.end()
    assert code == 0
    assert protocol.batch(report).exit_code == report["exit_code"]  # the harness can read it
    return report, said


def test_a_program_ends_with_its_time_and_code(probe: Path) -> None:
    report, said = ran(probe, "/bin/sh", "-c", "echo out; echo err >&2; sleep 0.1; exit 3")
    assert report["t_end_ns"] - report["t_start_ns"] >= 100 * MS
    assert report["cpu_ns"] < report["t_end_ns"] - report["t_start_ns"]
    assert (report["exit_code"], report["signal"]) == (3, 0)
    assert said == "out\nerr\n"  # both beside the protocol


def test_the_cpu_time_of_its_children_is_its_own(probe: Path) -> None:
    spin = "import time\nwhile time.process_time() < 0.15: pass"
    report, _ = ran(probe, "/bin/sh", "-c", f"{sys.executable} -c '{spin}'; true")
    assert report["cpu_ns"] >= 150 * MS


def test_a_signal_that_ended_it_is_told(probe: Path) -> None:
    report, _ = ran(probe, "/bin/sh", "-c", "kill -KILL $$")
    assert (report["exit_code"], report["signal"]) == (0, signal.SIGKILL)


def test_it_has_no_input_and_takes_its_own_options(probe: Path) -> None:
    report, said = ran(probe, "/bin/sh", "-c", 'read x || echo "none: $1"', "sh", "--deadline")
    assert report["exit_code"] == 0
    assert said == "none: --deadline\n"


def test_what_cannot_be_run_says_so(probe: Path) -> None:
    report, said = ran(probe, "/nowhere/at/all")
    assert report["exit_code"] == 127
    assert said == "probe: /nowhere/at/all cannot be run: No such file or directory\n"


@pytest.mark.parametrize(
    "options", [("--deadline", "9"), ("--deadline", "9", "--"), ("--", "true")]
)
def test_without_a_program_or_a_deadline_it_is_misuse(
    probe: Path, options: tuple[str, ...]
) -> None:
    with running(probe, "run", *options) as run:
        code, errors = run.end()
    assert code == 2
    assert "--deadline and a program behind -- are needed" in errors
