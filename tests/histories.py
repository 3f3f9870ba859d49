"""Runs of known levels for what follows them: no engine, no run, no disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.comparison.collected import Collected
from harness.comparison.history import history
from harness.model import (
    ContainerSpec,
    History,
    Level,
    Limits,
    Point,
    PointLevels,
    RunLevels,
    Spin,
)

FACTS = {"kernel": "6.1.0", "engine": "Docker 20.10.24", "limitbench": "0.1.0"}
NEW_KERNEL = "6.1.2"


def point(value: str = "0.5", **other: float) -> Point:
    spec = ContainerSpec(limits=Limits(cpus=float(value)), workload=Spin())
    return replace(
        Point(id=f"cpus={value}", axis="cpu", value=value, containers=(spec,)),
        **other,  # type: ignore[arg-type]
    )


def level(median: float, metric: str = "cpus", **other: float) -> Level:
    given = {"n": 10, "low": median * 0.999, "high": median * 1.001, "deviation": 0.0,
             "matters": 0.005 * median, "relative": True, "promised": 0.5}  # fmt: skip
    return Level(metric=metric, median=median, **{**given, **other})  # type: ignore[arg-type]


def run(
    number: int,
    levels: Mapping[Point, Sequence[Level]],
    *,
    host: str = "bench-1",
    kernel: str = FACTS["kernel"],
) -> RunLevels:
    """The run of day ``number``."""
    return RunLevels(
        run=f"202601{number + 1:02}-080000-cpu",
        created=f"2026-01-{number + 1:02}T08:00:00+00:00",
        hostname=host,
        sweep="cpu",
        check=False,
        facts={**FACTS, "kernel": kernel},
        points=tuple(
            PointLevels(point=one, valid=10, levels=tuple(found)) for one, found in levels.items()
        ),
    )


def followed(*medians: float, kernels: Mapping[int, str] | None = None) -> History:
    """The history of one point, a day a run; ``kernels`` from the run of that number on."""
    runs, kernel = [], FACTS["kernel"]
    for i, median in enumerate(medians):
        kernel = (kernels or {}).get(i, kernel)
        runs.append(run(i, {point(): [level(median)]}, kernel=kernel))
    return history(Collected(tuple(runs), ()))


def of_hosts(
    moves: Mapping[str, int | None], *, kernels: Mapping[str, int] | None = None, way: float = 0.1
) -> History:
    """A history of hosts, each up from a run of its own on, or never; as for their kernels."""
    rng = np.random.default_rng(1)
    runs = []
    for host, begin in moves.items():
        for day in range(12):
            moved = begin is not None and day >= begin
            median = 0.5 * (1 + way * moved) * (1 + 0.001 * rng.standard_normal())
            kernel = NEW_KERNEL if day >= (kernels or {}).get(host, 12) else FACTS["kernel"]
            runs.append(run(day, {point(): [level(median)]}, host=host, kernel=kernel))
    ordered = sorted(runs, key=lambda one: (one.created, one.run, one.hostname))
    return history(Collected(tuple(ordered), ()))
