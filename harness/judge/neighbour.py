"""How a victim fares beside an aggressor, relative to itself alone.

The same block holds both: each ratio is of two trials of the same minutes, one a block, and these
ratios are what an estimate is made of. So a drift of the host from block to block is in neither.
A trial whose partner was rejected is paired with one that was left over likewise, or repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from harness.judge.estimates import estimate
from harness.judge.metrics import METRICS
from harness.model import Estimate, Point, TrialRecord

AXIS = "neighbour"
COMPARED: Mapping[str, tuple[str, ...]] = {
    "tail_vs_alone": ("response_p99_s", "churn_max_s", "io_p99_s"),
    "done_vs_alone": ("done_rate", "io_rate"),
}
"""The metric of an estimate → what it compares: of these the first that was measured."""


def beside_alone(
    points: Iterable[Point], counted: Callable[[Point], Sequence[TrialRecord]]
) -> dict[str, dict[tuple[str, int], Estimate]]:
    """By the point's id, what the victim came to relative to itself alone (= 1).

    ``counted`` gives the trials of a point that count, in their order. A point is not there where
    none of its own counts, or none of the victim alone.
    """
    mine = [point for point in points if point.axis == AXIS]
    out = {}
    for point in mine:
        alone = next((one for one in mine if _is_alone(one, point)), None)
        if alone is None:
            continue
        pairs = _pairs(counted(point), counted(alone))
        found = {
            (name, 0): one for name, of in COMPARED.items() if (one := _relative(name, of, pairs))
        }
        if found:
            out[point.id] = found
    return out


def _pairs(
    beside: Sequence[TrialRecord], alone: Sequence[TrialRecord]
) -> list[tuple[TrialRecord, TrialRecord]]:
    """Each trial at most once, so that ratios are independent: those of a block, then the rest."""
    by_block = {trial.block: trial for trial in alone}
    blocks = {trial.block for trial in beside}
    rest = iter([trial for trial in alone if trial.block not in blocks])
    same = [(trial, by_block[trial.block]) for trial in beside if trial.block in by_block]
    others = [trial for trial in beside if trial.block not in by_block]
    return [*same, *zip(others, rest, strict=False)]


def _is_alone(one: Point, point: Point) -> bool:
    """Whether it is the very victim of that point, with nobody beside it."""
    if len(one.containers) > 1:
        return False
    a, b = one.containers[0], point.containers[0]
    return (a.workload, a.side, a.runtime) == (b.workload, b.side, b.runtime)


def _relative(
    name: str, of: Sequence[str], pairs: Sequence[tuple[TrialRecord, TrialRecord]]
) -> Estimate | None:
    for metric in of:
        measure = METRICS[metric].of
        values = [(measure(beside, 0), measure(alone, 0)) for beside, alone in pairs]
        # By their logarithms, so that twice and half as much lie equally far from the same.
        found = estimate(name, "1", [math.log(a / b) for a, b in values if a and b])
        if found:
            low, high = (None if end is None else math.exp(end) for end in (found.low, found.high))
            return replace(found, median=math.exp(found.median), low=low, high=high)
    return None
