"""Hosts side by side in Markdown, short enough for a comment."""

from __future__ import annotations

from harness.model import Hosts
from harness.show.report import hosts as words
from harness.show.report import markdown
from harness.show.report.words import MARKS, SYMBOLS

_MOST = 30
"""More hosts than this are counted, not listed: it is a summary."""


def render(hosts: Hosts) -> str:
    """The summary of a fleet in any state."""
    text = markdown.text
    status = words.status(hosts)
    parts = [
        f"### {SYMBOLS[status]} {text(words.tally(hosts))}",
        "\n".join(
            f"- **{text(one.finding)}**: {text(words.who(one))} "
            f"(adjusted {words.p_value(one.adjusted_p)})"
            + (f"; {text(words.same(one))}" if one.same else "")
            for one in hosts.separations
        ),
        _hosts(hosts),
        _series(hosts),
        markdown.listed("To be known", map(text, words.remarks(hosts))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _hosts(hosts: Hosts) -> str:
    rows = [row for row in words.ordered(hosts.rows) if not words.is_fine(row)]
    if not rows:
        return ""
    table = markdown.laid_out(
        ["host", "standing", "why"], ["---", "---", "---"],
        ([markdown.text(row.name), f"{MARKS[row.standing]} {row.standing.value}",
          markdown.text(words.about(row))] for row in rows[:_MOST]),
    )  # fmt: skip
    more = f"{len(rows) - _MOST} more like these, and " if len(rows) > _MOST else ""
    fine = len(hosts.rows) - len(rows)
    return f"{table}\n\nNot listed: {more}{fine} that conform." if more or fine else table


def _series(hosts: Hosts) -> str:
    if not hosts.series:
        return ""
    labels = words.labels(hosts)
    return markdown.laid_out(
        ["point", "metric", "hosts", "median", "scatter", "least to greatest", "apart"],
        ["---", "---", "---:", "---:", "---:", "---", "---:"],
        (
            [markdown.text(labels[i]), markdown.text(words.metric(one.metric, one.container)),
             str(len(one.hosts)), words.value(one, one.median), words.scatter(one),
             words.range_of(one), str(len(words.apart_in(one, hosts.alpha)))]
            for i in words.listed(hosts, every=False)
            for one in [hosts.series[i]]
        ),
    )  # fmt: skip
