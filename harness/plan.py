"""A sweep's name and options become a plan: its points, and its trials in their seeded order.

Repetitions run in blocks, each block all points in its own random order, so that a slow drift
of the host spreads over all points instead of falling on the last (randomised complete blocks).
"""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness import limits as rules
from harness.errors import PlanError
from harness.model import ContainerSpec, Limits, Plan, PlannedTrial, Point

MIN_PERIODS = 30
"""A window spans at least so many quota periods: fewer would leave its edges in the result."""
WARMUP_PERIODS = 5
_MAX_THREADS = 1024

ESTIMATED_OVERHEAD_S = 0.35
"""What a trial takes outside warm-up and window; only for the time that a plan announces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user may set on any sweep; None = the sweep's own default."""

    values: str | None = None
    repeats: int | None = None
    duration_s: float | None = None
    warmup_s: float | None = None
    seed: int = 1
    threads: int | None = None
    cadence_hz: float = 50.0
    quick: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """One limit that can be varied."""

    name: str
    option: str
    summary: str
    points: Callable[[Options, int], tuple[Point, ...]]


def default_cpus(host_cpus: int, *, quick: bool = False) -> list[float]:
    """The values of ``--cpus`` that tell most on a host of that many CPUs, ascending.

    2 CPUs: 0.25, 0.5, 1, 1.5, 2; more: halves below one, then doublings, the host less one CPU,
    and the whole host. ``quick`` keeps three of them.
    """
    if quick:
        return sorted({0.5, 1.0, float(host_cpus)})
    values = {0.25, 0.5, 1.0, float(host_cpus)}
    if host_cpus == 1:
        values.add(0.75)
    elif host_cpus == 2:
        values.add(1.5)
    else:
        values.add(float(host_cpus - 1))
        values.update(float(2**i) for i in range(1, int(math.log2(host_cpus)) + 1))
    return sorted(values)


def parse_numbers(text: str) -> list[float]:
    """Numbers separated by commas or blanks; PlanError names the one that is none."""
    numbers = []
    for part in text.replace(",", " ").split():
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise PlanError(f"'{part}' is not a number.", "Write for example --values 0.5,1,1.5.")
        numbers.append(number)
    if not numbers:
        raise PlanError("--values names nothing.", "Write for example --values 0.5,1,1.5.")
    return numbers


def _cpu_points(options: Options, host_cpus: int) -> tuple[Point, ...]:
    values = (
        parse_numbers(options.values)
        if options.values is not None
        else default_cpus(host_cpus, quick=options.quick)
    )
    points = []
    for value in dict.fromkeys(values):
        # One thread more than the limit needs, so that the limit and not the workload binds.
        threads = options.threads or min(host_cpus, math.floor(value) + 1)
        spec = ContainerSpec(limits=Limits(cpus=value), threads=max(1, threads))
        points.append(
            Point(id=f"cpus={value:g}", axis="cpu", value=f"{value:g}", containers=(spec,))
        )
    return tuple(points)


AXES: dict[str, Axis] = {
    "cpu": Axis("cpu", "--cpus", "CPUs achieved under --cpus", _cpu_points),
}


def find_axis(name: str) -> Axis:
    """The axis of that name; PlanError names the nearest where there is none."""
    if name in AXES:
        return AXES[name]
    near = difflib.get_close_matches(name, AXES, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(AXES)}."
    raise PlanError(f"unknown axis '{name}'.", hint)


def build(axis: str, options: Options, *, host_cpus: int) -> Plan:
    """The plan of a sweep on a host (an engine) of that many CPUs.

    Raises PlanError before anything starts where a point is impossible.
    """
    repeats = options.repeats if options.repeats is not None else (3 if options.quick else 5)
    duration_s = options.duration_s if options.duration_s is not None else (
        1.0 if options.quick else 3.0
    )  # fmt: skip
    warmup_s = options.warmup_s if options.warmup_s is not None else 0.5
    _check_options(options, repeats, duration_s, warmup_s)
    points = find_axis(axis).points(options, host_cpus)
    for point in points:
        for spec in point.containers:
            rules.validate(spec.limits, host_cpus=host_cpus)
    period_s = _longest_period_us(points) / 1e6
    # A window of whole periods holds exactly that many quotas, whatever its phase.
    periods = max(MIN_PERIODS, math.ceil(duration_s / period_s - 1e-9))
    if options.duration_s is not None or options.quick:
        periods = max(1, math.ceil(duration_s / period_s - 1e-9))
    return Plan(
        sweep=axis,
        points=points,
        trials=_order(points, repeats, options.seed),
        repeats=repeats,
        seed=options.seed,
        warmup_s=max(warmup_s, WARMUP_PERIODS * period_s) if options.warmup_s is None else warmup_s,
        duration_s=round(periods * period_s, 9),
        cadence_hz=options.cadence_hz,
        quick=options.quick,
        command=options.command,
    )


def estimated_s(plan: Plan) -> float:
    """The wall time that the plan takes, in seconds."""
    return len(plan.trials) * (plan.warmup_s + plan.duration_s + ESTIMATED_OVERHEAD_S)


def _check_options(options: Options, repeats: int, duration_s: float, warmup_s: float) -> None:
    if repeats < 1:
        raise PlanError(f"--repeats {repeats} is too few.", "Give 1 or more; 5 for an interval.")
    if not 0.1 <= duration_s <= 3600:
        raise PlanError(f"--duration {duration_s:g} is out of range.", "Give 0.1 to 3600 seconds.")
    if not 0 <= warmup_s <= 600:
        raise PlanError(f"--warmup {warmup_s:g} is out of range.", "Give 0 to 600 seconds.")
    if not 1 <= options.cadence_hz <= 1000:
        raise PlanError(f"--cadence {options.cadence_hz:g} is out of range.", "Give 1 to 1000 Hz.")
    if options.threads is not None and not 1 <= options.threads <= _MAX_THREADS:
        raise PlanError(f"--threads {options.threads} is out of range.", "Give 1 to 1024.")


def _longest_period_us(points: Sequence[Point]) -> int:
    found = [
        quota[1]
        for point in points
        for spec in point.containers
        if (quota := rules.quota_and_period_us(spec.limits))
    ]
    return max(found, default=rules.DEFAULT_PERIOD_US)


def _order(points: Sequence[Point], repeats: int, seed: int) -> tuple[PlannedTrial, ...]:
    rng = random.Random(seed)
    trials: list[PlannedTrial] = []
    for block in range(repeats):
        order = [point.id for point in points]
        rng.shuffle(order)
        trials += [
            PlannedTrial(index=len(trials) + i, block=block, point_id=point_id)
            for i, point_id in enumerate(order)
        ]
    return tuple(trials)
