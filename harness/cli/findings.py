"""The findings of ``bench inspect`` on a terminal, each with the id by which it is explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from harness.inspection.findings import Entry, Finding

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "red")}
_ALL = "list"


def show(found: Iterable[Finding]) -> None:
    """Each with its mark, its id and what to do."""
    from rich.text import Text

    table = _table()
    for finding in found:
        mark, colour = _MARKS[finding.grade]
        text = Text(f"{finding.subject}: {finding.text}. ")
        text.append(f"[{finding.id}]", style="dim")
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}")
        table.add_row(Text(mark, style=colour), text)
    terminal.show_page(table)


def _explain(context: click.Context, _option: click.Parameter, id: str | None) -> None:
    """What ``--explain ID`` tells, in place of an inspection."""
    if id is None:
        return
    from harness.inspection.findings import CATALOGUE, entry_of

    _show_list(CATALOGUE.values()) if id == _ALL else _show_entry(entry_of(id))
    context.exit()


# Eager: it is answered before a container is missed.
explain_option = click.option(
    "--explain", metavar="ID", is_eager=True, expose_value=False, callback=_explain,
    help=f"Explain the finding of that id, of no container; '{_ALL}' names all.",
)  # fmt: skip


def _show_list(entries: Iterable[Entry]) -> None:
    from rich.text import Text

    table = _table()
    for one in entries:
        mark, colour = _MARKS[one.grade]
        table.add_row(Text(mark, style=colour), one.id)
    terminal.show_page(table)


def _show_entry(one: Entry) -> None:
    from rich.text import Text

    mark, colour = _MARKS[one.grade]
    console = terminal.console()
    console.print(Text.assemble((mark, colour), "  ", (one.id, "bold"), f"  ({one.subject})"))
    table = _table()
    for name, text in (
        ("when", one.condition),
        ("what to do", one.remedy or "nothing"),
        ("source", one.source),
    ):
        table.add_row(Text(name, style="bold"), text)
    console.print(table)


def _table() -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    return table
