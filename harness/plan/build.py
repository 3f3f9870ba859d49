"""How a sweep's name becomes a plan.

The name and its options give the points, and these the trials in their seeded order.

Repetitions run in blocks, each block all points in its own random order, so that a slow drift
of the host spreads over all points instead of falling on the last (randomised complete blocks).
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.limits.ulimits import soft_and_hard
from harness.model import (
    UNLIMITED,
    ContainerSpec,
    Growth,
    Kept,
    Lifecycle,
    Plan,
    PlannedTrial,
    Point,
    Program,
    Spin,
    Take,
)
from harness.plan import axes
from harness.plan.axes import MAX_THREADS, Options
from harness.plan.axes.lifecycle import LIFECYCLE_S
from harness.plan.axes.storage import KEPT_S
from harness.wording import counted

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
TAKING_S = 0.1
"""About what it takes to take what is refused soon: only for the time that a plan announces."""
MIXED_S = 3.0
"""The same where page cache is read again, from a disk where it had given way."""
MOST_POINTS, MOST_TRIALS = 10_000, 1_000_000
"""Of a plan: months."""
DEFAULT_SEED = 1
DEFAULT_CADENCE_HZ = 50.0
DEFAULT_MOST_REPEATS = 50
"""Under ``--until`` a point that never gets narrow ends here."""
NARROWEST = 1e-4

PointsOf = Callable[[Options, EngineCpus], Iterable[Point]]


def build(
    sweep: str, options: Options, *, cpus: EngineCpus, points_of: PointsOf | None = None
) -> Plan:
    """The plan of a sweep on an engine with these CPUs.

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
    points = []
    for point in _bounded((points_of or _points_of(sweep, options))(options, cpus), repeats):
        for spec in point.containers:
            rules.validate(spec.limits, cpus=cpus)
        if isinstance(point.containers[0].workload, Lifecycle):
            points.append(replace(point, warmup_s=0.0, duration_s=LIFECYCLE_S))
            continue
        if isinstance(point.containers[0].workload, Kept):
            points.append(replace(point, warmup_s=0.0, duration_s=KEPT_S))
            continue
        if all(spec.workload.ends_by_itself for spec in point.containers):
            points.append(replace(point, warmup_s=0.1, duration_s=_goes_on_s(point)))
            continue
        period_s = _period_us(point) / 1e6
        window_s = _window_s(point, options) or duration_s
        periods = max(MIN_PERIODS, math.ceil(window_s / period_s - 1e-9))
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


def _window_s(point: Point, options: Options) -> float | None:
    """What the point's axis has of its own, where nobody says another."""
    axis = axes.AXES.get(point.axis)
    if axis is None or axis.window_s is None or options.duration_s is not None:
        return None
    return axis.window_s / 2 if options.quick else axis.window_s


def _goes_on_s(point: Point) -> float:
    """How long a point goes on once its loads have what they want, or were refused it."""
    kinds = [spec.workload.kind for spec in point.containers if isinstance(spec.workload, Growth)]
    if not kinds:
        return TAKING_S
    return MIXED_S if "mixed" in kinds else CHURN_S


def _points_of(sweep: str, options: Options) -> PointsOf:
    if sweep != ALL:
        axis = axes.find(sweep)
        if isinstance(options.workload, Program) and axis.takes is None:
            able = ", ".join(one.name for one in axes.AXES.values() if one.takes)
            raise PlanError(
                f"the {sweep} sweep has loads of its own: it takes no --workload.",
                f"These take one: {able}.",
            )
        return axis.points
    if options.values is not None:
        raise PlanError("`bench sweep all` takes no --values.", "Sweep one axis to choose them.")
    return points_of_all()


def points_of_all() -> PointsOf:
    """Those of every axis that ``all`` sweeps."""
    chosen = [axis for axis in axes.AXES.values() if not axis.apart]

    def points(given: Options, cpus: EngineCpus) -> Iterable[Point]:
        for axis in chosen:
            # A program that was named is a load of the CPU: the other axes keep to their own.
            own = given if axis.takes == "load" else replace(given, workload=Spin())
            yield from axis.points(own, cpus)

    return points


def on_device(point: Point) -> bool:
    """Whether it is about a block device, which not every engine can be lent."""
    return any(
        rules.need_device(spec.limits)
        or (spec.workload.scratch is not None and spec.workload.scratch.type == "device")
        for spec in point.containers
    )


def without_device(sweep: str, options: Options) -> PointsOf | None:
    """What makes the other points of a sweep that is about a device in some of them alone.

    None where none is, where all are, and where its user named them.
    """
    if options.values is not None or (sweep != ALL and axes.find(sweep).on_device):
        return None
    points_of = _points_of(sweep, options)
    return lambda given, cpus: (one for one in points_of(given, cpus) if not on_device(one))


def estimated_s(plan: Plan) -> float:
    """The wall time that the plan takes, in seconds."""
    return sum(
        point.warmup_s + point.duration_s + ESTIMATED_OVERHEAD_S + _waits_s(point)
        for point in (plan.point(trial.point_id) for trial in plan.trials)
    )


def _waits_s(point: Point) -> float:
    """What its loads wait for each other, or are waited for."""
    return max(map(_waited_for_s, point.containers))


def _waited_for_s(spec: ContainerSpec) -> float:
    """What CPU time is taken until it is refused takes at least as long."""
    match spec.workload:
        case Growth(may_stand=True) as load:
            return load.STANDS_S
        case Growth(after_s=after_s):
            return after_s
        case Take(kind="cpu", most=most):
            limit = spec.limits.ulimit_cpu
            soft = UNLIMITED if limit is None else soft_and_hard(limit)[0]
            return most / 1e9 if soft == UNLIMITED else min(soft, most / 1e9)
        case _:
            return 0.0


def _bounded(points: Iterable[Point], repeats: int) -> list[Point]:
    """All of them, each once, and no more than anybody measures."""
    found = list(itertools.islice(points, MOST_POINTS + 1))
    if len(found) > MOST_POINTS:
        raise PlanError(f"more than {MOST_POINTS:,} points.", "Give fewer values.")
    if repeats * len(found) > MOST_TRIALS:
        raise PlanError(
            f"{repeats} repeats of {counted(len(found), 'point')} are more than {MOST_TRIALS:,} "
            "trials.", "Give fewer.",
        )  # fmt: skip
    twice = [point_id for point_id, n in Counter(point.id for point in found).items() if n > 1]
    if twice:
        raise PlanError(f"the point {twice[0]} stands twice in the sweep.", "Leave one out.")
    return found


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
