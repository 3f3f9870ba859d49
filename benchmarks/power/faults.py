"""The faults that a check must find, where each shows, how much power is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.model import Limits

REPEATS = 10
WINDOW_S = 1.0
"""A third of the default: what is found in it is found in a longer window all the better."""
DEFAULT_WINDOW_S = 3.0

Alter = Callable[[Limits], Limits]


@dataclass(frozen=True)
class Fault:
    """Something that a check must find, and where."""

    name: str
    text: str
    axis: str
    values: str
    metric: str
    """The one that is expected to show it."""
    tails: tuple[str, ...] = ()
    """Others whose power is stated too."""
    alter: Alter = lambda limits: limits
    window_s: float = WINDOW_S
    busy: bool = False
    runtime: str | None = None
    slice_us: int | None = None
    goal: str = ""
    """The power that is asked for."""

    @property
    def trials(self) -> int:
        """To be measured of each point: a check that goes on may draw 35 where it must tell 2 %."""
        return 36 if self.goal == TWO else 20


def _cpus(factor: float) -> Alter:
    return lambda limits: replace(limits, cpus=round((limits.cpus or 1) * factor, 4))


def _shares(factor: float) -> Alter:
    def alter(limits: Limits) -> Limits:
        if limits.cpu_shares != 1024:
            return limits
        return replace(limits, cpu_shares=round(1024 * factor))

    return alter


def _swapped(limits: Limits) -> Limits:
    return replace(limits, cpu_shares={1024: 512, 512: 1024}[limits.cpu_shares or 0])


def _period(period_us: int) -> Alter:
    return lambda limits: replace(
        limits, cpus=None, cpu_period_us=period_us, cpu_quota_us=period_us // 2
    )  # fmt: skip


FIVE = "≥ 95 % at 10 repeats"
TWO = "≥ 90 % at 10 repeats"
TAILS = ("gap_p99_s", "gap_max_s")
SLACK = "slack"
FAULTS = (
    Fault("over-5", "a quota 5 % too large", "cpu", "0.25,0.5,1", "cpus",
          alter=_cpus(1.05), goal=FIVE),
    Fault("under-5", "a quota 5 % too small", "cpu", "0.25,0.5,1", "cpus",
          alter=_cpus(0.95), goal=FIVE),
    Fault("over-2", "a quota 2 % too large", "cpu", "0.25,0.5,1", "cpus",
          alter=_cpus(1.02), goal=TWO),
    Fault("shares-5", "one share 5 % too large", "shares", "1024:512", "ratio",
          alter=_shares(1.05), goal=FIVE),
    Fault("shares-2", "one share 2 % too large", "shares", "1024:512", "ratio",
          alter=_shares(1.02), goal=TWO),
    Fault("over-2-default", "a quota 2 % too large, windows of 3 s", "cpu", "0.25,1", "cpus",
          alter=_cpus(1.02), window_s=DEFAULT_WINDOW_S, goal=TWO),
    Fault("under-2-default", "a quota 2 % too small, windows of 3 s", "cpu", "0.25", "cpus",
          alter=_cpus(0.98), window_s=DEFAULT_WINDOW_S, goal=TWO),
    Fault("shares-2-default", "one share 2 % too large, windows of 3 s", "shares", "1024:512",
          "ratio", alter=_shares(1.02), window_s=DEFAULT_WINDOW_S, goal=TWO),
    Fault("swapped", "shares swapped", "shares", "1024:512", "ratio", alter=_swapped, goal=FIVE),
    Fault("wrapper", "a wrapper of runc that writes a quota 5 % larger", "cpu", "0.5", "cpus",
          runtime=SLACK, goal=FIVE),
    Fault("busy", "a busy process on the CPU, told to be ignored", "shares", "1024:512", "cpus",
          ("gap_s", *TAILS), busy=True, goal=FIVE),
    Fault("period", "a period of 50 ms instead of 100, at the same ratio", "cpu", "0.5",
          "gap_s", TAILS, _period(50_000)),
    Fault("period-130", "a period of 130 ms instead of 100, at the same ratio", "cpu", "0.5",
          "gap_s", TAILS, _period(130_000)),
    Fault("slice", "sched_cfs_bandwidth_slice_us of 20 ms instead of 5", "cpu", "1", "cpus",
          TAILS, slice_us=20_000),
)  # fmt: skip
