"""``python -m benchmarks.coverage``: how often the interval of a change covers the truth.

Both sides are drawn from the same distribution, so the true change is 0; the interval is the
product's own (``significance.shift``), at its 90 %. docs/decisions/010 has the table.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

from harness.comparison.significance import shift
from harness.model import Scale

ROUNDS = 1000
TRIALS = (5, 7, 10, 20)
Draw = Callable[[random.Random], float]
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng: rng.gauss(0, 1),
    "uniform": lambda rng: rng.uniform(-1, 1),
    "exponential": lambda rng: rng.expovariate(1),
    "Laplace": lambda rng: rng.expovariate(1) * rng.choice((-1, 1)),
    "lognormal": lambda rng: rng.lognormvariate(0, 1),
    "disturbed": lambda rng: rng.gauss(0, 1) + 10 * (rng.random() < 0.1),
    "half ticks": lambda rng: round(2 * rng.gauss(0, 1)) / 2,
    "ticks": lambda rng: float(round(rng.gauss(0, 1))),
}


def coverage(draw: Draw, n: int, rounds: int = ROUNDS) -> float:
    """The share of pairs whose interval held 0."""
    rng = random.Random(n)
    covered = 0
    for _ in range(rounds):
        a, b = ([draw(rng) for _ in range(n)] for _ in range(2))
        found = shift(a, b, Scale.ABSOLUTE)
        covered += found.low <= 0 <= found.high
    return covered / rounds


def main() -> None:
    """Print the table."""
    lines = [f"| n | {' | '.join(DISTRIBUTIONS)} |", f"|---|{'---|' * len(DISTRIBUTIONS)}"]
    for n in TRIALS:
        found = [f"{coverage(draw, n):.3f}" for draw in DISTRIBUTIONS.values()]
        lines.append(f"| {n} | {' | '.join(found)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
