"""A run of claims on a terminal: the evidence beside the sentence where there is room, else below.

The summary is last: that is what a terminal shows of a long page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from harness.model import ClaimVerdict
from harness.show.claims.view import Row, View, title

_STYLE = {
    ClaimVerdict.HOLDS: "green",
    ClaimVerdict.REFUTED: "cyan",
    ClaimVerdict.INCONCLUSIVE: "yellow",
    ClaimVerdict.NOT_EXERCISABLE: "dim",
}
_SURPRISE = "bold red"
_OF_ALL = {"as expected": "green", "not as expected": _SURPRISE, "inconclusive": "yellow"}
_WIDE = 100


@dataclass(frozen=True, slots=True)
class Page:
    """A run of claims, for a console of rich to print."""

    view: View

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A table a topic, then what to know of them all."""
        view = self.view
        yield Text(view.where, style="dim")
        for topic, rows in view.topics.items():
            yield Text(f"\n{title(topic)}", style="bold")
            yield _table(rows, wide=options.max_width >= _WIDE)
        yield Text()
        yield from (Text(text, style="yellow") for text in view.remarks)
        yield from _named("Not as expected", view.surprises, _SURPRISE)
        yield from _named("Open", view.open, _STYLE[ClaimVerdict.INCONCLUSIVE])
        yield Text(view.headline, style=_OF_ALL[view.verdict])


def _named(what: str, rows: list[Row], style: str) -> Iterator[Text]:
    if rows:
        yield Text(f"{what}: {', '.join(row.text.id for row in rows)}", style=style)


def _table(rows: list[Row], *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False, expand=wide)
    table.add_column(no_wrap=True, width=15)
    table.add_column(ratio=1 if wide else None)
    if wide:
        table.add_column(ratio=1)
    for row in rows:
        said, evidence = _sentence(row), _evidence(row)
        if wide:
            table.add_row(_verdict(row), said, evidence)
        else:
            table.add_row(_verdict(row), said + Text("\n") + evidence)
    return table


def _verdict(row: Row) -> Text:
    text = Text(row.verdict.value, style=_STYLE[row.verdict])
    if row.expectation:
        text.append("\n")
        text.append(row.expectation, style=_SURPRISE if row.result.surprises else "dim")
    return text


def _sentence(row: Row) -> Text:
    return Text(f"{row.sentence} ").append(f"[{row.text.id}]", style="dim")


def _evidence(row: Row) -> Text:
    text = Text(row.result.finding.said, style="dim")
    if row.surprise:
        text.append(f"\n{row.surprise}", style=_SURPRISE)
    return text
