"""``make benchmark``: measure the figures that limitbench is held to, and write them down.

Ratios come from interleaved runs. A figure that is not reached is written as such. The host must
be idle: absolute times on a busy or noisy host say nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable
BENCH = str(Path(PYTHON).with_name("bench"))
START_ROUNDS = 30


@dataclass(frozen=True)
class Figure:
    """One figure: what was measured, what is to be reached, and whether it was."""

    name: str
    value: float
    limit: float
    unit: str
    detail: str

    @property
    def reached(self) -> bool:
        """True where the figure is no more than its limit."""
        return self.value <= self.limit


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
            "`bench --help` / `python -c 'import click'`", help_s / click_s, 1.5, "x",
            f"medians of {START_ROUNDS} interleaved calls: {help_s * 1e3:.0f} and "
            f"{click_s * 1e3:.0f} ms",
        ),
        Figure(
            "`./bench --help` / `.venv/bin/bench --help`", bootstrap_s / help_s, 1.1, "x",
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
    host_cpus = info["engine"]["cpus"]
    errors = {
        point["requested"]: point["error"]["median"]
        for point in result["points"]
        if 0.25 <= float(point["requested"]) <= max(1, host_cpus - 1) and point["error"]
    }
    starts = [datetime.fromisoformat(trial["started_at"]) for trial in trials]
    measured_s = info["plan"]["warmup_s"] + info["plan"]["duration_s"]
    outside = [(b - a).total_seconds() - measured_s for a, b in itertools.pairwise(starts)]
    rejected = sum("invalid" in trial for trial in trials)
    detail = ", ".join(f"{value}: {error:+.3%}" for value, error in errors.items())
    return [
        Figure(
            "largest median error of achieved CPU, --cpus 0.25 to one less than the host",
            max(abs(error) for error in errors.values()) * 100, 0.5, "%",
            f"{detail}; {rejected} of {len(trials)} trials rejected",
        ),
        Figure(
            "time of a trial outside warm-up and window, median", statistics.median(outside),
            0.35, "s", f"largest {max(outside):.2f} s, over {len(outside)} trials",
        ),
        Figure(
            "the default sweep, from the command to the prompt", took_s, 120, "s",
            f"{len(trials)} trials",
        ),
    ]  # fmt: skip


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    rows = [
        f"| {f.name} | {f.value:.3g} {f.unit} | ≤ {f.limit:g} {f.unit} | "
        f"{'yes' if f.reached else '**no**'} | {f.detail} |"
        for f in figures
    ]
    return "\n".join(["| figure | measured | to reach | reached | detail |", "|---|---|---|---|---|",
                      *rows])  # fmt: skip


def main() -> None:
    """Measure everything, print it, and write ``benchmarks/RESULTS.md``."""
    parts: list[Callable[[], list[Figure]]] = [sweep, start_up]
    figures = [figure for part in parts for figure in part()]
    text = table(figures)
    print(text)
    host = os.uname()
    (ROOT / "benchmarks" / "RESULTS.md").write_text(
        "# Results\n\n"
        f"`make benchmark` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} CPUs, kernel "
        f"{host.release}, {host.machine}. Ratios are from interleaved runs; absolute times hold "
        "for that host only.\n\n"
        f"{text}\n"
    )


if __name__ == "__main__":
    main()
