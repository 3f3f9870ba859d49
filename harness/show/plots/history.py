"""Since when: each series run by run, its levels, where they moved, what else changed there."""

from __future__ import annotations

import string
import textwrap
from collections.abc import Collection, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness import units
from harness.judge.metrics import METRICS
from harness.model import FactChange, History, RunSeries, SharedEvent
from harness.show.plots import words
from harness.show.plots.data import Picture
from harness.show.plots.style import BAND, BLUE, INK, MUTED, PAPER, SHADE, VERMILION, Sheet, styled
from harness.show.report import history as told

MOST_PANELS = 8
"""More series than this have no room below each other; the table has them all."""
_MOST_FLAGS = 9
"""More than this have no room in the legend."""
_MOST_LETTERS = 4
"""Of what hosts share: more have no room there either."""
_MOST_DAYS = 8


def picture(history: History, *, every: bool = False) -> Picture | None:
    """The series that moved, or else the first of each point; None where there is none to draw.

    From left to right are the runs, evenly: time between them is nobody's finding.
    """
    chosen = _chosen(history, every=every)
    if not chosen:
        return None
    names = told.labels(history)
    runs = sorted({(e.created, e.run) for i in chosen for e in history.series[i].entries})
    at = {run: x for x, (_, run) in enumerate(runs)}
    flags = _flags([history.series[i] for i in chosen])
    letters = _letters(history, {id(history.series[i]) for i in chosen})
    with styled():
        sheet = Sheet(
            1.3 + 1.15 * len(chosen) + 0.19 * (min(len(flags), _MOST_FLAGS) + len(letters)),
            [1.0] * len(chosen),
            ["all runs"],
        )
        for i, ax in zip(chosen, sheet.columns[0], strict=True):
            _draw(ax, history.series[i], at)
            _letter(ax, history.series[i], at, letters)
            _label(ax, history.series[i], names[i], above=bool(flags) and i == chosen[0])
            for run in (one.run for one in history.series[i].entries if one.changed):
                ax.axvline(at[run] - 0.5, color=MUTED, lw=0.8, ls=(0, (1, 2)), zorder=1)
        _dress(sheet, runs, at, flags, letters)
        sheet.finish(_wrapped(told.headline(history)).rstrip("."), _facts(history))
    return Picture(
        name="history",
        title=told.headline(history).rstrip("."),
        caption="Each run's median over its trials, with its interval, in the order of the runs. "
        "Blue lines are the levels, with a band that holds 95 % of runs that scatter as these "
        "do; a red line is where a level moved, the shade where that may lie as well (95 %). "
        f"Dotted, with a number: a fact that changed there. {_flags_told(flags)}"
        + "".join(f"; {letter}: {told.since_on(one)}" for letter, one in letters.items()),
        alt=" ".join(
            f"{told.moved(series, change)} since {series.entries[change.at].run}."
            for series in (history.series[i] for i in chosen)
            for change in series.changes
        )
        + "".join(
            f" {letter} marks what moved {told.since_on(one)}." for letter, one in letters.items()
        )
        or told.headline(history),
        figure=sheet,
    )


def _chosen(history: History, *, every: bool) -> list[int]:
    """Those that moved, the newest change first; else the first ones that are listed."""
    order = [
        (id(series), id(change)) for event in told.events(history) for series, change in event.moved
    ]
    rank = {series: i for i, (series, _) in reversed(list(enumerate(order)))}
    moved = [i for i, one in enumerate(history.series) if one.changes]
    if moved and not every:
        moved.sort(key=lambda i: rank[id(history.series[i])])
        return sorted(moved[:MOST_PANELS])
    return list(told.listed(history, every=every))[:MOST_PANELS]


def _flags(chosen: Sequence[RunSeries]) -> dict[str, list[FactChange]]:
    """The runs at which facts changed, in order, each with these; drawn in its host's panels."""
    found: dict[tuple[str, str], dict[FactChange, None]] = {}
    for series in chosen:
        for entry in series.entries:
            for one in entry.changed:
                found.setdefault((entry.created, entry.run), {})[one] = None
    return {run: list(facts) for (_, run), facts in sorted(found.items())}


def _letters(history: History, chosen: Collection[int]) -> dict[str, SharedEvent]:
    """A letter for each of the newest events that hosts share, and that is seen here."""
    seen = [
        event
        for event in history.shared
        if any(id(series) in chosen for one in event.changes for series, _ in one.moved)
    ]
    return dict(zip(string.ascii_uppercase[:_MOST_LETTERS], seen, strict=False))


def _letter(
    ax: Axes, series: RunSeries, at: Mapping[str, int], letters: Mapping[str, SharedEvent]
) -> None:
    for letter, event in letters.items():
        for one in event.changes:
            for mine, change in one.moved:
                if mine is series:
                    ax.annotate(
                        letter, (at[series.entries[change.at].run] - 0.5, 0.5),
                        xycoords=("data", "axes fraction"), ha="center", va="center",
                        fontsize=7.5, color=PAPER, zorder=6,
                        bbox={"boxstyle": "round,pad=0.2", "facecolor": VERMILION,
                              "edgecolor": "none"},
                    )  # fmt: skip


def _flags_told(flags: Mapping[str, Sequence[FactChange]]) -> str:
    return "; ".join(
        f"{i}: {', '.join(told.fact(one) for one in facts)}"
        for i, facts in enumerate(flags.values(), 1)
    )


def _draw(ax: Axes, series: RunSeries, at: Mapping[str, int]) -> None:
    unit = units.of(METRICS[series.metric].unit).factor
    places = [at[one.run] for one in series.entries]
    for change in series.changes:
        ends = (places[change.first] - 0.5, places[change.last] - 0.5)
        ax.axvspan(*ends, color=SHADE, lw=0, zorder=0)
        ax.axvline(places[change.at] - 0.5, color=VERMILION, lw=1.4, zorder=2)
    for begin, end in series.segments:
        medians = [one.level.median * unit for one in series.entries[begin:end]]
        mean = sum(medians) / len(medians)
        edges = [places[begin] - 0.4, places[end - 1] + 0.4]
        if len(medians) > 2:
            scatter = (sum((one - mean) ** 2 for one in medians) / (len(medians) - 1)) ** 0.5
            ax.fill_between(edges, mean - 1.96 * scatter, mean + 1.96 * scatter, color=BAND, lw=0,
                            zorder=1)  # fmt: skip
        ax.plot(edges, [mean, mean], color=BLUE, lw=1.4, zorder=3)
    for place, one in zip(places, series.entries, strict=True):
        level = one.level
        if level.low is not None and level.high is not None:
            ax.plot([place, place], [level.low * unit, level.high * unit], color=INK, lw=0.9,
                    alpha=0.6, zorder=4)  # fmt: skip
    ax.plot(places, [one.level.median * unit for one in series.entries], ls="", marker=".",
            ms=4 if len(places) > 40 else 6, color=INK, zorder=5)  # fmt: skip
    # Scatter far below what matters is not made to look like something.
    low, high = ax.get_ylim()
    least = 2.5 * series.entries[-1].level.matters * unit
    if high - low < least:
        ax.set_ylim((low + high - least) / 2, (low + high + least) / 2)


def _label(ax: Axes, series: RunSeries, name: str, *, above: bool) -> None:
    """A panel's title, ``above`` the flags where it has them."""
    unit = units.of(METRICS[series.metric].unit).axis
    title = words.plain(words.titled(told.name(series), unit))
    ax.set_title(f"{words.shortened(name)}: {title}", pad=15 if above else 3)
    ax.grid(visible=False, axis="x")
    ax.margins(x=0.02)


def _dress(
    sheet: Sheet, runs: Sequence[tuple[str, str]], at: Mapping[str, int],
    flags: Mapping[str, Sequence[FactChange]], letters: Mapping[str, SharedEvent],
) -> None:  # fmt: skip
    first, last = sheet.columns[0][0], sheet.columns[0][-1]
    shown = words.spread_out([run for _, run in runs], _MOST_DAYS)
    created = {run: when for when, run in runs}
    days = len({created[run][:10] for run in shown})
    cut = slice(5, 10) if days == len(shown) else slice(5, 16)
    days_told = [created[run][cut].replace("T", "\n") for run in shown]
    last.set_xticks([at[run] for run in shown], days_told)
    last.set_xlim(-0.8, len(runs) - 0.2)
    sheet.xlabel("Runs, by their time (UTC)")
    for i, run in enumerate(flags, 1):
        first.annotate(
            str(i), (at[run] - 0.5, 1), xycoords=("data", "axes fraction"), xytext=(0, 4),
            textcoords="offset points", ha="center", fontsize=7.5, color=PAPER, zorder=6,
            bbox={"boxstyle": "square,pad=0.2", "facecolor": MUTED, "edgecolor": "none"},
            annotation_clip=False,
        )  # fmt: skip
    keys = [
        Line2D([], [], color=BLUE, label="level"),
        Line2D([], [], color=VERMILION, label="it moved"),
        Patch(facecolor=SHADE, label="or did so here"),
        Line2D([], [], color=MUTED, lw=0.8, ls=(0, (1, 2)), label="a fact changed"),
    ]
    said = [
        f"{i}: {', '.join(told.fact(one) for one in facts)}"
        for i, facts in enumerate(flags.values(), 1)
        if i <= _MOST_FLAGS
    ] + [f"{letter}: {told.since_on(one)}" for letter, one in letters.items()]
    numbered = [
        Line2D([], [], ls="", label=textwrap.shorten(words.plain(one), 100, placeholder="…"))
        for one in said
    ]
    own = last.legend(handles=keys, loc="upper left", bbox_to_anchor=(-0.01, -0.6), ncols=4)
    if numbered:
        last.add_artist(own)
        last.legend(
            handles=numbered, loc="upper left", bbox_to_anchor=(-0.01, -0.85), ncols=1,
            handlelength=0, handletextpad=0, alignment="left",
        )  # fmt: skip


def _wrapped(text: str) -> str:
    return text.replace(" → ", f"{words.NBSP}→{words.NBSP}")


def _facts(history: History) -> str:
    hosts = ", ".join(sorted({one.host for one in history.series}))
    return f"{hosts}; {history.runs} runs, {told.span(history)}"
