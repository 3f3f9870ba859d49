"""A run in Markdown, short enough for a comment on a pull request.

Text from outside is escaped so that it neither becomes markup nor calls anybody by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from harness.model import Status
from harness.plan import axes
from harness.show.report import columns, found
from harness.show.report.columns import Column, Form
from harness.show.report.view import Row, View
from harness.show.report.words import SYMBOLS, metric_name, point_name
from harness.wording import counted, visible

_SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")
_MOST = 20
"""More findings, rejections or warnings than this are counted, not listed: it is a summary."""


def text(raw: str) -> str:
    """Outside text in one line that Markdown shows as it is."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in raw).split())
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # The empty comment keeps GitHub from notifying whoever bears that name, and from linking.
    return _SPECIAL.sub(r"\\\1", escaped).replace("@", "@<!-- -->").replace("://", ":<!-- -->//")


def render(view: View) -> str:
    """The report of a run in any state."""
    info = view.run.info
    engine = info.engine
    facts = (
        f"{info.host.hostname}, {counted(info.host.cpus, 'CPU')}, kernel {info.host.kernel}, "
        f"cgroup v{engine.cgroup_version}, {engine.name} {engine.version}, {engine.runtime} "
        f"{engine.runtime_version}; run {info.name} ({info.status}), limitbench "
        f"{info.harness_version}"
    )
    parts = [
        f"### {SYMBOLS[view.status]} {view.status.value}: {text(view.headline)}",
        text(facts),
        *_found(view),
        *_tables(view),
        listed("Not simply held", findings(view)),
        listed("Trials that do not count", map(text, view.rejected)),
        listed(
            "Warnings",
            (f"{one.trials} × {text(one.text)}; {text(one.remedy)}" for one in view.warnings),
        ),
        listed("To be known", map(text, view.remarks)),
    ]
    if info.plan.command:
        command = visible(" ".join(info.plan.command.split()))
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", command))])
        parts.append(f"{fence}console\n{command}\n{fence}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _found(view: View) -> list[str]:
    """The answer of a run that looked for a limit, and the lines to paste."""
    search = found.build(view.run)
    if search is None:
        return []
    pasted = [f"```\n{chr(10).join(paste.lines)}\n```" for paste in search.pastes]
    answer = f"**{text(search.answer[0].upper() + search.answer[1:])}.** {text(search.goal)}."
    return [answer, *map(text, search.room), *pasted]


def _tables(view: View) -> list[str]:
    shown = dict.fromkeys(row.summary.point.axis for row in view.rows)
    return [
        _table(axis, [row for row in view.rows if row.summary.point.axis == axis]) for axis in shown
    ]


def _table(axis: str, rows: Sequence[Row]) -> str:
    return laid_out(*table_cells(axis, rows))


def table_cells(axis: str, rows: Sequence[Row]) -> tuple[list[str], list[str], list[list[str]]]:
    """The heads of an axis' table, how its columns are aligned, and a line a law."""
    shown = columns.shown(Form.MARKDOWN, rows)
    heads = [column.title or f"`{axes.option(axis)}`" for column in shown]
    return heads, aligned(shown), [
        [_verdict(status) if (status := column.status(told)) else text(column.line(told))
         for column in shown]
        for told in columns.told(rows)
    ]  # fmt: skip


def aligned(shown: Iterable[Column[Any]]) -> list[str]:
    """Numbers to the right."""
    return ["---:" if column.number else "---" for column in shown]


def laid_out(heads: list[str], alignment: list[str], lines: Iterable[list[str]]) -> str:
    """A table of cells that are escaped already."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, alignment, *lines))


def _verdict(status: Status) -> str:
    said = f"{SYMBOLS[status]} {status.value}"
    return f"**{said}**" if status is Status.DEVIATES else said


def findings(view: View) -> list[str]:
    """Every law of a point that is not simply held, a line each."""
    return [
        f"{text(point_name(row.summary.point))}, {text(metric_name(row, line))}: "
        f"{_verdict(verdict.status)}: {text(verdict.reason)}"
        for row in view.rows
        for line in row.lines
        if (verdict := line.verdict) and line.law
        if verdict.status is not Status.CONFORMS or line.law.explanation
    ]


def listed(title: str, items: Iterable[str]) -> str:
    """A list under its title, cut where it is long; nothing where it is empty."""
    found = list(items)
    if not found:
        return ""
    more = len(found) - _MOST
    lines = [f"- {item}" for item in found[:_MOST]]
    return "\n".join([f"**{title}**", "", *lines, *([f"- and {more} more"] if more > 0 else [])])
