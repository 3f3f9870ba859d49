"""Some hundred checks out of one bank: how many cry wolf, how many find a fault."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from benchmarks.power.bank import Bank, checked, digested, halves
from benchmarks.power.faults import DEFAULT_WINDOW_S, REPEATS, TWO, WINDOW_S, Fault
from harness.comparison import noise as comparison_noise
from harness.judge.points import summarise
from harness.judge.width import half_width
from harness.model import Change, Compared, Digest, Noise, TrialRecord


@dataclass(frozen=True)
class Alarms:
    """How some A/A checks ended."""

    name: str
    green: int
    open: int
    red: int
    reasons: tuple[str, ...] = ()
    """What the red ones said."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.green + self.open + self.red

    @property
    def bound(self) -> float:
        """The share of red ones that these checks exclude with 95 % confidence."""
        return upper(self.red, self.total)


def upper(found: int, total: int) -> float:
    """Clopper and Pearson's one-sided 95 % bound."""
    return float(stats.beta.ppf(0.95, found + 1, total - found)) if found < total else 1.0


def tally(name: str, checks: Iterable[Compared]) -> Alarms:
    """Count the checks by how they ended."""
    ends: Counter[str] = Counter()
    reasons = []
    for one in checks:
        red = one.status is Change.REGRESSED
        green = one.status in (Change.SAME, Change.IMPROVED)
        ends["red" if red else "green" if green else "open"] += 1
        if red:
            rows = [row for row in one.rows if row.status is Change.REGRESSED]
            reasons += [f"{row.point_id} {row.metric}: {row.reason}" for row in rows]
            reasons += [f"{law.point_id} law {law.law}: {law.reason}" for law in one.violations]
    return Alarms(name, ends["green"], ends["open"], ends["red"], tuple(reasons))


def false_alarms(bank: Bank, checks: int) -> Iterator[Alarms]:
    """A/A checks: out of one pool, between runs, and both with the noise that is calibrated."""
    rng = random.Random(1)
    noise = calibrated(bank)
    pool = bank.pooled
    pairs = [(a, b) for a in bank.runs for b in bank.runs if a is not b]
    drawn = [halves(pool, rng) for _ in range(checks)]
    if bank.default is not None:
        info, trials = bank.default
        long = Bank(info, None, (), {})
        more = [halves(trials, rng) for _ in range(checks)]
        yield tally(
            f"windows of {DEFAULT_WINDOW_S:g} s, {len(trials)} points",
            (checked(long, a, b) for a, b in more),
        )
    yield from (
        tally(f"windows of {WINDOW_S:g} s, from all runs", (checked(bank, a, b) for a, b in drawn)),
        tally("the same, calibrated", (checked(bank, a, b, noise) for a, b in drawn)),
        tally("each run against each other", (checked(bank, a, b) for a, b in pairs)),
        tally("the same, calibrated", (checked(bank, a, b, noise) for a, b in pairs)),
    )


def calibrated(bank: Bank) -> Noise:
    """What `bench calibrate` says of the first three runs."""
    digests = [digested(bank.info, run) for run in bank.runs[:3]]
    return Noise(
        created="", hostname=bank.info.host.hostname, fingerprint=digests[0].fingerprint,
        runs=tuple(one.run for one in digests), repeats=REPEATS,
        floors=comparison_noise.floors(digests),
    )  # fmt: skip


@dataclass(frozen=True)
class Power:
    """How often a metric showed a fault at a point."""

    fault: Fault
    point: str
    metric: str
    change: float
    """Of the median of all trials, as a share."""
    trials: str
    """On both sides."""
    found: int
    red: int
    draws: int

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper and Pearson's, 90 %."""
        return 1 - upper(self.draws - self.found, self.draws), upper(self.found, self.draws)


def power(bank: Bank, fault: Fault, draws: int) -> list[Power]:
    """A fault at each of its points, the other points being A/A, in whole checks."""
    out = []
    if fault.window_s != WINDOW_S and bank.default is not None:
        bank = replace(bank, info=bank.default[0], runs=(bank.default[1],))
    info, faulty = bank.faults[fault.name]
    for point, trials in faulty.items():
        if len(trials) < REPEATS:
            continue
        medians = [
            _medians(digested(of, {point: mine}, [point]))
            for of, mine in ((bank.info, bank.pooled[point]), (info, trials))
        ]
        rng = random.Random(f"{fault.name} {point}")
        ways = {f"{REPEATS}": [_with_fault(bank, point, trials, rng) for _ in range(draws)]}
        if fault.goal == TWO:
            results, sizes = _until(bank, point, trials, rng, draws)
            ways[sizes] = results
        for metric in (fault.metric, *fault.tails):
            change = medians[1][metric] / medians[0][metric] - 1
            for sizes, results in ways.items():
                found = sum(_shows(one, point, metric) for one in results)
                red = sum(one.status is Change.REGRESSED for one in results)
                out.append(Power(fault, point, metric, change, sizes, found, red, draws))
    return out


def _medians(one: Digest) -> dict[str, float]:
    """The median of each metric of the only point's first container."""
    (point,) = one.points
    return {s.metric: statistics.median(s.values) for s in point.series if s.container == 0}


def _shows(one: Compared, point: str, metric: str) -> bool:
    """Whether a check says that the metric of the point's first container has changed."""
    return any(
        (row.point_id, row.metric, row.container) == (point, metric, 0)
        and row.status in (Change.REGRESSED, Change.IMPROVED)
        for row in one.rows
    )


def _with_fault(
    bank: Bank, point: str, trials: Sequence[TrialRecord], rng: random.Random
) -> Compared:
    before, after = halves(bank.pooled, rng)
    return checked(bank, before, {**after, point: rng.sample(list(trials), REPEATS)})


def _until(
    bank: Bank, point: str, trials: Sequence[TrialRecord], rng: random.Random, draws: int
) -> tuple[list[Compared], str]:
    """Both sides go on until the point's interval is as narrow as `--until 0.5%` asks."""
    results, sizes = [], []
    for _ in range(draws):
        before, after = halves(bank.pooled, rng)
        before[point] = narrow(bank, point, bank.pooled[point], rng)
        after[point] = narrow(bank, point, trials, rng)
        sizes += [len(before[point]), len(after[point])]
        results.append(checked(bank, before, after))
    return results, f"--until 0.5%: {min(sizes)} to {max(sizes)}"


def narrow(
    bank: Bank, point: str, trials: Sequence[TrialRecord], rng: random.Random, until: float = 0.005
) -> list[TrialRecord]:
    """Trials in random order until half of the interval is narrow enough twice in a row."""
    order = rng.sample(list(trials), len(trials))
    plan = replace(bank.info.plan, points=(bank.info.plan.point(point),))
    in_a_row = 0
    for n in range(REPEATS, len(order) + 1):
        (summary,) = summarise(plan, order[:n], bank.info.engine, bank.info.host)
        width = half_width(summary)
        in_a_row = in_a_row + 1 if width is not None and width <= until else 0
        if in_a_row == 2:
            return order[:n]
    return order
