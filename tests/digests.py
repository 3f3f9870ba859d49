"""Digests of known numbers, for what compares them: no engine, no run, no disk."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.comparison import digest as digests
from harness.model import (
    ContainerSpec,
    Digest,
    DigestedPoint,
    EngineFacts,
    JudgedLaw,
    Limits,
    Point,
    Series,
    Spin,
    Status,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS


def spread(median: float, sigma: float = 0.003, n: int = 10, seed: int = 1) -> tuple[float, ...]:
    """Values that scatter about a median by a share of it, the same for the same seed."""
    rng = random.Random(seed)
    return tuple(median * (1 + rng.gauss(0, sigma)) for _ in range(n))


def law(
    metric: str = "cpus", promised: float = 0.5, status: Status = Status.CONFORMS, **other: object
) -> JudgedLaw:
    name = {"cpus": "cpu-bandwidth", "ratio": "cpu-shares"}.get(metric, metric)
    given = {"law": name, "reason": "as it came out", **other}
    return JudgedLaw(metric=metric, promised=promised, status=status, **given)  # type: ignore[arg-type]


def point(  # noqa: PLR0913 - a point as it is, by name
    series: Mapping[str, Sequence[float]],
    *,
    point_id: str = "cpus=0.5",
    limits: Sequence[Limits] = (Limits(cpus=0.5),),
    laws: Sequence[JudgedLaw] = (law(),),
    valid: int | None = None,
    trials: int | None = None,
    weights: tuple[int | None, ...] = (),
) -> DigestedPoint:
    """A point with these values; metrics of later containers as ``cpus 1``."""
    counted = max((len(values) for values in series.values()), default=0)
    found = []
    for name, values in series.items():
        metric, _, container = name.partition(" ")
        found.append(Series(metric=metric, container=int(container or 0), values=tuple(values)))
    specs = tuple(ContainerSpec(limits=one, workload=Spin()) for one in limits)
    return DigestedPoint(
        point=Point(id=point_id, axis="cpu", value="0.5", containers=specs),
        trials=trials or valid or counted,
        valid=counted if valid is None else valid,
        rejected="other processes used 1.00 CPUs" if trials else "",
        series=tuple(found),
        laws=tuple(laws),
        weights=weights,
    )


def digest(*points: DigestedPoint, engine: EngineFacts = ENGINE_FACTS, run: str = "run") -> Digest:
    return Digest(
        run=run,
        created="2026-01-01T00:00:00+00:00",
        hostname=HOST_FACTS.hostname,
        sweep="cpu",
        seed=1,
        cadence_hz=50.0,
        tick_s=HOST_FACTS.tick_ns / 1e9,
        fingerprint=digests.fingerprint(HOST_FACTS, engine, WORKLOAD_FACTS),
        conditions={"governor": "none"},
        points=points,
    )


def of_cpus(median: float, *, sigma: float = 0.003, seed: int = 1, n: int = 10) -> Digest:
    """A run of one point in which a container got so many CPUs."""
    return digest(point({"cpus": spread(median, sigma, n, seed)}))


def with_kernel(one: Digest, kernel: str) -> Digest:
    return replace(one, fingerprint=replace(one.fingerprint, kernel=kernel))
