"""What of two runs belongs together.

Points, and the series of each pair of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from harness.comparison.digest import bare
from harness.comparison.sensitivity import SENSITIVITY
from harness.comparison.significance import (
    MIN_TRIALS,
)
from harness.model import (
    Digest,
    DigestedPoint,
    Series,
)

Pair = tuple[DigestedPoint, DigestedPoint]


def paired(before: Digest, after: Digest, *, ab: bool) -> tuple[list[Pair], list[str]]:
    """The points that can be put side by side, and why others of the same name cannot."""
    now = {one.point.id: one for one in after.points}
    pairs, apart = [], []
    for one in before.points:
        other = now.get(one.point.id)
        if other is None:
            continue
        if ab or bare(one.point) == bare(other.point):
            pairs.append((one, other))
        else:
            names = [field.name for field in fields(one.point)]
            differ = [
                _differing(name, getattr(one.point, name), getattr(other.point, name))
                for name in names
                if getattr(one.point, name) != getattr(other.point, name)
            ]
            apart.append(f"{one.point.id} is not compared: {' and '.join(differ)}.")
    return pairs, apart


def _differing(name: str, then: object, now: object) -> str:
    if isinstance(then, float) and isinstance(now, float):
        return f"its {name} was {then:g}, is {now:g}"
    return "its limits or its load differ" if name == "containers" else f"its {name} differs"


def unpaired(before: Digest, after: Digest) -> list[str]:
    """Points that only one of two runs has, in words."""
    then, now = ({one.point.id for one in digest.points} for digest in (before, after))
    said = []
    for only, where in ((then - now, "before"), (now - then, "now")):
        if only:
            names = ", ".join(sorted(only)[:4]) + ", …" * (len(only) > 4)
            said.append(f"Measured only {where}, so not compared: {names}.")
    return said


def common_series(
    then: DigestedPoint, now: DigestedPoint
) -> Iterator[tuple[str, Series | None, Series | None]]:
    """The metrics that were measured on either side, in the order of ``SENSITIVITY``."""
    a, b = ({(one.metric, one.container): one for one in point.series} for point in (then, now))
    for metric in SENSITIVITY:
        for container in range(len(now.point.containers)):
            key = metric, container
            if key in a or key in b:
                yield metric, a.get(key), b.get(key)


def are_enough(a: Series, b: Series) -> bool:
    """Whether both have trials enough to be compared."""
    return min(len(a.values), len(b.values)) >= MIN_TRIALS
