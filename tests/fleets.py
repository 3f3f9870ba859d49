"""Hosts of known levels, simulated: no engine, no run, no disk; and the folders of a few."""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.comparison.hosts import beside
from harness.comparison.hosts_found import Found, Member
from harness.model import (
    Fleet,
    FleetHost,
    Hosts,
    HostStatus,
    Order,
    PointLevels,
    RunLevels,
    Status,
)
from harness.plan.axes import Options
from harness.store import checks, runs
from harness.store import fleets as store_fleets
from harness.store import trials as store_trials
from tests.fakes import ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS
from tests.histories import FACTS, level, point
from tests.runs import measured, scattered

VALUES = ("0.5", "1")
RUNTIME = "runc 1.1.5"


def member(name: str, factor: float = 1.0, *, runtime: str = RUNTIME, **facts: str) -> Member:
    """A host whose CPU is off by a factor at every point, each trial a little."""
    rng = random.Random(name)
    points = []
    for value in VALUES:
        median = float(value) * factor * rng.gauss(1, 0.001)
        points.append(PointLevels(
            point=point(value), valid=5,
            levels=(
                level(median, matters=0.01 * float(value), promised=float(value)),
                level(rng.gauss(0.9, 0.001), "throttled_share", matters=0.05),
            ),
            verdict=Status.DEVIATES if abs(factor - 1) > 0.02 else Status.CONFORMS,
            why="error outside of its tolerance" if abs(factor - 1) > 0.02 else "",
        ))  # fmt: skip
    run = f"20260101-080000-{name}"
    made = RunLevels(
        run=run, created="2026-01-01T08:00:00+00:00", hostname=name, sweep="cpu", check=False,
        facts={**FACTS, "runtime": runtime, "cgroup": "v2", **facts}, points=tuple(points),
    )  # fmt: skip
    return Member(name, (made,), runs=(run,))


def hosts(
    number: int, factors: Mapping[int, float] | None = None, *, wrong: str = "runc 1.2.4"
) -> Hosts:
    """So many hosts; those that are off by a factor have the runtime ``wrong``."""
    off = factors or {}
    found = [
        member(f"host-{i:04}", off.get(i, 1.0), runtime=wrong if i in off else RUNTIME)
        for i in range(number)
    ]
    return beside(Found(tuple(found)))


def without(name: str, status: str, why: str) -> Member:
    """A host that has no run."""
    return Member(name, status=status, why=why)


def folder(root: Path, hosts_of: Sequence[str], *, runtimes: Sequence[str] = ()) -> Path:
    """A results folder with the same short run of each host, in the format of the store."""
    made = one_run()
    results = root / "results"
    results.mkdir()
    for i, name in enumerate(hosts_of):
        runtime = runtimes[i] if runtimes else ENGINE_FACTS.runtime_version
        keep(results, made, f"20260101-08{i:04}-cpu", name, runtime)
    return results


@functools.cache
def one_run() -> runs.Run:
    """A short run in a fake world; its folder is gone again."""
    with tempfile.TemporaryDirectory() as root:
        run = measured(Path(root), options=Options(values="0.5,1", repeats=5))
        return run.holding(run.trials)


def off(factor: float) -> runs.Run:
    """The same with CPU that is off by a factor."""
    return scattered(one_run(), dict.fromkeys(("cpus=0.5", "cpus=1"), factor), sigma=0.0005)


def keep(results: Path, made: runs.Run, run: str, host: str, runtime: str = "1.1.5") -> Path:
    """That run as one of another host."""
    writer = runs.create(
        results, made.info.plan, workload=WORKLOAD_FACTS,
        host=replace(HOST_FACTS, hostname=host),
        engine=replace(ENGINE_FACTS, runtime_version=runtime),
    )  # fmt: skip
    with (writer.path / "trials.jsonl").open("wb") as lines:
        for trial in made.trials:
            lines.write(store_trials.line_of(trial))
    writer.finish("finished")
    return writer.path.rename(results / run)


def roll(
    results: Path,
    fleet: str = "20260102-080000-cpu",
    *,
    started: str = "2026-01-02T08:00:00+00:00",
    hosts: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """The file of a fleet, with what became of its hosts."""
    document = Fleet(
        schema=store_fleets.SCHEMA, id=fleet, kind="claims", command="bench fleet claims",
        plan_digest="", started=started, scheduler="", order=Order(),
        hosts=tuple(
            FleetHost(**{**one, "status": HostStatus(one["status"])}) for one in hosts
        ),
    )  # fmt: skip
    path = results / f"fleet-{fleet}.json"
    path.write_bytes(checks.stamped(TypeAdapter(Fleet).dump_json(document)))
    return path
