"""Simulated hosts are what they are said to be."""

from __future__ import annotations

from pathlib import Path

from harness.comparison.hosts import beside
from harness.comparison.hosts_simulated import simulated
from harness.comparison.levels import levels
from harness.model import Standing
from harness.store import runs

SAMPLE = Path(__file__).parents[2] / "results" / "sample-cpu"


def test_one_in_twenty_is_wrong_and_found_with_its_runtime() -> None:
    run = runs.load(SAMPLE)
    found = simulated(levels(run.info, run.trials), 60)
    hosts = beside(found)
    wrong = [row for row in hosts.rows if row.standing is Standing.DEVIATES]
    assert [row.name for row in wrong] == ["simulated-08", "simulated-28", "simulated-48"]
    assert all({one.metric for one in row.apart} == {"cpus"} for row in wrong)
    assert sum(row.standing is Standing.CONFORMS for row in hosts.rows) == 57
    assert hosts.rows[-1].standing is Standing.UNREACHABLE
    assert {(one.fact, one.value) for one in hosts.separations} == {("runtime", "runc 1.2.4")}
