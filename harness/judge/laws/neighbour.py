"""What a limit promises a container whose neighbour wants everything.

No limit of Docker's makes another container quick. What is promised is CPU time, on one CPU that
both want: by weight, or what the aggressor's quota leaves, whichever is more; all of it where their
cpusets are apart. Of a disk it is that an aggressor has no more of it than its limit: how much
that leaves a victim, nobody promises. How soon it comes is no promise either, and is measured
beside the law.
"""

from __future__ import annotations

import math
from dataclasses import replace

from harness import limits as rules
from harness.judge.laws import io, memory
from harness.judge.laws.circumstances import Circumstances
from harness.judge.laws.cpu import allowed_cpus, nothing_outside
from harness.model import Burst, Expectation, Growth, Io, Point, Scale

ROOM_CPUS = 0.1
"""So much CPU others may take before a trial is rejected; a promise must leave them that."""
LATE_S = 0.1
"""What came due so shortly before the window's end may be in hand yet: a period of the aggressor's
quota, in which it may have the CPU first. See docs/decisions/036."""
FULL = 0.9
"""Where less than this share of what the victim wants is promised, it always has work waiting,
however its arrivals fall: only then does it take its whole share."""
RATIO_TOLERANCE = 0.05
"""Wider than of two that spin (docs/decisions/003): one that sleeps between pieces begins the
window with less work waiting. See docs/decisions/036."""
_SHARES = "Documentation/scheduler/sched-design-CFS.rst"
_BANDWIDTH = "Documentation/scheduler/sched-bwc.rst"
_CPUSETS = "Documentation/admin-guide/cgroup-v1/cpusets.rst"


def expectations(point: Point, given: Circumstances) -> tuple[Expectation, ...]:
    """The victim's laws first; none where it is not known what competition leaves."""
    victim, aggressor = point.containers
    if isinstance(victim.workload, Burst):
        return _of_cpu(point, victim.workload, given)
    if isinstance(aggressor.workload, Io):
        return tuple(map(_no_more, io.rates(point, aggressor, given)))
    if not isinstance(victim.workload, Growth) or not isinstance(aggressor.workload, Growth):
        return ()
    # Each meets its own limit and no other's: a kill beside it takes nothing from the victim.
    found = [
        *memory.expectations(victim, victim.workload, given),
        *(
            replace(law, container=1)
            for law in memory.expectations(
                aggressor, aggressor.workload, replace(given, effective=given.effective[1:])
            )
        ),
    ]
    # Who is killed does not get there, so how far each came says it all.
    return tuple(law for law in found if law.metric == "reached_bytes")


def _no_more(law: Expectation) -> Expectation:
    """Of a disk that another wants too, less may come to it than its limit."""
    return replace(
        law, container=1, low=-1.0, law=f"neighbour-{law.law}", explanation="",
        text="the aggressor has no more of the disk than its limit",
    )  # fmt: skip


def _of_cpu(point: Point, work: Burst, given: Circumstances) -> tuple[Expectation, ...]:
    victim, aggressor = point.containers
    own, others = allowed_cpus(victim.limits, given.of(0)), allowed_cpus(aggressor.limits)
    if own is None or others is None or len(own) != 1 or rules.quota_and_period_us(victim.limits):
        return ()
    if not own & others:
        alone = _all_done(point, "cpuset-of-its-own", "a CPU of its own", "cpuset", _CPUSETS)
        return (alone, nothing_outside())
    law = _on_one_cpu(point, work, given) if own == others else None
    return () if law is None else (law,)


def _on_one_cpu(point: Point, work: Burst, given: Circumstances) -> Expectation | None:
    """What quota or weights leave of the CPU that both want; None where that is near its work."""
    quota, ratio = rules.quota_and_period_us(point.containers[1].limits), _ratio(point, given)
    left, share = 1 - quota[0] / quota[1] if quota else 0.0, ratio / (1 + ratio)
    wanted, promised = work.cost_us * work.rate_hz / 1e6, max(left, share)
    what = "its share by weight" if share >= left else "what the aggressor's quota leaves"
    law, bound, source = (
        ("neighbour-shares", "shares", _SHARES)
        if share >= left
        else ("neighbour-quota", "quota", _BANDWIDTH)
    )
    if promised >= wanted + ROOM_CPUS:
        return _all_done(point, law, what, bound, source)
    if left > share or share > FULL * wanted:
        return None  # whether it suffices is a matter of how the arrivals fall
    tolerance = math.log1p(RATIO_TOLERANCE)
    return Expectation(
        metric="ratio", value=ratio, low=-tolerance, high=tolerance, scale=Scale.LOG, law=law,
        text=f"a victim that wants more than {what} gets that", source=source, bound=bound,
    )  # fmt: skip


def _ratio(point: Point, given: Circumstances) -> float:
    """The weight of the victim over that of the aggressor; the least where no formula is known."""
    engine = given.engine.running(point.containers[0].runtime)
    ways = zip(*(rules.weights(one.limits, engine) for one in point.containers), strict=True)
    return min(float(mine) / float(other) for mine, other in ways)


def _all_done(point: Point, law: str, what: str, bound: str, source: str) -> Expectation:
    return Expectation(
        metric="late_share", value=0.0, low=0.0, high=LATE_S / point.duration_s,
        scale=Scale.ABSOLUTE, law=law,
        text=f"no work is left over: {what} is more than the victim wants",
        source=source, bound=bound,
    )  # fmt: skip
