"""What several hosts share is told as one event, and false alarms that coincide are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.comparison import across
from harness.comparison.across import shared
from harness.model import ChangePoint, Entry, Level, RunSeries, Scale
from tests.histories import FACTS, NEW_KERNEL, level, of_hosts, point

pytest.importorskip("ruptures", reason="ruptures has no wheel for this Python")
RUNS = 12


def test_the_same_fact_at_other_times_is_one_event() -> None:
    kernels = {"a": 4, "b": 6, "c": 8, "d": 5}
    (event,) = of_hosts({"a": 4, "b": 6, "c": 8, "d": None, "e": None}, kernels=kernels).shared
    assert (event.hosts, event.still) == (("a", "b", "c"), ("d",)), "e has the old kernel"
    assert [(one.fact, one.before, one.after) for one in event.common] == [
        ("kernel", FACTS["kernel"], NEW_KERNEL)
    ]
    assert not event.at_once
    (change,) = event.changes
    assert change.asked == ("a", "b", "c", "d", "e")
    assert all(one.change == pytest.approx(0.1, abs=0.01) for _, one in change.moved)


def test_the_same_time_without_a_fact_is_one_event() -> None:
    (event,) = of_hosts({"a": 6, "b": 6, "c": 6, "d": None}).shared
    assert (event.hosts, event.still, event.facts) == (("a", "b", "c"), ("d",), ())
    assert event.at_once
    assert (event.after[:10], event.until[:10]) == ("2026-01-06", "2026-01-07")


def test_one_that_moved_there_without_the_fact_does_not_hide_it() -> None:
    (event,) = of_hosts({"a": 6, "b": 6, "c": 6, "d": None}, kernels={"a": 6, "b": 6}).shared
    assert event.hosts == ("a", "b", "c")
    assert event.common == ()
    assert [(one.fact, one.hosts) for one in event.facts] == [("kernel", ("a", "b"))]


def test_other_times_or_another_way_are_no_event() -> None:
    assert of_hosts({"a": 4, "b": 8, "c": None}).shared == ()
    up = of_hosts({"a": 6}).series
    down = of_hosts({"b": 6}, way=-0.1).series
    assert shared([*up, *down]) == ()
    assert len(shared([*up, *of_hosts({"b": 6}).series])) == 1


def test_two_metrics_that_moved_with_the_same_runs_are_one_event() -> None:
    series = of_hosts({"a": 6, "b": 6, "c": None}).series
    again = [replace(one, metric="throttled_share") for one in series]
    (event,) = shared([*series, *again])
    assert len(event.changes) == 2


def test_how_likely_hosts_meet_by_chance_is_told() -> None:
    same = {"a": 6, "b": 6, "c": 6, "d": None}
    (alone,) = of_hosts(same).shared
    (fact,) = of_hosts(same, kernels={"a": 6, "b": 6, "c": 6}).shared
    # Each interval is one of 7 places of 12 runs: 3 × 1/7²; a fact may change at 11: 1/11³.
    assert alone.changes[0].by_chance == pytest.approx(3 / 49)
    assert fact.changes[0].by_chance == pytest.approx(1 / 1331)


def test_what_meets_by_chance_more_often_than_not_is_not_told() -> None:
    series = of_hosts({"a": 6, "b": 6, "c": 9, "d": 3, "e": None}).series
    wide = [
        replace(one, changes=tuple(replace(c, first=3, last=8) for c in one.changes))
        for one in series
    ]
    assert shared(series[:2])
    assert shared(wide) == ()


def test_a_host_of_too_few_runs_is_not_asked() -> None:
    whole = of_hosts({"a": 6, "b": 6, "c": None}).series
    few = replace(whole[2], host="d", entries=whole[2].entries[:5])
    assert shared([*whole, few])[0].changes[0].asked == ("a", "b", "c")


NONE: ChangePoint | None = None


def fleet(rng: np.random.Generator, hosts: int, rate: float) -> list[RunSeries]:
    """Series of which each has a change that is none at that rate: a direction and place each.

    Metrics of a host go together, as cpus and throttled periods do: of a host with one false alarm
    every other metric has the same one in half of the cases.
    """
    entries = tuple(
        Entry(run=f"r{day}", created=f"2026-01-{day + 1:02}", level=LEVEL) for day in range(RUNS)
    )
    made = []
    for number in range(hosts):
        before: ChangePoint | None = None
        for name in METRICS:
            same = before is not None and rng.random() < 0.5
            change = before if same else alarm(rng) if rng.random() < rate else NONE
            before = change
            made.append(RunSeries(
                host=f"h{number}", point=POINT, metric=name, container=0, entries=entries,
                changes=(change,) if change else (),
            ))  # fmt: skip
    return made


LEVEL: Level = level(0.5)
POINT = point()
METRICS: Sequence[str] = ("cpus", "throttled_share", "gap_p50_s", "gap_p99_s", "gap_max_s", "psi")


def alarm(rng: np.random.Generator) -> ChangePoint:
    at = int(rng.integers(3, RUNS - 2))
    # As wide as those of 3 sigma at the most: wide intervals coincide more often.
    first, last = max(1, at - int(rng.integers(0, 3))), min(RUNS - 1, at + int(rng.integers(0, 3)))
    way = float(rng.choice([-1, 1]))
    return ChangePoint(
        at=at, first=first, last=last, before=0.5, after=0.5 + way * 0.05, change=way * 0.1,
        scale=Scale.RELATIVE, low=0.0, high=0.2, better=None,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("hosts", [2, 4, 10, 40, 200])
def test_false_alarms_that_coincide_stay_within_the_stated_rate(hosts: int) -> None:
    rng = np.random.default_rng(hosts)
    rounds = 4000 // hosts + 200
    # As many false alarms as are stated of a series, whichever way.
    fleets = [fleet(rng, hosts, 0.01) for _ in range(rounds)]
    told = sum(bool(shared(one)) for one in fleets)
    assert told <= stats.binom.isf(1e-3, rounds, across.ALPHA), f"{told} of {rounds}"
    assert any(one.changes for mine in fleets for one in mine)


def test_more_hosts_must_agree_where_more_are_asked() -> None:
    def alike(moved: int, hosts: int) -> list[RunSeries]:
        whole = fleet(np.random.default_rng(1), hosts, 0.0)
        change = alarm(np.random.default_rng(2))
        return [
            replace(one, changes=(change,))
            if one.metric == "cpus" and int(one.host[1:]) < moved else one
            for one in whole
        ]  # fmt: skip

    assert shared(alike(2, 4))
    assert not shared(alike(2, 40))
    assert shared(alike(5, 40))
    assert not shared(alike(8, 1000))
    assert shared(alike(30, 1000))
