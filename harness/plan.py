"""A sweep's name and options become a plan: its points, and its trials in their seeded order.

Repetitions run in blocks, each block all points in its own random order, so that a slow drift
of the host spreads over all points instead of falling on the last (randomised complete blocks).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from harness import axes
from harness import limits as rules
from harness.axes import MAX_THREADS, Options
from harness.errors import PlanError
from harness.model import Plan, PlannedTrial, Point

ALL = "all"
"""The sweep of every axis."""
MIN_PERIODS = 5
"""A window holds at least so many quota periods, and always whole ones: then it holds exactly
that many quotas, whatever its phase."""
WARMUP_PERIODS = 5
ESTIMATED_OVERHEAD_S = 0.35
"""What a trial takes outside warm-up and window; only for the time that a plan announces."""


CHURN_S = 1.0
"""A memory workload that reached its target touches it again for so long."""
DEFAULT_SEED = 1
DEFAULT_CADENCE_HZ = 50.0
DEFAULT_MOST_REPEATS = 50
"""Under ``--until`` a point that never gets narrow ends here."""
NARROWEST = 1e-4

PointsOf = Callable[[Options, int], Iterable[Point]]


def build(
    sweep: str, options: Options, *, host_cpus: int, points_of: PointsOf | None = None
) -> Plan:
    """The plan of a sweep on a host (an engine) of that many CPUs.

    ``sweep`` is an axis, ``all`` of them, or the name of a sweep whose points ``points_of`` makes.
    Raises PlanError before anything starts where a point is impossible.
    """
    repeats = options.repeats if options.repeats is not None else (3 if options.quick else 5)
    duration_s = options.duration_s if options.duration_s is not None else (
        1.0 if options.quick else 3.0
    )  # fmt: skip
    warmup_s = options.warmup_s if options.warmup_s is not None else 0.5
    cadence_hz = options.cadence_hz if options.cadence_hz is not None else DEFAULT_CADENCE_HZ
    seed = options.seed if options.seed is not None else DEFAULT_SEED
    _check_options(options, repeats, duration_s, warmup_s)
    most = max(repeats, options.most_repeats or DEFAULT_MOST_REPEATS)
    if not 1 <= cadence_hz <= 1000:
        raise PlanError(f"--cadence {cadence_hz:g} is out of range.", "Give 1 to 1000 Hz.")
    found = list((points_of or _points_of(sweep, options))(options, host_cpus))
    twice = [point_id for point_id, n in Counter(point.id for point in found).items() if n > 1]
    if twice:
        raise PlanError(f"the point {twice[0]} stands twice in the sweep.", "Leave one out.")
    points = []
    for point in found:
        for spec in point.containers:
            rules.validate(spec.limits, host_cpus=host_cpus)
        if all(spec.workload.name == "memory" for spec in point.containers):
            points.append(replace(point, warmup_s=0.1, duration_s=CHURN_S))
            continue
        period_s = _period_us(point) / 1e6
        periods = max(MIN_PERIODS, math.ceil(duration_s / period_s - 1e-9))
        steady_s = WARMUP_PERIODS * period_s if options.warmup_s is None else 0.0
        points.append(
            replace(
                point,
                duration_s=round(periods * period_s, 9),
                warmup_s=max(warmup_s, steady_s),
            )
        )
    return Plan(
        sweep=sweep,
        points=tuple(points),
        trials=_order(points, repeats, seed),
        repeats=repeats,
        seed=seed,
        cadence_hz=cadence_hz,
        quick=options.quick,
        until=options.until,
        most_repeats=most if options.until is not None else None,
        command=options.command,
    )


def _points_of(sweep: str, options: Options) -> PointsOf:
    if sweep != ALL:
        return axes.find(sweep).points
    if options.values is not None:
        raise PlanError("`bench sweep all` takes no --values.", "Sweep one axis to choose them.")
    return lambda given, cpus: (
        point for axis in axes.AXES.values() for point in axis.points(given, cpus)
    )


def estimated_s(plan: Plan) -> float:
    """The wall time that the plan takes, in seconds."""
    return sum(
        point.warmup_s + point.duration_s + ESTIMATED_OVERHEAD_S
        for point in (plan.point(trial.point_id) for trial in plan.trials)
    )


def _check_options(options: Options, repeats: int, duration_s: float, warmup_s: float) -> None:
    if repeats < 1:
        raise PlanError(f"--repeats {repeats} is too few.", "Give 1 or more; 5 for an interval.")
    if not 0.1 <= duration_s <= 3600:
        raise PlanError(f"--duration {duration_s:g} is out of range.", "Give 0.1 to 3600 seconds.")
    if not 0 <= warmup_s <= 600:
        raise PlanError(f"--warmup {warmup_s:g} is out of range.", "Give 0 to 600 seconds.")
    if options.until is not None and not NARROWEST <= options.until < 1:
        raise PlanError(f"--until {options.until:.2%} is out of range.", "Give 0.01% to 99%.")
    if options.most_repeats is not None:
        if options.until is None:
            raise PlanError("--most-repeats needs --until.", "Without it, --repeats is exact.")
        if options.most_repeats < repeats:
            raise PlanError(
                f"--most-repeats {options.most_repeats} is below --repeats {repeats}.",
                "Give more, or fewer repeats.",
            )
    if options.threads is not None and not 1 <= options.threads <= MAX_THREADS:
        raise PlanError(f"--threads {options.threads} is out of range.", "Give 1 to 1024.")


def _period_us(point: Point) -> int:
    """The longest quota period of a point's containers; the default one where none has a quota."""
    found = [
        quota[1] for spec in point.containers if (quota := rules.quota_and_period_us(spec.limits))
    ]
    return max(found, default=rules.DEFAULT_PERIOD_US)


def _order(points: Sequence[Point], repeats: int, seed: int) -> tuple[PlannedTrial, ...]:
    rng = random.Random(seed)
    trials: list[PlannedTrial] = []
    # The two sides of a point in an A/B run stay next to each other, now one first, now the other.
    together: dict[str, list[str]] = {}
    for point in points:
        together.setdefault(point.id.removeprefix(f"{point.side}: "), []).append(point.id)
    for block in range(repeats):
        groups = list(together.values())
        rng.shuffle(groups)
        order = [
            point_id for ids in groups for point_id in (rng.sample(ids, 2) if ids[1:] else ids)
        ]
        trials += [
            PlannedTrial(index=len(trials) + i, block=block, point_id=point_id)
            for i, point_id in enumerate(order)
        ]
    return tuple(trials)
