"""Figures: offered only where there is data, true in their titles, the same bytes every time."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.model import ContainerRecord, Pairs, Point, TrialRecord
from harness.plan.axes import Options
from harness.show import plots
from harness.store import runs
from harness.store.runs import Run
from tests.runs import HOSTILE, altered, measured, rejected, scattered

pytestmark = pytest.mark.slow  # drawing takes most of a minute

ALL = ("achieved", "throttling", "timeline", "gaps", "heat")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return scattered(measured(tmp_path_factory.mktemp("run")))


def title(run: Run, name: str) -> str:
    (picture,) = plots.pictures(run, names=[name])
    return picture.title.replace("\N{NO-BREAK SPACE}", " ")


def test_every_figure_of_a_cpu_sweep_can_be_drawn(run: Run) -> None:
    assert plots.available(run) == ALL
    for picture in plots.pictures(run):
        assert picture.title
        assert picture.caption.endswith(".")
        assert picture.alt.startswith(picture.title)
        assert plots.png(picture).startswith(b"\x89PNG")
        ET.fromstring(plots.svg(picture))


@pytest.mark.parametrize("axis", ["quota", "period", "cpuset"])
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
    assert plots.available(run.holding(())) == ()
    assert plots.pictures(run.holding(())) == []


def test_an_interrupted_run_is_drawn_as_far_as_it_came(run: Run) -> None:
    interrupted = replace(run, info=replace(run.info, status="interrupted"))
    partial = interrupted.holding([t for t in run.trials if t.point_id != "cpus=2"][:7])
    achieved = plots.pictures(partial, names=["achieved"])[0]
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


def pressed(run: Run, **waited: float) -> Run:
    """The run as of a host that keeps pressure, with these shares of the window waited."""

    def waiting(one: ContainerRecord) -> ContainerRecord:
        assert one.first is not None
        assert one.last is not None
        window_us = (one.last.t_mono_ns - one.first.t_mono_ns) / 1000
        ends: dict[str, Any] = {
            f"{name}_us": round(part * window_us) for name, part in waited.items()
        }
        begins: dict[str, Any] = dict.fromkeys(ends, 0)
        return replace(one, first=replace(one.first, **begins), last=replace(one.last, **ends))

    return run.holding(
        replace(trial, containers=tuple(map(waiting, trial.containers))) for trial in run.trials
    )


def test_pressure_is_drawn_where_the_kernel_keeps_it(run: Run) -> None:
    waiting = pressed(run, cpu_some=0.4, memory_full=0.1, io_full=0.0)
    assert plots.available(waiting) == (*ALL, "pressure")
    found = title(waiting, "pressure")
    assert re.fullmatch(r"At --cpus [0-9.]+ a task waited for a CPU 40 % of the time", found)
    (picture,) = plots.pictures(waiting, names=["pressure"])
    assert "0.5, for a CPU: 40" in picture.alt
    assert "0.5, for memory: 10" in picture.alt
    assert "0.5, for a disk: 0" in picture.alt
    calm = pressed(run, cpu_some=0.0, memory_full=0.0, io_full=0.0)
    assert title(calm, "pressure").startswith("Nothing waited for a CPU")
    two = (*of_hosts(waiting, "busy"), *of_hosts(calm, "calm"))
    (both,) = plots.pictures(*two, names=["pressure"])
    assert len(both.figure.columns) == 2


def test_no_verdict_is_given_without_an_interval(tmp_path: Path) -> None:
    run = measured(tmp_path, options=Options(values="0.5", repeats=1, duration_s=1))
    assert title(run, "achieved") == "--cpus 0.5 could not be judged"


def test_the_same_run_gives_the_same_bytes(run: Run) -> None:
    names = ("achieved", "gaps")
    once, again = (plots.pictures(run, names=names) for _ in range(2))
    for first, second in zip(once, again, strict=True):
        assert plots.svg(first) == plots.svg(second)
        assert plots.png(first, dpi=60) == plots.png(second, dpi=60)
        assert plots.svg(first) != plots.svg(first, embedded=True)
        assert "<dc:date>" not in plots.svg(first)


def test_a_timeline_without_the_list_of_gaps_shows_the_kernel_s_own_count(run: Run) -> None:
    def without_list(trial: TrialRecord) -> TrialRecord:
        (container,) = trial.containers
        assert container.inside
        inside = replace(container.inside, gap_list=Pairs())
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
    for picture in plots.pictures(hostile, names=["achieved", "timeline"]):
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
    assert [p.name for p in plots.pictures(both, names=["achieved"])] == [
        "cpu-achieved",
        "other-achieved",
    ]
    assert [p.name for p in plots.pictures(both, names=["cpu-gaps"])] == ["cpu-gaps"]


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


# --- several runs ------------------------------------------------------------------------------


def of_hosts(run: Run, *hosts: str) -> list[Run]:
    """The same run as if each of these hosts had measured it."""
    return [
        replace(run, info=replace(run.info, name=f"{run.info.name}-{host}",
                                  host=replace(run.info.host, hostname=host)))
        for host in hosts
    ]  # fmt: skip


def test_several_runs_have_a_panel_each_with_the_same_axes(run: Run) -> None:
    wrong = scattered(run, {"cpus=0.5": 1.05}, sigma=0.0001)
    good, bad = of_hosts(run, "good")[0], of_hosts(wrong, "bad")[0]
    assert plots.available(good, bad) == ALL
    for picture in plots.pictures(good, bad):
        titled = [ax for ax in picture.figure.axes if ax.get_title(loc="left")]
        assert [ax.get_title(loc="left") for ax in titled] == ["good", "bad"]
        assert titled[0].get_xlim() == titled[1].get_xlim()
        assert titled[0].get_ylim() == titled[1].get_ylim()
        ET.fromstring(plots.svg(picture))
    (achieved,) = plots.pictures(good, bad, names=["achieved"])
    said = achieved.title.replace("\N{NO-BREAK SPACE}", " ")
    assert re.match(r"good: All 5 limits held within .*; bad: --cpus 0\.5 got 5", said)


def test_what_is_found_in_every_run_is_said_once(run: Run) -> None:
    (picture,) = plots.pictures(*of_hosts(run, "a", "b", "c"), names=["timeline"])
    said = picture.title.replace("\N{NO-BREAK SPACE}", " ")
    assert said == "--cpus 1: both threads stand still for 50 ms of each 100 ms in each of 3 runs"


@pytest.mark.parametrize("count", [4, 7])
def test_many_runs_stand_in_bands(run: Run, count: int) -> None:
    hosts = [f"host{i}" for i in range(count)]
    (picture,) = plots.pictures(*of_hosts(run, *hosts), names=["achieved"])
    titles = [ax.get_title(loc="left") for ax in picture.figure.axes]
    assert [title for title in titles if title] == hosts
    plots.png(picture, dpi=40)


def test_more_runs_than_there_is_room_for(run: Run) -> None:
    with pytest.raises(UsageError, match="13 are too many runs"):
        plots.pictures(*of_hosts(run, *map(str, range(13))))


def test_runs_are_told_apart_by_what_differs(run: Run) -> None:
    a, b = of_hosts(run, "a", "b")
    assert list(plots.labels([run]).values()) == [run.info.name]
    assert list(plots.labels([a, b]).values()) == ["a", "b"]
    kernel = replace(a.info, name="k", host=replace(a.info.host, kernel="9.9"))
    assert list(plots.labels([a, replace(a, info=kernel)]).values()) == [
        "kernel 6.1.0", "kernel 9.9",
    ]  # fmt: skip
    later = replace(run.info, name="20991231-000000-cpu", created="2099-12-31T00:00:00+00:00")
    assert plots.labels([run, replace(run, info=later)])["20991231-000000-cpu"] == "2099-12-31"


def test_runs_of_one_name_are_kept_apart(run: Run) -> None:
    other = replace(run, info=replace(run.info, host=replace(run.info.host, hostname="other")))
    (picture,) = plots.pictures(run, other, names=["achieved"])
    assert "in both runs" in picture.title


def test_runs_with_nothing_in_common_are_drawn_one_by_one(run: Run, tmp_path: Path) -> None:
    other = measured(tmp_path, "quota", options=Options(values="50000", repeats=2, duration_s=1))
    names = plots.available(run, other)
    assert {"cpu-achieved", "quota-achieved"} <= set(names)
    for picture in plots.pictures(run, other, names=["achieved"]):
        plots.svg(picture)


# --- real runs ---------------------------------------------------------------------------------

SAMPLES = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def memory() -> Run:
    return runs.load(SAMPLES / "sample-memory")


@pytest.fixture(scope="module")
def shares() -> Run:
    return runs.load(SAMPLES / "sample-shares")


def test_shares_lie_on_the_diagonal_of_logarithmic_scales(shares: Run) -> None:
    assert title(shares, "shares-shares").startswith(
        "On one CPU, CPU time is divided as the shares"
    )
    (picture,) = plots.pictures(shares, names=["shares"])
    upper = picture.figure.axes[0]
    assert (upper.get_xscale(), upper.get_yscale()) == ("log", "log")


def test_memory_is_drawn_up_to_the_kill_and_beyond_the_limit(memory: Run) -> None:
    assert {"memory-reached", "swap-pages", "swap-growth"} <= set(plots.available(memory))
    assert "below the limit" in title(memory, "memory-reached")
    assert "page cache gives way" in title(memory, "memory-reached")
    slower = re.search(r"takes (\d+) times as long", title(memory, "swap-pages"))
    assert slower
    assert int(slower[1]) > 1
    assert "the memory limit is met after" in title(memory, "swap-growth")


def test_memory_without_samples_is_drawn_from_the_workload_s_own_report(
    memory: Run, tmp_path: Path
) -> None:
    shutil.copytree(memory.path, tmp_path / "run")
    (tmp_path / "run" / "samples.parquet").unlink()
    bare = runs.load(tmp_path / "run")
    (picture,) = plots.pictures(bare, names=["swap-growth"])
    assert picture.title == plots.pictures(memory, names=["swap-growth"])[0].title


def test_the_heat_map_s_periods_begin_where_threads_go_on(run: Run) -> None:
    (picture,) = plots.pictures(run, names=["heat"])
    (image,) = picture.figure.axes[0].get_images()
    cells = image.get_array()
    assert cells is not None
    values = [ax.get_text() for ax in picture.figure.axes[0].get_yticklabels()]
    one = cells[values.index("1")]  # 2 threads at 1 CPU: on for half of the period, then off
    assert one[5:45].mean() < 10
    assert one[55:95].mean() > 90


def test_damaged_samples_cost_the_timeline_alone(tmp_path: Path) -> None:
    run = measured(tmp_path, options=Options(values="0.5", repeats=2, duration_s=1))
    samples = run.path / "samples.parquet"
    data = bytearray(samples.read_bytes())
    data[20:-400] = b"\xff" * len(data[20:-400])
    samples.write_bytes(data)
    assert "timeline" not in plots.available(run)
    assert "achieved" in plots.available(run)
