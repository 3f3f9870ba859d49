"""How quick the command line is, the default sweep too: errors, overhead, time to the prompt."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.figures import ROOT, Figure

PYTHON = sys.executable
BENCH = str(Path(PYTHON).with_name("bench"))
START_ROUNDS = 30


def command_s(command: Sequence[str]) -> float:
    """Wall time of a command, in seconds."""
    before = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def interleaved(commands: Sequence[Sequence[str]], rounds: int) -> list[list[float]]:
    """Times of each command, taken in turn, so that a slow moment hits all alike."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(rounds):
        for command, mine in zip(commands, times, strict=True):
            mine.append(command_s(command))
    return times


def start_up() -> list[Figure]:
    """``bench --help`` against importing click, and what ``./bench`` adds to it."""
    click_s, help_s, bootstrap_s = (
        statistics.median(times)
        for times in interleaved(
            [[PYTHON, "-c", "import click"], [BENCH, "--help"], ["./bench", "--help"]],
            START_ROUNDS,
        )
    )
    return [
        Figure(
            "`bench --help`", "`python -c 'import click'`", help_s / click_s, 1.5, "×",
            f"medians of {START_ROUNDS} interleaved calls: {help_s * 1e3:.0f} and "
            f"{click_s * 1e3:.0f} ms",
        ),
        Figure(
            "`./bench --help`", "`.venv/bin/bench --help`", bootstrap_s / help_s, 1.1, "×",
            f"{(bootstrap_s - help_s) * 1e3:+.1f} ms a call",
        ),
    ]  # fmt: skip


def sweep() -> list[Figure]:
    """The default sweep: its errors, and its time outside warm-up and window."""
    before = time.perf_counter()
    done = subprocess.run(
        [BENCH, "sweep", "cpu", "--json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    took_s = time.perf_counter() - before
    result = json.loads(done.stdout)
    run = Path(result["path"])
    info = json.loads((ROOT / run / "run.json").read_text())
    trials = [json.loads(line) for line in (ROOT / run / "trials.jsonl").read_text().splitlines()]
    points = {point["id"]: point for point in info["plan"]["points"]}
    host_cpus = info["engine"]["cpus"]
    errors = {
        point["value"]: point["laws"][0]["error"]["median"]
        for point in result["points"]
        if 0.25 <= float(point["value"]) <= max(1, host_cpus - 1) and point["laws"][0]["error"]
    }
    starts = [datetime.fromisoformat(trial["started_at"]) for trial in trials]
    outside = [
        (b - a).total_seconds() - points[trial["point_id"]]["warmup_s"]
        - points[trial["point_id"]]["duration_s"]
        for (a, b), trial in zip(itertools.pairwise(starts), trials, strict=False)
    ]  # fmt: skip
    rejected = sum("invalid" in trial for trial in trials)
    detail = ", ".join(f"{value}: {error:+.3%}" for value, error in errors.items())
    return [
        Figure(
            "largest median error of achieved CPU, --cpus 0.25 to the host less one", "the law",
            max(abs(error) for error in errors.values()) * 100, 0.5, "%",
            f"{detail}; {rejected} of {len(trials)} trials rejected",
        ),
        Figure(
            "time of a trial outside warm-up and window, median", "the goal",
            statistics.median(outside), 0.35, "s",
            f"largest {max(outside):.2f} s, over {len(outside)} trials",
        ),
        Figure(
            "the default sweep, from the command to the prompt", "the goal", took_s, 120, "s",
            f"{len(trials)} trials",
        ),
    ]  # fmt: skip
