"""Hosts that nobody measured, to try a report of many on: made of the levels of one real run.

Each scatters about that run by as much as hosts of one kind do; those with one of three runtimes
get more CPU than their limits allow.
"""

from __future__ import annotations

import random
from dataclasses import replace

from harness.comparison.hosts_found import Found, Member
from harness.model import Level, PointLevels, RunLevels, Status

SCATTER = 0.002
WRONG = 1.05
"""What one host in twenty gets of the CPU that it was promised."""
_RUNTIMES = ("runc 1.1.12", "runc 1.1.13", "runc 1.2.4")
_KERNELS = ("6.1.0-31", "6.1.0-32", "6.12.9")


def simulated(run: RunLevels, hosts: int, seed: int = 1) -> Found:
    """So many hosts, ``simulated-001`` and so on, and one more that never came.

    Of the run those points alone that conform: what is wrong with a host is then known.
    """
    rng = random.Random(seed)
    fine = tuple(one for one in run.points if one.verdict is Status.CONFORMS)
    run = replace(run, points=fine)
    wide = len(f"{hosts}")
    members = [_host(run, f"simulated-{i + 1:0{wide}}", i % 20 == 7, rng) for i in range(hosts)]
    lost = Member("simulated-lost", status="unreachable", why="it did not join within 60 s")
    return Found((*members, lost))


def _host(run: RunLevels, name: str, wrong: bool, rng: random.Random) -> Member:
    factor = WRONG if wrong else 1.0
    points = tuple(_point(point, factor, rng) for point in run.points)
    facts = {
        **run.facts,
        "runtime": _RUNTIMES[-1] if wrong else rng.choice(_RUNTIMES[:-1]),
        "kernel": rng.choice(_KERNELS),
    }
    made = replace(run, run=f"{name}-{run.sweep}", hostname=name, facts=facts, points=points)
    return Member(name, (made,), runs=(made.run,))


def _point(point: PointLevels, factor: float, rng: random.Random) -> PointLevels:
    levels = tuple(
        _times(one, (factor if one.metric == "cpus" else 1.0) * rng.gauss(1, SCATTER))
        for one in point.levels
    )
    promised = any(one.metric == "cpus" and one.promised is not None for one in point.levels)
    if factor == 1 or not promised:
        return replace(point, levels=levels)
    why = f"simulated: {factor - 1:+.0%} of what is promised"
    return replace(point, levels=levels, verdict=Status.DEVIATES, why=why)


def _times(level: Level, factor: float) -> Level:
    low, high = (None if end is None else end * factor for end in (level.low, level.high))
    return replace(level, median=level.median * factor, low=low, high=high)
