"""A comparison of two runs for the terminal, as plain data, as Markdown and as JUnit XML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as Xml

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis import METRICS
from harness.comparing import amount, brief, span
from harness.model import Change, Compared, Comparison, Difference, LawChange, Status
from harness.report import markdown
from harness.report.words import quantity

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
_WIDE = 100
_SHORT = {
    "cpus": "CPUs",
    "ratio": "CPU ratio",
    "outside_cpus": "elsewhere",
    "throttled_share": "throttled",
    "throttled_rate": "thr. time",
    "gap_s": "gap",
    "gap_p99_s": "gap 99 %",
    "gap_max_s": "gap max",
    "work_rate": "work rate",
    "reached_bytes": "memory",
    "swapping_page_s": "swapping",
    "response_p99_s": "resp. 99 %",
    "cpu_some": "CPU wait",
    "memory_full": "mem. wait",
    "io_full": "disk wait",
    "start_s": "start",
}
"""What a column of 80 has room for."""
_MOST = 20
"""More findings than this are counted, not listed, in a summary."""


@dataclass(frozen=True, slots=True)
class Titles:
    """What the two sides are called: ``baseline 'default'``, ``now``; ``a``, ``b``."""

    before: str
    after: str


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
    return f"{row.point_id}, {_title(row)}"


def _title(row: Comparison) -> str:
    title = METRICS[row.metric].title
    return f"{title}, container {row.container + 1}" if row.container else title


def _law_words(law: LawChange) -> str:
    if law.before is None or law.before is law.after:
        return law.after.value
    return f"{law.before.value}, now {law.after.value}"


# --- terminal ----------------------------------------------------------------------------------


def print_compared(compared: Compared, titles: Titles, *, every: bool = False) -> None:
    """Print it to stdout; colour only on a terminal."""
    console = Console(highlight=False)
    console.print(Text(compared.headline, style=_STYLE[compared.status]))
    for one in compared.differences:
        if one.allowed:  # the others are told by the headline
            console.print(Text(f"under test: {_difference(one)}", style="bold"))
    for line in _sides(compared, titles):
        console.print(line, style="dim", markup=False)
    shown = listed(compared, every=every)
    if shown:
        console.print(_table(shown, titles, wide=console.width >= _WIDE))
    hidden = Counter(row.status.value for row in compared.rows) - Counter(
        row.status.value for row in shown
    )
    if hidden:
        said = ", ".join(f"{count} {status}" for status, count in hidden.items())
        console.print(f"Not shown: {said} (--all shows them).", style="dim", markup=False)
    for text in findings(compared):
        console.print(text, markup=False)
    for text in compared.remarks:
        console.print(text, style="dim", markup=False)


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
    table.add_column("point", no_wrap=True, overflow="ellipsis")
    table.add_column("metric", no_wrap=True)
    if wide:
        for title in (titles.before, titles.after):
            table.add_column(title.partition(" ")[0], justify="right", no_wrap=True)
    for title in ("change", "interval"):
        table.add_column(title, justify="right", no_wrap=True)
    if wide:
        table.add_column("matters", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    last = ""
    for row in rows:
        unit = METRICS[row.metric].unit
        name = _SHORT.get(row.metric, row.metric)
        name += f" {row.container + 1}" if row.container else ""
        medians = [_value(row.before, unit), _value(row.after, unit)] if wide else []
        change, interval, matters = _numbers(row)
        table.add_row(
            "" if row.point_id == last else row.point_id, name, *medians, change, interval,
            *([matters] if wide else []), _p(row.adjusted_p),
            Text(row.status.value, style=_STYLE[row.status]),
        )  # fmt: skip
        last = row.point_id
    return table


def _value(value: float | None, unit: str) -> str:
    return "-" if value is None else quantity(value, unit)


def _numbers(row: Comparison) -> tuple[str, str, str]:
    if row.change is None:
        return "-", "-", "-"
    return amount(row.change, row), span(row), f"±{amount(row.effect, row).lstrip('+')}"


def _p(p: float | None) -> str:
    return "-" if p is None else "<.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.995 else "1"


# --- plain data --------------------------------------------------------------------------------


def as_json(compared: Compared, titles: Titles) -> dict[str, Any]:
    """The comparison as plain data with stable names; numbers are not rounded."""
    before, after = compared.before, compared.after
    return {
        "verdict": compared.status.value,
        "headline": compared.headline,
        "before": before and {"title": titles.before, "run": before.run, "host": before.hostname},
        "after": {"title": titles.after, "run": after.run, "host": after.hostname},
        "differences": [
            {"fact": one.fact, "before": one.before, "after": one.after, "allowed": one.allowed}
            for one in compared.differences
        ],
        "comparisons": [_row_json(row) for row in compared.rows],
        "laws": [_law_json(law) for law in compared.laws],
        "violations": [_law_json(law) for law in compared.violations],
        "remarks": list(compared.remarks),
    }


def _row_json(row: Comparison) -> dict[str, Any]:
    return {
        "point": row.point_id,
        "metric": row.metric,
        "container": row.container,
        "unit": METRICS[row.metric].unit,
        "verdict": row.status.value,
        "reason": row.reason,
        "decides": row.decides,
        "before": row.before,
        "after": row.after,
        "trials": list(row.n),
        "scale": row.scale.value,
        "change": row.change,
        "low": row.low,
        "high": row.high,
        "p": row.p,
        "adjusted_p": row.adjusted_p,
        "matters": row.effect,
        "noise": row.floor,
        "repeats_that_would_decide": row.repeats,
    }


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
    text = markdown.text
    heads = ["point", "metric", text(titles.before), text(titles.after), "change (interval)",
             "matters", "p", "verdict"]  # fmt: skip
    lines = [heads, ["---", "---", *(["---:"] * 5), "---"]]
    for row in rows[: 2 * _MOST]:
        unit = METRICS[row.metric].unit
        change, interval, matters = _numbers(row)
        verdict = f"{_SYMBOLS[row.status]} {row.status.value}"
        lines.append([
            text(row.point_id), _title(row),
            _value(row.before, unit), _value(row.after, unit), f"{change} ({interval})", matters,
            _p(row.adjusted_p).replace("<", "&lt;"),
            f"**{verdict}**" if row.status is Change.REGRESSED else verdict,
        ])  # fmt: skip
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    more = len(rows) - 2 * _MOST
    return f"{table}\n\nand {more} more rows" if more > 0 else table


def _list(title: str, items: Iterable[str]) -> str:
    found = list(items)
    if not found:
        return ""
    more = len(found) - _MOST
    lines = [f"- {item}" for item in found[:_MOST]]
    return "\n".join([f"**{title}**", "", *lines, *([f"- and {more} more"] if more > 0 else [])])


# --- JUnit -------------------------------------------------------------------------------------

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not."""


def as_junit(compared: Compared, titles: Titles) -> str:
    """JUnit XML: a test suite a point, a test case a metric or law.

    A regression or violated law is a failure. What is inconclusive or incomparable is an error
    where it leaves the check undecided, and skipped where it is only watched: never a pass. The
    reason stands in the message, which Jenkins shows, and in the text, which GitLab does.
    """
    root = Xml.Element("testsuites", name="bench check")
    points: dict[str, list[tuple[str, str, str]]] = {}
    for row in compared.rows:
        kind = _kind(row.status, decides=row.decides)
        points.setdefault(row.point_id, []).append((_title(row), kind, row.reason))
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
    for point, cases in points.items():
        tally = Counter(kind for _, kind, _ in cases)
        suite = Xml.SubElement(
            root, "testsuite", name=_xml(point), tests=str(len(cases)),
            failures=str(tally["failure"]), errors=str(tally["error"]),
            skipped=str(tally["skipped"]),
        )  # fmt: skip
        for name, kind, reason in cases:
            case = Xml.SubElement(suite, "testcase", classname=_xml(point), name=_xml(name))
            if kind:
                given = Xml.SubElement(case, kind, message=_xml(reason))
                given.text = _xml(reason)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, "unicode") + "\n"


def _kind(status: Change, *, decides: bool) -> str:
    if status is Change.REGRESSED:
        return "failure"
    if status in (Change.INCONCLUSIVE, Change.INCOMPARABLE):
        return "error" if decides else "skipped"
    return ""


def _xml(text: str) -> str:
    return _NO_XML.sub("�", text)
