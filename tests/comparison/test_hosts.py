"""How hosts stand among others, and which runs of a folder are theirs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.comparison.hosts import beside
from harness.comparison.hosts_found import Found, found
from harness.errors import ResultsError, UsageError
from harness.model import Scale, Standing, Status
from harness.store import levels as kept
from tests import fleets
from tests.fleets import member
from tests.runs import stored


def standings(*members: object) -> list[Standing]:
    return [row.standing for row in beside(Found(members)).rows]  # type: ignore[arg-type]


def test_a_host_whose_law_deviates_and_one_that_lies_apart() -> None:
    within = member("apart", 1.05)
    points = tuple(replace(one, verdict=Status.CONFORMS) for one in within.levels[0].points)
    within = replace(within, levels=(replace(within.levels[0], points=points),))
    hosts = beside(Found((*[member(f"h{i}") for i in range(20)], member("off", 0.9), within)))
    told = {row.name: row for row in hosts.rows if row.standing is not Standing.CONFORMS}
    assert {name: row.standing for name, row in told.items()} == {
        "off": Standing.DEVIATES, "apart": Standing.APART,
    }  # fmt: skip
    assert told["off"].why == "cpus=0.5: error outside of its tolerance"
    (first, *_) = told["apart"].apart
    assert (first.metric, first.scale) == ("cpus", Scale.RELATIVE)
    assert first.change == pytest.approx(0.05, abs=0.01)
    assert {one.metric for one in told["apart"].apart} == {"cpus"}
    assert hosts.tests == 22 * 4


def test_the_runtime_of_those_that_deviate_is_told() -> None:
    hosts = fleets.hosts(60, {3: 1.05, 9: 1.05, 30: 1.05})
    (shared,) = hosts.separations
    assert (shared.fact, shared.value) == ("runtime", "runc 1.2.4")
    assert (shared.among, shared.having, shared.among_others) == (3, 3, 0)
    assert fleets.hosts(60).separations == ()


def test_more_than_half_may_deviate_and_the_runtime_is_still_told() -> None:
    hosts = fleets.hosts(20, dict.fromkeys(range(12), 1.05))
    assert {one.value for one in hosts.separations} >= {"runc 1.2.4"}


def test_inconclusive_is_never_shown_as_success() -> None:
    one = member("open")
    unsure = tuple(replace(p, verdict=Status.INCONCLUSIVE) for p in one.levels[0].points[:1])
    run = replace(one.levels[0], points=(*unsure, *one.levels[0].points[1:]))
    lawless = tuple(replace(p, verdict=None) for p in run.points)
    assert standings(replace(one, levels=(run,))) == [Standing.INCONCLUSIVE]
    assert standings(replace(one, levels=(replace(run, points=lawless),))) == [
        Standing.INCONCLUSIVE
    ]
    assert standings(replace(one, levels=(), why="nothing counts")) == [Standing.INCONCLUSIVE]


def test_points_of_another_window_are_not_held_beside_each_other() -> None:
    longer = member("longer")
    points = tuple(
        replace(one, point=replace(one.point, duration_s=60.0)) for one in longer.levels[0].points
    )
    longer = replace(longer, levels=(replace(longer.levels[0], points=points),))
    hosts = beside(Found((*[member(f"h{i}") for i in range(6)], longer)))
    assert sorted({len(one.hosts) for one in hosts.series}) == [1, 6]


def test_the_newest_run_of_each_host_counts(tmp_path: Path) -> None:
    results = fleets.folder(tmp_path, ["a", "b"])
    fleets.keep(results, fleets.one_run(), "20260105-080000-cpu", "a", "9.9")
    there = found(results)
    assert [(one.name, one.runs) for one in there.members] == [
        ("a", ("20260105-080000-cpu",)), ("b", ("20260101-080001-cpu",)),
    ]  # fmt: skip
    assert there.members[0].levels[0].facts["runtime"] == "runc 9.9"
    # Only of the newest were the trials read.
    assert not (results / "20260101-080000-cpu" / kept.LEVELS).exists()
    assert (results / "20260105-080000-cpu" / kept.LEVELS).exists()
    assert [one.levels for one in found(results).members] == [one.levels for one in there.members]


def test_what_became_of_hosts_without_a_run(tmp_path: Path) -> None:
    results = fleets.folder(tmp_path, ["a", "b"])
    late = {"started": "2099-01-01T00:00:00+00:00"}
    fleets.roll(results, hosts=[
        {"name": "a", "status": "finished", "run": "20260101-080000-cpu", "attempts": 1},
        {"name": "b", "status": "failed", "reason": "the engine is gone", "attempts": 3},
        {"name": "c", "status": "unreachable", "reason": "it did not join"},
        {"name": "d", "status": "finished", "run": "20260101-089999-cpu"},
        {"name": "e", "status": "waiting"},
    ], **late)  # fmt: skip
    rows = {row.name: row for row in beside(found(results)).rows}
    assert {name: row.standing.value for name, row in rows.items()} == {
        "a": "deviates" if rows["a"].standing is Standing.DEVIATES else "conforms",
        "b": "failed", "c": "unreachable", "d": "failed", "e": "waiting",
    }  # fmt: skip
    assert rows["b"].why == "the engine is gone"
    assert "20260101-089999-cpu is not in this folder" in rows["d"].why
    assert rows["b"].facts == {}, "its older run is not what it is now"


def test_a_run_that_is_newer_than_the_fleet_counts(tmp_path: Path) -> None:
    results = fleets.folder(tmp_path, ["b"])
    fleets.roll(results, started="2026-01-02T08:00:00Z",
                hosts=[{"name": "b", "status": "failed", "reason": "then"}])  # fmt: skip
    (row,) = beside(found(results)).rows
    assert row.standing not in (Standing.FAILED, Standing.UNREACHABLE)


def test_hosts_that_call_themselves_alike_are_told_apart_by_the_fleet(tmp_path: Path) -> None:
    results = fleets.folder(tmp_path, ["localhost", "localhost"])
    assert len(found(results).members) == 1
    fleets.roll(results, hosts=[
        {"name": f"web{i}", "status": "finished", "run": f"20260101-08000{i}-cpu"}
        for i in range(2)
    ])  # fmt: skip
    assert [one.name for one in found(results).members] == ["web0", "web1"]


def test_one_fleet_or_one_sweep_alone(tmp_path: Path) -> None:
    results = fleets.folder(tmp_path, ["a", "b"])
    fleets.roll(results, hosts=[{"name": "a", "status": "finished", "run": "20260101-080000-cpu"}])
    (only,) = found(results, fleet="20260102-080000-cpu").members
    assert only.name == "a"
    with pytest.raises(UsageError, match=r"no fleet 'x'.*20260102-080000-cpu"):
        found(results, fleet="x")
    assert found(results, sweep="memory").members == (), "no host failed: it did another sweep"
    with pytest.raises(ResultsError, match="there is no folder"):
        found(tmp_path / "nowhere")


def test_runs_without_figures_say_why(tmp_path: Path) -> None:
    results = tmp_path / "results"
    stored(results, status=None)
    (member_,) = found(results).members
    assert not member_.levels
    (results / "20260101-000000-x").mkdir()
    (results / "20260101-000000-x" / "run.json").write_text("{")
    there = found(results)
    assert [what for what, _ in there.left_out] == ["20260101-000000-x"]
