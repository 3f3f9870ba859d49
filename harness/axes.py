"""The axes: each one limit that a sweep varies, with values that tell most on a host of its size.

An axis turns options into points; ``plan`` orders them into trials. What is fixed for a sweep
(``Options.fixed``) stands in every container's limits beside what is varied.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness import limits as rules
from harness.errors import PlanError
from harness.model import UNLIMITED, ContainerSpec, Limits, Point, Program, Workload

MAX_THREADS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user may set on any sweep; None = the sweep's own default."""

    values: str | None = None
    repeats: int | None = None
    until: float | None = None
    """Half of the interval, as a share of its median, up to which points are repeated."""
    most_repeats: int | None = None
    duration_s: float | None = None
    warmup_s: float | None = None
    seed: int | None = None
    threads: int | None = None
    cadence_hz: float | None = None
    quick: bool = False
    workload: str | None = None
    """``burst``, or the name of a program, instead of the probe's full load on the CPU axes."""
    program: Program | None = None
    cost_us: int = 20_000
    rate_hz: int = 10
    """Together 0.2 CPUs on average, in pieces of a fifth of a period."""
    ratio: float | None = None
    """Of the period axis: quota / period, in CPUs."""
    fixed: Limits = field(default_factory=Limits)
    command: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """One limit that can be varied."""

    name: str
    option: str
    summary: str
    example: str
    """Of its ``--values``."""
    points: Callable[[Options, int], Iterable[Point]]


def find(name: str) -> Axis:
    """The axis of that name; PlanError names the nearest where there is none."""
    if name in AXES:
        return AXES[name]
    near = difflib.get_close_matches(name, AXES, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(AXES)}."
    raise PlanError(f"unknown axis '{name}'.", hint)


def option(sweep: str) -> str:
    """Docker's option that a sweep varies; ``limits`` where it varies several."""
    return AXES[sweep].option if sweep in AXES else "limits"


# --- values ------------------------------------------------------------------------------------


def _texts(options: Options, axis: str, default: Sequence[str], separators: str = ",") -> list[str]:
    """The values that were asked for, each once, or the default ones."""
    if options.values is None:
        return list(default)
    text = options.values
    for separator in separators:
        text = text.replace(separator, " ")
    found = list(dict.fromkeys(text.split()))
    if not found:
        raise PlanError("--values names nothing.", f"Write for example {AXES[axis].example}.")
    return found


def _number(text: str, axis: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise PlanError(f"'{text}' is not a number.", f"Write for example {AXES[axis].example}.")
    return number


def _whole(text: str, axis: str) -> int:
    number = _number(text, axis)
    if number != int(number):
        raise PlanError(
            f"'{text}' is not a whole number.", f"Write for example {AXES[axis].example}."
        )
    return int(number)


def with_limits(fixed: Limits, **varied: Any) -> Limits:
    """The fixed limits with what is varied; PlanError where one limit would be both."""
    for name in varied:
        if getattr(fixed, name) is not None:
            raise PlanError(
                f"--{name.removesuffix('_us').removesuffix('_bytes').replace('_', '-')} is what "
                "this sweep varies.",
                "Give its values with --values.",
            )
    return replace(fixed, **varied)


def _load(options: Options, limit_cpus: float, host_cpus: int) -> Workload:
    """The load of a CPU axis: full, or bursts that leave most of the limit unused on average."""
    if options.workload == "burst":
        return Workload(
            name="burst", threads=options.threads or host_cpus,
            cost_us=options.cost_us, rate_hz=options.rate_hz,
        )  # fmt: skip
    threads = _threads(options, limit_cpus, host_cpus)
    if options.program is not None:
        return Workload(
            name=options.workload or "program", threads=threads, program=options.program
        )
    return Workload(threads=threads)


def _threads(options: Options, limit_cpus: float, host_cpus: int) -> int:
    """One thread more than the limit needs, so that the limit and not the workload binds."""
    capacity = host_cpus
    if options.fixed.cpuset_cpus:
        capacity = len(rules.parse_cpu_list(options.fixed.cpuset_cpus))
    return options.threads or max(1, min(capacity, math.floor(limit_cpus) + 1))


def _point(axis: str, name: str, value: str, *containers: ContainerSpec) -> Point:
    return Point(id=f"{name}={value}", axis=axis, value=value, containers=containers)


# --- CPU time ----------------------------------------------------------------------------------


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


def _cpu(options: Options, host_cpus: int) -> Iterable[Point]:
    default = [f"{value:g}" for value in default_cpus(host_cpus, quick=options.quick)]
    numbers = (_number(text, "cpu") for text in _texts(options, "cpu", default))
    for value in dict.fromkeys(numbers):
        spec = ContainerSpec(
            limits=with_limits(options.fixed, cpus=value),
            workload=_load(options, value, host_cpus),
        )
        yield _point("cpu", "cpus", f"{value:g}", spec)


def _quota(options: Options, host_cpus: int) -> Iterable[Point]:
    period_us = options.fixed.cpu_period_us or rules.DEFAULT_PERIOD_US
    default = [f"{value * period_us:.0f}" for value in default_cpus(host_cpus, quick=options.quick)]
    for text in _texts(options, "quota", default):
        quota_us = _whole(text, "quota")
        cpus = quota_us / period_us if quota_us > 0 else float(host_cpus)
        spec = ContainerSpec(
            limits=with_limits(options.fixed, cpu_quota_us=quota_us),
            workload=_load(options, cpus, host_cpus),
        )
        yield _point("quota", "quota", f"{quota_us}", spec)


DEFAULT_PERIODS_US = (1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)
QUICK_PERIODS_US = (1_000, 10_000, 100_000)
DEFAULT_RATIO = 0.5


def _period(options: Options, host_cpus: int) -> Iterable[Point]:
    ratio = options.ratio if options.ratio is not None else DEFAULT_RATIO
    if not 0 < ratio <= host_cpus:
        raise PlanError(f"--ratio {ratio:g} is out of range.", f"Give 0.01 to {host_cpus} CPUs.")
    default = QUICK_PERIODS_US if options.quick else DEFAULT_PERIODS_US
    # A quota below 1 ms is refused by the kernel, so a short period has no small ratio.
    fitting = [f"{period}" for period in default if period * ratio >= rules.MIN_QUOTA_US]
    for text in _texts(options, "period", fitting):
        period_us = _whole(text, "period")
        limits = with_limits(
            options.fixed, cpu_period_us=period_us, cpu_quota_us=round(period_us * ratio)
        )
        spec = ContainerSpec(limits=limits, workload=_load(options, ratio, host_cpus))
        yield _point("period", "period", f"{period_us}", spec)


# --- which CPUs --------------------------------------------------------------------------------


def default_cpusets(host_cpus: int) -> list[str]:
    """One CPU, the last one, half of them, every other one, all: each list once."""
    every = range(host_cpus)
    chosen = [{0}, {host_cpus - 1}, set(every[: host_cpus // 2]), set(every[::2]), set(every)]
    return list(dict.fromkeys(rules.format_cpu_list(frozenset(cpus)) for cpus in chosen if cpus))


def _cpuset(options: Options, host_cpus: int) -> Iterable[Point]:
    lists = _texts(options, "cpuset", default_cpusets(host_cpus), separators=";")
    for cpus in lists:
        number = len(rules.parse_cpu_list(cpus))
        spec = ContainerSpec(
            limits=with_limits(options.fixed, cpuset_cpus=cpus),
            # More than fit, so that any that strays is seen.
            workload=Workload(threads=options.threads or number + 1),
        )
        yield _point("cpuset", "cpuset", cpus, spec)
    if options.values is None and options.fixed == Limits():
        # Beside a quota: the tighter of the two binds.
        for cpus, quota in (("0", 0.5), ("0", float(host_cpus))):
            spec = ContainerSpec(
                limits=Limits(cpuset_cpus=cpus, cpus=quota), workload=Workload(threads=2)
            )
            yield _point("cpuset", "cpuset", f"{cpus} --cpus {quota:g}", spec)


DEFAULT_SHARES = ("1024:1024", "1024:512", "2048:512", "1024:512@all", "512")


def _shares(options: Options, host_cpus: int) -> Iterable[Point]:
    for text in _texts(options, "shares", DEFAULT_SHARES):
        weights, _, where = text.partition("@")
        shares = [_whole(part, "shares") for part in weights.split(":")]
        if where not in ("", "all"):
            raise PlanError(
                f"'{text}' names CPUs that are not known.",
                "Write 1024:512 for one CPU, 1024:512@all for all of them.",
            )
        lone = len(shares) == 1
        # Only on one CPU does the ratio follow the weights: across CPUs whole threads are moved.
        pin = None if lone or where == "all" else f"{host_cpus - 1}"
        if options.fixed.cpuset_cpus:
            pin = None
        threads = options.threads or (1 if pin else host_cpus)
        containers = [
            ContainerSpec(
                limits=with_limits(
                    options.fixed, cpu_shares=share, **({"cpuset_cpus": pin} if pin else {})
                ),
                workload=Workload(threads=threads),
            )
            for share in shares
        ]
        name = weights if not lone else f"{weights} alone"
        if where == "all":
            name = f"{weights} unpinned"
        yield _point("shares", "shares", name, *containers)


# --- memory ------------------------------------------------------------------------------------

MIB = 1 << 20
DEFAULT_MEMORY = ("6m", "16m", "64m", "256m", "64m@file", "64m@tmpfs")
QUICK_MEMORY = ("6m", "64m")
_KINDS = ("anon", "file", "tmpfs")
SWAP_SWEEP_MEMORY_BYTES = 64 * MIB
BEYOND = 1.5
"""A workload wants so many times its limit, so that the limit and not the workload ends it."""


def _grower(limits: Limits, most_bytes: int, kind: str = "anon") -> ContainerSpec:
    target = math.ceil(BEYOND * most_bytes / MIB) * MIB
    return ContainerSpec(
        limits=limits, workload=Workload(name="memory", target_bytes=target, kind=kind)
    )


def _memory(options: Options, _host_cpus: int) -> Iterable[Point]:
    default = QUICK_MEMORY if options.quick else DEFAULT_MEMORY
    for text in _texts(options, "memory", default):
        size, _, kind = text.partition("@")
        if kind and kind not in _KINDS:
            raise PlanError(f"'{kind}' is no kind of memory.", f"Known: {', '.join(_KINDS)}.")
        memory = rules.parse_size(size)
        limits = with_limits(options.fixed, memory_bytes=memory)
        if limits.memory_swap_bytes is None and kind != "file":
            # Without swap, so that the memory limit itself is what is met. Page cache needs none,
            # and where memory and swap end together the kernel may not count how often.
            limits = replace(limits, memory_swap_bytes=memory)
        name = f"{size} {kind}" if kind and kind != "anon" else size
        most = max(memory, rules.swap_total_bytes(limits) or 0)
        yield _point("memory", "memory", name, _grower(limits, most, kind or "anon"))


def _swap(options: Options, _host_cpus: int) -> Iterable[Point]:
    memory = options.fixed.memory_bytes or SWAP_SWEEP_MEMORY_BYTES
    fixed = replace(options.fixed, memory_bytes=memory)
    size = rules.format_size
    default = [size(memory), size(memory * 3 // 2), size(memory * 3), "unset", "-1"]
    for text in _texts(options, "swap", default):
        if text == "unset":
            limits = fixed
        else:
            total = UNLIMITED if text == "-1" else rules.parse_size(text)
            limits = with_limits(fixed, memory_swap_bytes=total)
        total_bytes = rules.swap_total_bytes(limits)
        # Nothing ends it at -1 but the host's own swap: so it wants no more than at 2 times.
        most = 2 * memory if total_bytes in (None, UNLIMITED) else total_bytes
        spec = _grower(limits, most or memory)
        yield _point("swap", "memory-swap", text, spec)


def _reservation(options: Options, _host_cpus: int) -> Iterable[Point]:
    default = ["16m"] if options.quick else ["16m", "64m"]
    for text in _texts(options, "reservation", default):
        reservation = rules.parse_size(text)
        limits = with_limits(options.fixed, memory_reservation_bytes=reservation)
        yield _point("reservation", "reservation", text, _grower(limits, 2 * reservation))


AXES: dict[str, Axis] = {
    axis.name: axis
    for axis in (
        Axis("cpu", "--cpus", "CPUs achieved under --cpus", "--values 0.5,1,1.5", _cpu),
        Axis(
            "quota", "--cpu-quota", "the same by quota, and the time off the CPU in each period",
            "--values 25000,50000", _quota,
        ),
        Axis(
            "period", "--cpu-period", "periods from 1 ms to 1 s at a constant --ratio",
            "--values 1000,10000,100000", _period,
        ),
        Axis(
            "cpuset", "--cpuset-cpus", "which CPUs are used, and no others",
            "--values '0;0-1'", _cpuset,
        ),
        Axis(
            "shares", "--cpu-shares", "containers that compete for one CPU, for all, and alone",
            "--values 1024:512,1024:512@all,512", _shares,
        ),
        Axis(
            "memory", "--memory", "where a growing workload is killed; page cache and tmpfs",
            "--values 6m,64m,64m@file,64m@tmpfs", _memory,
        ),
        Axis(
            "swap", "--memory-swap", "memory and swap together, and what swapping costs",
            "--values 64m,128m,unset,-1", _swap,
        ),
        Axis(
            "reservation", "--memory-reservation", "a soft limit is no cap", "--values 16m,64m",
            _reservation,
        ),
    )
}  # fmt: skip
