"""Trials that were measured: what a check says of some that are drawn from them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.power.faults import FAULTS, REPEATS
from harness.comparison import changes
from harness.comparison.digest import digest
from harness.judge.points import counts
from harness.model import Compared, Digest, Noise, RunInfo, TrialRecord
from harness.store import listing
from harness.store import runs as store_runs

ROOT = Path(__file__).parents[2]

Trials = dict[str, list[TrialRecord]]
"""The trials of each point that count."""


@dataclass(frozen=True)
class Bank:
    """Trials that were measured, by point, and the run that describes their host."""

    info: RunInfo
    default: tuple[RunInfo, Trials] | None
    """Windows of the default length."""
    runs: tuple[Trials, ...]
    faults: dict[str, tuple[RunInfo, Trials]]

    @property
    def pooled(self) -> Trials:
        """All undisturbed trials of each point."""
        points = [point.id for point in self.info.plan.points]
        return {point: [t for run in self.runs for t in run[point]] for point in points}


def load(folder: Path) -> Bank:
    """The runs that ``collect`` left in a folder."""
    runs: list[Trials] = []
    faults: dict[str, tuple[RunInfo, Trials]] = {}
    info: RunInfo | None = None
    default: tuple[RunInfo, Trials] | None = None
    by_name = {f"fault-{fault.name}": fault for fault in FAULTS}
    for listed in reversed(listing.list_runs(folder).runs):
        run = store_runs.load(listed.path)
        if run.info.status != "finished":
            continue
        fault = by_name.get(run.info.plan.sweep)
        trials = [_ignoring_foreign(t) if fault and fault.busy else t for t in run.trials]
        found: Trials = {point.id: [] for point in run.info.plan.points}
        for trial in trials:
            if counts(trial):
                found[trial.point_id].append(trial)
        if run.info.plan.sweep == "bank":
            info = info or run.info
            runs.append(found)
        elif run.info.plan.sweep == "default":
            default = _joined(default, (run.info, found))
        elif fault:
            faults[fault.name] = _joined(faults.get(fault.name), (run.info, found))
    if info is None:
        raise SystemExit(f"{folder} holds no bank: python -m benchmarks.power collect {folder}")
    return Bank(info, default, tuple(runs), faults)


def _joined(
    earlier: tuple[RunInfo, Trials] | None, later: tuple[RunInfo, Trials]
) -> tuple[RunInfo, Trials]:  # fmt: skip
    """The trials of two runs of one kind; the points may be others."""
    if earlier is None:
        return later
    (info, before), (more, after) = earlier, later
    points = {one.id: one for run in (info, more) for one in run.plan.points}
    trials = {point: [*before.get(point, []), *after.get(point, [])] for point in points}
    return replace(more, plan=replace(more.plan, points=tuple(points.values()))), trials


def _ignoring_foreign(trial: TrialRecord) -> TrialRecord:
    """The trial as it would count if nobody minded the foreign process."""
    other = trial.invalid is not None and "other processes" not in trial.invalid
    return trial if other else replace(trial, invalid=None)


def digested(info: RunInfo, trials: Trials, points: Sequence[str] | None = None) -> Digest:
    """A run of those trials, as `bench check` sees it."""
    plan = info.plan
    if points is not None:
        kept = tuple(point for point in plan.points if point.id in points)
        plan = replace(plan, points=kept)
    return digest(replace(info, plan=plan), [t for mine in trials.values() for t in mine])


def checked(bank: Bank, before: Trials, after: Trials, noise: Noise | None = None) -> Compared:
    """One check, by the product's own code. That the host is the same is a matter of course."""
    return changes.compare(
        digested(bank.info, before), digested(bank.info, after), allow=changes.FACTS, noise=noise
    )


def halves(trials: Trials, rng: random.Random, n: int = REPEATS) -> tuple[Trials, Trials]:
    """Two disjoint draws of n trials of each point; as many as there are where there are fewer."""
    a, b = {}, {}
    for point, mine in trials.items():
        drawn = rng.sample(mine, min(2 * n, len(mine)))
        a[point], b[point] = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    return a, b


FROZEN = ROOT / "tests" / "data" / "bank.json"
FROZEN_POINTS = ("cpus=0.5", "cpus=1", "shares=1024:512", "period=100000")


def freeze(bank: Bank) -> str:
    """A few points of bank and faults as values, trial by trial; see tests/test_power.py."""
    pooled = digested(bank.info, bank.pooled, FROZEN_POINTS)
    empty = replace(
        pooled, points=tuple(replace(one, series=(), rejected="") for one in pooled.points)
    )
    kept = {
        name: {
            point: _values(info, mine) for point, mine in trials.items() if point in FROZEN_POINTS
        }
        for name, (info, trials) in {"bank": (bank.info, bank.pooled), **bank.faults}.items()
    }
    return json.dumps(
        {
            "about": "Real trials of one host, made by python -m benchmarks.power freeze.",
            "digest": TypeAdapter(Digest).dump_python(empty, mode="json"),
            "metrics": {fault.name: fault.metric for fault in FAULTS},
            "trials": kept,
        }
    )


def _values(info: RunInfo, trials: Sequence[TrialRecord]) -> list[dict[str, float]]:
    """Of each trial: metric and container → value, as a digest has them."""
    out = []
    for trial in trials:
        one = digested(info, {trial.point_id: [trial]}, [trial.point_id]).points[0]
        out.append({f"{s.metric} {s.container}": s.values[0] for s in one.series})
    return out
