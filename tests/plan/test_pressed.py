"""Containers below one limit, and what gives way: which points there are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.errors import PlanError
from harness.model import Growth, Limits, Plan
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.plan.axes.oom import MOST, SHARED_BYTES, holds_bytes
from tests.fakes import CPUS

MIB = 1 << 20


def plan(axis: str, values: str | None = None, **fixed: Any) -> Plan:
    return planning.build(axis, Options(values=values, fixed=Limits(**fixed)), cpus=CPUS)


@pytest.mark.parametrize("count", range(2, MOST + 1))
def test_one_kill_is_enough_whoever_it_is(count: int) -> None:
    """All together want more than the limit; without any one of the holders they do not."""
    wanted = holds_bytes(SHARED_BYTES, count)
    assert len(wanted) == count
    assert sum(wanted) > SHARED_BYTES
    room = SHARED_BYTES - 2 * MIB  # what they hold besides
    assert all(sum(wanted) - one < room for one in wanted)


def test_the_last_one_begins_later_and_all_are_below_one_limit() -> None:
    (point,) = plan("oom", "0:300:0").points
    loads = [spec.workload for spec in point.containers]
    assert all(isinstance(load, Growth) and load.victim == "rival" for load in loads)
    assert [bool(load.after_s) for load in loads if isinstance(load, Growth)] == [False] * 2 + [
        True
    ]
    assert [spec.limits.oom_score_adj for spec in point.containers] == [0, 300, 0]
    assert point.parent == Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB)


def test_without_a_killer_the_window_ends_by_itself() -> None:
    (point,) = plan("oom", "disabled").points
    (spec,) = point.containers
    assert spec.limits.oom_kill_disable
    assert isinstance(spec.workload, Growth)
    assert spec.workload.may_stand
    assert point.parent is None


@pytest.mark.parametrize("axis", ["oom", "reservation", "swappiness"])
def test_a_plan_is_the_same_once_it_was_stored(axis: str) -> None:
    stored, asked = TypeAdapter(Plan), plan(axis)
    assert stored.validate_json(stored.dump_json(asked)) == asked


@pytest.mark.parametrize(
    ("axis", "values", "fixed", "said"),
    [
        ("oom", "0", {}, "names no 2 to 4"),
        ("oom", "0:0:0:0:0", {}, "names no 2 to 4"),
        ("oom", "0:2000", {}, "out of range"),
        ("oom", "0:x", {}, "not a number"),
        ("oom", "-1000:-1000", {}, "nobody to be killed"),
        ("oom", None, {"memory_bytes": 64 * MIB}, "one limit together"),
        ("oom", None, {"oom_score_adj": 5}, "what this sweep varies"),
        ("reservation", "16m@nowhere", {}, "no place that is known"),
        ("reservation", "16m@pressed", {"memory_bytes": 64 * MIB}, "one limit together"),
        ("reservation", "x@pressed", {}, "not a size"),
        ("swappiness", "101", {}, "out of range"),
        ("swappiness", "0.5", {}, "not a whole number"),
        ("cpuset-mems", "x", {}, "not a CPU list"),
        ("cpu-rt-runtime", "0", {}, "out of range"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    axis: str, values: str | None, fixed: dict[str, int], said: str
) -> None:
    with pytest.raises(PlanError, match=said):
        plan(axis, values, **fixed)
