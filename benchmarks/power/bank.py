"""Trials that were measured: what a check says of some that are drawn from them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.power.collect import FAULTY
from benchmarks.power.faults import FAULTS, REPEATS, WINDOW_S
from harness.comparison import changes
from harness.comparison.digest import digest
from harness.comparison.further import next_sizes
from harness.judge.points import counts
from harness.model import Compared, Digest, ForCheck, RunInfo, TrialRecord
from harness.plan.budget import FACTOR
from harness.store import listing
from harness.store import runs as store_runs
from harness.store.runs import Run

ROOT = Path(__file__).parents[2]

Trials = dict[str, list[TrialRecord]]
"""The trials of each point that count."""


@dataclass(frozen=True)
class Bank:
    """Trials that were measured, by point, and the run that describes their host."""

    info: RunInfo
    starts: tuple[tuple[Trials, ...], ...]
    """The runs of each start of the engine."""
    default: tuple[RunInfo, Trials] | None
    """Windows of the default length."""
    faults: dict[str, tuple[RunInfo, Trials]]

    @property
    def pooled(self) -> Trials:
        """All undisturbed trials of each point."""
        points = [point.id for point in self.info.plan.points]
        runs = [run for start in self.starts for run in start]
        return {point: [t for run in runs for t in run[point]] for point in points}


def load(folder: Path) -> Bank:
    """What ``collect`` left in a folder."""
    info: RunInfo | None = None
    starts = []
    for start in sorted(folder.glob("start-*/")):
        found = [_sound(run) for run in _finished(start)]
        info = info or (found[0][0] if found else None)
        # A run of which a point hardly counts compares nothing: `bench check` refuses it.
        starts.append(
            tuple(one for _, one in found if all(len(t) >= REPEATS for t in one.values()))
        )
    if info is None:
        raise SystemExit(f"{folder} holds no bank: python -m benchmarks.power collect {folder}")
    faults: dict[str, tuple[RunInfo, Trials]] = {}
    default: tuple[RunInfo, Trials] | None = None
    by_name = {f"fault-{fault.name}": fault for fault in FAULTS}
    for run in _finished(folder / FAULTY):
        fault = by_name.get(run.info.plan.sweep)
        measured = _sound(run, even_beside_others=fault is not None and fault.busy)
        if run.info.plan.sweep == "default":
            default = _joined(default, measured)
        elif fault:
            faults[fault.name] = _joined(faults.get(fault.name), measured)
    return Bank(info, tuple(starts), default, faults)


def _finished(folder: Path) -> Iterator[Run]:
    """The runs of a folder, the oldest first."""
    if not folder.exists():
        return
    for listed in reversed(listing.list_runs(folder).runs):
        run = store_runs.load(listed.path)
        if run.info.status == "finished":
            yield run


def _sound(run: Run, *, even_beside_others: bool = False) -> tuple[RunInfo, Trials]:
    """The trials of a run that count, as they were measured."""
    trials = [_ignoring_foreign(t) for t in run.trials] if even_beside_others else run.trials
    found: Trials = {point.id: [] for point in run.info.plan.points}
    for trial in trials:
        if counts(trial):
            found[trial.point_id].append(trial)
    return run.info, found


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


def drawn(bank: Bank, rng: random.Random) -> tuple[Trials, Trials]:
    """A baseline and what a check of an unchanged host measures one after another.

    Two runs of the bank: their trials in random order, and for the check, after its own ones, such
    of the other runs of its engine's start. Of one run alone two draws of it.
    """
    runs = [(start, run) for start in bank.starts for run in start]
    if len(runs) == 1:
        mixed = {point: rng.sample(mine, len(mine)) for point, mine in runs[0][1].items()}
        return (
            {point: mine[:REPEATS] for point, mine in mixed.items()},
            {point: mine[REPEATS:] for point, mine in mixed.items()},
        )
    (_, before), (start, after) = rng.sample(runs, 2)
    others = [run for run in start if run is not before and run is not after]
    queue = {}
    for point, mine in after.items():
        more = [trial for run in others for trial in run[point]]
        queue[point] = [*rng.sample(mine, len(mine)), *rng.sample(more, len(more))]
    return {p: rng.sample(mine, REPEATS) for p, mine in before.items()}, queue


def checked(
    info: RunInfo, before: Trials, queue: Trials, *, goes_on: bool = True
) -> tuple[Compared, int]:
    """One check as `bench check` makes it, and the trials that it took.

    It goes on at the points that are open, within its budget. The fresh trials of other points
    between those are left out. That the host is the same is a matter of course.
    """
    held = digested(info, before)
    plan = replace(info.plan, repeats=REPEATS)
    purpose = ForCheck(against="default", budget=FACTOR) if goes_on else None
    checking = replace(info, plan=plan, purpose=purpose)
    most = FACTOR * REPEATS * len(plan.points)
    taken = dict.fromkeys(queue, REPEATS)
    while True:
        after = digested(checking, {point: queue[point][:n] for point, n in taken.items()})
        compared = changes.compare(held, after, allow=changes.FACTS)
        due = next_sizes(compared, REPEATS) if goes_on else {}
        more = {point: n for point, n in due.items() if n <= len(queue[point])}
        total = sum({**taken, **more}.values())
        if not more or total > most:
            return compared, sum(taken.values())
        taken.update(more)


FROZEN = ROOT / "tests" / "data" / "bank.json"
FROZEN_POINTS = ("cpus=0.5", "cpus=1", "shares=1024:512")
FROZEN_TRIALS = 30
"""Of each point at the most."""


def freeze(bank: Bank) -> str:
    """A few points of bank and faults as values, trial by trial; see tests/test_power.py."""
    pooled = digested(bank.info, bank.pooled, FROZEN_POINTS)
    empty = replace(
        pooled, points=tuple(replace(one, series=(), rejected="") for one in pooled.points)
    )
    short = {one.name: bank.faults[one.name] for one in FAULTS
             if one.name in bank.faults and one.window_s == WINDOW_S}  # fmt: skip
    kept = {
        name: {
            point: _values(info, mine[:FROZEN_TRIALS])
            for point, mine in trials.items()
            if point in FROZEN_POINTS
        }
        for name, (info, trials) in {"bank": (bank.info, bank.pooled), **short}.items()
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
