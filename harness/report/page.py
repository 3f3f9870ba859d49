"""What every HTML page of ours has in common: its policy, its style, its tables, its figures.

A page's policy (CSP) lets nothing in but its own style and its own script, the latter by its hash:
whatever a host's name or a workload's output holds, it is text. What comes from outside is escaped
by the templates; ``safe`` is only what we made ourselves.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from harness import __version__, plots
from harness.model import Status
from harness.report.words import NONE, SYMBOLS

_OPTION = re.compile("(--[a-z][a-z-]+(?:[ \N{NO-BREAK SPACE}][0-9][0-9.:/a-z-]*)?)")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that switch the direction of writing."""
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
    status: Status | None = None
    """Set for a verdict."""

    @property
    def key(self) -> str:
        """What the page's script sorts by; empty for what was not measured."""
        if self.sort is None:
            text = self.text or " ".join(self.below)
            return text if text != NONE else ""
        return "" if math.isnan(self.sort) else repr(self.sort)

    @property
    def symbol(self) -> str:
        """The verdict without its word."""
        return SYMBOLS[self.status] if self.status else ""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column."""

    title: str
    kind: str = ""
    """``number``, ``limits``, ``measured`` or ``run`` where it is laid out in a way of its own."""


@dataclass(frozen=True, slots=True)
class Table:
    """One sortable table; the first cell of each row is its head."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


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
    environment.filters["unbroken"] = _unbroken
    environment.globals |= {
        "version": __version__,
        "style": Markup(_beside("report.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment.get_template(template).render(**given)


def _unbroken(text: str) -> Markup:
    """Escaped text in which ``--cpus 0.5`` is never broken at its end of line."""
    return Markup(_OPTION.sub(r'<span class="option">\1</span>', str(escape(_harmless(text)))))


def _harmless(value: object) -> object:
    """Outside text without the characters that turn the text around them about."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _beside(name: str) -> str:
    return (resources.files("harness.report") / name).read_text(encoding="utf-8")


def embedded(picture: plots.Picture) -> Markup:
    """The figure's SVG, in the colours of the page."""
    text = plots.svg(picture, embedded=True)
    colours = re.compile("|".join(_COLOURS))
    text = colours.sub(lambda found: f"var(--{_COLOURS[found[0]]})", text)
    return Markup(text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))
