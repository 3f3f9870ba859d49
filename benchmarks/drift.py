"""``python -m benchmarks.drift``: how often an interval between two days holds where levels drift.

A host whose level moves from day to day and from run to run is simulated, a calibration learns of
it by runs of so many days, and two runs of later days of which nothing differs are compared by the
code in use. Wanted: 90 %. Beside it what the trials alone would have said.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import replace

from harness.comparison.drift import between, drifts
from harness.comparison.significance import shift, widened
from harness.model import Digest, Scale
from tests.digests import digest, point

ROUNDS = 1000
DAYS, RUNS = (5, 7, 14), (1, 3)
MOVED = (0.0, 0.003, 0.01, 0.03)
"""From day to day, as shares of the level; from run to run a fifth of it."""
TRIALS = 0.01
"""What trials scatter by, as a share."""


def on_day(number: int, values: Sequence[float], hour: int = 8) -> Digest:
    """A run of one point on a day."""
    made = digest(point({"cpus": values}), run=f"{number}-{hour}")
    return replace(made, created=f"2026-01-{number + 1:02}T{hour:02}:00:00+00:00")


class Host:
    """One whose level moves by that share from day to day, and from run to run."""

    def __init__(self, seed: int, *, days: float, runs: float = 0.0) -> None:
        self._rng, self._days, self._runs = random.Random(seed), days, runs

    def day(self, number: int, runs: int = 1) -> list[Digest]:
        """The runs of a day, one an hour."""
        base = self._rng.gauss(0.5, 0.5 * self._days)
        return [on_day(number, self._run(base), hour) for hour in range(runs)]

    def _run(self, base: float) -> list[float]:
        level = self._rng.gauss(base, 0.5 * self._runs)
        return [self._rng.gauss(level, 0.5 * TRIALS) for _ in range(10)]


def history(host: Host, days: int, runs: int = 1) -> list[Digest]:
    """The runs of so many days, one after the other."""
    return [one for number in range(days) for one in host.day(number, runs)]


def held(days: int, runs: int, moved: float, rounds: int = ROUNDS) -> tuple[float, float, float]:
    """The shares of intervals that hold nothing's having changed, with drift and without.

    And how much wider they are with it.
    """
    wide = narrow = 0
    ratio = 0.0
    for seed in range(rounds):
        host = Host(seed, days=moved, runs=moved / 5)
        (drift,) = drifts(history(host, days, runs))
        (then,), (now,) = host.day(days), host.day(days + 1)
        a, b = (one.points[0].series[0].values for one in (then, now))
        found = shift(a, b, Scale.RELATIVE)
        more = between(drift, then, now)
        assert more is not None
        wider = widened(found, *more)
        wide += wider.low <= 0 <= wider.high
        narrow += found.low <= 0 <= found.high
        ratio += (wider.high - wider.low) / (found.high - found.low)
    return wide / rounds, narrow / rounds, ratio / rounds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    write = sys.stdout.write
    write(
        "| days | runs a day | moved | holds | trials alone | wider |\n|---|---|---|---|---|---|\n"
    )
    for days in DAYS:
        for runs in RUNS:
            for moved in MOVED:
                wide, narrow, ratio = held(days, runs, moved, rounds)
                write(
                    f"| {days} | {runs} | {moved:.1%} | {wide:.3f} | {narrow:.3f} | {ratio:.2f} |\n"
                )


if __name__ == "__main__":
    main()
