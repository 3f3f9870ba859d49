"""From frames to figures: what runs found, to be seen at a glance and checked point by point.

``available`` names the figures that runs have data for, ``pictures`` draws them, ``svg`` and
``png`` turn one into a file. Of several runs each figure has a panel a run, with the same axes in
all. Each title states the finding. Nothing here keeps state: no pyplot, no current figure, and the
same runs give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import matplotlib as mpl

from harness.plots import cpu, memory, pressure
from harness.plots.look import (
    AMBER,
    BAND,
    BLUE,
    GREY,
    GRID,
    INK,
    LINES,
    MUTED,
    PAPER,
    SHADE,
    STYLE,
    VERMILION,
    Sheet,
    save,
)
from harness.plots.material import Material, Picture, labels, materials
from harness.store import Run

__all__ = [
    "AMBER",
    "BAND",
    "BLUE",
    "FIGURES",
    "GREY",
    "GRID",
    "INK",
    "LINES",
    "MUTED",
    "PAPER",
    "SHADE",
    "VERMILION",
    "Material",
    "Picture",
    "Sheet",
    "available",
    "labels",
    "materials",
    "pictures",
    "png",
    "svg",
]

FIGURES: Mapping[str, tuple[Callable[[Material], bool], Callable[[Material], Picture]]] = {
    "achieved": (cpu.has_achieved, cpu.achieved),
    "shares": (cpu.has_shares, cpu.shares),
    "reached": (memory.has_reached, memory.reached),
    "throttling": (cpu.has_throttling, cpu.throttling),
    "timeline": (cpu.has_timeline, cpu.timeline),
    "gaps": (cpu.has_gaps, cpu.gaps),
    "heat": (cpu.has_heat, cpu.heat),
    "responses": (cpu.has_responses, cpu.responses),
    "pages": (memory.has_pages, memory.pages),
    "growth": (memory.has_growth, memory.growth),
    "pressure": (pressure.has_pressure, pressure.pressure),
}
"""Kind → (is there data for it, draw it), in the order in which a report shows them."""


def available(*runs: Run) -> tuple[str, ...]:
    """The names of the figures that the runs have data for; empty where no trial counts.

    Runs of several axes have figures of each: ``cpu-achieved``, ``period-achieved``.
    """
    return tuple(name for name, _, _ in _offered(runs))


def pictures(*runs: Run, names: Iterable[str] | None = None) -> list[Picture]:
    """The figures of these names that the runs have data for; without names, all of them.

    ``achieved`` is the figure of that kind of every axis. UsageError for more runs than there is
    room for.
    """
    wanted = None if names is None else set(names)
    with mpl.rc_context(STYLE):
        return [
            replace(FIGURES[kind][1](given), name=name)
            for name, kind, given in _offered(runs, wanted)
        ]


def _offered(
    runs: Sequence[Run], wanted: set[str] | None = None
) -> list[tuple[str, str, Material]]:
    return [
        (given.prefix + kind, kind, given)
        for given in materials(runs)
        for kind, (has, _) in FIGURES.items()
        if wanted is None or {kind, given.prefix + kind} & wanted
        if has(given)
    ]


def svg(picture: Picture, *, embedded: bool = False) -> str:
    """The picture as an SVG document: no date, no random ids, text as text.

    Embedded, it is the ``svg`` element alone, without the title and the facts of the run, which
    the page around it tells, and with ids that begin with the picture's name: several can stand
    in one page.
    """
    out = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": picture.name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        picture.figure.bare(on=embedded)
        save(picture.figure, out, format="svg", metadata=nothing)
        picture.figure.bare(on=False)
    text = out.getvalue()
    if embedded:
        text = text[text.index("<svg") :]
        # HTML knows the namespaces of SVG by itself, and the page names no address at all.
        text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
        text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{picture.name}-", text)
    return text


def png(picture: Picture, dpi: int = 160) -> bytes:
    """The picture as a PNG."""
    return picture.figure.png(dpi)
