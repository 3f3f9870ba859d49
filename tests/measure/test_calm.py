"""A check waits while others take the host's CPUs, within its budget, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from harness.cli.going_on import with_room
from harness.judge import validity
from harness.measure import runner
from harness.measure.calm import Calm
from harness.measure.queue import Queue
from harness.model import (
    ForCheck,
    HostSample,
    Plan,
    RunInfo,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.plan.budget import Budget
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

SECOND = 1_000_000_000


@dataclass
class Visited(World):
    """A world in which somebody else is busy for some time."""

    busy: Sequence[tuple[int, int]] = ()
    """From and to, in ns of the world's clock."""
    steals: bool = False

    def _read_host(self) -> HostSample:
        sample = super()._read_host()
        busy_ns = sum(max(0, min(self.now, end) - begin) for begin, end in self.busy)
        if self.steals:
            return replace(sample, steal_ns=(busy_ns, 0))
        return replace(sample, root_usage_ns=(sample.root_usage_ns or 0) + busy_ns)


@dataclass
class Told(runner.Listener):
    said: list[str] = field(default_factory=list)

    def busy(self, why: str, waits_s: float) -> None:
        self.said.append(f"busy: {why}")

    def calm(self, waited_s: float, *, again: bool) -> None:
        self.said.append(f"{'calm' if again else 'no more'} after {waited_s:.0f}")


def plan() -> Plan:
    return with_room(planning.build("cpu", Options(values="2", repeats=5), cpus=CPUS), 3.0)


def execute(world: Visited, factor: float = 3.0) -> tuple[list[TrialRecord], list[str], Budget]:
    what, kept, told = plan(), list[TrialRecord](), Told()
    info = RunInfo(
        schema=1, name="run", created="", status="running", harness_version="", python_version="",
        plan=what, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS,
        purpose=ForCheck(against=None, budget=factor),
    )  # fmt: skip
    budget = Budget(what, factor)
    calm = Calm(info, budget, world, world._read_host)
    where = replace(world.surroundings(), await_calm=calm)
    queue = Queue(what, ENGINE_FACTS, HOST_FACTS)
    runner.run_plan(what, "run", where, lambda record, _: kept.append(record), told, queue=queue)
    return kept, told.said, budget


@pytest.mark.parametrize("steals", [False, True])
def test_who_comes_and_goes_is_waited_out(steals: bool) -> None:
    begin = World().now + 6 * SECOND
    kept, said, budget = execute(
        Visited(busy=[(begin, begin + 10 * SECOND)], steals=steals), factor=10
    )
    # One trial was lost before it was seen, and none while it was waited for.
    assert [one.invalid is None for one in kept].count(False) in (1, 2)
    assert sum(one.invalid is None for one in kept) == 5
    assert len(said) == 2
    assert ("steal" if steals else "other processes used") in said[0]
    assert said[1].startswith("calm after ")
    assert 5 < budget.waited_s <= 13


def test_a_calm_host_is_not_watched() -> None:
    world = Visited()
    _, said, budget = execute(world)
    assert (said, budget.waited_s) == ([], 0)


def test_whoever_stays_is_not_waited_for_beyond_the_budget() -> None:
    kept, said, budget = execute(Visited(busy=[(0, 10**16)]), factor=2)
    assert all(one.invalid for one in kept)
    assert said[1].startswith("no more after ")
    assert budget.waited_s <= planning.estimated_s(plan()) * 2
    assert budget.spare_s(kept, 0) > -5


def test_what_is_not_a_disturbance_is_not_waited_for() -> None:
    kept, _, _ = execute(Visited())
    what = plan()
    for invalid in (None, "0.100 CPUs used on 0: impossible"):
        record = replace(kept[0], invalid=invalid)
        assert validity.disturbance(record, what, ENGINE_FACTS, HOST_FACTS) == ""
