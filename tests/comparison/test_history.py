"""A history tells since when, and what else changed there; unlike runs are no series."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.comparison.collected import Collected
from harness.comparison.history import history
from harness.comparison.settled import pooled, since_the_last_change
from harness.errors import ComparisonError
from harness.model import Scale
from tests import digests
from tests.histories import followed, level, point, run

pytest.importorskip("ruptures", reason="ruptures has no wheel for this Python")
BEFORE, AFTER = (0.5, 0.501, 0.499, 0.5, 0.5005), (0.55, 0.551, 0.549, 0.5505)


def test_a_change_is_told_with_the_fact_that_changed_there() -> None:
    (series,) = followed(*BEFORE, *AFTER, kernels={2: "6.1.1", 5: "6.1.2"}).series
    (change,) = series.changes
    assert series.entries[change.at].run == "20260106-080000-cpu"
    assert (change.first, change.last) == (5, 5)
    assert change.scale is Scale.RELATIVE
    assert change.low < 0.1 < change.high
    assert [(one.fact, one.before, one.after) for one in change.facts] == [
        ("kernel", "6.1.1", "6.1.2")
    ]
    assert change.better is False, "the law promises 0.5"


def test_a_fact_that_changed_elsewhere_is_not_told_of_it() -> None:
    (series,) = followed(*BEFORE, *AFTER, kernels={2: "6.1.1"}).series
    assert series.changes[0].facts == ()
    assert [one.fact for one in series.entries[2].changed] == ["kernel"]


def test_what_one_run_does_not_know_is_no_change() -> None:
    first, second = (run(i, {point(): [level(0.5)]}) for i in range(2))
    without = replace(second, facts={k: v for k, v in second.facts.items() if k != "engine"})
    (series,) = history(Collected((first, without), ())).series
    assert series.entries[1].changed == ()


def test_another_window_load_or_host_is_another_series() -> None:
    runs = (
        run(0, {point(): [level(0.5)]}),
        run(1, {point(duration_s=1.0): [level(0.5)]}),
        run(2, {point(): [level(0.5)]}, host="bench-2"),
        run(3, {point(): [level(0.5), level(1.0, "throttled_share")]}),
    )
    found = history(Collected(runs, ())).series
    assert [(one.host, one.metric, len(one.entries)) for one in found] == [
        ("bench-1", "cpus", 2),
        ("bench-1", "throttled_share", 1),
        ("bench-1", "cpus", 1),
        ("bench-2", "cpus", 1),
    ]


def test_only_what_was_asked_for_is_followed() -> None:
    both = {point(): [level(0.5), level(1.0, "throttled_share")]}
    runs = Collected(tuple(run(i, both) for i in range(3)), ())
    (only,) = history(runs, metrics=("throttled_share",)).series
    assert only.metric == "throttled_share"
    assert len(history(runs, sweep="cpu").series) == 2
    assert history(runs, sweep="shares").series == ()


def test_a_point_with_too_few_trials_is_told_of() -> None:
    thin = run(1, {point(): []})
    thin = replace(thin, points=(replace(thin.points[0], valid=3, rejected="steal"),))
    found = history(Collected((run(0, {point(): [level(0.5)]}), thin), ()))
    assert found.left_out == (
        ("20260102-080000-cpu, cpus=0.5", "3 trials count (steal): 5 are needed"),
    )


def test_the_level_begins_where_the_last_change_may_lie_at_the_latest() -> None:
    newest = "20260109-080000-cpu"
    assert len(since_the_last_change(followed(*BEFORE, *AFTER), newest)) == len(AFTER)
    # A fact that changed is a new beginning, moved or not.
    later = followed(*BEFORE, *AFTER, kernels={6: "6.1.2"})
    assert len(since_the_last_change(later, newest)) == 3
    with pytest.raises(ComparisonError, match="there are 2 runs since"):
        since_the_last_change(followed(*BEFORE, *AFTER, kernels={7: "6.1.2"}), newest)


def test_several_runs_are_one_digest() -> None:
    runs = [
        replace(digests.of_cpus(0.5, seed=i), run=f"run-{i}", created=f"2026-01-0{i}")
        for i in (1, 2, 3)
    ]
    made = pooled(runs)
    assert made.run == "3 runs, run-1 to run-3"
    assert made.created == "2026-01-03"
    (only,) = made.points
    assert (only.trials, only.valid) == (30, 30)
    values = [value for one in runs for value in one.points[0].series[0].values]
    assert list(only.series[0].values) == values
