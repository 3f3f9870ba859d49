"""``python -m benchmarks.history``: how often a history errs, what it finds, how long it takes.

``critical`` simulates the values that an F statistic must exceed (``changepoints``' table),
``false`` series without a change, ``found`` those with changes of 3 sigma, ``shared`` what several
hosts are told to share, ``folder DIR`` times the runs of a folder, cold and kept. HISTORY.md has
what came out; docs/decisions/038 and 049 what of it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.comparison import across, changepoints
from harness.comparison import history as histories
from harness.comparison.changepoints import LEAST_RUNS
from harness.comparison.collected import collected
from harness.model import Entry, Level, Point, RunSeries

RUNS = (6, 8, 10, 16, 20, 40, 100)
CRITICAL_RUNS = (6, 7, 8, 9, 10, 12, 15, 20, 30, 50, 100, 200)
STEP = 3.0
"""Sigmas of what a run scatters by."""
CASES: tuple[tuple[str, int, tuple[int, ...], tuple[int, ...]], ...] = (
    ("20 runs, in the middle", 20, (10,), (1,)),
    ("20 runs, 5 before its end", 20, (15,), (1,)),
    ("30 runs, in the middle", 30, (15,), (1,)),
    ("40 runs, 5 before its end", 40, (35,), (1,)),
    ("40 runs, in the middle", 40, (20,), (1,)),
    ("30 runs, taken back after 10", 30, (10, 20), (1, -1)),
    ("60 runs, three times up", 60, (15, 30, 45), (1, 1, 1)),
)
"""(what, runs, where it moves, which way)."""


def draws(rng: np.random.Generator) -> dict[str, Callable[[int], Any]]:
    """Noise of one sigma, by name."""
    return {
        "normal": rng.standard_normal,
        "Laplace": lambda n: rng.laplace(size=n) / 2**0.5,
        "t, 4 degrees": lambda n: rng.standard_t(4, n) / 2**0.5,
        "lognormal": lambda n: rng.lognormal(0, 0.5, n),
        "ticks of a sigma": lambda n: np.round(rng.standard_normal(n)),
    }


def false(rounds: int) -> Iterator[str]:
    """The share of series without a change in which one is found."""
    yield f"| noise | {' | '.join(f'{n} runs' for n in RUNS)} |"
    yield f"|---|{'---|' * len(RUNS)}"
    for name, draw in draws(np.random.default_rng(1)).items():
        found = [
            sum(bool(changepoints.changes([*(100 + draw(n))])) for _ in range(rounds)) for n in RUNS
        ]
        yield f"| {name} | {' | '.join(f'{one / rounds:.2%}' for one in found)} |"


def found(rounds: int) -> Iterator[str]:
    """What of changes is found within a run of where it is, and how often intervals hold it."""
    yield (
        "| changes of 3 σ | found within 1 run | exactly | place within its interval | size within "
        "its interval | one too many |"
    )
    yield f"|---|{'---|' * 5}"
    for what, runs, places, ways in CASES:
        rng, near, more, total = np.random.default_rng(2), [], 0, rounds * len(places)
        for _ in range(rounds):
            values = 100 + rng.standard_normal(runs)
            for place, way in zip(places, ways, strict=True):
                values[place:] += way * STEP
            changes = changepoints.changes([*values])
            more += len(changes) > len(places)
            for place, way in zip(places, ways, strict=True):
                for one in [one for one in changes if abs(one.at - place) <= 1][:1]:
                    _, low, high = one.difference()
                    near.append((one.at == place, one.first <= place <= one.last,
                                 low <= way * STEP <= high))  # fmt: skip
        exact, held, size = (sum(column) for column in zip(*near, strict=True))
        count = len(near)
        yield (
            f"| {what} | {count / total:.1%} | {exact / total:.1%} | {held / count:.1%} | "
            f"{size / count:.1%} | {more / rounds:.1%} |"
        )


SHARED: tuple[tuple[str, int, int, str], ...] = (
    ("nothing moved", 4, 0, ""),
    ("nothing moved", 20, 0, ""),
    ("3 of 4 moved, in the same run", 4, 3, "at once"),
    ("2 of 4 moved, in the same run", 4, 2, "at once"),
    ("5 of 20 moved, in the same run", 20, 5, "at once"),
    ("2 of 20 moved, in the same run", 20, 2, "at once"),
    ("each moved, in a run of its own", 4, 4, "apart"),
    ("each moved, in a run of its own", 20, 20, "apart"),
)
"""(what, hosts, of these moved, when)."""
HOST_RUNS, HOST_POINTS = 20, 3
"""Of a simulated host; each point has one metric."""


def shared(rounds: int) -> Iterator[str]:
    """How often hosts are told to share a change: by chance, and where they do, by 3 sigma."""
    yield (
        f"| {HOST_RUNS} runs a host, {HOST_POINTS} series | hosts | any event told | all who moved "
        "in one |"
    )
    yield f"|---|{'---|' * 3}"
    for what, hosts, moving, when in SHARED:
        rng, told, whole = np.random.default_rng(4), 0, 0
        for _ in range(rounds // hosts):
            events = across.shared([*_hosts(rng, hosts, moving, when)])
            told += bool(events)
            whole += any(len(one.hosts) >= moving for one in events)
        of = rounds // hosts
        share = f"{whole / of:.1%}" if when == "at once" else ""
        yield f"| {what} | {hosts} | {told / of:.1%} of {of} | {share} |"


def _hosts(rng: np.random.Generator, hosts: int, moving: int, when: str) -> Iterator[RunSeries]:
    """A series of each point of each host; its runs are a day apart, and no fact changed."""
    for number in range(hosts):
        at = HOST_RUNS // 2 if when != "apart" else int(rng.integers(4, HOST_RUNS - 3))
        for place in range(HOST_POINTS):
            values = 100 + rng.standard_normal(HOST_RUNS)
            if number < moving:
                values[at:] += STEP
            entries = [
                Entry(run=f"{day:02}", created=f"2026-01-{day + 1:02}", level=_level(value))
                for day, value in enumerate(map(float, values))
            ]  # fmt: skip
            yield histories.series(
                f"host{number}", Point(id=f"{place}", axis="cpu", value=f"{place}", containers=()),
                "cpus", 0, entries,
            )  # fmt: skip


def _level(value: float) -> Level:
    return Level(metric="cpus", n=10, median=value, low=None, high=None, deviation=0.0,
                 matters=0.1, relative=True, promised=100.0)  # fmt: skip


def critical(rounds: int) -> Iterator[str]:
    """The F statistics of one change and of two that chance exceeds in 0.36 of 100 series."""
    rng = np.random.default_rng(1)
    for n in CRITICAL_RUNS:
        parts = [_statistics(rng.standard_normal((1000, n))) for _ in range(rounds // 1000)]
        least = np.quantile(np.concatenate(parts), 1 - 0.0036, axis=0)
        yield f"({n}, {least[0]:.1f}, {least[1]:.1f})"


def _statistics(x: Any) -> Any:
    """F of the best one change and the best two of each row; infinite where there is no room."""
    n = x.shape[1]
    x = x - x.mean(1, keepdims=True)
    whole = (x * x).sum(1)
    sums = np.concatenate([np.zeros((len(x), 1)), x.cumsum(1)], 1)
    at = np.arange(LEAST_RUNS, n - LEAST_RUNS + 1)
    one = (sums[:, at] ** 2 * (1 / at + 1 / (n - at))).max(1)
    two = np.full(len(x), -1.0)
    for i in range(LEAST_RUNS, n - 2 * LEAST_RUNS + 1):
        j = np.arange(i + LEAST_RUNS, n - LEAST_RUNS + 1)
        mine, left = sums[:, [i]], sums[:, j]
        gain = mine**2 / i + (left - mine) ** 2 / (j - i) + left**2 / (n - j)
        two = np.maximum(two, gain.max(1))
    of_two = (two / 2) / ((whole - two) / (n - 3)) if n >= 3 * LEAST_RUNS else two * np.inf * -1
    return np.stack([one / ((whole - one) / (n - 2)), of_two], 1)


def folder(where: Path) -> Iterator[str]:
    """How long the runs of a folder take: to be collected, and to be searched for changes."""
    for how in ("first", "again"):
        began, cpu = time.monotonic(), time.process_time()
        runs = collected([where])
        read = time.monotonic() - began, time.process_time() - cpu
        began, cpu = time.monotonic(), time.process_time()
        history = histories.history(runs)
        searched = time.monotonic() - began, time.process_time() - cpu
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        yield (
            f"{how}: {len(runs.runs)} runs read in {read[0]:.1f} s ({read[1]:.1f} s of CPU), "
            f"{len(history.series)} series searched in {searched[0]:.1f} s ({searched[1]:.1f} s of "
            f"CPU), {most} MiB"
        )


def main() -> None:
    """Print what was asked for, line by line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("part", choices=["critical", "false", "found", "shared", "folder"])
    parser.add_argument("where", nargs="?", type=Path, help="of folder: a results folder")
    parser.add_argument("--rounds", type=int, default=2000, help="series a cell (2000)")
    asked = parser.parse_args()
    if asked.part == "folder":
        lines = folder(asked.where)
    else:
        simulated = {"critical": critical, "false": false, "found": found, "shared": shared}
        lines = simulated[asked.part](asked.rounds)
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
