"""How far a host's figures move when nothing changes."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from harness.comparison.drift import LEAST_DAYS, day
from harness.comparison.pairs import are_enough, common_series, paired
from harness.comparison.sensitivity import SENSITIVITY, scale_of
from harness.comparison.significance import (
    Shift,
    shift,
)
from harness.model import (
    Digest,
    Floor,
    Noise,
    Scale,
)


def floors(digests: Sequence[Digest]) -> tuple[Floor, ...]:
    """The noise of each metric of each point, from runs of which nothing differs.

    The furthest edge of the intervals of all pairs of runs: what a comparison of two such runs
    must take for nothing. It holds for as many trials as the runs had.
    """
    furthest: dict[tuple[str, str, int], list[tuple[Shift, float]]] = {}
    for before, after in itertools.combinations(digests, 2):
        for then, now in paired(before, after, ab=False)[0]:
            for metric, a, b in common_series(then, now):
                if a is not None and b is not None and are_enough(a, b):
                    found = shift(a.values, b.values, scale_of(SENSITIVITY[metric], a, b))
                    key = then.point.id, metric, a.container
                    furthest.setdefault(key, []).append((found, statistics.median(a.values)))
    return tuple(
        _floor(point_id, metric, container, found)
        for (point_id, metric, container), found in furthest.items()
    )


def _floor(
    point_id: str, metric: str, container: int, found: Sequence[tuple[Shift, float]]
) -> Floor:
    scale = Scale.ABSOLUTE if any(s.scale is Scale.ABSOLUTE for s, _ in found) else Scale.RELATIVE
    edges = [
        max(abs(one.low), abs(one.high)) * (median if one.scale is not scale else 1)
        for one, median in found
    ]
    return Floor(
        point_id=point_id, metric=metric, container=container, scale=scale,
        change=float(f"{max(edges):.4g}"),
    )  # fmt: skip


def floor_of(
    noise: Noise | None, point_id: str, container: int, metric: str, scale: Scale
) -> float | None:
    """The noise of a metric of a point, on that scale; None where it was not measured.

    For a point that was not calibrated it is the largest that the metric has anywhere.
    """
    of_metric = [
        one for one in (noise.floors if noise else ())
        if one.metric == metric and one.scale is scale
    ]  # fmt: skip
    own = [one for one in of_metric if (one.point_id, one.container) == (point_id, container)]
    return max((one.change for one in own or of_metric), default=None)


def noise_remark(noise: Noise | None, before: Digest, after: Digest) -> tuple[str, ...]:
    """What is told of the noise that a comparison of two runs allowed for."""
    if noise is None:
        return ("This host's noise between runs is not known: `bench calibrate` measures it.",)
    known = f"(`bench calibrate`, {noise.created})"
    if max((one.days for one in noise.drifts), default=1) >= LEAST_DAYS:
        return (f"Intervals allow for what moves between runs and days here {known}.",)
    said = f"No effect below this host's own noise counts {known}."
    if day(before.created) == day(after.created):
        return (said,)
    unknown = (
        "What moves from day to day is not known, and these runs are of two days: "
        f"`bench calibrate --from-history` tells it from runs of {LEAST_DAYS} days."
    )
    return (said, unknown)
