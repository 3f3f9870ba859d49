"""The smallest change of each metric that matters.

Which metrics are compared, and from how much on a change of them counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from harness import limits as rules
from harness.judge.laws.cpu import BELOW_A_TICK
from harness.judge.metrics import METRICS, Better, Sensitivity, Step
from harness.model import DigestedPoint, Scale, Series

SENSITIVITY: Mapping[str, Sensitivity] = dict(
    sorted(
        ((name, metric.compared) for name, metric in METRICS.items() if metric.compared),
        # What laws speak of first, and a ratio before the CPUs that it is made of.
        key=lambda pair: (pair[1].better is not Better.LAW, pair[0] != "ratio"),
    )
)
"""The metrics that are compared, the main ones first, each with the effect that matters. The one
that is gated on is the larger of this and the host's own noise (``bench calibrate``)."""


UNSTEADY_EFFECT = 0.15
"""Of achieved CPU there, which scatters by 8 % from trial to trial: docs/decisions/011."""


def is_unsteady(*points: DigestedPoint) -> bool:
    """True where trials scatter by their nature: below a tick, and under a load of random times."""
    return any(law.law == BELOW_A_TICK for point in points for law in point.laws) or any(
        not spec.workload.saturates for point in points for spec in point.point.containers
    )


def smallest_effect(
    kind: Sensitivity, before: DigestedPoint, scale: Scale, median: float, tick_s: float
) -> float:
    """The smallest effect that matters, on ``scale``, without regard to noise."""
    absolute = kind.absolute
    if kind.step is Step.TICK:
        absolute = max(absolute, tick_s)
    elif kind.step is Step.PERIOD:
        quotas = [rules.quota_and_period_us(spec.limits) for spec in before.point.containers]
        period_us = max((quota[1] for quota in quotas if quota), default=0)
        absolute = max(absolute, period_us / 1e6 / before.point.duration_s)
    elif kind.step is Step.SHARE_OF_WINDOW and scale is Scale.RELATIVE:
        # Of the least that any of its containers used: a ratio is as coarse as its smaller part.
        least = min((statistics.median(one.values) for one in before.series
                     if one.metric == "cpus" and one.values), default=0.0)  # fmt: skip
        step = tick_s / (before.point.duration_s * least) if least > 0 else 0.0
        return max(kind.relative, step)
    elif kind.step is Step.SHARE_OF_WINDOW:
        absolute = max(absolute, tick_s / before.point.duration_s)
    return max(kind.relative, absolute / median) if scale is Scale.RELATIVE else absolute


def scale_of(kind: Sensitivity, a: Series, b: Series) -> Scale:
    """Whether a metric's change is told as a share or in its unit."""
    if kind.relative and min(*a.values, *b.values) > 0:
        return Scale.RELATIVE
    return Scale.ABSOLUTE
