"""How the containers of an engine are shown side by side: a line each, the worst first."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from harness import units
from harness.inspection.ranking import (
    graded,
    of_cpus,
    of_memory,
    pressure,
    throttled,
    worst_first,
)
from harness.wording import counted

if TYPE_CHECKING:
    from harness.inspection.inspection import Inspection

Look = Callable[[], "Sequence[Inspection]"]
"""Looks for a window, at all containers."""

_HEAD = "   CPUs of limit throttled     memory of limit pressure BAD notes container"
_NAME_AT = _HEAD.index("container")
_BESIDE_LINES = 4
"""Head, summary, a blank line and the prompt's own."""


def watch(look: Look, *, by: str | None, as_json: bool) -> None:
    """Window after window until Ctrl-C: redrawn on a terminal, else one block after the other."""
    redraw = sys.stdout.isatty() and not as_json
    try:
        while True:
            told = worst_first(look(), by)
            if as_json:
                click.echo(json.dumps(_as_json(told)))
                continue
            if redraw:
                click.clear()
            _show(told, shutil.get_terminal_size().lines - _BESIDE_LINES if redraw else None)
            click.echo()
    except KeyboardInterrupt:  # the way in which it is meant to end
        click.echo(err=True)


def show(look: Look, *, by: str | None, as_json: bool) -> None:
    """One window."""
    told = worst_first(look(), by)
    if as_json:
        click.echo(json.dumps(_as_json(told), indent=2))
        return
    _show(told, None)
    if told:
        click.echo("bench inspect CONTAINER tells what the findings are.")


def _as_json(told: Sequence[Inspection]) -> dict[str, object]:
    return {"containers": [one.as_json() for one in told]}


def _show(told: Sequence[Inspection], most: int | None) -> None:
    """A line each, as many as fit; then how many there are."""
    if not told:
        click.echo("No container runs on this engine.")
        return
    shown = told if most is None else told[: max(1, most)]
    click.echo(click.style(_HEAD, bold=True))
    for one in shown:
        click.echo(_line(one))
    bad = sum(bool(graded(one)[0]) for one in told)
    more = f" ({len(told) - len(shown)} more than fit here)" if len(shown) < len(told) else ""
    among = f"{bad} of them" if bad else "none"
    click.echo(f"{counted(len(told), 'container')}{more}, {among} with BAD findings.")


def _line(told: Inspection) -> str:
    """One container in 80 columns, but for a long name; ``-`` is what could not be measured.

    What ended has its word in place of the figures, as much of it as there is room for.
    """
    use, name = told.use, told.container.name
    if sys.stdout.isatty():
        room = max(8, shutil.get_terminal_size().columns - _NAME_AT)
        name = name if len(name) <= room else f"{name[: room - 1]}…"
    if told.ended:
        room = _NAME_AT - 1
        word = told.ended if len(told.ended) <= room else f"{told.ended[: room - 1]}…"
        return f"{click.style(f'{word:<{room}}', fg='red')} {name}"
    bad, notes = graded(told)

    def form(value: float | None, text: str) -> str:
        return "-" if value is None else format(value, text)

    memory = "-" if use.memory_bytes is None else units.size(use.memory_bytes)
    figures = (
        f"{form(use.cpus, '.3f'):>7} {form(of_cpus(use), '.0%'):>8} "
        f"{form(throttled(use), '.0%'):>9} {memory:>10} {form(of_memory(use), '.0%'):>8} "
        f"{form(pressure(use), '.0%'):>8} {bad:>3} {notes:>5} "
    )
    colour = "red" if bad else "yellow" if notes else None
    return figures + click.style(name, fg=colour)
