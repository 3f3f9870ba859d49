"""CPU time: ``--cpus``, ``--cpu-quota``, ``--cpu-period``. One quota, told in two ways.

A container may run for ``quota`` in each ``period``, on all its CPUs together, and stands still
until the next one begins (Documentation/scheduler/sched-bwc.rst). A period alone limits nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness import units
from harness.limits.cpus import EngineCpus
from harness.limits.forms import CPUS, MICROSECONDS, UNLIMITED, parse_cpu_list, parse_int
from harness.limits.row import (
    NOT_READ,
    Force,
    Limit,
    ReadBack,
    Reading,
    Room,
    Sides,
    Text,
    Written,
    all_known,
    held,
    limit,
    nearest,
    of_own,
    plain,
)
from harness.wording import counted

DEFAULT_PERIOD_US = 100_000
"""The CFS period that Docker, runc and the kernel use where none is set."""
PERIOD_RANGE_US = (1_000, 1_000_000)
MIN_QUOTA_US = 1_000
MIN_CPUS = 0.01
"""0.01 is a floor and no step: 0.015 is 1500 µs of 100000 (measured); 0.001 fails in the kernel."""

_REALTIME = "Documentation/scheduler/sched-rt-group.rst"
_BANDWIDTH = "Documentation/scheduler/sched-bwc.rst"


class _Asked(Protocol):
    @property
    def cpus(self) -> float | None: ...

    @property
    def cpu_quota_us(self) -> int | None: ...

    @property
    def cpu_period_us(self) -> int | None: ...


def quota_and_period_us(limits: _Asked) -> tuple[int, int] | None:
    """The CFS quota and period (µs) that these limits ask for; None where they ask for none.

    ``--cpus c`` is quota = c × 100000 rounded down (runc gets it from the engine so), and a
    period alone limits nothing.
    """
    if limits.cpus is not None:
        # The command line keeps nine decimals (NanoCPUs); go through them so that 0.29 is 29000.
        return round(limits.cpus * 1e9) * DEFAULT_PERIOD_US // 1_000_000_000, DEFAULT_PERIOD_US
    if limits.cpu_quota_us is not None and limits.cpu_quota_us > 0:
        return limits.cpu_quota_us, limits.cpu_period_us or DEFAULT_PERIOD_US
    return None


def systemd_quota_us(quota: tuple[int, int]) -> int:
    """What systemd makes of (quota, period) in µs: it keeps a CPU time per second, in 10 ms steps.

    runc's systemd driver tells systemd 0.505 CPUs as 0.51 (libcontainer/cgroups/systemd,
    ``addCpuQuota``), and then writes the exact quota into the kernel's file itself. So the kernel
    holds what was asked for until systemd writes the file again: after ``systemctl daemon-reload``
    on runc 1.1.5 and systemd 252, 33300 of 100000 µs had become 34000 (measured).
    """
    quota_us, period_us = quota
    per_second = quota_us * 1_000_000 // period_us
    rounded = -(-per_second // 10_000) * 10_000
    return rounded * period_us // 1_000_000


def held_quotas_us(quota: tuple[int, int], driver: str) -> tuple[int, ...]:
    """The quotas (µs) that the kernel may rightly hold for (quota, period), the usual one first."""
    if driver != "systemd":
        return (quota[0],)
    return quota[0], systemd_quota_us(quota)


def write_quota(pair: tuple[int, int] | None) -> str:
    """A quota as people read it: ``50000/100000 µs``."""
    return "no quota" if pair is None else f"{pair[0]}/{pair[1]} µs"


def _bandwidth(row: Limit, sides: Sides) -> ReadBack | None:
    """One read-back for the three options: what is in force is one quota and its period."""
    wanted = quota_and_period_us(sides.asked)
    engine = None if sides.engine is None else quota_and_period_us(sides.engine)
    kernel = [
        None if k.cpu_quota_us == UNLIMITED else (k.cpu_quota_us, k.cpu_period_us)
        for k in (sides.kernel, sides.kernel_after)
        if k is not None and k.cpu_quota_us is not None and k.cpu_period_us is not None
    ]
    if wanted is None and engine is None and not any(kernel):
        return None
    due: list[tuple[int, int] | None] = [None]
    if wanted is not None:
        due = [(us, wanted[1]) for us in held_quotas_us(wanted, sides.of.cgroup_driver)]
    said = list(dict.fromkeys(write_quota(pair) for pair in kernel))
    return ReadBack(
        option=row.option if sides.asked.cpus is not None else "--cpu-quota",
        requested=write_quota(wanted),
        engine=NOT_READ if sides.engine is None else write_quota(engine),
        # Read twice, since the kernel may change it: then it is told twice.
        kernel=", then ".join(said) or NOT_READ,
        agrees=all_known(
            None if sides.engine is None else engine == wanted,
            all(pair in due for pair in kernel) if kernel else None,
        ),
    )


def cpu_max(raw: bytes | None) -> tuple[int | None, int | None]:
    """(quota, period) in µs of v2's ``cpu.max``; the quota is UNLIMITED where there is none."""
    quota, _, period = (raw or b"").strip().partition(b" ")
    return parse_int(quota or None), parse_int(period or None)


def cpus_of(pair: tuple[int | None, int | None]) -> float:
    """The CPUs that a quota and its period allow; infinite without one."""
    quota, period = pair
    return quota / period if quota is not None and quota != UNLIMITED and period else math.inf


_MAX = ("cpu", "cpu.max")


def _v2(part: int) -> Reading:
    """Of the tighter quota: crun may limit its inner cgroup, or systemd the scope around it."""

    def value(texts: Sequence[Text]) -> int | None:
        pairs = (cpu_max(text(_MAX)) for text in texts)
        return min(pairs, key=cpus_of)[part]

    return Reading((_MAX,), value)


def _quota_words(_row: Limit, kernel: Any) -> str:
    if kernel is None or kernel.cpu_quota_us is None:
        return NOT_READ
    if kernel.cpu_quota_us == UNLIMITED:
        return "no limit"
    return write_quota((kernel.cpu_quota_us, kernel.cpu_period_us))


def _tightest_cpus(room: Room) -> tuple[float, str]:
    """(the CPUs that a container can use at the most, the cgroup above it that sets that)."""
    force = room.effective
    bounds = [(float(room.cpus), "")]
    if force.cpuset_cpus:
        bounds.append((float(len(parse_cpu_list(force.cpuset_cpus))), force.cpuset_at))
    if force.affinity:
        bounds.append((float(len(parse_cpu_list(force.affinity))), ""))
    if force.cpus is not None:
        bounds.append((force.cpus, force.cpus_at))
    # On a tie its own limit is what binds, and not one above.
    return min(bounds, key=lambda bound: (bound[0], bool(bound[1])))


def cpus_in_force(room: Room) -> float:
    """The CPUs that a container can use at the most: quota, cpuset, affinity, host."""
    return _tightest_cpus(room)[0]


def _cpus_in_force(_kernel: Any, room: Room) -> Force:
    cpus, at = _tightest_cpus(room)
    return units.cpus(cpus), at


def _from_nano(told: Any) -> float | None:
    return told / 1e9 if told else None


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """What can be asked for."""

    cpus: float | None = limit(Limit(
        option="--cpus", form=CPUS, help="CPUs, as a quota",
        create="nano_cpus", inspect="NanoCpus", update="--cpus",
        to_engine=lambda cpus: round(cpus * 1e9), from_engine=_from_nano,
        compare=_bandwidth, inspected="always", held_words=_quota_words, in_force=_cpus_in_force,
        rule="The same as a period of 100000 µs with a quota of so many of them: a ceiling, and no "
        "guarantee. From 0.01 to the CPUs of the engine; excludes the other two.",
        made="The quota is rounded down to a µs. The systemd driver rounds it up to 1 % of a CPU, "
        "at once or when systemd writes the file again.",
        source="moby daemon/daemon_unix.go; runc libcontainer/cgroups/systemd",
    ))  # fmt: skip
    """CPUs."""
    cpu_period_us: int | None = limit(Limit(
        option="--cpu-period", form=MICROSECONDS, help="period in µs",
        create="cpu_period", inspect="CpuPeriod", update="--cpu-period",
        least=PERIOD_RANGE_US[0], most=PERIOD_RANGE_US[1],
        refusal=f"The kernel takes {PERIOD_RANGE_US[0]} to {PERIOD_RANGE_US[1]} µs.",
        compare=None,
        rule="The length of a period. Alone it limits nothing; shorter than the scheduler's tick, "
        "part of the quota is lost.",
        made="The kernel doubles period and quota where its timer lags "
        "(kernel/sched/fair.c, sched_cfs_period_timer).",
        source=_BANDWIDTH,
    ))  # fmt: skip
    cpu_quota_us: int | None = limit(Limit(
        option="--cpu-quota", form=MICROSECONDS, help="quota in µs, -1 for none",
        create="cpu_quota", inspect="CpuQuota", update="--cpu-quota",
        least=MIN_QUOTA_US, extra=(UNLIMITED,),
        refusal=f"The kernel takes {MIN_QUOTA_US} µs or more, or -1 for no quota.",
        compare=None,
        rule="CPU time in each period, on all CPUs together. More than the host has is taken, and "
        "limits nothing.",
        made="As of --cpus. On v1 a cgroup above may not have a smaller share, or it is refused.",
        source=_BANDWIDTH,
    ))  # fmt: skip

    cpu_rt_period_us: int | None = limit(Limit(
        option="--cpu-rt-period", form=MICROSECONDS, help="period of real-time tasks in µs (v1)",
        create="cpu_rt_period", inspect="CpuRealtimePeriod", update="--cpu-rt-period",
        least=1, most=1_000_000, refusal="Docker takes 1 to 1000000 µs.",
        kernel="cpu_rt_period_us", compare=plain,
        rule="The length of a period of real-time tasks; a second where it is not set.",
        made="As of --cpu-rt-runtime.",
        source=_REALTIME,
    ))  # fmt: skip
    cpu_rt_runtime_us: int | None = limit(Limit(
        option="--cpu-rt-runtime", form=MICROSECONDS,
        help="CPU of real-time tasks in each period, in µs (v1)",
        create="cpu_rt_runtime", inspect="CpuRealtimeRuntime", update="--cpu-rt-runtime",
        least=1, most=1_000_000, refusal="Docker takes 1 to 1000000 µs, no more than a period.",
        kernel="cpu_rt_runtime_us", compare=plain,
        rule="What tasks of real-time priority have of each CPU in a period; the others are not "
        "limited by it. None of it: such a priority is refused.",
        made="v1 with CONFIG_RT_GROUP_SCHED, out of the budget of the cgroup above, which dockerd "
        "gives with its own --cpu-rt-runtime and has not by itself: else it is refused, as on v2.",
        source=_REALTIME,
    ))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CpuHeld:
    """What the kernel holds."""

    cpu_rt_period_us: int | None = held(of_own("cpu", "cpu.rt_period_us"))
    cpu_rt_runtime_us: int | None = held(of_own("cpu", "cpu.rt_runtime_us"))

    cpu_quota_us: int | None = held(of_own("cpu", "cpu.cfs_quota_us"), _v2(0), caps="cpu")
    cpu_period_us: int | None = held(of_own("cpu", "cpu.cfs_period_us"), _v2(1))
    cpu_burst_us: int | None = held(
        of_own("cpu", "cpu.cfs_burst_us"), of_own("cpu", "cpu.max.burst"),
        written=Written(
            name="cpu.max.burst", words="{} µs".format,
            in_force="up to {} µs over the quota".format, of=nearest,
            rule="What a period leaves of the quota is kept, up to so much, and may be used above "
            "the quota by a later one: in the long run it is the same quota.",
            source=_BANDWIDTH,
        ),
    )  # fmt: skip
    """Kernel 5.14 and later."""


def check(limits: _Asked, cpus: EngineCpus) -> tuple[str, str] | None:
    """(what is wrong, the remedy) of the three together and of this engine; None for nothing."""
    if limits.cpus is None:
        return None
    if not MIN_CPUS <= limits.cpus <= cpus.most:
        said = f"This engine takes {MIN_CPUS} to {counted(cpus.most, 'CPU')}."
        return f"--cpus {limits.cpus:g} is out of range.", said
    if limits.cpu_quota_us is not None or limits.cpu_period_us is not None:
        return (
            "--cpus conflicts with --cpu-quota and --cpu-period.",
            "It is itself a quota: give one or the other.",
        )
    return None
