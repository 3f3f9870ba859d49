"""How much CPU time, in what pieces, on which CPUs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import ContainerSpec, Growth, Io, Limits, Load, Point, Program, Spin, Take
from harness.plan.axes.axis import Axis, Options, limit, number, point, texts, whole, with_limits
from harness.wording import counted

MAX_THREADS = 1024


def load(options: Options, limit_cpus: float, cpus: EngineCpus) -> Load:
    """The load of a CPU axis: full, or bursts that leave most of the limit unused on average."""
    if not options.workload.saturates:
        return load_on_every_cpu(options, cpus)
    return _with_threads(options.workload, _threads(options, limit_cpus, cpus))


def load_on_every_cpu(options: Options, cpus: EngineCpus) -> Load:
    """The load that was asked for, with as many threads as there are CPUs or were asked for."""
    return _with_threads(options.workload, options.threads or cpus.count)


def _with_threads(workload: Load, threads: int) -> Load:
    if isinstance(workload, Growth | Io | Take):
        axis = {Growth: "memory", Io: "storage", Take: "pids"}[type(workload)]
        raise PlanError(
            f"'{workload.name}' is no load of the CPU.",
            f"`bench sweep {axis}` measures it, and a [[point]] of a sweep file with workload = "
            f'"{workload.name}".',
        )
    return replace(workload, threads=threads)


def _threads(options: Options, limit_cpus: float, cpus: EngineCpus) -> int:
    """One thread more than the limit needs, so that the limit and not the workload binds."""
    capacity = cpus.count
    if options.fixed.cpuset_cpus:
        capacity = len(rules.parse_cpu_list(options.fixed.cpuset_cpus))
    return options.threads or max(1, min(capacity, math.floor(limit_cpus) + 1))


def default_cpus(count: int, *, quick: bool = False) -> list[float]:
    """The values of ``--cpus`` that tell most on that many CPUs, ascending.

    2 CPUs: 0.25, 0.5, 1, 1.5, 2; more: halves below one, then doublings, all CPUs but one, and
    all of them. ``quick`` keeps three of them.
    """
    if quick:
        return sorted({0.5, 1.0, float(count)})
    values = {0.25, 0.5, 1.0, float(count)}
    if count == 1:
        values.add(0.75)
    elif count == 2:
        values.add(1.5)
    else:
        values.add(float(count - 1))
        values.update(float(2**i) for i in range(1, int(math.log2(count)) + 1))
    return sorted(values)


def _default_cpus(options: Options, cpus: EngineCpus) -> list[float]:
    return default_cpus(min(cpus.count, cpus.most), quick=options.quick)


def _cpu(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    default = [f"{value:g}" for value in _default_cpus(options, cpus)]
    numbers = (number(text) for text in texts(options, default))
    for value in dict.fromkeys(numbers):
        spec = ContainerSpec(
            limits=with_limits(options.fixed, cpus=value),
            workload=load(options, value, cpus),
        )
        yield point("cpu", "cpus", f"{value:g}", spec)


def _quota(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    period_us = options.fixed.cpu_period_us or rules.DEFAULT_PERIOD_US
    default = [f"{value * period_us:.0f}" for value in _default_cpus(options, cpus)]
    for text in texts(options, default):
        quota_us = whole(text)
        limit_cpus = quota_us / period_us if quota_us > 0 else float(cpus.count)
        spec = ContainerSpec(
            limits=with_limits(options.fixed, cpu_quota_us=quota_us),
            workload=load(options, limit_cpus, cpus),
        )
        yield point("quota", "quota", f"{quota_us}", spec)


DEFAULT_PERIODS_US = (1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)
QUICK_PERIODS_US = (1_000, 10_000, 100_000)
DEFAULT_RATIO = 0.5


def _period(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    ratio = options.ratio if options.ratio is not None else DEFAULT_RATIO
    if not 0 < ratio <= cpus.count:
        raise PlanError(
            f"--ratio {ratio:g} is out of range.", f"Give 0.01 to {counted(cpus.count, 'CPU')}."
        )
    default = QUICK_PERIODS_US if options.quick else DEFAULT_PERIODS_US
    # A quota below 1 ms is refused by the kernel, so a short period has no small ratio.
    fitting = [f"{period}" for period in default if period * ratio >= rules.MIN_QUOTA_US]
    for text in texts(options, fitting):
        period_us = whole(text)
        limits = with_limits(
            options.fixed, cpu_period_us=period_us, cpu_quota_us=round(period_us * ratio)
        )
        spec = ContainerSpec(limits=limits, workload=load(options, ratio, cpus))
        yield point("period", "period", f"{period_us}", spec)


def default_cpusets(every: Sequence[int]) -> list[str]:
    """One CPU, the last one, half of them, every other one, all: each list once."""
    half = every[: len(every) // 2]
    chosen = (every[:1], every[-1:], half, every[::2], every)
    return list(dict.fromkeys(rules.format_cpu_list(frozenset(one)) for one in chosen if one))


def _cpuset(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    for text in texts(options, default_cpusets(cpus.numbers), separators=";"):
        number = len(rules.parse_cpu_list(text))
        spec = ContainerSpec(
            limits=with_limits(options.fixed, cpuset_cpus=text),
            # More than fit, so that any that strays is seen.
            workload=Spin(threads=options.threads or number + 1),
        )
        yield point("cpuset", "cpuset", text, spec)
    if options.values is None and options.fixed == Limits():
        # Beside a quota: the tighter of the two binds.
        first = f"{cpus.numbers[0]}"
        for quota in (0.5, float(cpus.most)):
            spec = ContainerSpec(
                limits=Limits(cpuset_cpus=first, cpus=quota), workload=Spin(threads=2)
            )
            yield point("cpuset", "cpuset", f"{first} --cpus {quota:g}", spec)


DEFAULT_SHARES = ("1024:1024", "1024:512", "2048:512", "1024:512@all", "512")


def _shares(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    for text in texts(options, DEFAULT_SHARES):
        weights, _, where = text.partition("@")
        shares = [whole(part) for part in weights.split(":")]
        if where not in ("", "all"):
            raise PlanError(
                f"'{text}' names CPUs that are not known.",
                "Write 1024:512 for one CPU, 1024:512@all for all of them.",
            )
        lone = len(shares) == 1
        # Only on one CPU does the ratio follow the weights: across CPUs whole threads are moved.
        pin = None if lone or where == "all" else f"{cpus.numbers[-1]}"
        if options.fixed.cpuset_cpus:
            pin = None
        threads = options.threads or (1 if pin else cpus.count)
        containers = [
            ContainerSpec(
                limits=with_limits(
                    options.fixed, cpu_shares=share, **({"cpuset_cpus": pin} if pin else {})
                ),
                # A program is the first one; the others are what it competes with.
                workload=_with_threads(options.workload, threads)
                if i == 0 and isinstance(options.workload, Program)
                else Spin(threads=threads),
            )
            for i, share in enumerate(shares)
        ]
        name = weights if not lone else f"{weights} alone"
        if where == "all":
            name = f"{weights} unpinned"
        yield point("shares", "shares", name, *containers)


def _ratio_of_shares(point: Point) -> float:
    first, last = (point.containers[i].limits.cpu_shares for i in (0, -1))
    return (first or 1024) / (last or 1024)


AXES = (
    Axis(
        "cpu", "--cpus", "CPUs achieved under --cpus", "--values 0.5,1,1.5", _cpu,
        metric="cpus", x=limit("cpus"), label="--cpus (CPUs)", takes="load",
    ),
    Axis(
        "quota", "--cpu-quota", "the same by quota, and the time off the CPU in each period",
        "--values 25000,50000", _quota,
        metric="cpus", x=limit("cpu_quota_us"), label="--cpu-quota (µs)", takes="load",
    ),
    Axis(
        "period", "--cpu-period", "periods from 1 ms to 1 s at a constant --ratio",
        "--values 1000,10000,100000", _period,
        metric="cpus", x=limit("cpu_period_us"), label="--cpu-period (µs)", log=True, takes="load",
    ),
    Axis(
        "cpuset", "--cpuset-cpus", "which CPUs are used, and no others",
        "--values '0;0-1'", _cpuset, metric="cpus",
    ),
    Axis(
        "shares", "--cpu-shares", "containers that compete for one CPU, for all, and alone",
        "--values 1024:512,1024:512@all,512", _shares,
        metric="ratio", x=_ratio_of_shares, label="--cpu-shares of the containers", log=True,
        takes="program",
    ),
)  # fmt: skip
