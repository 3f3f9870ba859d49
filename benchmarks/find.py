"""How near the truth `bench find` comes, and at how many trials.

``python -m benchmarks find`` measures it on this host: the burst workload, whose truth is a fine
grid of 200 trials a setting around the edge, and the probe's growth in memory, whose need is known
to a MiB by the same. ``python -m benchmarks.find`` simulates responses whose truth is exact.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from benchmarks.commands import Commands
from harness.cli.dialogue import say
from harness.engine.connect import Connection
from harness.errors import MeasurementError, UsageError
from harness.judge.metrics import METRICS
from harness.sizing.search import Ending, Search
from harness.store import runs
from harness.units import MIB

FINDS = 60
TRUTH_TRIALS = 200
"""At each setting of the fine grid, with 60 finds; in proportion with fewer."""
GRID_TRIALS = 6
"""At each step of a full grid: the least at which the 95 % interval of a median is bounded at all
by order statistics."""
GOAL_S, BURST_STEP, WINDOW_S = 0.15, 0.1, 10.0
"""Of the bursts. In windows of 3 s, of 30 responses, whether 99 % of them are below 100 ms scatters
so much that 5 % of the limit cannot be told apart in 400 trials; so simulated, a find takes some
110 trials, or 20 minutes."""
STEP = 0.05
LEAST_CPUS, MOST_CPUS = 0.1, 1.0
TARGETS_MIB = (20, 33, 57)
MEMORY_RANGE_MIB = (8, 128)


@dataclass(frozen=True)
class Answers:
    """Many finds of one truth."""

    finds: int
    right: int
    """Of them, those whose answer is within one step of the truth."""
    endings: Counter[str]
    trials: float
    """The median of one find."""
    grid: int
    """Those of a full grid."""

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {name}" for name, count in self.endings.most_common())
        return (
            f"{self.right} of {self.finds} within one step ({ended}); {self.trials:.0f} trials in "
            f"the median, {self.trials / self.grid:.0%} of the {self.grid} of a full grid"
        )


# --- measured ----------------------------------------------------------------------------------


KNOWN = ("burst", "memory")


def report(connection: Connection, finds: int = FINDS, only: str | None = None) -> str:
    """Both campaigns on an engine, or that of ``only``; a line each. UsageError for another."""
    if only and only not in KNOWN:
        raise UsageError(f"--only {only} is none of them.", f"Known: {', '.join(KNOWN)}.")
    with tempfile.TemporaryDirectory(prefix="limitbench-find-") as made:
        here = _Here(connection, Path(made))
        campaigns = {"burst": here.bursts, "memory": here.memory}
        return "\n".join(
            f"{name}: {campaigns[name](finds)}" for name in ([only] if only else KNOWN)
        )


class _Here:
    """Commands on an engine, in a folder of their own."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self._folder, self._bench = folder, Commands(connection, folder)

    def bursts(self, finds: int) -> Answers:
        """Finds of the CPUs that keep the tail of bursts below the goal."""
        asked = (
            "cpus", "--goal", f"p99 < {GOAL_S * 1e3:g}ms", "--workload", "burst", "--from",
            f"{LEAST_CPUS:g}", "--to", f"{MOST_CPUS:g}", "--budget", "1h",
            "--resolution", f"{BURST_STEP:.0%}", "--duration", f"{WINDOW_S:g}",
        )  # fmt: skip
        found = [self._find(seed, *asked) for seed in range(1, finds + 1)]
        answers = [one["chosen"]["cpus"] for one in found if one["chosen"]]
        if not answers:
            raise MeasurementError("no find of the burst workload came to an answer.")
        middle = statistics.median(answers)
        grid = [round(middle * (1 + BURST_STEP / 2) ** i, 4) for i in range(-6, 5)]
        truth = self._truth(grid, max(5, TRUTH_TRIALS * finds // FINDS))
        steps = math.ceil(math.log(MOST_CPUS / LEAST_CPUS) / math.log(1 + BURST_STEP)) + 1
        right = [abs(math.log(one / truth)) <= math.log(1 + BURST_STEP) for one in answers]
        return _answers(found, sum(right), steps * GRID_TRIALS)

    def _truth(self, grid: Sequence[float], trials: int) -> float:
        """Where the median of many trials at each setting of a fine grid meets the goal."""
        values = ",".join(f"{one:g}" for one in grid)
        results = self._folder / "truth"
        self._bench.run(
            "sweep", "cpu", "--workload", "burst", "--threads", "1", "--values", values,
            "--repeats", str(trials), "--duration", f"{WINDOW_S:g}", "--results", str(results),
        )  # fmt: skip
        (path,) = results.iterdir()
        run = runs.load(path)
        metric = METRICS["response_p99_s"]
        medians = []
        for cpus in grid:
            mine = [t for t in run.trials if t.point_id == f"cpus={cpus:g}" and not t.invalid]
            told = [metric.of(t, 0) for t in mine if t.containers]
            medians.append(statistics.median(v for v in told if v is not None))
        return _crossing(grid, medians, GOAL_S)

    def memory(self, finds: int) -> Answers:
        """Finds of the memory that the probe's growth needs, to a MiB."""
        low, high = MEMORY_RANGE_MIB
        found, right = [], 0
        needs = {target: self._need_mib(target) for target in TARGETS_MIB[: max(1, finds // 20)]}
        for seed in range(1, finds + 1):
            target = list(needs)[seed % len(needs)]
            one = self._find(
                seed, "memory", "--goal", "no-kill", "--workload", "memory", "--target",
                f"{target}m", "--from", f"{low}m", "--to", f"{high}m", "--resolution", "1m",
            )  # fmt: skip
            found.append(one)
            chosen = one["chosen"] or {"memory": 0}
            right += abs(chosen["memory"] / MIB - needs[target]) <= 1
        return _answers(found, right, (high - low + 1) * GRID_TRIALS)

    def _need_mib(self, target_mib: int) -> int:
        """The least MiB at which none of ten trials was killed, by trying each above the target."""
        for mib in range(target_mib, target_mib + 16):
            told = self._find(
                1, "memory", "--goal", "no-kill", "--workload", "memory", "--target",
                f"{target_mib}m", "--from", f"{mib}m", "--to", f"{mib + 1}m", "--resolution", "1m",
            )  # fmt: skip
            (limit,) = told["limits"]
            least = next(one for one in limit["tried"] if one["value"] == mib * MIB)
            if least["held"] == least["trials"]:
                return mib
        raise MeasurementError(f"a growth to {target_mib} MiB was killed 16 MiB above that.")

    def _find(self, seed: int, *asked: str) -> dict[str, Any]:
        done = self._bench.run("find", *asked, "--seed", str(seed), "--json", codes=(0, 1, 3))
        found: dict[str, Any] = json.loads(done.out)
        say(f"seed {seed}, {asked[asked.index('--workload') + 1]}: {found['answer']}")
        return found


def _answers(found: Sequence[dict[str, Any]], right: int, grid: int) -> Answers:
    trials = [sum(t["trials"] for one in f["limits"] for t in one["tried"]) for f in found]
    return Answers(
        len(found), right, Counter(str(one["ending"]) for one in found),
        statistics.median(trials), grid,
    )  # fmt: skip


def _crossing(at: Sequence[float], medians: Sequence[float], goal: float) -> float:
    """Where medians that fall meet the goal, between the last above it and the first below."""
    for i in range(len(at) - 1, 0, -1):
        above, below = medians[i - 1], medians[i]
        if above >= goal > below:
            share = math.log(above / goal) / math.log(above / below)
            return float(at[i - 1] * (at[i] / at[i - 1]) ** share)
    raise MeasurementError(
        f"the medians {', '.join(f'{one:.4g}' for one in medians)} do not meet {goal:g} s.",
        "The host was not idle, or finds and grid disagree.",
    )


# --- simulated ---------------------------------------------------------------------------------

SETTINGS, WIDTH = 302, 4
"""0.05 to 2 CPUs, four settings to a step of 5 %."""


def simulated(response: Callable[[float], float], finds: int) -> Iterator[tuple[Search, float]]:
    """Searches of a response (by the settings above the edge), each with an edge of its own."""
    for seed in range(finds):
        rng = random.Random(f"{seed}")
        edge = rng.uniform(20, SETTINGS - 20)
        search = Search(SETTINGS, width=WIDTH, confidence=0.975, seed=seed)
        while search.ending is None:
            for setting in search.next():
                search.add(setting, holds=rng.random() < response(setting - edge))
        yield search, edge


def table(finds: int, write: Callable[[str], object]) -> None:
    """A row a scatter: of the threshold, as a standard deviation in percent of the limit."""
    grid = GRID_TRIALS * math.ceil(SETTINGS / WIDTH)
    write("| scatter | found | within a step | bracket holds the truth | trials | of a grid |\n"
          "|---|---|---|---|---|---|\n")  # fmt: skip
    for scatter in (0.0, 0.025, 0.05, 0.075, 0.1, 0.15):
        rise = NormalDist(0, max(1e-9, scatter / (STEP / WIDTH)))
        ended = right = covered = 0
        trials = []
        for search, edge in simulated(rise.cdf, finds):
            trials.append(len(search.trials))
            if search.ending is Ending.FOUND:
                bracket = search.tried_bracket
                assert bracket.holds is not None
                assert bracket.fails is not None
                ended += 1
                right += abs(bracket.holds - edge) <= WIDTH
                covered += bracket.fails <= edge <= bracket.holds
        median = statistics.median(trials)
        write(f"| {scatter:.1%} | {ended} of {finds} | {right} | {covered} | {median:.0f} | "
              f"{median / grid:.0%} |\n")  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.find")
    parser.add_argument("--finds", type=int, default=FINDS)
    table(parser.parse_args().finds, sys.stdout.write)


if __name__ == "__main__":
    main()
