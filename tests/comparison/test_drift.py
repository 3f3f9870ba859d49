"""What lies between days is told apart from trials, and intervals between days allow for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.drift import TRIALS, Host, held, history, on_day
from harness.comparison import changes
from harness.comparison.drift import LEAST_DAYS, between, drifts
from harness.comparison.significance import CONFIDENCE
from harness.model import Change, Digest, Drift, Noise, Scale


def known(digests: Sequence[Digest]) -> Noise:
    first = digests[0]
    return Noise(
        created=first.created, hostname=first.hostname, fingerprint=first.fingerprint,
        runs=tuple(one.run for one in digests), repeats=10, floors=(), drifts=drifts(digests),
    )  # fmt: skip


def test_the_parts_of_what_moves_are_told_apart() -> None:
    (found,) = drifts(history(Host(1, days=0.02, runs=0.005), days=28, runs=8))
    assert (found.point_id, found.metric, found.scale) == ("cpus=0.5", "cpus", Scale.RELATIVE)
    assert (found.days, found.runs) == (28, 224)
    assert found.trials_deviation == pytest.approx(TRIALS, rel=0.1)
    assert found.runs_deviation == pytest.approx(0.005, rel=0.25)
    assert found.days_deviation == pytest.approx(math.hypot(0.02, 0.005), rel=0.3)


def test_nothing_but_trials_is_hardly_any_drift() -> None:
    (found,) = drifts(history(Host(1, days=0.0), days=28, runs=4))
    assert found.runs_deviation is not None
    assert found.days_deviation is not None
    # A median of ten trials scatters by four tenths of one.
    assert found.runs_deviation < 0.1 * TRIALS
    assert found.days_deviation < 0.2 * TRIALS


def test_what_runs_cannot_tell_is_not_known() -> None:
    host = Host(1, days=0.02)
    (one_day,) = drifts(host.day(0, runs=4))
    assert one_day.days_deviation is None
    assert one_day.runs_deviation is not None
    (one_a_day,) = drifts(history(host, days=4))
    assert one_a_day.runs_deviation is None
    assert one_a_day.days_deviation is not None
    assert drifts(host.day(0)) == ()


def test_two_runs_of_one_day_share_what_days_differ_by() -> None:
    drift = Drift(
        point_id="p", metric="cpus", scale=Scale.RELATIVE, days=7, runs=14, trials_deviation=0.01,
        runs_deviation=0.001, days_deviation=0.02,
    )  # fmt: skip
    monday, later, tuesday = on_day(0, [0.5]), on_day(0, [0.5], 20), on_day(1, [0.5])
    assert between(drift, monday, later) == (2 * 0.001**2, 7)
    assert between(drift, monday, tuesday) == (2 * 0.02**2, 6)
    # Too few days had two runs to tell: taken for runs of two days.
    assert between(replace(drift, runs=8), monday, later) == (2 * 0.02**2, 6)
    assert between(replace(drift, days=LEAST_DAYS - 1), monday, tuesday) is None


@pytest.mark.slow
@pytest.mark.parametrize("days", [LEAST_DAYS, 14])
@pytest.mark.parametrize("moved", [0.0, 0.01, 0.03])
def test_an_interval_holds_over_days_as_often_as_it_says(days: int, moved: float) -> None:
    rounds = 150
    with_it, alone, _ = held(days, 1, moved, rounds)
    # Three standard errors of a share of 90 % in so many rounds, below.
    least = CONFIDENCE - 3 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / rounds)
    assert with_it >= least
    if moved:
        assert alone < least, "trials alone know nothing of days"


def test_a_day_like_others_is_no_regression_and_a_change_beyond_them_is() -> None:
    host = Host(3, days=0.01)
    noise = known(history(host, days=10))
    today, other = on_day(11, [0.5 + 0.0005 * i for i in range(10)]), 0.97
    worse = on_day(12, [other * value for value in today.points[0].series[0].values])
    alone = changes.compare(today, worse)
    assert alone.rows[0].status is Change.REGRESSED
    allowed = changes.compare(today, worse, noise=noise)
    assert allowed.rows[0].status is Change.INCONCLUSIVE
    # Student's t of nine degrees of freedom, times what two days lie apart by.
    assert allowed.rows[0].drift == pytest.approx(1.83 * math.sqrt(2) * 0.01, rel=0.6)
    assert allowed.rows[0].floor is None
    assert any("between runs and days" in one for one in allowed.remarks)
    far = on_day(12, [0.8 * value for value in today.points[0].series[0].values])
    assert changes.compare(today, far, noise=noise).rows[0].status is Change.REGRESSED


def test_no_number_of_trials_takes_away_what_lies_between_days() -> None:
    host = Host(3, days=0.01)
    noise = known(history(host, days=10))
    today = on_day(11, [0.5 + 0.0005 * i for i in range(10)])
    same = on_day(12, today.points[0].series[0].values)
    row = changes.compare(today, same, noise=noise).rows[0]
    assert row.status is Change.INCONCLUSIVE
    assert row.repeats is None
    assert "more than" in row.reason


def test_runs_of_two_days_say_that_days_are_not_known() -> None:
    host = Host(3, days=0.01)
    noise = known(host.day(0, runs=3))
    then, now = on_day(11, [0.5] * 10), on_day(12, [0.5] * 10)
    said = changes.compare(then, now, noise=noise).remarks
    assert any("--from-history" in one for one in said)
    again = replace(now, created=then.created)
    assert not any("--from-history" in one for one in changes.compare(then, again).remarks)
