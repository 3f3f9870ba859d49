"""Comparisons: what is the same, what has changed, what cannot be told, and what has a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.comparison import changes
from harness.comparison import noise as comparison_noise
from harness.comparison.digest import digest as digest_of
from harness.comparison.sensitivity import SENSITIVITY
from harness.judge.laws.cpu import BELOW_A_TICK
from harness.judge.lifecycle import COMMANDS
from harness.judge.metrics import METRICS, Better
from harness.limits import NEW_WEIGHTS, OLD_WEIGHTS
from harness.model import (
    Burst,
    Change,
    Compared,
    Comparison,
    ContainerRecord,
    Digest,
    Floor,
    JudgedLaw,
    Limits,
    MemoryCounters,
    MemoryReport,
    Noise,
    Outcome,
    RunInfo,
    Sample,
    Scale,
    Status,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.digests import digest, law, of_cpus, point, spread, with_kernel
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World
from tests.runs import altered, measured

CPUSET_QUOTA = Limits(cpus=2.0, cpuset_cpus="0")


def row(compared: Compared, metric: str = "cpus", container: int = 0) -> Comparison:
    return next(r for r in compared.rows if (r.metric, r.container) == (metric, container))


def two(metric: str, before: Sequence[float], after: Sequence[float]) -> Comparison:
    """A metric of a point that changed, beside others that did not."""
    steady = {"cpus": spread(0.5)} if metric != "cpus" else {}
    a, b = (digest(point({**steady, metric: values}, laws=())) for values in (before, after))
    return row(changes.compare(a, b), metric)


def test_every_compared_metric_is_known_and_says_why() -> None:
    assert list(SENSITIVITY)[:2] == ["ratio", "cpus"]  # the main ones, of a point that has them
    for kind in SENSITIVITY.values():
        assert kind.why
        assert kind.most >= 1
        assert kind.relative > 0 or kind.absolute > 0


def test_a_run_is_the_same_as_itself_and_as_another_of_its_kind() -> None:
    for after in (of_cpus(0.5), of_cpus(0.5, seed=2)):
        compared = changes.compare(of_cpus(0.5), after)
        assert compared.status is Change.SAME
        assert compared.headline.startswith("No change that matters: 1 same at 1 point.")
    told = "Both are the same run, which differs from itself in nothing."
    other = dataclasses.replace(of_cpus(0.5, seed=2), run="other")
    assert told in changes.compare(of_cpus(0.5), of_cpus(0.5)).remarks
    assert told not in changes.compare(of_cpus(0.5), other).remarks


@pytest.mark.parametrize("factor", [1.05, 0.95, 1.02, 0.98])
def test_more_or_less_cpu_than_before_is_a_regression_where_the_law_was_kept(
    factor: float,
) -> None:
    compared = changes.compare(of_cpus(0.5), of_cpus(0.5 * factor, seed=2))
    assert compared.status is Change.REGRESSED
    found = row(compared)
    assert found.status is Change.REGRESSED
    assert found.adjusted_p is not None
    assert found.adjusted_p < 0.05
    assert found.change == pytest.approx(factor - 1, abs=0.004)
    assert "lies beyond ±1.00%" in found.reason


def test_what_a_source_may_have_missed_on_both_sides_is_no_change() -> None:
    """Docker stats may miss 5 % of two seconds, here this way and there the other."""

    def unsure(one: Digest) -> Digest:
        (found,) = one.points
        series = tuple(replace(values, error=0.05) for values in found.series)
        return replace(one, points=(replace(found, series=series),))

    before, after = of_cpus(0.5), of_cpus(0.54, seed=2)
    for a, b, status in (
        (before, after, Change.REGRESSED),
        (unsure(before), unsure(after), Change.SAME),
        (before, unsure(after), Change.REGRESSED),  # 8 % is more than one of them may miss
        (unsure(before), unsure(of_cpus(0.6, seed=2)), Change.REGRESSED),
    ):
        assert row(changes.compare(a, b)).status is status


def test_a_digest_of_a_load_on_memory_has_its_pressure_and_its_peak() -> None:
    plan = planning.build("memory", Options(values="64m", repeats=2), cpus=CPUS)
    report = MemoryReport(
        kind="anon", t_start_ns=0, t_end_ns=10**9, target_bytes=128 << 20, step_bytes=1 << 20,
        touched_bytes=63 << 20, killed=True, errno=0, step_ns=(1,) * 63, churn_pages=0, churn_ns=0,
        churn_max_ns=0,
    )  # fmt: skip
    container = ContainerRecord(
        requested=plan.points[0].containers[0].limits, memory=report,
        first=Sample(t_mono_ns=0, memory_full_us=0, io_full_us=0),
        last=Sample(t_mono_ns=10**9, memory_full_us=400_000, io_full_us=100_000),
        memory_first=MemoryCounters(oom_kills=0, high_hits=1),
        memory_last=MemoryCounters(oom_kills=1, peak_bytes=64 << 20, high_hits=4),
    )  # fmt: skip
    trials = [
        TrialRecord(index=i, block=i, point_id=plan.points[0].id, outcome=Outcome.OOM_KILLED,
                    started_at="", containers=(container,))
        for i in range(2)
    ]  # fmt: skip
    info = RunInfo(
        schema=1, name="r", created="", status="finished", harness_version="", python_version="",
        plan=plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS,
    )  # fmt: skip
    (found,) = digest_of(info, trials).points
    series = {one.metric: one.values for one in found.series}
    assert series["memory_full"] == pytest.approx((0.4, 0.4))
    assert series["io_full"] == pytest.approx((0.1, 0.1))
    assert series["peak_bytes"] == pytest.approx((64 << 20, 64 << 20))
    assert METRICS["high_hits"].of(trials[0], 0) == 3


def test_nearer_to_the_law_is_better() -> None:
    compared = changes.compare(of_cpus(0.55), of_cpus(0.5, seed=2))
    assert row(compared).status is Change.IMPROVED
    assert compared.status is Change.IMPROVED


def test_below_what_matters_is_the_same_however_significant() -> None:
    found = row(changes.compare(of_cpus(0.5, sigma=1e-4), of_cpus(0.502, sigma=1e-4, seed=2)))
    assert found.status is Change.SAME
    assert found.adjusted_p is not None
    assert found.adjusted_p < 0.001


def test_scatter_is_inconclusive_and_says_how_many_trials_would_decide() -> None:
    compared = changes.compare(of_cpus(0.5, sigma=0.02), of_cpus(0.507, sigma=0.02, seed=2))
    assert compared.status is Change.INCONCLUSIVE
    found = row(compared)
    assert "straddles ±1.00%" in found.reason
    assert "would" in found.reason


DIRECTIONS = [
    ("cpus", 0.5, 0.51, Change.REGRESSED),  # where no law speaks, any change is for the worse
    ("cpus", 0.5, 0.49, Change.REGRESSED),
    ("cpus", 0.5, 0.5025, Change.SAME),
    ("ratio", 2.0, 1.7, Change.REGRESSED),
    ("ratio", 2.0, 2.1, Change.REGRESSED),
    ("ratio", 2.0, 2.01, Change.SAME),
    ("kept_bytes", 24 << 20, 16 << 20, Change.REGRESSED),
    ("kept_bytes", 16 << 20, 24 << 20, Change.IMPROVED),
    ("kept_bytes", 1 << 20, 3 << 19, Change.SAME),  # less than 1 MiB
    ("other_nodes_bytes", 2 << 20, 8 << 20, Change.REGRESSED),
    ("other_nodes_bytes", 8 << 20, 2 << 20, Change.IMPROVED),
    ("other_nodes_bytes", 1 << 18, 1 << 19, Change.SAME),  # less than 1 MiB
    ("outside_cpus", 0.01, 0.02, Change.REGRESSED),
    ("outside_cpus", 0.02, 0.01, Change.IMPROVED),
    ("outside_cpus", 0.0001, 0.0005, Change.SAME),  # less than 1 ms a second
    ("throttled_share", 0.5, 0.8, Change.REGRESSED),
    ("throttled_share", 0.8, 0.5, Change.IMPROVED),
    ("throttled_share", 0.50, 0.53, Change.SAME),  # less than one period in twenty
    ("throttled_rate", 0.5, 0.6, Change.REGRESSED),
    ("throttled_rate", 0.6, 0.5, Change.IMPROVED),
    ("throttled_rate", 0.5, 0.51, Change.SAME),
    ("gap_s", 0.05, 0.06, Change.REGRESSED),
    ("gap_s", 0.06, 0.05, Change.IMPROVED),
    ("gap_s", 0.05, 0.0525, Change.SAME),
    ("gap_p99_s", 0.05, 0.07, Change.REGRESSED),
    ("gap_p99_s", 0.07, 0.05, Change.IMPROVED),
    ("gap_p99_s", 0.05, 0.055, Change.SAME),
    ("gap_max_s", 0.05, 0.10, Change.REGRESSED),
    ("gap_max_s", 0.10, 0.05, Change.IMPROVED),
    ("gap_max_s", 0.004, 0.006, Change.SAME),  # less than a tick
    ("work_rate", 5e5, 4e5, Change.REGRESSED),
    ("work_rate", 4e5, 5e5, Change.IMPROVED),
    ("work_rate", 5e5, 4.9e5, Change.SAME),
    ("reached_bytes", 64 << 20, 60 << 20, Change.REGRESSED),
    ("reached_bytes", 60 << 20, 64 << 20, Change.REGRESSED),  # more than the limit lets through
    ("reached_bytes", 16 << 20, (16 << 20) + (200 << 10), Change.SAME),  # less than 0.5 MiB
    ("taken", 64, 66, Change.REGRESSED),
    ("taken", 64, 64, Change.SAME),
    ("taken_bytes", 64 << 20, 65 << 20, Change.REGRESSED),
    ("taken_bytes", 1 << 20, (1 << 20) + 4096, Change.SAME),  # less than 0.5 MiB
    ("taken_cpu_s", 1.0, 2.0, Change.REGRESSED),
    ("taken_cpu_s", 1.0, 1.2, Change.SAME),  # ticks that were others'
    ("taken_together", 64, 66, Change.REGRESSED),
    ("taken_together", 64, 64, Change.SAME),
    ("refusal", 11, 24, Change.REGRESSED),  # EAGAIN became EMFILE
    ("refusal", 11, 11, Change.SAME),
    ("peak_bytes", 64 << 20, 66 << 20, Change.REGRESSED),
    ("peak_bytes", 66 << 20, 64 << 20, Change.IMPROVED),
    ("peak_bytes", 16 << 20, (16 << 20) + (200 << 10), Change.SAME),  # less than 0.5 MiB
    ("swapping_page_s", 1e-5, 3e-5, Change.REGRESSED),
    ("swapping_page_s", 3e-5, 1e-5, Change.IMPROVED),
    ("swapping_page_s", 1e-6, 1.5e-6, Change.SAME),  # less than a microsecond
    ("done_rate", 300.0, 250.0, Change.REGRESSED),
    ("done_rate", 250.0, 300.0, Change.IMPROVED),
    ("done_rate", 300.0, 290.0, Change.SAME),
    ("response_p99_s", 0.05, 0.07, Change.REGRESSED),
    ("response_p99_s", 0.07, 0.05, Change.IMPROVED),
    ("response_p99_s", 0.004, 0.006, Change.SAME),  # less than a tick
    ("cpu_some", 0.2, 0.6, Change.REGRESSED),
    ("cpu_some", 0.6, 0.2, Change.IMPROVED),
    ("cpu_some", 0.60, 0.63, Change.SAME),  # less than one second in twenty
    ("memory_full", 0.1, 0.5, Change.REGRESSED),
    ("memory_full", 0.5, 0.1, Change.IMPROVED),
    ("memory_full", 0.01, 0.03, Change.SAME),
    ("io_bytes_rate", 4e8, 3e8, Change.REGRESSED),
    ("io_bytes_rate", 3e8, 4e8, Change.IMPROVED),
    ("io_bytes_rate", 4e8, 3.9e8, Change.SAME),  # less than disks scatter by themselves
    ("file_rate", 2e4, 1.5e4, Change.REGRESSED),
    ("file_rate", 1.5e4, 2e4, Change.IMPROVED),
    ("file_rate", 2e4, 1.95e4, Change.SAME),
    ("io_p99_s", 0.01, 0.02, Change.REGRESSED),
    ("io_p99_s", 0.02, 0.01, Change.IMPROVED),
    ("io_p99_s", 2e-6, 4e-6, Change.SAME),  # less than 20 microseconds
    ("exit_code", 0.0, 1.0, Change.REGRESSED),
    ("exit_code", 0.0, 0.0, Change.SAME),
    ("request_p99_s", 0.05, 0.08, Change.REGRESSED),
    ("request_p99_s", 0.08, 0.05, Change.IMPROVED),
    ("request_p99_s", 0.05, 0.055, Change.SAME),  # less than a fifth, or a tick
    ("request_rate", 100.0, 80.0, Change.REGRESSED),
    ("request_rate", 80.0, 100.0, Change.IMPROVED),
    ("request_rate", 100.0, 95.0, Change.SAME),
    ("request_errors", 0.0, 3.0, Change.REGRESSED),
    ("request_errors", 3.0, 0.0, Change.IMPROVED),
    ("request_errors", 0.0, 0.0, Change.SAME),
    ("wall_s", 2.0, 2.2, Change.REGRESSED),
    ("wall_s", 2.2, 2.0, Change.IMPROVED),
    ("wall_s", 2.0, 2.02, Change.SAME),
    ("cpu_s", 2.0, 2.2, Change.REGRESSED),
    ("cpu_s", 2.2, 2.0, Change.IMPROVED),
    ("cpu_s", 2.0, 2.02, Change.SAME),
    ("file_kept", 1.0, 0.0, Change.REGRESSED),
    ("file_kept", 1.0, 1.0, Change.SAME),
    ("io_full", 0.1, 0.5, Change.REGRESSED),
    ("io_full", 0.5, 0.1, Change.IMPROVED),
    ("io_full", 0.01, 0.03, Change.SAME),
    ("start_s", 0.1, 0.2, Change.REGRESSED),
    ("start_s", 0.2, 0.1, Change.IMPROVED),
    ("start_s", 0.02, 0.03, Change.SAME),  # 10 ms that nobody notices
    ("paused_cpus", 0.0, 0.01, Change.REGRESSED),
    ("paused_cpus", 0.01, 0.0, Change.IMPROVED),
    ("paused_cpus", 0.0, 0.0005, Change.SAME),
    ("updated_cpus", 0.25, 0.2, Change.REGRESSED),
    ("updated_cpus", 0.25, 0.251, Change.SAME),
    *(
        (f"{name}_s", *change)
        for name in COMMANDS
        for change in (
            (0.1, 0.2, Change.REGRESSED),
            (0.2, 0.1, Change.IMPROVED),
            (0.02, 0.03, Change.SAME),
        )
    ),
]
"""What a change of each metric is: for the worse, for the better, and too small to matter."""


def test_the_table_of_directions_leaves_nothing_out() -> None:
    said = {(metric, status) for metric, _, _, status in DIRECTIONS}
    for metric, kind in SENSITIVITY.items():
        assert {(metric, Change.REGRESSED), (metric, Change.SAME)} <= said
        assert ((metric, Change.IMPROVED) in said) is (kind.better is not Better.LAW)


@pytest.mark.parametrize(("metric", "before", "after", "status"), DIRECTIONS)
def test_each_metric_has_its_direction(
    metric: str, before: float, after: float, status: Change
) -> None:
    found = two(metric, spread(before), spread(after, seed=2))
    assert found.status is status, found.reason


def test_a_cpuset_that_leaks_is_found_from_nothing_on() -> None:
    found = two("outside_cpus", [0.0] * 10, [0.004] * 10)
    assert found.status is Change.REGRESSED
    assert found.scale is Scale.ABSOLUTE
    assert two("outside_cpus", [0.0] * 10, [0.0] * 10).status is Change.SAME


def test_gaps_where_there_were_none() -> None:
    found = two("gap_max_s", [0.0] * 10, [0.05] * 10)
    assert found.status is Change.REGRESSED
    assert found.reason.startswith("+50.0 ms")


# --- many at once ----------------------------------------------------------------------------


def test_few_trials_cannot_single_out_one_change_among_many_and_say_so() -> None:
    def of(n: int, changed: float) -> Digest:
        points = [
            point({"cpus": spread(0.5, n=n, seed=100 * n + i)}, point_id=f"p{i}") for i in range(40)
        ]
        return digest(*points, point({"cpus": spread(changed, n=n)}, point_id="changed"))

    few = changes.compare(of(5, 0.5), of(5, 0.6))
    found = next(r for r in few.rows if r.point_id == "changed")
    assert found.status is Change.INCONCLUSIVE
    assert found.repeats == 8  # 2 / C(16, 8) * 41 < 0.01
    assert "is beyond ±1.00%, but p =" in found.reason
    enough = changes.compare(of(10, 0.5), of(10, 0.6))
    assert next(r for r in enough.rows if r.point_id == "changed").status is Change.REGRESSED


def test_too_few_trials_that_count_are_never_a_pass() -> None:
    thin = digest(point({"cpus": spread(0.5, n=3)}, trials=10))
    compared = changes.compare(of_cpus(0.5), thin)
    assert compared.status is Change.INCONCLUSIVE
    assert "3 of 10 trials now count (other processes" in row(compared).reason


def test_a_metric_that_is_gone_is_inconclusive() -> None:
    for settles, status in (
        (("cpus", "throttled_share"), Change.INCONCLUSIVE),
        (("cpus",), Change.SAME),  # what no law settles there decides nothing
    ):
        quota = law(settles=settles)
        before = digest(point({"cpus": spread(0.5), "throttled_share": [1.0] * 10}, laws=[quota]))
        after = digest(point({"cpus": spread(0.5, seed=2)}, laws=[quota]))
        compared = changes.compare(before, after)
        assert row(compared, "throttled_share").status is Change.INCONCLUSIVE
        assert compared.status is status


def test_a_watched_metric_reddens_but_its_doubt_does_not() -> None:
    def with_gaps(median: float, sigma: float, seed: int) -> Digest:
        gaps = [abs(value) for value in spread(median, sigma, seed=seed)]
        return digest(point({"cpus": spread(0.5, seed=seed), "gap_max_s": gaps}))

    doubtful = changes.compare(with_gaps(0.05, 0.5, 1), with_gaps(0.06, 0.5, 2))
    assert row(doubtful, "gap_max_s").status is Change.INCONCLUSIVE
    assert doubtful.status is Change.SAME
    assert "1 inconclusive (1 only watched)" in doubtful.headline
    clear = changes.compare(with_gaps(0.05, 0.01, 1), with_gaps(0.2, 0.01, 2))
    assert clear.status is Change.REGRESSED


@pytest.mark.slow
def test_scatter_is_hardly_ever_called_a_change() -> None:
    # Much wider than what matters, so that the test of significance stands alone.
    red = sum(
        changes.compare(
            of_cpus(0.5, sigma=0.05, seed=seed), of_cpus(0.5, sigma=0.05, seed=-seed)
        ).status is Change.REGRESSED
        for seed in range(1, 201)
    )  # fmt: skip
    assert red <= 5  # 1 % of 200, and three standard errors


# --- noise -----------------------------------------------------------------------------------


def noise(metric: str, change: float, scale: Scale = Scale.RELATIVE) -> Noise:
    floor = Floor(point_id="cpus=0.5", metric=metric, scale=scale, change=change)
    one = of_cpus(0.5)
    return Noise(
        created="2026-01-01T00:00:00+00:00", hostname="h", fingerprint=one.fingerprint,
        runs=("a", "b"), repeats=10, floors=(floor,),
    )  # fmt: skip


def test_no_effect_below_the_hosts_own_noise_counts() -> None:
    before, after = of_cpus(0.5), of_cpus(0.51, seed=2)
    assert row(changes.compare(before, after)).status is Change.REGRESSED
    calm = changes.compare(before, after, noise=noise("cpus", 0.025))
    assert row(calm).status is Change.SAME
    assert row(calm).effect == 0.025
    # Noise widens what counts as the same up to a bound: beyond it nothing is decided.
    wild = changes.compare(before, of_cpus(0.53, seed=2), noise=noise("cpus", 0.2))
    assert row(wild).status is Change.INCONCLUSIVE
    quiet = changes.compare(before, after, noise=noise("cpus", 0.0001))
    assert row(quiet).effect == 0.01


def test_noise_of_a_point_that_was_not_calibrated_is_the_largest_of_its_metric() -> None:
    elsewhere = dataclasses.replace(
        noise("cpus", 0.02),
        floors=(Floor(point_id="p", metric="cpus", scale=Scale.RELATIVE, change=0.02),),
    )
    found = row(changes.compare(of_cpus(0.5), of_cpus(0.5), noise=elsewhere))
    assert found.floor == 0.02


def test_floors_are_the_furthest_edges_of_all_pairs() -> None:
    runs = [of_cpus(0.5, seed=seed) for seed in (1, 2, 3)]
    (floor,) = comparison_noise.floors(runs)
    edges = [
        max(abs(found.low or 0), abs(found.high or 0))
        for a, b in ((0, 1), (0, 2), (1, 2))
        for found in [row(changes.compare(runs[a], runs[b]))]
    ]
    assert floor.change == pytest.approx(max(edges), rel=1e-3)
    assert floor.scale is Scale.RELATIVE
    mixed = [digest(point({"gap_max_s": values})) for values in ([0.0] * 5, [0.1] * 5, [0.2] * 5)]
    (floor,) = comparison_noise.floors(mixed)
    assert (floor.scale, floor.change) == (Scale.ABSOLUTE, 0.2)


# --- comparable at all -----------------------------------------------------------------------


def test_another_kernel_is_not_comparable_unless_it_is_under_test() -> None:
    before, after = of_cpus(0.5), with_kernel(of_cpus(0.5, seed=2), "6.2.0")
    refused = changes.compare(before, after)
    assert refused.status is Change.INCOMPARABLE
    assert refused.rows == ()
    assert "kernel was 6.1.0, is 6.2.0" in refused.headline
    assert "--allow kernel" in refused.headline
    allowed = changes.compare(before, after, allow={"kernel"})
    assert allowed.status is Change.SAME
    assert [(d.fact, d.allowed) for d in allowed.differences] == [("kernel", True)]


def test_checksums_are_told_by_their_beginning() -> None:
    before = of_cpus(0.5)
    facts = dataclasses.replace(before.fingerprint, image=f"sha256:{'0123456789ab' * 5}cdef")
    after = dataclasses.replace(before, fingerprint=facts)
    headline = changes.compare(before, after).headline
    assert "image was sha256:fake, is sha256:0123456789ab…. If" in headline
    assert "--allow image" in headline


@pytest.mark.parametrize("fact", changes.FACTS)
def test_each_fact_decides(fact: str) -> None:
    before = of_cpus(0.5)
    after = dataclasses.replace(
        before, fingerprint=dataclasses.replace(before.fingerprint, **{fact: "other"})
    )
    assert changes.compare(before, after).status is Change.INCOMPARABLE
    assert changes.compare(before, after, allow={fact}).status is Change.SAME


def test_conditions_are_told_and_decide_nothing() -> None:
    after = dataclasses.replace(
        of_cpus(0.5, seed=2), conditions={"governor": "powersave"}, hostname="other"
    )
    compared = changes.compare(of_cpus(0.5), after)
    assert compared.status is Change.SAME
    assert "governor was none, is powersave." in compared.remarks
    assert "Measured on fakehost before, on other now." in compared.remarks


def test_no_point_in_common() -> None:
    other = digest(point({"cpus": spread(0.5)}, point_id="cpus=1"))
    compared = changes.compare(of_cpus(0.5), other)
    assert compared.status is Change.INCOMPARABLE
    assert compared.headline == (
        "Not comparable: no point in common. Compare runs of the same sweep; without RUN and "
        "--sweep, `bench check` measures the baseline's points."
    )
    assert not any("noise" in remark for remark in compared.remarks)


def test_a_point_that_was_measured_otherwise_is_not_compared() -> None:
    one = point({"cpus": spread(0.5)})
    longer = dataclasses.replace(one, point=dataclasses.replace(one.point, duration_s=10.0))
    compared = changes.compare(digest(one), digest(longer))
    assert compared.status is Change.INCOMPARABLE
    assert any("its duration_s was 3, is 10" in remark for remark in compared.remarks)


def test_points_of_one_side_only_are_named() -> None:
    more = digest(*of_cpus(0.5).points, point({"cpus": spread(1.0)}, point_id="cpus=1"))
    compared = changes.compare(more, of_cpus(0.5, seed=2))
    assert compared.status is Change.SAME
    assert any("Measured only before, so not compared: cpus=1." in r for r in compared.remarks)


# --- laws ------------------------------------------------------------------------------------


def judged(status: Status) -> Digest:
    return digest(point({"cpus": spread(0.5)}, laws=[law(status=status)]))


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (Status.CONFORMS, Status.CONFORMS, Change.SAME),
        (Status.CONFORMS, Status.DEVIATES, Change.REGRESSED),
        (Status.INCONCLUSIVE, Status.DEVIATES, Change.REGRESSED),
        (Status.DEVIATES, Status.DEVIATES, Change.REGRESSED),  # violated as it was: not well
        (Status.DEVIATES, Status.CONFORMS, Change.IMPROVED),
        (Status.CONFORMS, Status.INCONCLUSIVE, Change.INCONCLUSIVE),
        (Status.CONFORMS, Status.NOT_EXERCISABLE, Change.INCOMPARABLE),
        (Status.NOT_EXERCISABLE, Status.NOT_EXERCISABLE, Change.SAME),
    ],
)
def test_verdicts_are_compared_too(before: Status, after: Status, status: Change) -> None:
    assert changes.compare(judged(before), judged(after)).status is status


@pytest.mark.parametrize("why", ["kernel", "points"])
def test_a_violated_law_is_told_where_nothing_can_be_compared(why: str) -> None:
    before, after = judged(Status.CONFORMS), judged(Status.DEVIATES)
    if why == "kernel":
        after = with_kernel(after, "6.2.0")
    else:
        before = digest(point({"cpus": spread(1.0)}, point_id="cpus=1"))
    compared = changes.compare(before, after)
    assert compared.status is Change.INCOMPARABLE
    assert [(one.point_id, one.before) for one in compared.violations] == [("cpus=0.5", None)]
    assert compared.headline.endswith("The law is violated.")


def test_the_laws_of_a_point_that_was_not_measured_before_count() -> None:
    added = point({"cpus": spread(1.0)}, point_id="new", laws=[law(status=Status.INCONCLUSIVE)])
    more = digest(*of_cpus(0.5, seed=2).points, added)
    compared = changes.compare(of_cpus(0.5), more)
    assert compared.status is Change.INCONCLUSIVE
    assert compared.headline.endswith("Of 2 laws 1 conforms, 1 inconclusive.")


def test_known_violations_can_be_allowed() -> None:
    known = changes.compare(judged(Status.DEVIATES), judged(Status.DEVIATES), allow={"laws"})
    assert known.status is Change.SAME
    new = changes.compare(judged(Status.CONFORMS), judged(Status.DEVIATES), allow={"laws"})
    assert new.status is Change.REGRESSED


@pytest.mark.parametrize(
    ("status", "change"),
    [
        (Status.CONFORMS, Change.SAME),
        (Status.DEVIATES, Change.REGRESSED),
        (Status.INCONCLUSIVE, Change.INCONCLUSIVE),
        (Status.NOT_EXERCISABLE, Change.INCOMPARABLE),  # nothing could be put to the test
    ],
)
def test_laws_alone(status: Status, change: Change) -> None:
    compared = changes.laws_alone(judged(status))
    assert compared.status is change
    assert compared.headline.endswith("Laws alone: no baseline.")


# --- changes that have a name ----------------------------------------------------------------


def shares(engine_version: str, weights: tuple[int, int]) -> Digest:
    engine = dataclasses.replace(ENGINE_FACTS, cgroup_version=2, runtime_version=engine_version)
    ratio = weights[0] / weights[1]
    made = point(
        {"ratio": spread(ratio), "cpus": spread(0.6), "cpus 1": spread(0.4)},
        point_id="shares=1024:512",
        limits=[Limits(cpu_shares=n, cpuset_cpus="0") for n in (1024, 512)],
        laws=[law("ratio", ratio)],
        weights=weights,
    )
    return digest(made, engine=engine)


def test_the_two_formulas_for_weights_are_recognised_and_named() -> None:
    old, new = shares("1.1.5", (39, 20)), shares("1.4.0", (100, 59))
    refused = changes.compare(old, new)
    assert refused.status is Change.INCOMPARABLE
    compared = changes.compare(old, new, allow={"runtime", "weights"})
    found = row(compared, "ratio")
    assert found.status is Change.REGRESSED
    assert f"from the {OLD_WEIGHTS} to the {NEW_WEIGHTS}" in found.reason
    assert "shares 1024:512 became weights 39:20, and now 100:59" in found.reason


def test_weights_tell_the_formula_where_the_version_does_not() -> None:
    old, new = shares("unknown", (39, 20)), shares("unknown", (100, 59))
    assert old.fingerprint == new.fingerprint
    assert NEW_WEIGHTS in row(changes.compare(old, new), "ratio").reason


def named(
    limits: Limits, laws: Sequence[JudgedLaw], metric: str, before: float, after: float
) -> str:
    a, b = (
        digest(point({"cpus": spread(0.5), metric: values}, limits=[limits], laws=laws))
        for values in (spread(before), spread(after, seed=2))
    )
    return row(changes.compare(a, b), metric).reason


def test_a_period_below_the_tick_is_named_and_only_watched() -> None:
    below = law(law=BELOW_A_TICK, explanation="the period is shorter than the tick")
    limits = Limits(cpu_quota_us=1000, cpu_period_us=2000)
    assert "shorter than the tick" in named(limits, [below], "cpus", 0.5, 0.35)
    scattered = [
        digest(point({"cpus": spread(0.44, 0.2, seed=seed)}, limits=[limits], laws=[below]))
        for seed in (1, 2)
    ]
    compared = changes.compare(*scattered)
    assert row(compared).status is Change.INCONCLUSIVE
    assert compared.status is Change.SAME


def test_a_load_of_random_times_is_only_watched() -> None:
    def bursts(seed: int) -> Digest:
        made = point({"cpus": spread(0.2, 0.3, seed=seed)}, laws=[law(law="cpu-ceiling")])
        spec = dataclasses.replace(made.point.containers[0], workload=Burst())
        return digest(
            dataclasses.replace(made, point=dataclasses.replace(made.point, containers=(spec,)))
        )

    compared = changes.compare(bursts(1), bursts(2))
    assert row(compared).status is Change.INCONCLUSIVE
    assert compared.status is Change.SAME


def test_a_quota_larger_than_the_cpuset_is_named_where_it_throttles() -> None:
    bound = law(bound="cpuset", promised=1.0)
    reason = named(CPUSET_QUOTA, [bound], "throttled_share", 0.01, 0.5)
    assert "the quota is larger than the cpuset can use" in reason


@pytest.mark.slow
def test_a_quota_larger_than_the_cpuset_is_known_from_a_run(tmp_path: Path) -> None:
    run = measured(tmp_path, "cpuset", options=Options(repeats=10))

    def throttled(trial: TrialRecord) -> TrialRecord:
        (one,) = trial.containers
        assert one.last is not None
        last = replace(one.last, nr_throttled=(one.last.nr_periods or 0) // 2)
        return replace(trial, containers=(replace(one, last=last),))

    before, after = (digest_of(one.info, one.trials) for one in (run, altered(run, throttled)))
    compared = changes.compare(before, after)
    named = {
        one.point_id: "the quota is larger than the cpuset can use" in one.reason
        for one in compared.rows
        if one.metric == "throttled_share" and one.status is Change.REGRESSED
    }
    assert named["cpuset=0 --cpus 2"]
    assert not any(found for point_id, found in named.items() if point_id != "cpuset=0 --cpus 2")


@pytest.mark.slow
def test_a_period_below_the_tick_is_known_from_a_run(tmp_path: Path) -> None:
    options = Options(values="2000,100000", repeats=10)
    run = measured(tmp_path / "a", "period", options=options)
    off = measured(tmp_path / "b", "period", options=options, world=World(quota_factor=0.8))
    compared = changes.compare(*(digest_of(one.info, one.trials) for one in (run, off)))
    rows = {one.point_id: one for one in compared.rows if one.metric == "cpus"}
    assert [one.status for one in rows.values()] == [Change.REGRESSED] * 2
    assert "tick" in rows["period=2000"].reason
    assert "tick" not in rows["period=100000"].reason
    assert (rows["period=2000"].decides, rows["period=100000"].decides) == (False, True)


def test_another_limit_in_force_is_named() -> None:
    told = law(reason="--cpus: requested 50000/100000 µs, the kernel holds 52500/100000 µs; error")
    after = digest(point({"cpus": spread(0.525, seed=2)}, laws=[told]))
    reason = row(changes.compare(of_cpus(0.5), after)).reason
    assert reason.endswith("the kernel holds 52500/100000 µs")


# --- A/B -------------------------------------------------------------------------------------


def test_sides_with_other_limits_are_compared_beside_their_promises() -> None:
    a = digest(point({"cpus": spread(0.5)}, point_id="limits", laws=[law(promised=0.5)]))
    b = digest(
        point({"cpus": spread(0.75, seed=2)}, point_id="limits", limits=[Limits(cpus=0.75)],
              laws=[law(promised=0.75)])
    )  # fmt: skip
    compared = changes.compare(a, b, ab=True)
    assert row(compared).status is Change.SAME
    assert row(compared).before == pytest.approx(0.5, rel=0.01)
    assert row(compared).after == pytest.approx(0.75, rel=0.01)
    assert changes.compare(a, b).status is Change.INCOMPARABLE


def test_no_law_makes_any_change_one_for_the_worse() -> None:
    assert SENSITIVITY["ratio"].better is Better.LAW
    assert two("ratio", spread(1.7), spread(2.0, seed=2)).status is Change.REGRESSED
