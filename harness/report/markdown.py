"""A run in Markdown, short enough for a comment on a pull request.

Text from outside is escaped so that it neither becomes markup nor calls anybody by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness import axes, check
from harness.model import Status
from harness.report.view import Line, Row, View
from harness.report.words import (
    NONE,
    SYMBOLS,
    error_interval,
    interval,
    metric_name,
    point_name,
    quantity,
    tolerance,
)

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
        f"{info.host.hostname}, {info.host.cpus} CPUs, kernel {info.host.kernel}, cgroup "
        f"v{engine.cgroup_version}, {engine.name} {engine.version}, {engine.runtime} "
        f"{engine.runtime_version}; run {info.name} ({info.status}), limitbench "
        f"{info.harness_version}"
    )
    parts = [
        f"### {SYMBOLS[view.status]} {view.status.value}: {text(view.headline)}",
        text(facts),
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
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", info.plan.command))])
        parts.append(f"{fence}console\n{' '.join(info.plan.command.split())}\n{fence}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _tables(view: View) -> list[str]:
    shown = dict.fromkeys(row.summary.point.axis for row in view.rows)
    return [
        _table(axis, [row for row in view.rows if row.summary.point.axis == axis]) for axis in shown
    ]


def _table(axis: str, rows: Sequence[Row]) -> str:
    heads, cells = table_cells(axis, rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in [*heads, *cells])


def table_cells(axis: str, rows: Sequence[Row]) -> tuple[list[list[str]], list[list[str]]]:
    """The two lines of the head, and a line a law, each as its cells."""
    several = any(len(row.lines) > 1 or len(row.summary.point.containers) > 1 for row in rows)
    names = [f"`{axes.option(axis)}`", *(["measured"] if several else [])]
    numbers = ["promised", "achieved", "error", "tolerance", "trials"]
    heads = [
        [*names, *numbers, "verdict"],
        [*(["---"] * len(names)), *(["---:"] * len(numbers)), "---"],
    ]
    return heads, [_cells(row, line, several=several) for row in rows for line in row.lines]


def _cells(row: Row, line: Line, *, several: bool) -> list[str]:
    law, unit = line.law, line.metric.unit
    spread, error = interval(line.achieved), error_interval(line)
    achieved = NONE if line.achieved is None else quantity(line.achieved.median, unit)
    promised = NONE if line.promised is None else quantity(line.promised, unit)
    off = NONE
    if law is not None and law.is_ceiling:  # what it leaves unused is no error
        promised, error = f"≤ {promised}", ""
    elif line.deviation is not None and law is not None:
        off = check.amount(line.deviation.median, law)
    return [
        text(row.summary.point.value),
        *([text(metric_name(row, line))] if several else []),
        promised,
        f"{achieved} ({spread})" if spread else achieved,
        f"{off} ({error})" if error else off,
        NONE if law is None else tolerance(law),
        f"{row.summary.valid} of {row.summary.trials}",
        "no law" if line.verdict is None else _verdict(line.verdict.status),
    ]


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
