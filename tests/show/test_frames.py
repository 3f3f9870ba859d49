"""Frames: one row an observation, typed, and the same numbers as the reports."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.judge import cpu, metrics
from harness.model import InsideReport, Pairs, ThreadReport, TrialRecord
from harness.plan.axes import Options
from harness.show import frames
from harness.show.report import view as views
from harness.store.runs import Run
from tests.runs import altered, measured, rejected, scattered

EVERY = (frames.trials, frames.estimates, frames.verdicts, frames.errors, frames.gaps)
QUICK = Options(values="0.5,1.5", repeats=5, duration_s=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return scattered(measured(tmp_path_factory.mktemp("run"), options=QUICK), {"cpus=0.5": 1.05})


def test_trials_hold_every_metric_of_every_container(run: Run) -> None:
    frame = frames.trials(run)
    assert len(frame) == len(run.trials)
    assert set(metrics.METRICS) <= set(frame.columns)
    assert all(frame[name].dtype == "float64" for name in metrics.METRICS)
    first = run.trials[0]
    row = frame.iloc[0]
    assert row["cpus"] == cpu.achieved_cpus(first.containers[0])
    assert row["x"] == float(row["value"])
    assert math.isnan(row["ratio"])  # no second container: not measured, and not 0


def test_trials_of_some_metrics_alone(run: Run) -> None:
    whole, some = frames.trials(run), frames.trials(run, metrics=["gap_s", "cpus"])
    known = [name for name in whole.columns if name not in metrics.METRICS]
    pd.testing.assert_frame_equal(some, whole[[*known, "gap_s", "cpus"]])


def test_several_containers_have_a_row_each(tmp_path: Path) -> None:
    options = Options(values="1024:512", repeats=1, duration_s=1)
    frame = frames.trials(measured(tmp_path, "shares", options=options))
    assert list(frame["container"])[:2] == [0, 1]
    assert set(frame["x"]) == {2.0}


def test_several_runs_stand_below_each_other(run: Run) -> None:
    other = replace(run, info=replace(run.info, name="other"))
    for frame_of in EVERY:
        both = frame_of(run, other)
        assert len(both) == 2 * len(frame_of(run))
        assert set(both["run"]) == {run.info.name, "other"}


def test_estimates_and_verdicts_are_those_of_the_report(run: Run) -> None:
    view = views.build(run)
    estimates = {
        (told["point"], told["metric"], told["container"]): (told["median"], told["low"])
        for told in frames.estimates(run).to_dict("records")
    }
    verdicts = frames.verdicts(run)
    lines = [(row, line) for row in view.rows for line in row.lines]
    assert len(verdicts) == len(lines)
    for told, (row, line) in zip(verdicts.to_dict("records"), lines, strict=True):
        assert line.verdict
        assert line.achieved
        assert (told["point"], told["verdict"], told["reason"]) == (
            row.summary.point.id, line.verdict.status.value, line.verdict.reason,
        )  # fmt: skip
        assert told["achieved_median"] == line.achieved.median
        assert told["expected"] == line.promised
        same = estimates[told["point"], told["metric"], told["container"]]
        assert same == (line.achieved.median, line.achieved.low)


def test_errors_are_what_the_verdicts_sum_up(run: Run) -> None:
    medians = frames.errors(run).groupby("point", sort=False)["error"].median()
    assert list(medians) == pytest.approx(list(frames.verdicts(run)["error_median"]))


@pytest.mark.parametrize("frame_of", EVERY)
def test_a_run_without_trials_has_columns_and_no_rows(
    run: Run, frame_of: Callable[..., pd.DataFrame]
) -> None:
    empty = frame_of(run.holding(()))
    full = frame_of(run)
    assert list(empty.columns) == list(full.columns)
    assert empty.dtypes.equals(full.dtypes)
    assert len(empty) in (0, len(run.info.plan.points))  # a law stands even without a trial


def test_rejected_trials_stay_in_sight_and_count_for_nothing(run: Run) -> None:
    none = rejected(run, "too loud")
    assert set(frames.trials(none)["invalid"]) == {"too loud"}
    assert not frames.trials(none)["counts"].any()
    assert frames.estimates(none).empty
    assert frames.errors(none).empty
    assert set(frames.verdicts(none)["verdict"]) == {"inconclusive"}


def test_a_timeline_shows_the_stairs_of_a_quota(run: Run) -> None:
    trial = next(t for t in run.trials if t.point_id == "cpus=1.5")
    line = frames.timeline(run, trial.index)
    assert line["t_s"].iloc[0] == 0
    assert math.isnan(line["cpus"].iloc[0])
    assert line["cpus"].max() == pytest.approx(2)
    assert line["cpus"].min() == 0
    assert line["used_s"].iloc[-1] == pytest.approx(1.5, rel=0.02)
    assert line["throttled_periods"].sum() == pytest.approx(10, abs=1)
    assert line["throttled"].sum() == pytest.approx(10, abs=1)


def test_missing_samples_make_an_empty_timeline(tmp_path: Path) -> None:
    run = measured(tmp_path, options=QUICK)
    (run.path / "samples.parquet").unlink()
    assert frames.timeline(run, 0).empty
    with pytest.raises(KeyError):
        frames.throttled_spans(run, 99)


def test_throttled_spans_are_where_every_thread_is_off(tmp_path: Path) -> None:
    run = with_gaps(tmp_path, [(10, 30), (200, 20)], [(20, 30), (100, 5), (205, 10)])
    spans = frames.throttled_spans(run, 0)
    assert [*zip(spans["start_s"], spans["end_s"], strict=True)] == [
        (pytest.approx(0.020), pytest.approx(0.040)),
        (pytest.approx(0.205), pytest.approx(0.215)),
    ]


def test_listed_gaps_stand_for_those_that_were_not_listed(tmp_path: Path) -> None:
    run = with_gaps(tmp_path, [(10, 30)], [(20, 30)], total_ms=120)
    gaps = frames.gaps(run)
    assert list(gaps["stands_for"]) == [2.0, 2.0]
    assert list(gaps["thread_time_s"]) == [2.0, 2.0]


def test_without_a_list_the_histogram_tells_how_long_gaps_were(tmp_path: Path) -> None:
    run = with_gaps(tmp_path, histogram=((0, 3), (1_000_000, 2_000_000, 4_000_000)))
    gaps = frames.gaps(run)
    assert list(gaps["stands_for"]) == [3.0]
    assert gaps["length_s"].iloc[0] == pytest.approx(math.sqrt(2 * 4) / 1000)
    assert math.isnan(gaps["start_s"].iloc[0])
    assert frames.throttled_spans(run, 0).empty


def with_gaps(
    root: Path,
    *threads: list[tuple[int, int]],
    total_ms: int = 0,
    histogram: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
) -> Run:
    """A run of one trial whose threads have these gaps: (start, length) in ms."""
    run = measured(root, options=Options(values="0.5", repeats=1, duration_s=1))
    gaps = [(start * 1_000_000, length * 1_000_000) for one in threads for start, length in one]
    total = total_ms * 1_000_000 or sum(length for _, length in gaps)

    def alter(trial: TrialRecord) -> TrialRecord:
        (container,) = trial.containers
        assert container.first
        start = container.first.t_mono_ns
        thread = ThreadReport(
            t_start_ns=start, t_end_ns=start, cpu_ns=0, work=0, gaps=len(gaps),
            gap_total_ns=total // 2, gap_max_ns=10**9,
        )  # fmt: skip
        inside = InsideReport(
            t_start_ns=start, t_end_ns=start + 1_000_000_000, gap_threshold_ns=500_000,
            threads=(thread, thread), gap_list=Pairs(gaps), gap_histogram=histogram[0],
            gap_edges_ns=histogram[1],
        )  # fmt: skip
        return replace(trial, containers=(replace(container, inside=inside),))

    return altered(run, alter)
