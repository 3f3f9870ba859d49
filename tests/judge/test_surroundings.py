"""What a report says of the measuring itself: what sampling took, and how far ``--until`` came."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.judge import surroundings
from harness.model import SamplerCost
from harness.plan.axes import Options
from harness.show.report import json_data, view
from harness.store.runs import Run
from tests.runs import altered, measured


def with_cost(run: Run, cost: SamplerCost | None) -> Run:
    return altered(run, lambda trial: replace(trial, sampler=cost))


COST = SamplerCost(
    ticks=149, missed=0, lateness_p50_ns=60_000, lateness_p99_ns=140_000, cpu_ns=9_000_000,
    cpus="1", realtime=True,
)  # fmt: skip


def test_the_samplers_own_cost_stands_in_the_report(tmp_path: Path) -> None:
    run = with_cost(measured(tmp_path, options=Options(values="0.5", repeats=5)), COST)
    found = surroundings.sampling(run.trials)
    assert found is not None
    assert (found.ticks, found.missed, found.cpus) == (745, 0, "1")
    assert found.cpu_share == pytest.approx(0.003)
    assert found.cpu_per_read_s == pytest.approx(9e-3 / 151)
    said = view.build(run)
    assert (
        "The sampler took 0.30% of one CPU, apart on CPU 1; none of 745 ticks missed; late by "
        "60 µs (median), 140 µs (99 %)." in said.remarks
    )
    assert json_data.as_json(said)["sampler"]["lateness_p99_s"] == pytest.approx(140e-6)


def test_missed_ticks_are_told_and_no_sampler_is_no_remark(tmp_path: Path) -> None:
    run = measured(tmp_path, options=Options(values="0.5", repeats=5))
    missed = view.build(with_cost(run, replace(COST, missed=15, cpus=None)))
    assert any("75 of 820 ticks missed" in remark for remark in missed.remarks)
    none = view.build(with_cost(run, None))
    assert not any("sampler" in remark for remark in none.remarks)
    assert json_data.as_json(none)["sampler"] is None


def test_until_tells_how_far_it_came(tmp_path: Path) -> None:
    run = measured(tmp_path, options=Options(values="0.25,0.5", repeats=5, until=0.01))
    assert "Repeated until ±1.00%: every point is that narrow." in view.build(run).remarks
    alone = run.holding(run.trials[:1])
    (said,) = [remark for remark in view.build(alone).remarks if remark.startswith("Repeated")]
    assert "(no interval)" in said
