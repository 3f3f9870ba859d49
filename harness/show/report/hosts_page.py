"""Hosts side by side for the terminal: the worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from harness.model import Hosts, Standing
from harness.show.report import hosts as words
from harness.show.report.words import MARKS

_STYLE = {
    Standing.DEVIATES: "bold red",
    Standing.APART: "bold red",
    Standing.FAILED: "bold red",
    Standing.UNREACHABLE: "bold red",
    Standing.CONFORMS: "green",
}
_WIDE = 100
"""Columns of a terminal, from which on there is room for all."""
_MOST_HOSTS = 15
"""Of more, only those that do not conform are shown, and so many: --all, --html and --json have
all."""


@dataclass(frozen=True, slots=True)
class Page:
    """The hosts, for a console of rich to print."""

    hosts: Hosts
    every: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Each part in its order; the tables as wide as the console has room for."""
        hosts, wide = self.hosts, options.max_width >= _WIDE
        worst = words.standings(hosts)[:1]
        style = _STYLE.get(worst[0], "yellow") if worst else ""
        yield Text(words.tally(hosts), style=f"bold {style}".replace("bold bold", "bold"))
        for one in hosts.separations:
            yield Text(f"  {one.finding}: {words.who(one)} ({words.p_value(one.adjusted_p)})"
                       + (f"; {words.same(one)}" if one.same else ""))  # fmt: skip
        yield Text()
        yield from _of_hosts(hosts, every=self.every)
        if hosts.series:
            yield Text()
            yield _of_series(hosts, every=self.every, wide=wide)
        found = list(words.groups(hosts))
        if found:
            yield Text()
            yield _of_facts(hosts, found)
        for text in words.remarks(hosts):
            yield Text(text, style="dim")


def _table(*heads: tuple[str, dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for head, given in heads:
        table.add_column(head, **given)
    return table


def _of_hosts(hosts: Hosts, *, every: bool) -> Iterator[Table | Text]:
    rows = words.ordered(hosts.rows)
    every = every or len(rows) <= _MOST_HOSTS
    told = rows if every else [one for one in rows if not words.is_fine(one)]
    shown = told if every else told[:_MOST_HOSTS]
    if shown:
        table = _table(
            ("host", {"no_wrap": True, "overflow": "ellipsis", "max_width": 24}),
            ("standing", {"no_wrap": True}),
            ("why", {"overflow": "fold"}),
        )
        for row in shown:
            standing = f"{MARKS[row.standing]} {row.standing.value}"
            table.add_row(
                Text(row.name), Text(standing, style=_STYLE.get(row.standing, "yellow")),
                Text(words.about(row)),
            )  # fmt: skip
        yield table
    hidden = len(rows) - len(shown)
    if hidden:
        fine = len(rows) - len(told)
        more = len(told) - len(shown)
        said = [f"{more} more like these"] * bool(more) + [f"{fine} that conform"] * bool(fine)
        yield Text(f"Not shown: {' and '.join(said)} (--all shows them).", style="dim")


def _of_series(hosts: Hosts, *, every: bool, wide: bool) -> Table:
    table = _table(
        ("point", {"no_wrap": True, "overflow": "ellipsis", "max_width": 26 if wide else 14}),
        ("metric", {"no_wrap": True, "overflow": "ellipsis", "max_width": 26 if wide else 14}),
        ("hosts", {"justify": "right", "no_wrap": True}),
        ("median", {"justify": "right", "no_wrap": True}),
        ("scatter", {"justify": "right", "no_wrap": True}),
        ("least to greatest", {"no_wrap": True, "min_width": 12}),
        ("apart", {"justify": "right", "no_wrap": True}),
    )
    if wide:
        table.add_column("told from", justify="right", no_wrap=True)
    labels, last = words.labels(hosts), ""
    for i in words.listed(hosts, every=every):
        one = hosts.series[i]
        apart = len(words.apart_in(one, hosts.alpha))
        cells = [
            Text("" if labels[i] == last else labels[i]),
            Text(words.metric(one.metric, one.container)),
            Text(str(len(one.hosts))),
            Text(words.value(one, one.median)),
            Text(words.scatter(one)),
            Text(words.bars(one, 24 if wide else 17)),
            Text(str(apart), style="bold red" if apart else ""),
        ]
        table.add_row(*cells, *([Text(words.told_from(one))] if wide else []))
        last = labels[i]
    return table


def _of_facts(hosts: Hosts, found: list[words.Group]) -> Table:
    standings = words.standings(hosts)
    table = _table(
        ("fact", {"no_wrap": True, "overflow": "ellipsis", "max_width": 18}),
        ("value", {"no_wrap": True, "overflow": "ellipsis", "max_width": 30}),
        ("hosts", {"justify": "right", "no_wrap": True}),
        *(_count(one) for one in standings),
    )
    last = ""
    for group in found:
        counts = [str(group.standings[one]) if group.standings[one] else "" for one in standings]
        table.add_row(Text("" if group.fact == last else group.fact), Text(group.value),
                      Text(str(group.hosts)), *map(Text, counts))  # fmt: skip
        last = group.fact
    return table


def _count(standing: Standing) -> tuple[str, dict[str, Any]]:
    return standing.value, {"justify": "right"}
