"""How much would have been enough for what was seen: an estimate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.inspection.counted import are_close, gives_way_bytes
from harness.inspection.use import Observation, Use
from harness.judge.estimates import quantile_ranks
from harness.limits import DEFAULT_PERIOD_US, cpus_of
from harness.model import UNLIMITED, EffectiveLimits, KernelLimits, Sample

MOST_SHARE = 0.95
"""The quantile of its periods that is told beside what all of them need."""

CONTENDED_SHARE = 0.1
"""From this share of the window on that some of it waited for a CPU, unthrottled, it is told to
have wanted more than it was given."""

FULL_SHARE = 0.9
"""From this share of its limit on what cannot give way has no room when the limit is met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnoughCpus:
    """The CPU time that its periods need: right to within a tick of each CPU in a period.

    A throttled period is censored: that it needs more than its quota is all that can be seen.
    """

    at: str
    """The cgroup above whose quota binds it, of all in which this is; empty for its own."""
    cpus: float
    """The least quota at which no period that was seen would have been throttled."""
    at_least: bool
    """Whether it is more: some were throttled, or it waited for a CPU (``CONTENDED_SHARE``)."""
    most: float | None
    """What ``MOST_SHARE`` of the periods need; None where that is more than the quota."""
    low: float | None
    high: float | None
    """The interval of ``most`` by order statistics, as of periods that are independent
    (``judge.estimates.quantile_ranks``); None for an end that what was seen does not bound."""
    periods: int
    """On so many it rests: those in which it ran; without a quota, all of the window."""
    throttled_periods: int
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnoughMemory:
    """The memory that it cannot give back."""

    bytes: int
    """The most in the window of what it holds less the page cache that can give way: anonymous
    and shared memory, tmpfs, what is mlocked, and the kernel's own for it."""
    at_least: bool
    """Whether it was killed, has swapped, or was full when it met its limit, so that it is more."""
    looks: int
    """On so many it rests, a few a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enough:
    """None where there is no estimate: not measured, or bound by a cgroup that cannot be read."""

    cpus: EnoughCpus | None = None
    memory: EnoughMemory | None = None


def enough(seen: Observation, use: Use) -> Enough:
    """The estimate of a window in which the limits stayed as they were."""
    quota = _binding(seen)
    return Enough(cpus=quota and _cpus(quota, use), memory=_memory(seen.samples, use))


class _Quota(NamedTuple):
    """What the CPU is counted and bound by."""

    at: str
    samples: Sequence[Sample]
    period_ns: int
    cpus: float | None
    """None where there is no quota: then the kernel has no periods either."""

    @property
    def throttled(self) -> int:
        """So many periods."""
        return (self.samples[-1].nr_throttled or 0) - (self.samples[0].nr_throttled or 0)


class _Period(NamedTuple):
    cpus: float
    throttled: bool = False


def _binding(seen: Observation) -> _Quota | None:
    """The quota that throttled it the most, else the tightest; others share one that is above."""
    force, kernel = seen.record.effective or EffectiveLimits(), seen.record.kernel or KernelLimits()
    every = [("", kernel, seen.samples)] + [
        (one.at, one.kernel, samples)
        for one, samples in zip(seen.record.above or (), seen.above, strict=True)
    ]
    quotas = [
        _Quota(at, samples, period_us * 1000, cpus_of((held.cpu_quota_us, period_us)))
        for at, held, samples in every
        for period_us in [held.cpu_period_us or DEFAULT_PERIOD_US]
        if held.cpu_quota_us not in (None, UNLIMITED) and _counts(samples)
    ]
    if throttled := [one for one in quotas if one.throttled]:
        return max(throttled, key=lambda one: one.throttled)
    if found := [one for one in quotas if one.at == force.cpus_at]:
        return found[0]
    if force.cpus_at or not _counts(seen.samples):
        return None
    return _Quota("", seen.samples, DEFAULT_PERIOD_US * 1000, None)


def _counts(samples: Sequence[Sample]) -> bool:
    known = len(samples) > 1 and samples[0].cpu_usage_ns is not None
    return known and are_close(samples)


def _cpus(quota: _Quota, use: Use) -> EnoughCpus | None:
    found = list(_cut(quota) if quota.cpus is None else _counted(quota))
    if not found:
        return None
    free = sorted(period.cpus for period in found if not period.throttled)
    throttled = len(found) - len(free)
    highest = max(free, default=0.0)
    if quota.cpus is None:
        highest = max(highest, _highest(quota))
    elif throttled:
        highest = max(highest, quota.cpus)

    def at(rank: int | None) -> float | None:
        """Of the periods in order, throttled ones last."""
        return free[rank - 1] if rank is not None and rank <= len(free) else None

    low, high = quantile_ranks(len(found), MOST_SHARE)
    return EnoughCpus(
        at=quota.at,
        cpus=highest,
        at_least=throttled > 0 or (use.cpu_some or 0.0) >= CONTENDED_SHARE,
        most=at(math.ceil(MOST_SHARE * len(found))),
        low=quota.cpus if low and low > len(free) else at(low),
        high=at(high),
        periods=len(found),
        throttled_periods=throttled,
        period_s=quota.period_ns / 1e9,
    )


def _counted(quota: _Quota) -> Iterator[_Period]:
    """The kernel's own periods, whose ends are where nr_periods moves.

    While nothing runs no period is counted; what runs then begins a new one (kernel/sched/fair.c,
    ``start_cfs_bandwidth``), so what was used between two ends is the later one's.
    """
    ends = [b for a, b in itertools.pairwise(quota.samples) if b.nr_periods != a.nr_periods]
    for before, after in itertools.pairwise(ends):
        number = (after.nr_periods or 0) - (before.nr_periods or 0)
        used_ns = (after.cpu_usage_ns or 0) - (before.cpu_usage_ns or 0)
        throttled = after.nr_throttled != before.nr_throttled
        yield from [_Period(used_ns / (number * quota.period_ns), throttled)] * number


def _cut(quota: _Quota) -> Iterator[_Period]:
    """The window cut into periods, where the kernel has none."""
    begin = quota.samples[0]
    for sample in quota.samples[1:]:
        if sample.t_mono_ns - begin.t_mono_ns >= quota.period_ns:
            yield _Period(_used_cpus(begin, sample))
            begin = sample


def _highest(quota: _Quota) -> float:
    """The most of any stretch as long as a period: a quota's could begin at any moment."""
    highest, ends = 0.0, iter(quota.samples)
    end = next(ends)
    for begin in quota.samples:
        while end.t_mono_ns - begin.t_mono_ns < quota.period_ns:
            following = next(ends, None)
            if following is None:
                return highest
            end = following
        highest = max(highest, _used_cpus(begin, end))
    return highest


def _used_cpus(begin: Sample, end: Sample) -> float:
    used_ns = (end.cpu_usage_ns or 0) - (begin.cpu_usage_ns or 0)
    return used_ns / (end.t_mono_ns - begin.t_mono_ns)


def _memory(samples: Sequence[Sample], use: Use) -> EnoughMemory | None:
    held = [
        sample.memory_bytes - gives_way_bytes(sample)
        for sample in samples
        if sample.memory_bytes is not None and sample.anon_bytes is not None
    ]
    if not held:
        return None
    most, limit = max(held), use.memory_limit_bytes
    met_full = limit and most >= FULL_SHARE * limit and (use.limit_hits or use.high_hits)
    return EnoughMemory(
        bytes=most, at_least=bool(use.oom_kills or use.swap_bytes or met_full), looks=len(held)
    )
