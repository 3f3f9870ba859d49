"""A history as one HTML file that needs nothing else: the figure, what moved, every series."""

from __future__ import annotations

from harness.model import ChangePoint, History, RunSeries, SharedEvent
from harness.show.plots import history as figure
from harness.show.report import history as words
from harness.show.report import page
from harness.show.report.page import Cell, Head, Table

_BARS = 60
_HOSTS = 40


def render(history: History) -> str:
    """The page of a history in any state."""
    drawn = figure.picture(history)
    found = words.of_one_host(history)
    return page.render(
        "history.html",
        title=f"Since when: {', '.join(dict.fromkeys(one.host for one in history.series))}",
        headline=words.headline(history),
        status="refuted"
        if any(change.better is False for one in history.series for change in one.changes)
        else "holds",
        figures=[page.figure(drawn)] if drawn else [],
        shared=[
            (
                words.since_on(one),
                words.between(one),
                words.hosts(one.hosts, _HOSTS),
                words.hosts(one.still, _HOSTS),
                words.meeting(one),
                _shared(one),
            )
            for one in history.shared
        ],
        events=[
            (
                words.since(one),
                words.when(one.run),
                one.host,
                words.facts(one),
                _moved(history, one),
            )
            for one in found
        ],
        series=_series(history) if history.series else None,
        remarks=words.remarks(history),
    )


def _shared(event: SharedEvent) -> Table:
    return Table(
        caption=f"Levels that moved {words.since_on(event)}, with 95 % intervals",
        heads=(Head("Point"), Head("Metric"), Head("Host"), Head("Before", "number"),
               Head("After", "number"), Head("Change", "number"), Head("Verdict"),
               Head("Where it may lie")),
        rows=tuple(
            (
                Cell(series.point.id),
                Cell(words.name(series)),
                Cell(series.host),
                *_change(series, change),
            )
            for one in event.changes
            for series, change in one.moved
        ),
    )  # fmt: skip


def _change(series: RunSeries, change: ChangePoint) -> tuple[Cell, ...]:
    return (
        Cell(words.value(series, change.before), sort=change.before),
        Cell(words.value(series, change.after), sort=change.after),
        Cell(words.amount(series, change), (words.interval(series, change),), sort=change.change),
        Cell(words.verdict(change)),
        Cell(words.place(series, change) or series.entries[change.at].run),
    )


def _moved(history: History, event: words.Event) -> Table:
    labels = {
        id(one): label for one, label in zip(history.series, words.labels(history), strict=True)
    }
    return Table(
        caption=f"Levels that moved {words.since(event)}, with 95 % intervals",
        heads=(Head("Point"), Head("Metric"), Head("Before", "number"), Head("After", "number"),
               Head("Change", "number"), Head("Verdict"), Head("Where it may lie")),
        rows=tuple(
            (
                Cell(labels[id(series)]),
                Cell(words.name(series)),
                *_change(series, change),
            )
            for series, change in event.moved
        ),
    )  # fmt: skip


def _series(history: History) -> Table:
    return Table(
        caption="Every series: the medians of its newest runs, from the least to the greatest",
        heads=(Head("Point"), Head("Metric"), Head("Runs", "number"), Head("History", "run"),
               Head("Now", "number"), Head("At this level since", "run")),
        rows=tuple(
            (
                Cell(label),
                Cell(words.name(one)),
                Cell(str(len(one.entries)), sort=len(one.entries)),
                Cell(words.sparkline(one, _BARS)),
                Cell(words.value(one, one.entries[-1].level.median),
                     sort=one.entries[-1].level.median),
                Cell(words.when(one.entries[one.segments[-1][0]])),
            )
            for label, one in zip(words.labels(history), history.series, strict=True)
        ),
    )  # fmt: skip
