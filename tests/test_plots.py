"""Figures: offered only where there is data, true in their titles, the same bytes every time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from harness import plots
from harness.axes import Options
from harness.model import Point, TrialRecord
from harness.store import Run
from tests.runs import HOSTILE, altered, measured, rejected, scattered

ALL = ("achieved", "throttling", "timeline", "gaps")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return scattered(measured(tmp_path_factory.mktemp("run")))


def title(run: Run, name: str) -> str:
    (picture,) = plots.pictures(run, [name])
    return picture.title.replace("\N{NO-BREAK SPACE}", " ")


def test_every_figure_of_a_cpu_sweep_can_be_drawn(run: Run) -> None:
    assert plots.available(run) == ALL
    for picture in plots.pictures(run):
        assert picture.title
        assert picture.caption.endswith(".")
        assert picture.alt.startswith(picture.title)
        assert plots.png(picture).startswith(b"\x89PNG")
        ET.fromstring(plots.svg(picture))


@pytest.mark.parametrize("axis", ["quota", "period", "cpuset", "shares"])
def test_other_axes_can_be_drawn_too(tmp_path: Path, axis: str) -> None:
    run = measured(tmp_path, axis, options=Options(repeats=2, duration_s=1))
    drawn = plots.pictures(run)
    assert "achieved" in {picture.name for picture in drawn}
    for picture in drawn:
        plots.svg(picture)


@pytest.mark.parametrize("points", [1, 30])
@pytest.mark.parametrize("repeats", [1, 3])
def test_few_points_and_many(tmp_path: Path, points: int, repeats: int) -> None:
    values = ",".join(f"{2 * (i + 1) / points:.3f}" for i in range(points))
    options = Options(values=values, repeats=repeats, duration_s=1)
    for picture in plots.pictures(measured(tmp_path, options=options)):
        plots.svg(picture)


def test_a_run_where_no_trial_counts_has_no_figure(run: Run) -> None:
    assert plots.available(rejected(run, "too loud")) == ()
    assert plots.available(replace(run, trials=())) == ()
    assert plots.pictures(replace(run, trials=())) == []


def test_an_interrupted_run_is_drawn_as_far_as_it_came(run: Run) -> None:
    partial = replace(
        run, info=replace(run.info, status="interrupted"),
        trials=tuple(t for t in run.trials if t.point_id != "cpus=2")[:7],
    )  # fmt: skip
    achieved = plots.pictures(partial, ["achieved"])[0]
    assert "cpus=2" in achieved.caption
    assert "(interrupted)" in plots.svg(achieved)


def test_titles_state_what_was_found(run: Run) -> None:
    assert re.fullmatch(r"All 5 limits held within 0\.\d\d %", title(run, "achieved"))
    wrong = scattered(run, {"cpus=0.5": 1.05}, sigma=0.0001)
    assert re.match(r"--cpus 0\.5 got 5\.\d % more than promised", title(wrong, "achieved"))
    wrong = scattered(run, {"cpus=0.5": 0.5, "cpus=1": 0.9}, sigma=0.0001)
    assert title(wrong, "achieved").endswith("less than promised; 1 more of 5 deviates")
    assert title(run, "timeline") == "--cpus 1: both threads stand still for 50 ms of each 100 ms"
    assert "100 % of the periods" in title(run, "throttling")


def test_no_verdict_is_given_without_an_interval(tmp_path: Path) -> None:
    run = measured(tmp_path, options=Options(values="0.5", repeats=1, duration_s=1))
    assert title(run, "achieved") == "--cpus 0.5 could not be judged"


def test_the_same_run_gives_the_same_bytes(run: Run) -> None:
    names = ("achieved", "gaps")
    for first, second in zip(plots.pictures(run, names), plots.pictures(run, names), strict=True):
        assert plots.svg(first) == plots.svg(second)
        assert plots.png(first, dpi=60) == plots.png(second, dpi=60)
        assert plots.svg(first) != plots.svg(first, embedded=True)
        assert "<dc:date>" not in plots.svg(first)


def test_a_timeline_without_the_list_of_gaps_shows_the_kernel_s_own_count(run: Run) -> None:
    def without_list(trial: TrialRecord) -> TrialRecord:
        (container,) = trial.containers
        assert container.inside
        inside = replace(container.inside, gap_list=())
        return replace(trial, containers=(replace(container, inside=inside),))

    bare = altered(run, without_list)
    assert title(bare, "timeline") == "--cpus 1: throttled in each period of 100 ms"
    assert "timeline" in plots.available(bare)


def test_without_samples_there_is_no_timeline(tmp_path: Path) -> None:
    run = measured(tmp_path, options=Options(values="0.5", repeats=2, duration_s=1))
    (run.path / "samples.parquet").unlink()
    assert "timeline" not in plots.available(run)


def test_text_from_outside_stays_text(run: Run) -> None:
    hostile = replace(run, info=replace(run.info, host=replace(run.info.host, hostname=HOSTILE)))
    for picture in plots.pictures(hostile, ["achieved", "timeline"]):
        text = plots.svg(picture)
        assert "<script" not in text
        assert "alert(1)" in text
        ET.fromstring(text)
        plots.png(picture, dpi=40)


def test_a_run_of_several_axes_has_figures_of_each(tmp_path: Path) -> None:
    run = measured(tmp_path, options=Options(values="0.5,1", repeats=2, duration_s=1))
    plan = run.info.plan

    def moved(point: Point) -> Point:
        return replace(point, axis="other") if point.id == "cpus=1" else point

    moved_plan = replace(plan, points=tuple(moved(point) for point in plan.points))
    both = replace(run, info=replace(run.info, plan=moved_plan))
    names = plots.available(both)
    assert {"cpu-achieved", "other-achieved"} <= set(names)
    assert [p.name for p in plots.pictures(both, ["achieved"])] == [
        "cpu-achieved",
        "other-achieved",
    ]
    assert [p.name for p in plots.pictures(both, ["cpu-gaps"])] == ["cpu-gaps"]


def test_the_parts_of_embedded_figures_have_names_of_their_own(run: Run) -> None:
    ids = [
        name
        for picture in plots.pictures(run)
        for name in re.findall(r'\bid="([^"]+)"', plots.svg(picture, embedded=True))
    ]
    assert len(ids) == len(set(ids))
    for picture in plots.pictures(run):
        text = plots.svg(picture, embedded=True)
        assert "http" not in text
        for used in re.findall(r'(?:href="#|url\(#)([^")]+)', text):
            assert f'id="{used}"' in text
