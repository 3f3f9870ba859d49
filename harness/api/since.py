"""Since when: the runs of a results folder one after another, as a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from harness.api.results import results_folder
from harness.judge.metrics import METRICS
from harness.model import RunSeries
from harness.show.report import history as words


def history(
    *results: str | Path, sweep: str | None = None, metric: str | Sequence[str] = ()
) -> pd.DataFrame:
    """A row a run of each series: its median, and the level that it belongs to.

    ``host``, ``point``, ``metric``, ``unit`` (str), ``container`` (int64), ``run`` (str),
    ``created`` (datetime64[s, UTC]), ``trials`` (int64), ``median``, ``low``, ``high`` (its
    interval), ``level`` (the mean of the medians since the last change; all float64, in the unit),
    ``moved`` (bool: a new level begins with this run), ``change``, ``change_low``, ``change_high``
    (float64, of ``scale``: ``relative`` or ``absolute``), ``first``, ``last`` (the runs between
    which the change lies), ``facts`` (what else changed there, in words; all str), ``hosts``
    (int64: on so many hosts it is told as one change), ``shared`` (str: what these share, in
    words). NaN, 0 and ``""`` where no level begins, or none that is shared.

    Without a folder, the one that $BENCH_RESULTS names, or the next ``results`` upwards. UsageError
    where ruptures is not installed, ResultsError where there is no such folder.

    >>> import harness
    >>> list(harness.history().columns[:3])
    ['host', 'point', 'metric']
    """
    from harness.comparison import changepoints  # noqa: PLC0415 - loads scipy
    from harness.comparison import history as histories  # noqa: PLC0415 - loads scipy
    from harness.comparison.collected import collected  # noqa: PLC0415 - loads scipy

    changepoints.refuse_missing()
    folders = [Path(one) for one in results] or [results_folder(None)]
    names = (metric,) if isinstance(metric, str) else tuple(metric)
    found = histories.history(collected(folders), sweep=sweep, metrics=names)
    together = {
        (id(series), change.at): (len(one.moved), words.since_on(event))
        for event in found.shared
        for one in event.changes
        for series, change in one.moved
    }
    rows = [
        row
        for label, series in zip(words.labels(found), found.series, strict=True)
        for row in _rows(label, series, together)
    ]
    numbers = ("median", "low", "high", "level", "change", "change_low", "change_high")
    columns = {
        "host": "str", "point": "str", "metric": "str", "unit": "str", "container": "int64",
        "run": "str", "created": "str", "trials": "int64", "median": "", "low": "", "high": "",
        "level": "", "moved": "bool", "change": "", "change_low": "", "change_high": "",
        "scale": "str", "first": "str", "last": "str", "facts": "str",
        "hosts": "int64", "shared": "str",
        **dict.fromkeys(numbers, "float64"),
    }  # fmt: skip
    frame = pd.DataFrame.from_records(rows, columns=list(columns)).astype(columns)
    created = pd.to_datetime(frame["created"], utc=True, format="ISO8601")
    return frame.assign(created=created.astype("datetime64[s, UTC]"))


def _rows(
    label: str, series: RunSeries, together: Mapping[tuple[int, int], tuple[int, str]]
) -> Iterator[dict[str, object]]:
    """Of one series; ``together``: (hosts, what they share) of its changes that others share."""
    starts = {one.at: one for one in series.changes}
    for begin, end in series.segments:
        mine = series.entries[begin:end]
        level = sum(one.level.median for one in mine) / len(mine)
        for i, one in enumerate(mine, begin):
            change = starts.get(i)
            hosts, shared = together.get((id(series), i), (0, ""))
            yield {
                "host": series.host, "point": label, "metric": series.metric,
                "unit": METRICS[series.metric].unit, "container": series.container,
                "run": one.run, "created": one.created, "trials": one.level.n,
                "median": one.level.median, "low": one.level.low, "high": one.level.high,
                "level": level, "moved": change is not None,
                "change": change and change.change, "change_low": change and change.low,
                "change_high": change and change.high,
                "scale": change.scale.value if change else "",
                "first": series.entries[change.first].run if change else "",
                "last": series.entries[change.last].run if change else "",
                "facts": ", ".join(map(words.fact, change.facts)) if change else "",
                "hosts": hosts, "shared": shared,
            }  # fmt: skip
