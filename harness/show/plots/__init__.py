"""From frames to figures: what runs found, at a glance, to be checked point by point.

``available`` names the figures that runs have data for, ``pictures`` draws them (``drawings`` lets
others choose when), ``svg`` and ``png`` turn one into a file. Of several runs each figure has a
panel a run, with the same axes in all. Each title states the finding. Nothing here keeps state: no
pyplot, no current figure, and the same runs give the same bytes.

A new figure is a file that says what it needs (``has_…``) and draws it from ``data.Material``, an
entry in ``FIGURES``, and its function in ``harness.api.drawing``.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from harness.show.plots import (
    achieved,
    answers,
    gaps,
    growth,
    heat,
    killed,
    latencies,
    lifecycle,
    needed,
    neighbour,
    pages,
    pressure,
    reached,
    reclaimed,
    responses,
    shares,
    storage,
    taken,
    throttling,
    timeline,
)
from harness.show.plots.data import Material, Picture, labels, materials
from harness.show.plots.style import (
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
    VERMILION,
    Sheet,
    save,
    styled,
)
from harness.store.runs import Run

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
    "drawings",
    "labels",
    "materials",
    "pictures",
    "png",
    "svg",
]

FIGURES: Mapping[str, tuple[Callable[[Material], bool], Callable[[Material], Picture]]] = {
    "needed": (needed.has_needed, needed.needed),
    "achieved": (achieved.has_achieved, achieved.achieved),
    "shares": (shares.has_shares, shares.shares),
    "reached": (reached.has_reached, reached.reached),
    "taken": (taken.has_taken, taken.taken),
    "reclaimed": (reclaimed.has_reclaimed, reclaimed.reclaimed),
    "killed": (killed.has_killed, killed.killed),
    "throttling": (throttling.has_throttling, throttling.throttling),
    "timeline": (timeline.has_timeline, timeline.timeline),
    "gaps": (gaps.has_gaps, gaps.gaps),
    "heat": (heat.has_heat, heat.heat),
    "responses": (responses.has_responses, responses.responses),
    "answers": (answers.has_answers, answers.answers),
    "latencies": (latencies.has_latencies, latencies.latencies),
    "pages": (pages.has_pages, pages.pages),
    "growth": (growth.has_growth, growth.growth),
    "storage": (storage.has_storage, storage.storage),
    "lifecycle": (lifecycle.has_lifecycle, lifecycle.lifecycle),
    "neighbour": (neighbour.has_neighbour, neighbour.neighbour),
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
    return [draw() for draw in drawings(*runs, names=names)]


def drawings(*runs: Run, names: Iterable[str] | None = None) -> list[Callable[[], Picture]]:
    """The same, each still to be drawn: the figures know nothing of each other."""
    wanted = None if names is None else set(names)
    return [functools.partial(_draw, *found) for found in _offered(runs, wanted)]


def _draw(name: str, kind: str, given: Material) -> Picture:
    with styled():
        return replace(FIGURES[kind][1](given), name=name)


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
    with styled(**{"svg.hashsalt": picture.name}):
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
