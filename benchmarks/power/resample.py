"""Some hundred checks out of one bank: how many cry wolf, how many find a fault."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from benchmarks.power.bank import Bank, checked, digested, drawn
from benchmarks.power.faults import DEFAULT_WINDOW_S, REPEATS, WINDOW_S, Fault
from harness.model import Change, Compared, Digest, Status, TrialRecord


@dataclass(frozen=True)
class Alarms:
    """How some A/A checks ended."""

    name: str
    green: int
    open: int
    red: int
    planned: int
    """Trials of one check."""
    took: tuple[int, ...]
    """Trials that each needed."""
    reasons: tuple[str, ...] = ()
    """What the red ones said."""
    left: tuple[str, ...] = ()
    """What stayed open and decides, once for each check."""

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


def tally(name: str, planned: int, checks: Iterable[tuple[Compared, int]]) -> Alarms:
    """Count the checks by how they ended."""
    ends: Counter[str] = Counter()
    reasons, took, left = [], [], []
    for one, trials in checks:
        red = one.status is Change.REGRESSED
        green = one.status in (Change.SAME, Change.IMPROVED)
        ends["red" if red else "green" if green else "open"] += 1
        took.append(trials)
        if not red and not green:
            left += sorted({f"{row.point_id} {row.metric}" for row in one.rows
                            if row.decides and row.status is Change.INCONCLUSIVE})  # fmt: skip
            left += [f"{law.point_id} law {law.law}" for law in one.laws
                     if law.after is Status.INCONCLUSIVE]  # fmt: skip
        if red:
            rows = [row for row in one.rows if row.status is Change.REGRESSED]
            reasons += [f"{row.point_id} {row.metric}: {row.reason}" for row in rows]
            reasons += [f"{law.point_id} law {law.law}: {law.reason}" for law in one.violations]
    return Alarms(
        name,
        ends["green"],
        ends["open"],
        ends["red"],
        planned,
        tuple(took),
        tuple(reasons),
        tuple(left),
    )


def of_default(bank: Bank) -> Bank:
    """The bank of windows of the default length alone."""
    assert bank.default is not None
    info, trials = bank.default
    return replace(bank, info=info, starts=((trials,),))


def false_alarms(bank: Bank, checks: int) -> Iterator[Alarms]:
    """A/A checks: two runs each, by one look and as they go on; two draws in long windows."""
    kinds = {f"windows of {WINDOW_S:g} s, two runs each": bank}
    if bank.default is not None:
        kinds[f"windows of {DEFAULT_WINDOW_S:g} s, two draws of a run"] = of_default(bank)
    for name, mine in kinds.items():
        rng = random.Random(1)
        pairs = [drawn(mine, rng) for _ in range(checks)]
        planned = REPEATS * len(mine.info.plan.points)
        once = (checked(mine.info, a, b, goes_on=False) for a, b in pairs)
        yield tally(f"{name}, one look (`--budget 1`)", planned, once)
        yield tally(name, planned, (checked(mine.info, a, b) for a, b in pairs))


@dataclass(frozen=True)
class Power:
    """How often a metric showed a fault at a point."""

    fault: Fault
    point: str
    metric: str
    change: float
    """Of the median of all trials, as a share."""
    trials: str
    """Of the check, from the fewest to the most."""
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
        bank = of_default(bank)
    info, faulty = bank.faults[fault.name]
    for point, trials in faulty.items():
        if len(trials) < REPEATS:
            continue
        medians = [
            _medians(digested(of, {point: mine}, [point]))
            for of, mine in ((bank.info, bank.pooled[point]), (info, trials))
        ]
        rng = random.Random(f"{fault.name} {point}")
        ended = [_with_fault(bank, point, trials, rng) for _ in range(draws)]
        results, sizes = [one for one, _ in ended], [size for _, size in ended]
        for metric in (fault.metric, *fault.tails):
            change = medians[1][metric] / medians[0][metric] - 1
            found = sum(_shows(one, point, metric) for one in results)
            red = sum(one.status is Change.REGRESSED for one in results)
            told = f"{min(sizes)} to {max(sizes)}" if len({*sizes}) > 1 else f"{sizes[0]}"
            out.append(Power(fault, point, metric, change, told, found, red, draws))
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
) -> tuple[Compared, int]:
    before, queue = drawn(bank, rng)
    return checked(bank.info, before, {**queue, point: rng.sample(list(trials), len(trials))})
