"""A history for the terminal: what moved since when, then a line a series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from harness.model import History, SharedEvent
from harness.show.report import history as words
from harness.show.report.history import Event

_STYLE = {"better": "bold green", "worse": "bold red", "moved": "yellow"}
_WIDE = 100
"""Columns of a terminal, from which on there is room for all."""
_MOST_EVENTS, _MOST_MOVED = 5, 6
"""More than these are counted: --json and --html have them all."""


@dataclass(frozen=True, slots=True)
class Page:
    """A history, for a console of rich to print."""

    history: History
    every: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Each part in its order; the table as wide as the console has room for."""
        history = self.history
        found = words.of_one_host(history)
        moved = any(change.better is False for one in history.series for change in one.changes)
        yield Text(words.headline(history), style="bold red" if moved else "bold")
        for shared in history.shared[:_MOST_EVENTS]:
            yield from _shared(shared)
        if len(history.shared) > _MOST_EVENTS:
            yield Text(f"and {len(history.shared) - _MOST_EVENTS} earlier ones of several hosts "
                       "(--json has them).")  # fmt: skip
        for event in found[:_MOST_EVENTS]:
            yield from _event(event, several=len({one.host for one in history.series}) > 1)
        if len(found) > _MOST_EVENTS:
            yield Text(f"and {len(found) - _MOST_EVENTS} earlier ones (--json has them).")
        if history.series:
            yield _table(history, every=self.every, width=options.max_width)
        hidden = len(history.series) - len(words.listed(history, every=self.every))
        if hidden:
            yield Text(f"Not shown: {hidden} series that did not move (--all shows them).",
                       style="dim")  # fmt: skip
        for text in words.remarks(history):
            yield Text(text, style="dim")


def _event(event: Event, *, several: bool) -> Iterator[Text]:
    where = f"{event.host}: " if several else ""
    yield Text()
    yield Text(f"{where}{words.since(event)} ({words.when(event.run)}): ", style="bold") + Text(
        words.facts(event), style="default"
    )
    for series, change in event.moved[:_MOST_MOVED]:
        verdict = words.verdict(change)
        line = Text(
            f"  {words.moved(series, change)} ({words.interval(series, change)}), from "
            f"{words.value(series, change.before)} to {words.value(series, change.after)}: "
        )
        line.append(verdict, style=_STYLE[verdict])
        if place := words.place(series, change):
            line.append(f"; {place}", style="dim")
        yield line
    if len(event.moved) > _MOST_MOVED:
        yield Text(f"  and {len(event.moved) - _MOST_MOVED} more")


def _shared(event: SharedEvent) -> Iterator[Text]:
    yield Text()
    said = words.since_on(event)
    when = f" ({words.between(event)})" if event.common else ""
    yield Text(f"{said[:1].upper()}{said[1:]}{when}:", style="bold")
    for one in event.changes[:_MOST_MOVED]:
        verdict = words.verdict_on(one)
        line = Text(f"  {words.moved_on(one)}: ")
        line.append(verdict, style=_STYLE[verdict])
        line.append(f"; {words.hosts([series.host for series, _ in one.moved])}", style="dim")
        yield line
    if len(event.changes) > _MOST_MOVED:
        yield Text(f"  and {len(event.changes) - _MOST_MOVED} more")
    if event.still:
        yield Text(f"  not on {words.hosts(event.still)}", style="dim")
    yield Text(f"  {words.meeting(event)}", style="dim")


def _table(history: History, *, every: bool, width: int) -> Table:
    wide = width >= _WIDE
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    bars = 40 if wide else 20
    table.add_column("point", no_wrap=True, overflow="ellipsis", max_width=26 if wide else 16)
    table.add_column("metric", no_wrap=True, overflow="ellipsis", max_width=26 if wide else 16)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("history", no_wrap=True, min_width=7)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column("since", no_wrap=True)
    labels, last = words.labels(history), ""
    for i in words.listed(history, every=every):
        one = history.series[i]
        begin = one.entries[one.segments[-1][0]]
        style = _STYLE[words.verdict(one.changes[-1])] if one.changes else ""
        day = begin.created[:16].replace("T", " ") if wide else begin.created[:10]
        table.add_row(
            Text("" if labels[i] == last else labels[i]),
            Text(words.name(one) if wide else words.brief_name(one)),
            Text(str(len(one.entries))),
            Text(words.sparkline(one, bars), style=style),
            Text(words.value(one, one.entries[-1].level.median)),
            Text(day, style=style),
        )
        last = labels[i]
    return table
