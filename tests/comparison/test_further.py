"""A check that goes on by itself: which trials it adds, in which order, and when it stops."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from benchmarks.coverage import DISTRIBUTIONS
from benchmarks.stopping import EFFECT, WATCHED, Truth, ends
from harness.cli.going_on import queue_of, with_room
from harness.comparison import changes, looks
from harness.comparison.digest import digest
from harness.comparison.further import next_sizes
from harness.errors import ResultsError
from harness.measure.queue import Queue
from harness.model import (
    Change,
    Compared,
    Comparison,
    ContainerRecord,
    Digest,
    ForCheck,
    HostSample,
    Outcome,
    PlannedTrial,
    RunInfo,
    Sample,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS

SECOND = 1_000_000_000
OPEN, QUIET = "cpus=0.5", ("cpus=0.25", "cpus=1")
STEADY = dict.fromkeys((OPEN, *QUIET), 0.0005)
BUSY = "other processes used 0.90 CPUs, more than 0.10"


def info(budget: float | None = 3.0, repeats: int = 10) -> RunInfo:
    options = Options(values="0.25,0.5,1", repeats=repeats)
    plan = with_room(planning.build("cpu", options, cpus=CPUS), budget)
    return RunInfo(
        schema=1, name="run", created="", status="running", harness_version="", python_version="",
        plan=plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS,
        purpose=ForCheck(against=None, budget=budget),
    )  # fmt: skip


def trial(planned: PlannedTrial, factor: float, *, disturbed: bool = False) -> TrialRecord:
    cpus = float(planned.point_id.removeprefix("cpus="))
    used = round(3 * SECOND * cpus * factor)
    container = ContainerRecord(
        requested=info().plan.point(planned.point_id).containers[0].limits,
        first=Sample(t_mono_ns=0, cpu_usage_ns=0),
        last=Sample(t_mono_ns=3 * SECOND, cpu_usage_ns=used),
    )
    foreign = used + 3 * SECOND * 9 // 10 * disturbed
    first, last = (
        HostSample(t_mono_ns=at, root_usage_ns=root, steal_ns=(0, 0))
        for at, root in ((0, 0), (3 * SECOND, foreign))
    )
    return TrialRecord(
        index=planned.index, block=planned.block, point_id=planned.point_id,
        outcome=Outcome.COMPLETED, started_at="", containers=(container,),
        invalid=BUSY if disturbed else None, host_first=first, host_last=last,
        phases_s={"window": 3.85},
    )  # fmt: skip


def factors(scatter: Mapping[str, float], seed: int, **moved: float) -> Callable[[str], float]:
    rng = random.Random(seed)
    return lambda point: rng.gauss(1, scatter[point]) * (1 + moved.get(point.split("=")[1], 0))


def done(queue: Queue, factor: Callable[[str], float]) -> list[TrialRecord]:
    out = []
    for planned in queue:
        out.append(trial(planned, factor(planned.point_id)))
        queue.note(out[-1])
    return out


def baseline(scatter: Mapping[str, float] = STEADY, seed: int = 9) -> Digest:
    plain = replace(info(None), purpose=None)
    return digest(plain, done(queue_of(plain, changes.laws_alone)[0], factors(scatter, seed)))


def beside(before: Digest) -> Callable[[Digest], Compared]:
    return lambda after: changes.compare(before, after)


SCATTERED = {**STEADY, OPEN: 0.008}


def test_the_looks_are_at_sizes_that_are_fixed_beforehand() -> None:
    assert looks.sizes(10) == (10, 15, 23, 35)
    assert [looks.look_of(10, n) for n in (3, 10, 11, 15, 16, 23, 24, 35, 40)] == [
        1, 1, 2, 2, 3, 3, 4, 4, 4,
    ]  # fmt: skip


def test_nothing_is_added_where_all_is_decided() -> None:
    queue, _ = queue_of(info(), beside(baseline()))
    assert len(done(queue, factors(STEADY, 1))) == 30


def test_the_open_point_goes_on_between_fresh_trials_of_the_others() -> None:
    judged = beside(baseline())
    found = done(queue_of(info(), judged)[0], factors(SCATTERED, 3))
    added = [one.point_id for one in found[30:]]
    told = Counter(added)
    assert told[OPEN] in (5, 13, 25)
    assert abs(told[QUIET[0]] - told[QUIET[1]]) <= 3
    assert told[OPEN] == told[QUIET[0]] + told[QUIET[1]]
    # Never one point alone, again and again: each round has another one in it.
    assert all(set(added[i : i + 2]) != {OPEN} for i in range(0, len(added), 2))
    after = digest(info(), found)
    assert after.look == looks.look_of(10, 10 + told[OPEN])
    assert not next_sizes(judged(after), 10)


@pytest.mark.parametrize(("budget", "most"), [(None, 30), (1.2, 30), (1.4, 40), (3.0, 80)])
def test_the_budget_ends_it(budget: float | None, most: int) -> None:
    wide = {**STEADY, OPEN: 0.014}
    found = done(queue_of(info(budget), beside(baseline(wide)))[0], factors(wide, 4))
    assert len(found) <= most
    assert (len(found) > 30) is (most > 30)


def test_a_red_check_has_no_more_to_find_out() -> None:
    queue, _ = queue_of(info(), beside(baseline()))
    found = done(queue, factors(SCATTERED, 3, **{"1": 0.05}))
    assert len(found) == 30
    assert beside(baseline())(digest(info(), found)).status is Change.REGRESSED


def test_where_the_baseline_is_too_wide_no_trial_of_now_is_wasted() -> None:
    wide = {**STEADY, OPEN: 0.06}
    found = done(queue_of(info(), beside(baseline(wide)))[0], factors(STEADY, 1))
    assert Counter(one.point_id for one in found)[OPEN] <= 10 + 5


@pytest.mark.parametrize("kept", [12, 30, 33, 38])
def test_a_check_that_was_killed_goes_on_as_it_would_have(kept: int) -> None:
    judged = beside(baseline())
    whole = done(queue_of(info(), judged)[0], factors(SCATTERED, 3))
    assert len(whole) > 38
    queue, _ = queue_of(info(), judged, whole[:kept])
    rest = []
    for planned in queue:
        rest.append(whole[planned.index])
        assert (planned.point_id, planned.block) == (rest[-1].point_id, rest[-1].block)
        queue.note(rest[-1])
    assert whole[:kept] + rest == whole


def test_a_check_whose_baseline_is_another_by_now_is_refused() -> None:
    whole = done(queue_of(info(), beside(baseline()))[0], factors(SCATTERED, 3))
    other = baseline({**STEADY, "cpus=1": 0.012})
    with pytest.raises(ResultsError, match="is not the one"):
        queue_of(info(), beside(other), whole[:33])


def test_trials_that_others_disturbed_are_measured_again() -> None:
    queue, _ = queue_of(info(), beside(baseline()))
    factor, busy = factors(STEADY, 1), {OPEN: 6}
    records = []
    for planned in queue:
        disturbed = busy.get(planned.point_id, 0) > 0
        busy[planned.point_id] = busy.get(planned.point_id, 0) - 1
        records.append(trial(planned, factor(planned.point_id), disturbed=disturbed))
        queue.note(records[-1])
    valid = Counter(one.point_id for one in records if one.invalid is None)
    assert valid == {OPEN: 10, **dict.fromkeys(QUIET, 10)}
    assert len(records) == 36


@pytest.mark.parametrize("always", [0, 10**6])
def test_what_never_counts_ends_all_the_same(always: int) -> None:
    queue, _ = queue_of(info(100), beside(baseline()))
    factor = factors(STEADY, 1)
    for n, planned in enumerate(queue):
        assert n < 300
        record = trial(planned, factor(planned.point_id), disturbed=planned.point_id == OPEN)
        # Without others to blame it is the point itself, and no more of the same would help.
        quiet = replace(record, host_first=None, host_last=None)
        queue.note(record if always else quiet)
    counted = Counter(one.point_id for one in queue.records)
    assert counted[OPEN] <= 10 + looks.sizes(10)[-1] + 2
    assert (counted[OPEN] > 12) is bool(always)


# --- how often it is wrong: benchmarks/stopping.py with fewer rounds --------------------------


@pytest.mark.slow
def test_no_change_is_red_hardly_ever_however_often_it_looks() -> None:
    truth = Truth(DISTRIBUTIONS["disturbed"], 0.01, points=3, metrics=WATCHED)
    found = ends(truth, 25)
    assert found[Change.REGRESSED] == 0


@pytest.mark.slow
def test_looking_again_calls_a_change_that_matters_the_same_no_more_often() -> None:
    edge = Truth(DISTRIBUTIONS["normal"], 0.006, moved=EFFECT)
    mine, peeking = ends(edge, 150), ends(edge, 150, looks=False)
    assert mine[Change.SAME] <= 15  # 5 % is meant; 10 % has a chance of one in a hundred
    assert peeking[Change.SAME] > mine[Change.SAME]  # and the test can tell a rule that peeks


def test_no_trial_is_wasted_on_what_lies_between_days() -> None:
    open_point = Comparison(
        point_id=OPEN, metric="cpus", status=Change.INCONCLUSIVE, reason="", decides=True,
        n=(10, 10), change=0.0, low=-0.012, high=0.012, effect=0.011,
    )  # fmt: skip
    made = digest(info(), [])
    after = replace(made, look=1, points=tuple(replace(one, valid=10) for one in made.points))
    compared = Compared(before=None, after=after, status=Change.INCONCLUSIVE, headline="",
                        rows=(open_point,))  # fmt: skip
    assert next_sizes(compared, 10).keys() == {OPEN}
    between_days = replace(compared, rows=(replace(open_point, drift=0.0115),))
    assert next_sizes(between_days, 10) == {}
