"""Where should data live: how quick is each load on files in each place?

Needs the probe's loads on files.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.plan.axes.storage import IN_MEMORY
from harness.show.plots import style, words
from harness.show.plots.data import Material, Picture
from harness.show.plots.words import NBSP

_PANELS = (("io_rate", "I/Os a second", 1.0), ("io_p99_s", "99 % latency (ms)", 1e3))
_APART, _ALL = 0.16, 0.8
"""Of the distance between two places: how far the loads of one lie from each other, and all of them
together."""


def has_storage(given: Material) -> bool:
    """Whether places were compared."""
    return given.axis == "storage" and not given.of("io_rate").empty


def storage(given: Material) -> Picture:
    """A column a place: of each load the I/Os a second, and the latency that 99 of 100 keep."""
    rows = _placed(given.of("io_rate"))
    places, loads = (list(dict.fromkeys(rows[name])) for name in ("place", "load"))
    sheet = given.sheet(5.6, (1.0, 1.0))
    marks = [
        style.Mark(style.MARKERS[i % len(style.MARKERS)], style.LINES[i % len(style.LINES)])
        for i in range(len(loads))
    ]
    apart = min(_APART, _ALL / len(loads))
    for run, column in zip(given.runs, sheet.columns, strict=True):
        stays = _stays(given, run.info.name)
        for ax, (metric, _, factor) in zip(column, _PANELS, strict=True):
            for i, place in enumerate(places):
                if stays.get(_base(place)):
                    ax.axvspan(i - 0.5, i + 0.5, color=style.BAND, alpha=0.45, lw=0, zorder=0)
            found = _placed(given.of(metric))
            for i, load in enumerate(loads):
                mine = found[(found["run"] == run.info.name) & (found["load"] == load)]
                if mine.empty:
                    continue
                shift = (i - (len(loads) - 1) / 2) * apart
                at = mine["place"].map(lambda place, by=shift: places.index(place) + by)
                parts = [mine[part] * factor for part in ("median", "low", "high")]
                style.errorbar(ax, at, parts, marks[i])
        column[-1].set_xlim(-0.6, len(places) - 0.4)
        column[-1].set_xticks(range(len(places)), places)
    for row, (_, label, _) in enumerate(_PANELS):
        sheet.ylabel(row, label)
        style.upright(sheet.rows[row], log=True)
    sheet.xlabel("Where the file lies", "Where the file lies")
    handles: list[Artist] = [
        Line2D([], [], label=load, **mark.style()) for load, mark in zip(loads, marks, strict=True)
    ]
    if any(any(_stays(given, run.info.name).values()) for run in given.runs):
        handles.append(Patch(color=style.BAND, alpha=0.45, lw=0, label="is there after docker rm"))
    sheet.key(sheet.columns[0][0], handles)
    told = "; ".join(_told(given, row) for row in rows.head(words.MOST_TOLD).to_dict("records"))
    return given.picture(
        "storage", sheet, given.found(_finding),
        "The same load in each place that a container can have for its data: so many I/Os a "
        "second, above, and the time that 99 of 100 of them keep, below, both on scales of powers "
        "of ten. An fsync is a random write of 4 KiB that is on the disk when it is done; files "
        "are made, renamed and removed, and of files-fsync the folder is on the disk after each. "
        "Where it is shaded, another container found a file once the first was removed. Marks "
        "are medians over the trials that count, with their intervals; none where the place "
        "refused.",
        f"{told}.",
    )  # fmt: skip


def _placed(rows: pd.DataFrame) -> pd.DataFrame:
    """The estimates with the place and the load that their point names: ``volume:fsync@32m``."""
    parts = rows["value"].str.extract(r"^([^:]*):([^@]*)(?:@(.*))?$")
    memory = parts[2].map(lambda limit: f"\n{limit}" if isinstance(limit, str) else "")
    return rows.assign(place=parts[0] + memory, load=parts[1])


def _base(place: str) -> str:
    """The place without the memory limit; a file of the image is in the layer from then on."""
    name = place.partition("\n")[0]
    return "layer" if name == "image" else name


def _stays(given: Material, run: str) -> dict[str, bool]:
    """Place → whether a file was there after ``rm``, where that was looked at in a run."""
    rows = given.of("file_kept")
    mine = _placed(rows[rows["run"] == run])
    return dict(zip(mine["place"], mine["median"] > 0.5, strict=True))


def _told(given: Material, row: dict[Any, Any]) -> str:
    return f"{given.whose(row)}{row['value']}: {row['median']:,.0f} a second"


def _finding(one: Material) -> str:
    """What a commit comes to in each place, first where it outlives its container.

    Where that was not looked at, first on a disk: what is in memory lasts less.
    """
    rates, tails = (_placed(one.of(metric)) for metric in ("io_rate", "io_p99_s"))
    load = "fsync" if "fsync" in set(rates["load"]) else str(rates["load"].iloc[0])
    mine, late = rates[rates["load"] == load], tails[tails["load"] == load]
    stays = _stays(one, one.runs[0].info.name)
    if set(mine["place"].map(_base)) <= set(stays):
        first = mine["place"].map(lambda place: stays[_base(place)])
        names = ("kept after rm:", "lost with rm:")
    else:
        first, names = ~mine["place"].str.startswith(IN_MEMORY), ("on a disk:", "in memory:")
    said = []
    for where, rows in zip(names, (mine[first], mine[~first]), strict=True):
        best = rows.sort_values("median", ascending=False).to_dict("records")
        parts: list[str] = []
        for row in best:
            p99 = late[late["place"] == row["place"]]["median"]
            tail = f" (99{NBSP}% within {words.duration(float(p99.iloc[0]))})" if len(p99) else ""
            place = str(row["place"]).replace("\n", NBSP)
            parts.append(f"{place}{NBSP}{row['median']:,.0f}{tail if not parts else ''}")
        said += [f"{where} {', '.join(parts)}"] if parts else []
    return f"{load} a second, {'; '.join(said)}"
