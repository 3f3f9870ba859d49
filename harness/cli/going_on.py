"""How a check goes on by itself until it is decided, within its budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import UsageError
from harness.model import ForCheck
from harness.plan.budget import FACTOR, Budget

if TYPE_CHECKING:
    from harness.cli.reference import Reference
    from harness.measure.queue import Queue
    from harness.measure.runner import Surroundings
    from harness.model import Compared, Digest, Plan, RunInfo, TrialRecord

budget_option = click.option(
    "--budget", type=click.FloatRange(1, 100), metavar="FACTOR", help="Where it is open, go on and "
    "wait for a calm host for so many times the planned time; 1 = never.  "
    f"[default: {FACTOR:g}]",
)  # fmt: skip


def budget_of(given: float | None, until: float | None) -> float | None:
    """The budget of a check; None where it measures what it was told alone."""
    if until is not None:
        if given is not None:
            raise UsageError(
                "--budget does nothing beside --until, which says itself when it is enough.",
                "Leave one of them away.",
            )
        return None
    factor = FACTOR if given is None else given
    return factor if factor > 1 else None


def with_room(plan: Plan, budget: float | None) -> Plan:
    """The plan, with room for what a check of that budget may add."""
    from harness.comparison.looks import sizes

    return plan if budget is None else replace(plan, most_repeats=sizes(plan.repeats)[-1])


def comparer(
    held: Reference, permitted: frozenset[str], baselines: Path
) -> Callable[[Digest], Compared]:
    """What compares a run with the baseline, or judges it by the laws alone without one."""
    from harness.comparison import changes
    from harness.store import baselines as store_baselines

    before = held.digest
    if before is None:
        return changes.laws_alone
    noise = store_baselines.noise_of(baselines, before.fingerprint)
    return lambda after: changes.compare(before, after, allow=permitted, noise=noise)


def queue_of(
    info: RunInfo, judged: Callable[[Digest], Compared], finished: Iterable[TrialRecord] = ()
) -> tuple[Queue, Budget | None]:
    """The trials of a check that are left, and its budget; as planned where it has none."""
    from harness.comparison.further import Further
    from harness.measure.queue import Queue

    purpose = info.purpose
    if not isinstance(purpose, ForCheck) or purpose.budget is None:
        return Queue(info.plan, info.engine, info.host, finished), None
    budget = Budget(info.plan, purpose.budget)
    further = Further(info, judged, budget)
    return Queue(info.plan, info.engine, info.host, finished, further), budget


def calmly(where: Surroundings, info: RunInfo, budget: Budget | None) -> Surroundings:
    """The surroundings of a check, whose disturbed trials are waited out within its budget."""
    from harness.measure.calm import Calm

    if budget is None:
        return where
    return replace(where, await_calm=Calm(info, budget, where.clock))
