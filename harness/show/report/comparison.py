"""A comparison of two runs, in each of its forms.

For the terminal, as plain data, as Markdown and as JUnit XML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from harness import units
from harness.comparison.words import brief, change_text, span, within
from harness.judge.metrics import METRICS
from harness.model import Change, Compared, Comparison, Difference, LawChange, Status
from harness.show.report import junit, markdown
from harness.show.report.columns import Column, Form
from harness.show.report.words import NONE

_STYLE = {
    Change.SAME: "green",
    Change.IMPROVED: "bold green",
    Change.REGRESSED: "bold red",
    Change.INCONCLUSIVE: "yellow",
    Change.INCOMPARABLE: "magenta",
}
_SYMBOLS = {
    Change.SAME: "✓",
    Change.IMPROVED: "✓",
    Change.REGRESSED: "✗",
    Change.INCONCLUSIVE: "?",
    Change.INCOMPARABLE: "–",
}
_TABLES = Form.TERMINAL | Form.MARKDOWN
_WIDE = 100
"""Columns of a terminal, from which on no column is spared."""
_MOST = 20
"""More findings than this are counted, not listed, in a summary."""


@dataclass(frozen=True, slots=True)
class Titles:
    """What the two sides are called: ``baseline 'default'``, ``now``; ``a``, ``b``."""

    before: str
    after: str

    def of(self, column: Column[Comparison]) -> str:
        """A column's head: the two sides have names of their own."""
        return {"before": self.before, "after": self.after}.get(column.name, column.title)


# --- the table ---------------------------------------------------------------------------------


def _name(row: Comparison) -> str:
    title = METRICS[row.metric].title
    return f"{title}, container {row.container + 1}" if row.container else title


def _brief_name(row: Comparison) -> str:
    name = METRICS[row.metric].brief
    return f"{name} {row.container + 1}" if row.container else name


def _median(row: Comparison, value: float | None) -> str:
    return NONE if value is None else units.of(METRICS[row.metric].unit).text(value)


def _change(row: Comparison) -> str:
    return NONE if row.change is None else change_text(row.change, row)


def _p(row: Comparison) -> str:
    p = row.adjusted_p
    if p is None:
        return NONE
    return "<.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.995 else "1"


_COLUMNS: tuple[Column[Comparison], ...] = (
    Column(name="point", of=lambda row: row.point_id, forms=_TABLES | Form.JSON, title="point",
           text=lambda row: row.point_id, shared=True),
    Column(name="metric", of=lambda row: row.metric, forms=_TABLES | Form.JSON, title="metric",
           text=_name, bare=_brief_name),
    Column(name="container", of=lambda row: row.container, forms=Form.JSON),
    Column(name="unit", of=lambda row: METRICS[row.metric].unit, forms=Form.JSON),
    Column(name="reason", of=lambda row: row.reason, forms=Form.JSON),
    Column(name="decides", of=lambda row: row.decides, forms=Form.JSON),
    Column(name="before", of=lambda row: row.before, forms=_TABLES | Form.JSON,
           text=lambda row: _median(row, row.before), number=True, spare=1),
    Column(name="after", of=lambda row: row.after, forms=_TABLES | Form.JSON,
           text=lambda row: _median(row, row.after), number=True, spare=1),
    Column(name="trials", of=lambda row: list(row.n), forms=Form.JSON),
    Column(name="scale", of=lambda row: row.scale.value, forms=Form.JSON),
    Column(name="change", of=lambda row: row.change, forms=_TABLES | Form.JSON,
           title="change (interval)", short="change", text=_change, number=True,
           below=lambda row: (said,) if (said := span(row)) else ()),
    Column(name="interval", of=span, forms=Form.TERMINAL, title="interval", text=span,
           number=True),
    Column(name="low", of=lambda row: row.low, forms=Form.JSON),
    Column(name="high", of=lambda row: row.high, forms=Form.JSON),
    Column(name="matters", of=lambda row: row.effect, forms=_TABLES | Form.JSON, title="matters",
           text=lambda row: NONE if row.change is None else within(row.effect, row),
           number=True, spare=1),
    Column(name="noise", of=lambda row: row.floor, forms=Form.JSON),
    Column(name="drift", of=lambda row: row.drift, forms=Form.JSON),
    Column(name="p", of=lambda row: row.p, forms=Form.JSON),
    Column(name="adjusted_p", of=lambda row: row.adjusted_p, forms=_TABLES | Form.JSON,
           title="p", text=_p, number=True),
    Column(name="repeats_that_would_decide", of=lambda row: row.repeats, forms=Form.JSON),
    Column(name="verdict", of=lambda row: row.status.value, forms=_TABLES | Form.JSON,
           title="verdict", text=lambda row: row.status.value, status=lambda row: row.status),
)  # fmt: skip


# --- what is told ------------------------------------------------------------------------------


def listed(compared: Compared, *, every: bool) -> list[Comparison]:
    """The rows that are shown: the main one of each point, and whatever is not the same.

    Watched metrics that ten trials cannot decide are left out, unless ``every`` row is wanted.
    """
    shown, seen = [], set[str]()
    for row in compared.rows:
        main = row.point_id not in seen
        seen.add(row.point_id)
        quiet = row.status is Change.SAME or (row.status is Change.INCONCLUSIVE and not row.decides)
        if every or main or not quiet:
            shown.append(row)
    return shown


def findings(compared: Compared) -> list[str]:
    """In words, worst first: each change, each law that does not hold, and what was not decided."""
    rows = [row for row in listed(compared, every=False) if row.status is not Change.SAME]
    order = list(reversed(_STYLE))
    said = [(row.status, f"{_where(row)}: {row.status.value}: {row.reason}") for row in rows]
    laws = dict.fromkeys((*compared.violations, *compared.laws))
    said += [
        (law.status, f"{law.point_id}, law {law.law}: {_law_words(law)}: {law.reason}")
        for law in laws
        if law.status is not Change.SAME or law.after is Status.DEVIATES
    ]
    worst = [Change.REGRESSED, Change.IMPROVED, *order]
    return [text for _, text in sorted(said, key=lambda one: worst.index(one[0]))]


def _where(row: Comparison) -> str:
    return f"{row.point_id}, {_name(row)}"


def _law_words(law: LawChange) -> str:
    if law.before is None or law.before is law.after:
        return law.after.value
    return f"{law.before.value}, now {law.after.value}"


# --- terminal ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """A comparison, for a console of rich to print."""

    compared: Compared
    titles: Titles
    every: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Each part in its order; the table as wide as the console has room for."""
        compared, titles = self.compared, self.titles
        if compared.answer:
            yield Text(compared.answer, style=_STYLE[compared.status])
        yield Text(compared.headline, style="bold" if compared.answer else _STYLE[compared.status])
        for one in compared.differences:
            if one.allowed:  # the others are told by the headline
                yield Text(f"under test: {_difference(one)}", style="bold")
        for line in _sides(compared, titles):
            yield Text(line, style="dim")
        shown = listed(compared, every=self.every)
        if shown:
            yield _table(shown, titles, wide=options.max_width >= _WIDE)
        hidden = Counter(row.status.value for row in compared.rows) - Counter(
            row.status.value for row in shown
        )
        if hidden:
            said = ", ".join(f"{count} {status}" for status, count in hidden.items())
            yield Text(f"Not shown: {said} (--all shows them).", style="dim")
        for text in findings(compared):
            yield Text(text)
        for text in compared.remarks:
            yield Text(text, style="dim")


def _difference(one: Difference) -> str:
    return f"{one.fact} {brief(one.before)} → {brief(one.after)}"


def _sides(compared: Compared, titles: Titles) -> list[str]:
    if compared.before is None:
        return [f"{titles.after}: {compared.after.run}"]
    return [
        f"{title}: {side.run}, {side.hostname}, kernel {side.fingerprint.kernel}"
        for title, side in ((titles.before, compared.before), (titles.after, compared.after))
    ]


def _table(rows: Sequence[Comparison], titles: Titles, *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    shown = [
        column
        for column in _COLUMNS
        if Form.TERMINAL in column.forms and (wide or not column.spare)
    ]
    for column in shown:
        head = titles.of(column).partition(" ")[0] if column.spare else column.head
        table.add_column(
            head, justify="right" if column.number else "left", no_wrap=True, overflow="ellipsis"
        )
    last = ""
    for row in rows:
        style = [_STYLE[status] if (status := column.status(row)) else "" for column in shown]
        cells = [
            "" if column.shared and row.point_id == last else column.narrow(row) for column in shown
        ]
        table.add_row(*map(Text, cells, style))
        last = row.point_id
    return table


# --- plain data --------------------------------------------------------------------------------


def as_json(compared: Compared, titles: Titles) -> dict[str, Any]:
    """The comparison as plain data with stable names; numbers are not rounded."""
    before, after = compared.before, compared.after
    return {
        "verdict": compared.status.value,
        "answer": compared.answer,
        "headline": compared.headline,
        "before": before and {"title": titles.before, "run": before.run, "host": before.hostname},
        "after": {"title": titles.after, "run": after.run, "host": after.hostname},
        "differences": [
            {"fact": one.fact, "before": one.before, "after": one.after, "allowed": one.allowed}
            for one in compared.differences
        ],
        "comparisons": [fields(row) for row in compared.rows],
        "laws": [_law_json(law) for law in compared.laws],
        "violations": [_law_json(law) for law in compared.violations],
        "remarks": list(compared.remarks),
    }


def fields(row: Comparison) -> dict[str, Any]:
    """One metric of a point, as plain data."""
    return {column.name: column.of(row) for column in _COLUMNS if Form.JSON in column.forms}


def _law_json(law: LawChange) -> dict[str, Any]:
    return {
        "point": law.point_id,
        "law": law.law,
        "metric": law.metric,
        "container": law.container,
        "verdict": law.status.value,
        "before": law.before and law.before.value,
        "after": law.after.value,
        "reason": law.reason,
    }


# --- Markdown ----------------------------------------------------------------------------------


def as_markdown(compared: Compared, titles: Titles) -> str:
    """A summary, short enough for a comment on a pull request or a job's summary."""
    text = markdown.text
    parts = [
        f"### {_SYMBOLS[compared.status]} {text(compared.headline)}",
        text(compared.answer),
        "  \n".join(text(line) for line in _sides(compared, titles)),
        _list(
            "Under test", (text(_difference(one)) for one in compared.differences if one.allowed)
        ),
        _markdown_table(listed(compared, every=False), titles),
        _list("Findings", map(text, findings(compared))),
        _list("To be known", map(text, compared.remarks)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(rows: Sequence[Comparison], titles: Titles) -> str:
    if not rows:
        return ""
    shown = [column for column in _COLUMNS if Form.MARKDOWN in column.forms]
    table = markdown.laid_out(
        [markdown.text(titles.of(column)) for column in shown],
        markdown.aligned(shown),
        ([_cell(column, row) for column in shown] for row in rows[: 2 * _MOST]),
    )
    more = len(rows) - 2 * _MOST
    return f"{table}\n\nand {more} more rows" if more > 0 else table


def _cell(column: Column[Comparison], row: Comparison) -> str:
    status = column.status(row)
    if status is None:
        return markdown.text(column.line(row))
    verdict = f"{_SYMBOLS[status]} {status.value}"
    return f"**{verdict}**" if status is Change.REGRESSED else verdict


def _list(title: str, items: Iterable[str]) -> str:
    found = list(items)
    if not found:
        return ""
    more = len(found) - _MOST
    lines = [f"- {item}" for item in found[:_MOST]]
    return "\n".join([f"**{title}**", "", *lines, *([f"- and {more} more"] if more > 0 else [])])


# --- what other programs are told ---------------------------------------------------------------


def as_junit(compared: Compared, titles: Titles) -> str:
    """JUnit XML: a test suite a point, a test case a metric or law.

    The reason stands in the message, which Jenkins shows, and in the text, which GitLab does.
    """
    return junit.document("bench check", cases(compared, titles))


def cases(compared: Compared, titles: Titles) -> dict[str, list[tuple[str, str, str]]]:
    """By point, each metric and law: its name, how it ended, and why.

    A regression or violated law is a ``failure``. What is inconclusive or incomparable is an
    ``error`` where it leaves the check undecided, and ``skipped`` where it is only watched: never a
    pass, which is empty.
    """
    points: dict[str, list[tuple[str, str, str]]] = {}
    for row in compared.rows:
        kind = _kind(row.status, decides=row.decides)
        points.setdefault(row.point_id, []).append((_name(row), kind, row.reason))
    violated = set(compared.violations)
    for law in dict.fromkeys((*compared.laws, *compared.violations)):
        kind = "failure" if law in violated else _kind(law.status, decides=True)
        points.setdefault(law.point_id, []).append(
            (f"law {law.law} ({law.metric}, container {law.container + 1})", kind, law.reason)
        )
    if compared.status is Change.INCOMPARABLE:
        points.setdefault(titles.before, []).append(
            ("comparable", "error", compared.headline)
        )  # fmt: skip
    return points


def _kind(status: Change, *, decides: bool) -> str:
    if status is Change.REGRESSED:
        return "failure"
    if status in (Change.INCONCLUSIVE, Change.INCOMPARABLE):
        return "error" if decides else "skipped"
    return ""
