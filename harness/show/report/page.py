"""What every HTML page of ours has in common: its policy, its style, its tables, its figures.

A page's policy (CSP) lets nothing in but its own style and its own script, the latter by its hash:
whatever a host's name or a workload's output holds, it is text. What comes from outside is escaped
by the templates; ``safe`` is only what we made ourselves.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from harness import __version__
from harness.model import Standing, Status
from harness.show import plots
from harness.show.divided import divided
from harness.show.report.words import MARKS, NONE
from harness.store.runs import Run
from harness.wording import UNSEEN

_OPTION = re.compile("(--[a-z][a-z-]+(?:[ \N{NO-BREAK SPACE}][0-9][0-9.:/a-z-]*)?)")
_COLOURS = {
    plots.INK: "ink", plots.MUTED: "muted", plots.GRID: "line", plots.PAPER: "paper",
    plots.BAND: "band", plots.SHADE: "shade", plots.BLUE: "blue", plots.VERMILION: "vermilion",
    plots.AMBER: "amber", plots.GREY: "grey",
}  # fmt: skip
"""The figures' colours by the names that the page's style gives them, light and dark."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: its text, what stands small below it, and what it is sorted by."""

    text: str
    below: tuple[str, ...] = ()
    sort: float | None = None
    """None = by the text. NaN, what was not measured, comes last."""
    status: Status | Standing | None = None
    """Set for a verdict, or a host's standing."""
    drawn: Markup | None = None
    """A drawing of ours beside the text."""

    @property
    def key(self) -> str:
        """What the page's script sorts by; empty for what was not measured."""
        if self.sort is None:
            text = self.text or " ".join(self.below) or (self.status.value if self.status else "")
            return text if text != NONE else ""
        return "" if math.isnan(self.sort) else repr(self.sort)

    @property
    def symbol(self) -> str:
        """The verdict without its word."""
        return MARKS[Standing(self.status.value)] if self.status else ""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column."""

    title: str
    kind: str = ""
    """``number``, ``limits``, ``measured``, ``run`` or ``why`` where it has a layout of its own."""


@dataclass(frozen=True, slots=True)
class Table:
    """One sortable table; the first cell of each row is its head."""

    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    searched: bool = False
    """Whether the page's search leaves out rows without its words."""


def render(template: str, **given: Any) -> str:
    """A page of ours from the template of that name, beside this module."""
    script = _beside("report.js")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
        loader=FunctionLoader(_beside),
    )
    environment.filters |= {"unbroken": _unbroken, "badge": _badge, "cell": _cell}
    environment.globals |= {
        "version": __version__,
        "style": Markup(_beside("report.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment.get_template(template).render(**given)


@functools.lru_cache(maxsize=1 << 14)
def _unbroken(text: str) -> Markup:
    """Escaped text in which ``--cpus 0.5`` is never broken at its end of line.

    A page of a thousand points has tens of thousands of cells, and few different ones.
    """
    return Markup(_OPTION.sub(r'<span class="option">\1</span>', str(escape(_harmless(text)))))


def _badge(status: Status | Standing, symbol: str) -> Markup:
    """A verdict's word and symbol, in its colour."""
    word = escape(status.value)
    return Markup(
        f'<span class="badge {word.replace(" ", "-")}">'
        f'<span aria-hidden="true">{escape(symbol)}</span> {word}</span>'
    )


def _cell(cell: Cell, head: Head, *, first: bool) -> Markup:
    """A cell as it stands in its row; by hand, since a page may have a hundred thousand of them."""
    tag = "th" if first else "td"
    scope = ' scope="row"' if first else ""
    kind = f' class="{head.kind}"' if head.kind else ""
    text = _badge(cell.status, cell.symbol) if cell.status else _unbroken(cell.text)
    below = "".join(f'<span class="below">{_unbroken(said)}</span>' for said in cell.below)
    return Markup(
        f'<{tag}{scope}{kind} data-sort="{escape(_harmless(cell.key))}">'
        f"{text}{cell.drawn or ''}{below}</{tag}>"
    )


def _harmless(value: object) -> object:
    """Outside text without the characters that turn the text around them about.

    What is markup already was escaped; no markup of ours holds one of them.
    """
    if isinstance(value, Markup):
        return Markup(UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value))
    return UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def _beside(name: str) -> str:
    return (resources.files("harness.show.report") / name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as a page has it: what ``plots.Picture`` says, and the drawing itself."""

    name: str
    title: str
    caption: str
    alt: str
    svg: Markup


def figures(*runs: Run) -> AbstractContextManager[Callable[[], list[Figure]]]:
    """The figures of runs, drawn while the block works on the rest of the page."""
    return divided([functools.partial(_drawn, draw) for draw in plots.drawings(*runs)])


def _drawn(draw: Callable[[], plots.Picture]) -> Figure:
    return figure(draw())


def figure(picture: plots.Picture) -> Figure:
    """A picture for a page, in the colours of the page."""
    return Figure(picture.name, picture.title, picture.caption, picture.alt, _embedded(picture))


def _embedded(picture: plots.Picture) -> Markup:
    text = plots.svg(picture, embedded=True)
    colours = re.compile("|".join(_COLOURS))
    text = colours.sub(lambda found: f"var(--{_COLOURS[found[0]]})", text)
    return Markup(text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))
