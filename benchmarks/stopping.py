"""``python -m benchmarks.stopping``: how often a check that goes on is wrong, at its own stops.

Whole checks are simulated through the product's own code: comparison, looks, the rule that says
which points go on. Nothing differs → red at most once in a hundred checks. A metric has moved by
just what matters → *same* at most once in twenty. Beside it the same draws under a rule that peeks
(every look as strict as a single one), and under one look alone. docs/decisions/037 has the tables.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from benchmarks.coverage import DISTRIBUTIONS, Draw
from harness.comparison import changes
from harness.comparison.further import next_sizes
from harness.limits import Limits
from harness.model import (
    Change,
    Compared,
    ContainerSpec,
    Digest,
    DigestedPoint,
    Fingerprint,
    JudgedLaw,
    Point,
    Series,
    Status,
)

CHECKS = 400
REPEATS = 10
SHAPES = ("normal", "Laplace", "exponential", "disturbed", "half ticks")
SCATTERS = (0.006, 0.01)
"""Where one look at ten trials a side often cannot tell; below, it nearly always can."""
STEADY = 0.004
"""As CPU in windows of 1 s does in tests/data/bank.json; a ratio of shares scatters by 0.7 %."""
EFFECT = 0.01
"""Of achieved CPU."""
WATCHED = {"work_rate": 0.02, "gap_max_s": 0.2, "start_s": 0.1}
"""Other metrics of each point, with their scatter; nothing settles them."""
_HOST = Fingerprint(**dict.fromkeys(changes.FACTS, ""))
_LAW = JudgedLaw(
    law="cpu-bandwidth", metric="cpus", promised=0.5, status=Status.CONFORMS, reason="",
    settles=("cpus",),
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What the trials of a check are drawn from."""

    draw: Draw
    scatter: float
    moved: float = 0.0
    """The share by which the first point's CPU has really changed."""
    points: int = 1
    metrics: Mapping[str, float] | None = None
    """Beside CPU, with their scatter."""


def simulated(truth: Truth, seed: str, *, looks: bool = True) -> Compared:
    """One check to its end, as `bench check` would end."""
    rng = random.Random(seed)
    before = _digest(_drawn(truth, rng, {}, moved=False), 0)
    trials = _drawn(truth, rng, {}, moved=True)
    look = 1
    while True:
        compared = changes.compare(before, _digest(trials, look if looks else 0))
        # A rule that does not know of looks would go on all the same.
        at = replace(compared, after=replace(compared.after, look=look))
        due = next_sizes(at, REPEATS)
        if not due:
            return compared
        trials = _drawn(truth, rng, trials, moved=True, due=due)
        look += 1


Trials = dict[str, dict[str, list[float]]]


def _drawn(
    truth: Truth, rng: random.Random, have: Trials, *, moved: bool,
    due: Mapping[str, int] | None = None,
) -> Trials:  # fmt: skip
    """So many values of each metric of each point, those that are there included."""
    out: Trials = {}
    for i in range(truth.points):
        name = f"cpus={i}"
        out[name] = {}
        for metric, scatter in {"cpus": truth.scatter, **(truth.metrics or {})}.items():
            values = list(have.get(name, {}).get(metric, ()))
            factor = 1 + truth.moved * (moved and i == 0 and metric == "cpus")
            while len(values) < (due or {}).get(name, REPEATS):
                values.append(0.5 * factor * max(0.01, 1 + scatter * truth.draw(rng)))
            out[name][metric] = values
    return out


def _digest(trials: Trials, look: int) -> Digest:
    points = tuple(
        DigestedPoint(
            point=Point(
                id=name, axis="cpu", value="0.5", duration_s=3.0,
                containers=(ContainerSpec(limits=Limits(cpus=0.5)),),
            ),
            trials=len(metrics["cpus"]),
            valid=len(metrics["cpus"]),
            series=tuple(Series(metric=one, values=tuple(v)) for one, v in metrics.items()),
            laws=(_LAW,),
        )
        for name, metrics in trials.items()
    )  # fmt: skip
    return Digest(
        run=f"look {look}", created="", hostname="", sweep="cpu", seed=1, cadence_hz=50,
        tick_s=0.004, fingerprint=_HOST, points=points, look=look,
    )  # fmt: skip


def ends(truth: Truth, checks: int, *, looks: bool = True, first: bool = False) -> Counter[Change]:
    """How so many checks end; ``first``: by one look alone, as `bench check --budget 1` does."""
    if first:
        return Counter(_single(truth, f"{i}").status for i in range(checks))
    return Counter(simulated(truth, f"{i}", looks=looks).status for i in range(checks))


def _single(truth: Truth, seed: str) -> Compared:
    rng = random.Random(seed)
    before = _digest(_drawn(truth, rng, {}, moved=False), 0)
    return changes.compare(before, _digest(_drawn(truth, rng, {}, moved=True), 0))


def table(checks: int, write: Callable[[str], object]) -> None:
    """The error rates, a row a distribution and scatter."""
    write(
        "| scatter | distribution | A/A red | A/A open | once | moved by 1 %: same | peeking | "
        "once |\n|---|---|---|---|---|---|---|---|\n"
    )
    for scatter in SCATTERS:
        for name in SHAPES:
            same = Truth(DISTRIBUTIONS[name], scatter)
            edge, null = replace(same, moved=EFFECT), ends(same, checks)
            shares = [
                null[Change.REGRESSED], null[Change.INCONCLUSIVE],
                ends(same, checks, first=True)[Change.INCONCLUSIVE],
                ends(edge, checks)[Change.SAME], ends(edge, checks, looks=False)[Change.SAME],
                ends(edge, checks, first=True)[Change.SAME],
            ]  # fmt: skip
            told = " | ".join(f"{share / checks:.3f}" for share in shares)
            write(f"| {scatter:.1%} | {name} | {told} |\n")


def whole(checks: int, write: Callable[[str], object]) -> None:
    """Checks of nine points with four metrics each, of which nothing differs."""
    for name in ("normal", "disturbed"):
        truth = Truth(DISTRIBUTIONS[name], STEADY, points=9, metrics=WATCHED)
        found = ends(truth, checks)
        told = ", ".join(f"{found[status]} {status.value}" for status in Change if found[status])
        write(f"9 points, 36 numbers, {name}: of {checks} A/A checks {told}\n")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stopping", description=__doc__)
    parser.add_argument("--checks", type=int, default=CHECKS)
    checks = parser.parse_args().checks
    whole(max(1, checks // 4), sys.stdout.write)
    table(checks, sys.stdout.write)


if __name__ == "__main__":
    main()
