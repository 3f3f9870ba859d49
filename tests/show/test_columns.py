"""The columns of the verdict table: one list, and each form shows what it says."""

from __future__ import annotations

import pytest

from harness.cli.terminal import show_page
from harness.judge.metrics import METRICS, Beside
from harness.show.report import columns, csv_table, html, json_data, markdown, terminal
from harness.show.report import view as views
from harness.show.report.columns import Form
from harness.store.runs import Run
from tests.runs import measured, scattered


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return scattered(measured(tmp_path_factory.mktemp("run")), {"cpus=0.5": 0.95})


def test_the_names_of_plain_data_stay(run: Run) -> None:
    view = views.build(run)
    head = csv_table.render([view]).splitlines()[0]
    assert head == (
        "run,host,point,axis,value,container,metric,unit,law,bound_by,promised,expected,trials,"
        "valid,achieved,achieved_low,achieved_high,confidence,scale,error,error_low,error_high,"
        "tolerance_low,tolerance_high,verdict,reason"
    )
    point = json_data.as_json(view)["points"][0]
    assert set(point) == {
        "point", "axis", "value", "verdict", "trials", "valid", "rejected", "docker_stats_frames",
        "limits", "laws", "metrics",
    }  # fmt: skip
    assert set(point["laws"][0]) == {
        "metric", "unit", "container", "law", "text", "source", "bound_by", "promised", "expected",
        "scale", "tolerance", "achieved", "error", "verdict", "reason",
    }  # fmt: skip


def test_page_and_markdown_have_the_columns_that_are_meant_for_them(run: Run) -> None:
    rows = views.build(run).rows
    table = html.table("cpu", rows)
    heads = [head.title for head in table.heads]
    assert heads[:3] == ["--cpus", "Verdict", "Promised"]  # the verdict is seen without scrolling
    assert {head.lower() for head in heads[1:]} == {
        column.title.lower() for column in columns.shown(Form.HTML, rows)
    } - {""}
    deviating = next(cells for cells in table.rows if cells[0].text == "0.5")
    assert deviating[1].status == "deviates"
    assert deviating[heads.index("Error")].text.startswith("-4.9")
    told, _, lines = markdown.table_cells("cpu", rows)
    assert told == [
        "`--cpus`", "promised", "achieved", "error", "tolerance", "trials", "verdict",
    ]  # fmt: skip
    assert all(len(cells) == len(told) for cells in lines)


def test_a_column_is_sorted_by_its_number(run: Run) -> None:
    (table,) = [html.table("cpu", views.build(run).rows)]
    for title in ("--cpus", "Promised", "Achieved", "Error", "Tolerance", "Trials"):
        at = next(i for i, head in enumerate(table.heads) if head.title == title)
        assert all(cells[at].sort is not None for cells in table.rows), title
    assert [cells[0].sort for cells in table.rows] == [0.25, 0.5, 1.0, 1.5, 2.0]


def test_a_metric_is_shown_where_its_entry_says(run: Run) -> None:
    rows = views.build(run).rows
    page, narrow = (
        {column.name for column in columns.shown(form, rows)} for form in (Form.HTML, Form.TERMINAL)
    )
    measured_names = {name for row in rows for name, _ in row.summary.estimates}
    assert {"throttled_share", "stats_cpus", "inside_cpus"} <= measured_names
    for name in measured_names:
        beside = METRICS[name].beside
        assert (name in page) is (beside >= Beside.PAGE), name
        assert (name in narrow) is (beside >= Beside.WIDE_TERMINAL), name


@pytest.mark.parametrize(
    ("width", "spared"),
    [(68, {"engine", "kernel", "stats", "gap max"}), (72, {"engine", "kernel", "stats"}),
     (80, {"engine", "kernel"}), (100, {"engine"}), (140, set[str]())],
)  # fmt: skip
def test_a_narrow_terminal_spares_the_least_important_columns(
    run: Run, width: int, spared: set[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(width))
    rows = views.build(run).rows
    show_page(terminal.Page(views.build(run)))
    (head,) = (line for line in capsys.readouterr().out.splitlines() if "promised" in line)
    heads = {column.head or "--cpus" for column in columns.shown(Form.TERMINAL, rows)}
    assert {one for one in heads if one not in head} == spared
