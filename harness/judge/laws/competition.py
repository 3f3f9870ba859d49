"""How containers that want the same CPU share it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness import limits as rules
from harness.judge.laws.circumstances import Circumstances
from harness.judge.laws.cpu import allowed_cpus, nothing_outside
from harness.model import EngineFacts, Expectation, Point, Scale

RATIO_TOLERANCE = 0.02
"""The share by which a ratio of CPU may miss the ratio of weights. See docs/decisions/003."""

_SHARES = "Documentation/scheduler/sched-design-CFS.rst"
_WEIGHTS = "Documentation/admin-guide/cgroup-v2.rst"


def expectations(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    """Containers that all want one and the same CPU share it as their weights."""
    allowed = [allowed_cpus(spec.limits) for spec in point.containers]
    first = allowed[0]
    pinned = first is not None and len(first) == 1 and all(one == first for one in allowed)
    if not pinned:
        return ()  # the balancer moves whole threads: a measurement, and no law
    if not all(spec.workload.saturates for spec in point.containers):
        return (nothing_outside(),)  # what wants less than its share leaves the rest to the others
    engine = given.engine.running(point.containers[0].runtime)
    # Of each container by each formula that the runtime may have, one where that is known.
    by_container = [rules.weights(spec.limits, engine) for spec in point.containers]
    ways = list(zip(*by_container, strict=True))
    weights = ways[0]
    source = _SHARES if given.engine.cgroup_version == 1 else _WEIGHTS
    tolerance = math.log1p(RATIO_TOLERANCE)
    found = [
        Expectation(
            metric="ratio",
            container=i,
            value=weights[i] / weights[-1],
            low=-tolerance,
            high=tolerance,
            scale=Scale.LOG,
            law="cpu-shares",
            text="CPU time of containers that compete = the ratio of their weights",
            source=source,
            bound="shares",
            explanation=_conversion(engine, weights),
            not_exercisable=_no_formula(engine, {way[i] / way[-1] for way in ways}),
        )
        for i in range(len(weights) - 1)
    ]
    return (*found, nothing_outside())


def _conversion(engine: EngineFacts, weights: Sequence[int]) -> str:
    if engine.cgroup_version == 1 or not rules.weight_formula(*engine.limits_by):
        return ""
    return (
        f"shares become weights ({', '.join(map(str, weights))}) by the formula of "
        f"{' '.join(engine.limits_by)}"
    )


def _no_formula(engine: EngineFacts, ratios: set[float]) -> str:
    """Why the ratio is not known that weights should have; empty where it is."""
    if len(ratios) == 1:
        return ""
    may_be = " or ".join(f"{ratio:.3g}" for ratio in sorted(ratios))
    return (
        f"the runtime {engine.runtime} does not tell which version of runc or crun it runs, and so "
        f"not how shares become weights: their ratio may be {may_be}"
    )
