"""``bench history`` from outside: what it says, writes and refuses."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import harness
from harness.comparison.collected import Collected
from harness.comparison.history import history
from harness.plan.axes import Options
from harness.show.plots import history as figure
from harness.show.report import history as words
from harness.show.report import history_html
from harness.show.report.history_page import Page
from tests.command import bench, one_line
from tests.fakes import World
from tests.histories import followed, of_hosts
from tests.runs import HOSTILE, stored

pytest.importorskip("ruptures", reason="ruptures has no wheel for this Python")
BEFORE, AFTER = (0.5, 0.501, 0.499, 0.5, 0.5005), (0.55, 0.551, 0.549, 0.5505)
POINT = Options(values="0.5", repeats=5)


def printed(width: int, *medians: float, kernels: dict[int, str] | None = None) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Page(followed(*medians, kernels=kernels)))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_says_since_when_and_what_else_changed(width: int) -> None:
    text = printed(width, *BEFORE, *AFTER, kernels={5: "6.1.2"})
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    assert "last since 20260106-080000-cpu (kernel 6.1.0 → 6.1.2)" in flat
    assert "CPUs achieved of cpus=0.5 +10.0" in flat
    assert re.search(r"[▁▂]{5}│[▇█]{4}", text)


def test_where_nothing_moved_or_too_little_is_known_it_says_so() -> None:
    assert "No level moved by as much as matters at 1 point in 7 runs" in printed(
        80, 0.5, 0.5, 0.5001, 0.5, 0.5, 0.4999, 0.5
    )
    few = printed(80, 0.5, 0.55, 0.6)
    assert "Too little is known: no point was measured in more than 3 runs" in few
    assert "moved" not in few


def test_where_no_fact_changed_none_is_named() -> None:
    assert words.NOTHING in " ".join(printed(120, *BEFORE, *AFTER).split())


def test_a_sparkline_holds_the_newest_runs() -> None:
    (series,) = followed(*BEFORE, *AFTER).series
    assert words.sparkline(series, 30).count("│") == 1
    assert len(words.sparkline(series, 30)) == 10
    assert len(words.sparkline(series, 6)) == 6
    assert words.sparkline(series, 4).count("│") == 0


def test_scatter_below_what_matters_fills_no_sparkline() -> None:
    (series,) = followed(0.5, 0.5001, 0.4999, 0.5, 0.5001, 0.4999).series
    assert len(set(words.sparkline(series, 20))) <= 2


def test_the_figure_and_the_page_say_the_same() -> None:
    found = followed(*BEFORE, *AFTER, kernels={5: "6.1.2"})
    drawn = figure.picture(found)
    assert drawn is not None
    assert "kernel 6.1.0 → 6.1.2" in drawn.title
    assert "since 20260106-080000-cpu" in drawn.alt
    page = history_html.render(found)
    assert "<svg" in page
    assert "kernel 6.1.0 → 6.1.2" in page
    assert figure.picture(history(Collected((), ()))) is None


def test_a_page_of_hostile_names_holds_no_markup_of_theirs() -> None:
    page = history_html.render(followed(*BEFORE, *AFTER, kernels={5: HOSTILE}))
    assert "<script>alert" not in page


KERNELS = {"a": 5, "b": 6, "c": 7, "d": 5}
SHARED = "since kernel 6.1.0 → 6.1.2, on 3 of 4 hosts"


@pytest.mark.parametrize("width", [80, 120])
def test_what_hosts_share_is_told_first_and_once(width: int) -> None:
    found = of_hosts({"a": 5, "b": 6, "c": 7, "d": None}, kernels=KERNELS)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Page(found))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    assert f"last {SHARED}: CPUs achieved of cpus=0.5 +" in flat
    assert (
        f"{SHARED[0].upper()}{SHARED[1:]} (between 2026-01-05 08:00 and 2026-01-08 08:00)" in flat
    )
    assert "worse; a, b, c" in flat
    assert "not on d" in flat
    assert "at most 1% is false alarms" in flat
    assert "since 2026" not in flat, "no event of one host"


def test_what_hosts_share_is_in_page_figure_and_data() -> None:
    found = of_hosts({"a": 5, "b": 6, "c": 7, "d": None}, kernels=KERNELS)
    page = history_html.render(found)
    assert f"S{SHARED[1:]}" in re.sub(r"<[^>]+>", "", page).replace("\N{NO-BREAK SPACE}", " ")
    drawn = figure.picture(found)
    assert drawn is not None
    assert f"A marks what moved {SHARED}." in drawn.alt
    told = words.as_json(found)
    (event,) = told["shared"]
    assert (event["headline"], event["hosts"], event["still"]) == (SHARED, ["a", "b", "c"], ["d"])
    assert told["shared_error_rate"] == 0.01
    (change,) = event["changes"]
    assert [one["host"] for one in change["hosts"]] == ["a", "b", "c"]
    assert len(told["events"]) == 3, "each host's own stay"


def test_what_one_host_has_beside_it_stays_told() -> None:
    found = of_hosts({"a": 5, "b": 5, "c": 9}, kernels={"a": 5, "b": 5})
    (event,) = found.shared
    assert event.hosts == ("a", "b")
    (alone,) = words.of_one_host(found)
    assert alone.host == "c"
    assert words.headline(found).count("last since 20260110") == 1, "the newest of all"


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Six runs, of which the later three had a quota 10 % larger in force."""
    for factor in (1, 1, 1, 1.1, 1.1, 1.1):
        stored(tmp_path / "results", options=POINT, world=World(quota_factor=factor))
    return tmp_path


@pytest.mark.slow
def test_it_reads_the_results_folder(six: Path) -> None:
    done = bench("history", "--json", "--metric", "cpus", "--html", "h.html", "--figure", "h.svg",
                 cwd=six)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (series,) = told["series"]
    assert (series["point"], len(series["entries"])) == ("cpus=0.5", 6)
    (change,) = series["changes"]
    assert change["run"] == series["entries"][3]["run"]
    assert change["change"] == pytest.approx(0.1, abs=0.02)
    assert (six / "h.html").read_text().startswith("<!DOCTYPE html>")
    assert (six / "h.svg").exists()
    based = bench("baseline", "set", "--from-history", "--json", cwd=six)
    assert based.returncode == 0, based.stderr
    assert json.loads(based.stdout)["run"].startswith("3 runs, ")
    assert list((six / "baselines" / "noise").iterdir())


def test_what_cannot_be_told_is_refused_in_a_line(tmp_path: Path) -> None:
    one_line(bench("history", cwd=tmp_path), 2, "there is no folder results")
    stored(tmp_path / "results", options=Options(values="0.5", repeats=2))
    one_line(bench("history", cwd=tmp_path), 2, "can be followed", "5 trials that count")
    one_line(bench("history", "--metric", "cpu", cwd=tmp_path), 2, "no metric 'cpu'", "cpus")
    one_line(bench("history", "--figure", "h.pdf", cwd=tmp_path), 2, ".png")


def test_without_ruptures_the_remedy_is_told(tmp_path: Path) -> None:
    stored(tmp_path / "results", options=POINT)
    code = "import sys; sys.modules['ruptures'] = None; from harness.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "history"], cwd=tmp_path, check=False,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "bench: what finds change points is not installed. "
        "Install it: pip install 'limitbench[history]'.\n"
    )


@pytest.mark.slow
def test_the_frame_says_which_changes_hosts_share(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for host in ("a", "b"):
        for day, factor in enumerate((1, 1, 1, 1.1, 1.1, 1.1)):
            path = stored(results, options=POINT, world=World(quota_factor=factor))
            info = json.loads((path / "run.json").read_text())
            del info["crc32"]
            info["created"] = f"2026-01-{day + 1:02}T08:00:00+00:00"
            info["host"]["hostname"] = host
            info["engine"]["kernel"] = f"6.1.{day // 3}"
            (path / "run.json").write_text(json.dumps(info))
    frame = harness.history(results, metric="cpus")
    moved = frame[frame["moved"]]
    assert list(moved["hosts"]) == [2, 2]
    assert set(moved["shared"]) == {"since kernel 6.1.0 → 6.1.1, on 2 of 2 hosts"}
    assert not frame.loc[~frame["moved"], "hosts"].any()


@pytest.mark.slow
def test_noise_between_days_is_learnt_from_what_is_kept(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for number in range(6):
        path = stored(results, options=POINT)
        info = json.loads((path / "run.json").read_text())
        del info["crc32"]  # as a run of an older limitbench: by another day
        info["created"] = f"2026-01-{number + 1:02}T08:00:00+00:00"
        (path / "run.json").write_text(json.dumps(info))
    done = bench("calibrate", "--from-history", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["runs"]) == 6
    (drift,) = (one for one in told["drifts"] if one["metric"] == "cpus")
    assert (drift["days"], drift["runs"]) == (6, 6)
    assert drift["runs_deviation"] is None
    assert drift["days_deviation"] >= 0
    page = bench("calibrate", "--from-history", cwd=tmp_path)
    assert "from 6 runs on 6 days" in page.stdout
    assert "not known" in page.stdout
    one_line(bench("calibrate", "--from-history", "a", "b", cwd=tmp_path), 2, "by itself")
    one_line(bench("calibrate", "--from-history", "--runs", "3", cwd=tmp_path), 2, "--runs")
