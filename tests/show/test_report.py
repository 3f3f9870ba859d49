"""The report's forms: all that was found is in them, and nothing from outside becomes markup."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.model import Status
from harness.plan.axes import Options
from harness.show.report import csv_table, html, markdown, several
from harness.show.report import view as views
from harness.store.runs import Run
from tests.command import bench, one_line
from tests.runs import HOSTILE, measured, rejected, scattered

pytestmark = pytest.mark.slow  # drawing takes most of a minute

VOID = {"meta", "link", "br", "path", "use", "rect", "circle"}


class Page(HTMLParser):
    """The structure of a page: its elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text += data

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def page(run: Run) -> Page:
    return Page(html.render(views.build(run)))


def words(text: str) -> str:
    return " ".join(text.split())


def test_every_verdict_and_reason_stands_in_the_page(run: Run, page: Page) -> None:
    view = views.build(run)
    assert {row.status for row in view.rows} >= {"conforms", "deviates", "inconclusive"}
    assert words(view.headline) in words(page.text)
    for row in view.rows:
        for line in row.lines:
            assert line.verdict
            assert line.law
            assert line.verdict.status.value in page.text
            if line.verdict.status is not Status.CONFORMS or line.law.explanation:
                assert words(line.verdict.reason) in words(page.text)
    for remark in view.remarks:
        assert words(remark) in words(page.text)


def test_the_page_tells_how_and_where_it_was_measured(run: Run, page: Page) -> None:
    info = run.info
    for fact in (info.name, info.host.hostname, info.engine.version, info.workload.image_id):
        assert fact in page.text
    assert "order statistics" in page.text
    assert "sched-bwc.rst" in page.text
    assert "= engine = kernel" in page.text
    assert "5 frames" in page.text


def test_the_page_is_whole_in_itself(run: Run) -> None:
    text = html.render(views.build(run))
    assert "http://" not in text
    assert "https://" not in text
    for attributes in Page(text).all("a", "link", "img", "script", "use", "image", "iframe"):
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    policy = next(
        attributes["content"]
        for attributes in Page(text).all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy
    assert policy.startswith("default-src 'none';")
    assert "script-src 'sha256-" in policy


def test_the_structure_can_be_walked_without_eyes(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    (root,) = page.all("html")
    assert root["lang"] == "en"
    assert any(attributes.get("name") == "viewport" for attributes in page.all("meta"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a"):
        assert (attributes["href"] or "").removeprefix("#") in ids
    pictures = [a for a in page.all("div") if a.get("role") == "img"]
    assert len(pictures) == len(page.all("figcaption")) == 5
    assert all(attributes["aria-label"] for attributes in pictures)
    assert len(page.all("table")) == len(page.all("caption")) == 2
    assert all(attributes["scope"] in ("col", "row") for attributes in page.all("th"))


def test_text_from_outside_never_becomes_markup(hostile: Run) -> None:
    text = html.render(views.build(hostile))
    page = Page(text)
    assert len(page.all("script")) == 1
    assert "\u202e" not in text  # it would turn about what stands beside it
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert text.count("<script") == 1


def test_markdown_escapes_too(hostile: Run) -> None:
    text = markdown.render(views.build(hostile))
    code = text.partition("```")[0]
    assert "<script" not in code
    assert "\\`x\\`" in code
    assert "@team" not in code
    cells = [line.replace("\\|", "").count("|") for line in code.splitlines() if line[:1] == "|"]
    assert set(cells) == {8}


def test_markdown_is_short_and_says_it_all(run: Run) -> None:
    view = views.build(run)
    text = markdown.render(view)
    assert len(text) < 4000
    first = text.splitlines()[0]
    assert first.startswith("### ✗ deviates: ")
    assert "| 0.5 | 0.5000 | 0.52" in text
    assert "**✗ deviates**" in text
    assert text.count("✓ conforms") == 3
    for row in view.rows:
        verdict = row.lines[0].verdict
        assert verdict
        if verdict.status != "conforms":
            assert markdown.text(verdict.reason) in text


@pytest.mark.parametrize("state", ["running", "interrupted", "failed", "finished"])
@pytest.mark.parametrize("trials", [0, 3])
def test_runs_in_any_state_are_reported(run: Run, state: str, trials: int) -> None:
    info = replace(run.info, status=state, reason="it broke")
    partial = replace(run, info=info).holding(run.trials[:trials])
    view = views.build(partial)
    page = Page(html.render(view))
    assert state in page.text
    assert "inconclusive" in page.text
    assert state in markdown.render(view)


def test_a_run_where_no_trial_counts_says_why(run: Run) -> None:
    view = views.build(rejected(run, "other processes used 1.50 CPUs"))
    page = Page(html.render(view))
    assert "other processes used 1.50 CPUs" in page.text
    assert "Figures" not in page.text
    assert "other processes used 1.50 CPUs" in markdown.render(view)


@pytest.mark.parametrize("axis", ["quota", "period", "cpuset", "shares"])
def test_other_axes_are_reported_too(tmp_path: Path, axis: str) -> None:
    run = measured(tmp_path, axis, options=Options(repeats=2, duration_s=1))
    view = views.build(run)
    page = Page(html.render(view))
    for row in view.rows:
        assert row.summary.point.value in page.text
    assert markdown.render(view).count("\n| ") >= sum(len(row.lines) for row in view.rows) + 2


# --- the commands ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_is_written_into_the_run(tmp_path: Path) -> None:
    path = quick_run(tmp_path)
    result = bench("report", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"Written to {Path('results') / path.name / 'report.html'}" in result.stdout
    assert (path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert sorted(p.name for p in path.iterdir() if p.name.startswith(".")) == []
    told = json.loads(bench("report", path.name, "--json", cwd=tmp_path).stdout)
    assert told["run"] == path.name
    assert told["path"].endswith("report.html")


@pytest.mark.slow
def test_other_forms_go_to_stdout_or_where_they_are_told_to(tmp_path: Path) -> None:
    quick_run(tmp_path)
    assert bench("report", "--format", "md", cwd=tmp_path).stdout.startswith("### ")
    assert json.loads(bench("report", "--format", "json", cwd=tmp_path).stdout)["points"]
    assert bench("report", "--output", "-", cwd=tmp_path).stdout.startswith("<!DOCTYPE html>")
    to_file = bench("report", "--format", "md", "--output", "x.md", cwd=tmp_path)
    assert "Written to x.md" in to_file.stdout
    assert (tmp_path / "x.md").read_text().startswith("### ")
    one_line(bench("report", "--format", "md", "--json", cwd=tmp_path), 2, "--output")


@pytest.mark.slow
def test_what_cannot_be_written_is_told_with_a_remedy(tmp_path: Path) -> None:
    quick_run(tmp_path)
    (tmp_path / "file").write_text("kept")
    for command in (("report", "--output", "file/x.html"), ("plot", "--output", "file/x")):
        one_line(bench(*command, cwd=tmp_path), 2, "cannot", "file", "another place")
    one_line(bench("report", "--output", ".", cwd=tmp_path), 2, "directory", "another place")
    assert (tmp_path / "file").read_text() == "kept"
    assert bench("report", "--output", "/dev/null", cwd=tmp_path).returncode == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.slow
def test_figures_are_written_into_the_run(tmp_path: Path) -> None:
    path = quick_run(tmp_path)
    told = json.loads(bench("plot", "--json", cwd=tmp_path).stdout)
    drawn = {"achieved", "throttling", "timeline", "gaps", "heat"}
    assert {one["figure"] for one in told} == drawn
    assert all((tmp_path / one["path"]).exists() for one in told)
    result = bench("plot", "--format", "svg", "--figure", "gaps", "--output", "here", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["gaps.svg"]
    assert len(list((path / "plots").iterdir())) == len(drawn)


@pytest.mark.slow
def test_figures_that_are_not_there(tmp_path: Path) -> None:
    quick_run(tmp_path)
    one_line(bench("plot", "--figure", "gap", cwd=tmp_path), 2, "no figure 'gap'", "gaps")
    one_line(bench("plot", "--figure", "responses", cwd=tmp_path), 2, "no data", "achieved")
    measured(tmp_path / "none", options=Options(values="0.5", repeats=1), world=None)
    (trials,) = (tmp_path / "none").glob("*/trials.jsonl")
    trials.write_text("")
    one_line(bench("plot", "--results", "none", cwd=tmp_path), 2, "nothing to draw", "bench show")


def quick_run(root: Path) -> Path:
    options = Options(values="0.5,1", repeats=2, duration_s=1)
    return measured(root / "results", options=options).path


# --- several runs ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(run: Run) -> list[Run]:
    """The run, and what another host found."""
    host = replace(run.info.host, hostname="otherhost", kernel="9.9.9")
    other = scattered(run, {"cpus=1": 0.9})
    return [run, replace(other, info=replace(run.info, name="other", host=host))]


def test_several_runs_stand_beside_each_other(pair: list[Run]) -> None:
    beside = several.build(pair)
    assert beside.labels == ("fakehost", "otherhost")
    assert beside.headline == "2 runs (2 deviates), 5 points in all of them."
    page = Page(several.render(beside))
    for view in beside.views:
        assert words(view.headline) in words(page.text)
        assert view.run.info.name in page.text
    assert page.text.count("otherhost") > 10
    assert "9.9.9" in page.text
    (root,) = page.all("html")
    assert root["lang"] == "en"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a"):
        assert (attributes["href"] or "").removeprefix("#") in ids


def test_several_runs_in_markdown_and_as_data(pair: list[Run]) -> None:
    beside = several.build(pair)
    text = several.as_markdown(beside)
    assert text.startswith("### ✗ deviates: 2 runs")
    assert len(text) < 8000
    assert "| 0.5 | otherhost |" in text
    assert "Host: Kernel: 6.1.0 (x86\\_64) / 9.9.9" in text
    told = several.as_json(beside)
    assert [one["label"] for one in told["runs"]] == ["fakehost", "otherhost"]
    assert json.loads(json.dumps(told)) == told


def test_runs_with_nothing_in_common_are_shown_one_by_one(run: Run, tmp_path: Path) -> None:
    other = measured(tmp_path, "quota", options=Options(values="50000", repeats=2, duration_s=1))
    beside = several.build([run, other])
    assert "no point in common" in beside.headline
    page = Page(several.render(beside))
    assert "nothing can be compared" in page.text
    assert "50000" in page.text
    assert "cpus" in page.text
    assert "nothing can be compared" in several.as_markdown(beside)


def test_points_that_only_share_a_name_are_told(run: Run) -> None:
    plan = run.info.plan
    longer = tuple(replace(point, duration_s=9.0) for point in plan.points)
    other = replace(run, info=replace(run.info, name="x", plan=replace(plan, points=longer)))
    assert "Not planned alike" in several.build([run, other]).remarks[0]


def test_several_hostile_runs_stay_text(hostile: Run) -> None:
    other = replace(hostile, info=replace(hostile.info, name=HOSTILE))
    text = several.render(several.build([hostile, other]))
    assert text.count("<script") == 1
    assert "\u202e" not in text
    said = several.as_markdown(several.build([hostile, other]))
    assert "<script" not in said
    assert "@team" not in said


def test_the_table_in_csv_says_what_the_page_says(pair: list[Run]) -> None:
    view = views.build(pair[0])
    rows = list(csv.DictReader(io.StringIO(csv_table.render([view]))))
    assert len(rows) == sum(len(row.lines) for row in view.rows)
    for told, row in zip(rows, view.rows, strict=True):
        line = row.lines[0]
        assert line.achieved
        assert line.verdict
        assert float(told["achieved"]) == line.achieved.median
        assert (told["verdict"], told["reason"]) == (line.verdict.status, line.verdict.reason)
    both = list(csv.DictReader(io.StringIO(csv_table.render([views.build(run) for run in pair]))))
    assert {told["host"] for told in both} == {"fakehost", "otherhost"}


def test_no_cell_of_the_csv_is_a_formula(run: Run) -> None:
    for attack in ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\tx"):
        host = replace(run.info.host, hostname=attack)
        text = csv_table.render([views.build(replace(run, info=replace(run.info, host=host)))])
        (told, *_) = csv.DictReader(io.StringIO(text))
        assert told["host"] == f"'{attack}"
        assert told["error_low"].startswith("-")  # a number stays one


def test_a_run_of_very_many_trials_is_still_a_page(run: Run) -> None:
    many = run.holding(replace(run.trials[0], index=i) for i in range(2_500))
    page = Page(html.render(views.build(many)))
    assert "2000 of 2500 trials" in page.text
    assert len(page.all("tr")) < 2_100


@pytest.mark.slow
def test_the_commands_take_several_runs(tmp_path: Path) -> None:
    names = [quick_run(tmp_path).name for _ in range(2)]
    done = bench("report", *names, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["path"], told["runs"]) == ("results/report.html", names)
    assert (tmp_path / "results" / "report.html").read_text().startswith("<!DOCTYPE html>")
    text = bench("report", *names, "--format", "csv", cwd=tmp_path).stdout
    assert len(list(csv.DictReader(io.StringIO(text)))) == 4
    assert bench("report", *names, "--format", "md", cwd=tmp_path).stdout.startswith("### ")
    drawn = json.loads(bench("plot", *names, "--figure", "heat", "--json", cwd=tmp_path).stdout)
    assert [one["path"] for one in drawn] == ["results/plots/heat.png"]
    assert [one.parent.name for one in (tmp_path / "results").glob("*/run.json")]
    assert bench("runs", cwd=tmp_path).stderr == ""  # what was written there is no run


def test_errors_of_different_kinds_have_no_largest(tmp_path: Path) -> None:
    """A size in bytes read as a logarithm once ended the summary of a sweep in an overflow."""
    one = Options(values="0.5", repeats=5)
    other = Options(values="1024:512", repeats=5)
    cpu = views.build(measured(tmp_path / "a", options=one))
    shares = views.build(measured(tmp_path / "b", "shares", options=other))
    assert "largest median error" in cpu.headline
    assert "largest median error" in shares.headline
    both = views._headline([*cpu.rows, *shares.rows], Status.CONFORMS)
    assert both == "All 2 points conform."
