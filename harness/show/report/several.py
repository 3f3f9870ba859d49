"""Several runs beside each other.

As one HTML file, as Markdown, and what both say of them.

Nothing is tested here for a change: that is ``bench compare``. Each run keeps the verdicts that it
has by itself, and stands beside the others under the facts in which they differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.judge import verdicts
from harness.model import Status
from harness.plan import axes
from harness.show.plots import data
from harness.show.report import html, json_data, markdown, page
from harness.show.report import view as views
from harness.show.report.page import Cell, Head, Table
from harness.show.report.view import Row, View
from harness.show.report.words import SYMBOLS
from harness.store.runs import Run
from harness.wording import counted


@dataclass(frozen=True, slots=True)
class Beside:
    """Some runs, each with what tells it apart from the others."""

    views: tuple[View, ...]
    labels: tuple[str, ...]
    status: Status
    headline: str
    remarks: tuple[str, ...]
    """What a reader must know of all of them together."""


def build(runs: Sequence[Run]) -> Beside:
    """The view of two runs or more, in any state; UsageError for more than there is room for."""
    own = data.distinct(runs)
    labels = data.labels(own)
    built = tuple(views.build(run) for run in own)
    status = verdicts.overall(view.status for view in built if view.rows)
    return Beside(
        views=built, labels=tuple(labels[run.info.name] for run in own), status=status,
        headline=_headline(built), remarks=tuple(_remarks(built)),
    )  # fmt: skip


def _headline(built: Sequence[View]) -> str:
    counts = Counter(view.status for view in built)
    said = [f"{counts[status]} {status.value}" for status in Status if counts[status]]
    shared = _shared(built)
    points = f"{counted(len(shared), 'point')} in all of them" if shared else "no point in common"
    return f"{counted(len(built), 'run')} ({', '.join(said)}), {points}."


def _shared(built: Sequence[View]) -> list[str]:
    """The points that all runs have."""
    each = [{row.summary.point.id for row in view.rows} for view in built]
    return [row.summary.point.id for row in built[0].rows
            if all(row.summary.point.id in one for one in each)]  # fmt: skip


def _remarks(built: Sequence[View]) -> Iterator[str]:
    if not _shared(built):
        yield (
            "The runs have no point in common: nothing can be compared, and each is shown by "
            "itself."
        )
    planned: dict[str, set[Any]] = {}
    for view in built:
        for row in view.rows:
            point = row.summary.point
            planned.setdefault(point.id, set()).add((point.containers, point.duration_s))
    different = [name for name, plans in planned.items() if len(plans) > 1]
    if different:
        names = ", ".join(different[:5]) + (", …" if len(different) > 5 else "")
        yield f"Not planned alike in all runs, in spite of the same name: {names}."
    if len({view.run.info.workload.probe_sha256 for view in built}) > 1:
        yield "The workload's program is not the same in all runs: see the facts."


# --- HTML --------------------------------------------------------------------------------------


def render(beside: Beside) -> str:
    """The page of several runs."""
    runs = [view.run for view in beside.views]
    options = dict.fromkeys(
        axes.option(row.summary.point.axis) for view in beside.views for row in view.rows
    )
    with page.figures(*runs) as drawn:
        tables = _tables(beside)
        figures = drawn()
    return page.render(
        "several.html",
        beside=beside,
        symbol=SYMBOLS[beside.status],
        title=f"{', '.join(options)} in {counted(len(runs), 'run')}",
        runs=list(zip(beside.labels, beside.views, strict=True)),
        symbols=SYMBOLS,
        findings=[
            (label, finding)
            for label, view in zip(beside.labels, beside.views, strict=True)
            for finding in html.findings(view)
        ],
        tables=tables,
        figures=figures,
        facts=_facts(beside),
    )


def _each(beside: Beside, axis: str) -> Iterator[tuple[str, Row]]:
    """(label, row) of an axis: the same point of all runs, then the next."""
    order = dict.fromkeys(
        row.summary.point.id
        for view in beside.views
        for row in view.rows
        if row.summary.point.axis == axis
    )
    for point in order:
        for label, view in zip(beside.labels, beside.views, strict=True):
            yield from ((label, row) for row in view.rows if row.summary.point.id == point)


def _axes(beside: Beside) -> list[str]:
    return list(dict.fromkeys(
        row.summary.point.axis for view in beside.views for row in view.rows
    ))  # fmt: skip


def _tables(beside: Beside) -> list[Table]:
    out = []
    for axis in _axes(beside):
        rows = list(_each(beside, axis))
        table = html.table(axis, [row for _, row in rows])
        lines = [label for label, row in rows for _ in row.lines]
        first, *others = table.heads
        out.append(Table(
            caption=f"Every limit of {axes.option(axis)} in every run: medians over the trials "
            "that count; below them, smaller, their intervals",
            heads=(first, Head("Run", "run"), *others),
            rows=tuple((cells[0], Cell(label), *cells[1:])
                       for label, cells in zip(lines, table.rows, strict=True)),
        ))  # fmt: skip
    return out


def _facts(beside: Beside) -> Table:
    """The facts of all runs, those that differ first."""
    found: dict[str, dict[int, str]] = {}
    for i, view in enumerate(beside.views):
        for group, facts in html.facts(view):
            for what, text in facts:
                found.setdefault(f"{group}: {what}", {})[i] = text
    rows = []
    for what, texts in found.items():
        own = [texts.get(i, "–") for i in range(len(beside.views))]
        rows.append((len(set(own)) > 1, what, own))
    rows.sort(key=lambda row: not row[0])
    return Table(
        caption="Facts of host, engine and workload; those that differ stand first",
        heads=(Head("Fact"), Head("Same"), *(Head(label) for label in beside.labels)),
        rows=tuple(
            (Cell(what), Cell("differs" if differs else "same"), *map(Cell, own))
            for differs, what, own in rows
        ),
    )


# --- Markdown ----------------------------------------------------------------------------------


def as_markdown(beside: Beside) -> str:
    """The runs in Markdown, short enough for a comment on a pull request."""
    text = markdown.text
    pairs = list(zip(beside.labels, beside.views, strict=True))
    parts = [
        f"### {SYMBOLS[beside.status]} {beside.status.value}: {text(beside.headline)}",
        "\n".join(
            f"- {text(label)}: {SYMBOLS[view.status]} {view.status.value}: {text(view.headline)} "
            f"({text(view.run.info.name)})"
            for label, view in pairs
        ),
        *(_markdown_table(axis, list(_each(beside, axis))) for axis in _axes(beside)),
        markdown.listed("Not simply held", _labelled(pairs, markdown.findings)),
        markdown.listed(
            "Trials that do not count",
            _labelled(pairs, lambda view: [text(one) for one in view.rejected]),
        ),
        markdown.listed("To be known", map(text, beside.remarks)),
        markdown.listed(
            "What differs",
            (f"{text(row[0].text)}: {' / '.join(text(cell.text) for cell in row[2:])}"
             for row in _facts(beside).rows if row[1].text == "differs"),
        ),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _labelled(pairs: Iterable[tuple[str, View]], of: Any) -> Iterator[str]:
    for label, view in pairs:
        yield from (f"{markdown.text(label)}: {said}" for said in of(view))


def _markdown_table(axis: str, rows: Sequence[tuple[str, Row]]) -> str:
    heads, alignment, cells = markdown.table_cells(axis, [row for _, row in rows])
    labels = [markdown.text(label) for label, row in rows for _ in row.lines]
    return markdown.laid_out(
        [heads[0], "run", *heads[1:]],
        [alignment[0], "---", *alignment[1:]],
        ([own[0], label, *own[1:]] for label, own in zip(labels, cells, strict=True)),
    )


# --- plain data --------------------------------------------------------------------------------


def as_json(beside: Beside) -> dict[str, Any]:
    """The runs as plain data with stable names; numbers are not rounded."""
    return {
        "verdict": beside.status.value,
        "headline": beside.headline,
        "remarks": list(beside.remarks),
        "runs": [
            {"label": label, **json_data.as_json(view)}
            for label, view in zip(beside.labels, beside.views, strict=True)
        ],
    }
