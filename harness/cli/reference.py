"""What a measurement is compared with.

It decides what is then measured: a sweep, or the points of a baseline.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.cli import commandline
from harness.cli.dialogue import say
from harness.comparison.digest import digest
from harness.errors import UsageError
from harness.limits import EngineCpus
from harness.model import Digest, Plan
from harness.plan import axes
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store.runs import Run

REPEATS = 10
"""Trials of each point in whatever is compared: with fewer than 9, no single change among a hundred
metrics can be significant."""
_DEFAULT_AXIS = "cpu"
_OPTION = {"duration_s": "--duration", "sweep_name": "--sweep"}


@dataclass(frozen=True, slots=True)
class Reference:
    """What is compared with; no digest where there is no such baseline."""

    name: str
    digest: Digest | None


def reference(against: str | None, baselines: Path) -> Reference:
    """The baseline that was named, which must be there, or the default one if there is one."""
    from harness.store import baselines as store_baselines

    name = against or store_baselines.DEFAULT
    if against is None and not (baselines / f"{name}.json").exists():
        return Reference(name, None)
    return Reference(name, store_baselines.load(baselines, name).digest)


def digested(run: Run, side: str = "") -> Digest:
    """The digest of a run or of one of its sides, as far as it can be read; says what cannot.

    UsageError for an A/B run without a side.
    """
    if run.info.sides and not side:
        raise UsageError(
            f"{run.info.name} is an A/B run.", f"`bench compare {run.info.name}` shows its sides."
        )
    if not side or side == run.info.sides[0].name:
        for text in run.damage:
            say(f"{run.info.name}: {text}.")
    return digest(run.info, run.trials, side)


def options_of(given: dict[str, Any]) -> Options:
    """A command's options for its plan, with the repeats that a comparison needs."""
    options = Options(command=commandline.kept(sys.argv[1:]), **given)
    return replace(options, repeats=REPEATS if options.repeats is None else options.repeats)


def plan_of(held: Reference, sweep_name: str | None, options: Options, cpus: EngineCpus) -> Plan:
    """The plan of a sweep; without one the baseline's points again, or the default sweep."""
    if sweep_name is None and held.digest is not None:
        return _again(held.digest, options, cpus)
    name = sweep_name or _DEFAULT_AXIS
    if name.endswith(".toml"):
        from harness.cli.sweep import find_workload
        from harness.plan import sweepfile

        found = sweepfile.load(Path(name), options, find_workload)
        return planning.build(found.name, found.options, cpus=cpus, points_of=found.points)
    return planning.build(name, options, cpus=cpus)


def _again(held: Digest, options: Options, cpus: EngineCpus) -> Plan:
    """The points of a baseline once more, each with the window that it had."""
    points = tuple(one.point for one in held.points)
    plan = planning.build(
        held.sweep,
        replace(options, cadence_hz=held.cadence_hz),
        cpus=cpus,
        points_of=lambda _options, _cpus: points,
    )
    return replace(plan, points=points)


def refuse_unknown(sweep_name: str | None) -> None:
    """PlanError for a sweep that is no axis, before an engine is started for it."""
    if sweep_name is not None and sweep_name != planning.ALL and not sweep_name.endswith(".toml"):
        axes.find(sweep_name)


def refuse_useless(given: dict[str, Any], *, there: bool) -> None:
    """UsageError for an option that would do nothing: it measures, and the run is there already.

    ``given`` are the options that say what to measure, None where they were not given.
    """
    names = [name for name, value in given.items() if value is not None]
    refuse_unknown(given["sweep_name"])
    if there and names:
        raise UsageError(
            f"{_option(names[0])} measures, and the run is there already.",
            "Leave one of them away.",
        )
    for name in ("values", "duration_s"):
        if name in names and "sweep_name" not in names:
            raise UsageError(
                f"{_option(name)} needs --sweep.", "A baseline's points are measured as they were."
            )


def _option(name: str) -> str:
    return _OPTION.get(name, f"--{name}")
