"""Figures of runs, or of rows of their frames: what a notebook draws.

Each function takes one run or several, or rows of their frames, and gives a matplotlib Figure,
which a notebook shows by itself; of several runs there is a panel a run, with the same axes in all.
A kind of figure (``plots.FIGURES``) has a function of its own here, so that an editor knows its
name and its words, and its example is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from harness.api.results import PATHS, Runs, axes_of, load, run_of
from harness.errors import UsageError
from harness.show import plots
from harness.store.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = Runs | pd.DataFrame
"""What can be drawn: runs, or rows of a frame, which choose runs, points and trials."""


def figures(*of: Drawn) -> tuple[str, ...]:
    """The figures that there is data for, by the names that ``plot`` takes.

    >>> import harness
    >>> harness.figures("sample-shares")[:2]
    ('shares-achieved', 'shares-shares')
    """
    return plots.available(*_records(of))


def plot(name: str, *of: Drawn) -> Figure:
    """One figure of one run or of several beside each other, by its name.

    ``name`` is one that ``figures`` gives, or a kind (``achieved``) for the first axis that has
    it. UsageError where there is no such figure, or no data for it; the message names those that
    there are.

    >>> import harness
    >>> figure = harness.plot("memory-reached", "sample-memory")
    >>> figure.get_suptitle()[:14]
    'The kill comes'
    """
    records = _records(of)
    here = plots.available(*records)
    kinds = {kind for kind in plots.FIGURES if any(one.endswith(kind) for one in here)}
    if name not in here and name not in kinds:
        names = " and ".join(run.info.name for run in records)
        raise UsageError(
            f"{names}: no figure {name!r}.", f"There are: {', '.join(here) or 'none'}."
        )
    exact = name if name in here else next(one for one in here if one.split("-")[-1] == name)
    (picture,) = plots.pictures(*records, names=[exact])
    return picture.figure


def _kind(kind: str, of: Sequence[Drawn], axis: str | None) -> Figure:
    records = _records(of)
    several = len({a for run in records for a in axes_of(run.info)}) > 1
    return plot(f"{axis}-{kind}" if axis and several else kind, *records)


def plot_achieved(*of: Drawn, axis: str | None = None) -> Figure:
    """What each limit gave, beside what it promised; below, the error with its tolerance.

    ``axis`` chooses among several that a run varied. Raises as ``plot`` does; so do the others.
    Of a frame, the runs, points and trials are drawn that it has rows of.

    >>> import harness
    >>> figure = harness.plot_achieved("sample-cpu", axis="quota")
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['CPUs achieved', 'Error (%)']
    >>> trials = harness.load("sample-cpu").trials
    >>> figure = harness.plot_achieved(trials[trials["axis"].eq("cpu") & trials["cpus"].lt(0.9)])
    >>> [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    ['0.25', '0.5']
    """
    return _kind("achieved", of, axis)


def plot_shares(*of: Drawn) -> Figure:
    """The ratio of CPU time against the ratio of shares, on logarithmic scales.

    >>> import harness
    >>> harness.plot_shares("sample-shares").axes[0].get_xscale()
    'log'
    """
    return _kind("shares", of, "shares")


def plot_throttling(*of: Drawn, axis: str | None = None) -> Figure:
    """The share of throttled periods, and how long threads are off the CPU at a time.

    >>> import harness
    >>> harness.plot_throttling("sample-cpu").axes[0].get_ylabel()
    'Throttled periods (%)'
    """
    return _kind("throttling", of, axis)


def plot_timeline(*of: Drawn, axis: str | None = None) -> Figure:
    """The first periods of one trial, with its limit and its throttled spans.

    >>> import harness
    >>> harness.plot_timeline("sample-cpu").axes[0].get_ylabel()
    'CPUs in use'
    """
    return _kind("timeline", of, axis)


def plot_gaps(*of: Drawn, axis: str | None = None) -> Figure:
    """The distribution of the time off the CPU over the lengths of gaps.

    >>> import harness
    >>> harness.plot_gaps("sample-cpu").axes[0].get_xlabel()
    'Length of a gap (ms)'
    """
    return _kind("gaps", of, axis)


def plot_heat(*of: Drawn, axis: str | None = None) -> Figure:
    """When in the quota period threads are off the CPU, as a heat map.

    >>> import harness
    >>> harness.plot_heat("sample-cpu").axes[0].get_xlabel()
    'Time since the period began (% of the period)'
    """
    return _kind("heat", of, axis)


def plot_responses(*of: Drawn, axis: str | None = None) -> Figure:
    """Response times of bursts of work under each limit.

    >>> import harness
    >>> harness.plot_responses("sample-cpu").axes[0].get_ylabel()
    'Response time (ms)'
    """
    return _kind("responses", of, axis)


def plot_answers(*of: Drawn, axis: str | None = None) -> Figure:
    """How long a server takes to answer under each limit, beside the share of throttled periods.

    >>> import harness
    >>> "answers" in harness.figures("sample-cpu")  # nobody was asked there
    False
    """
    return _kind("answers", of, axis)


def plot_lifecycle(*of: Drawn, axis: str | None = None) -> Figure:
    """What each of the engine's commands takes, under each limit.

    >>> import harness
    >>> harness.plot_lifecycle("sample-lifecycle").axes[0].get_xlabel()
    'Time (ms)'
    """
    return _kind("lifecycle", of, axis)


def plot_storage(*of: Drawn, axis: str | None = None) -> Figure:
    """Where data should live: I/Os a second and their latency in each place.

    >>> import harness
    >>> harness.plot_storage("sample-storage").axes[1].get_ylabel()
    '99 % latency (ms)'
    """
    return _kind("storage", of, axis)


def plot_latencies(*of: Drawn, axis: str | None = None) -> Figure:
    """How long an I/O takes under each limit of a disk.

    >>> import harness
    >>> harness.plot_latencies("sample-io").axes[0].get_ylabel()
    'Time of an I/O (ms)'
    """
    return _kind("latencies", of, axis)


def plot_neighbour(*of: Drawn, axis: str | None = None) -> Figure:
    """What each protection leaves of a victim beside each aggressor.

    >>> import harness
    >>> harness.plot_neighbour("sample-neighbour").axes[0].get_ylabel()
    'Protection'
    """
    return _kind("neighbour", of, axis)


def plot_killed(*of: Drawn, axis: str | None = None) -> Figure:
    """Who of several containers below one limit was killed, by score.

    >>> import harness
    >>> harness.plot_killed("sample-oom", axis="oom").axes[0].get_xlabel()
    'Share of the limit that they have together'
    """
    return _kind("killed", of, axis)


def plot_reached(*of: Drawn, axis: str | None = None) -> Figure:
    """Memory reached against the limit, and how far short of it the kill came.

    >>> import harness
    >>> harness.plot_reached("sample-memory", axis="memory").axes[0].get_ylabel()
    'Memory reached (MiB)'
    """
    return _kind("reached", of, axis)


def plot_taken(*of: Drawn, axis: str | None = None) -> Figure:
    """What was taken until it was refused, as shares of what the limit promises.

    >>> import harness
    >>> "taken" in harness.figures("sample-cpu")
    False
    """
    return _kind("taken", of, axis)


def plot_reclaimed(*of: Drawn, axis: str | None = None) -> Figure:
    """What gave way where memory was short, by reservation or by swappiness.

    >>> import harness
    >>> "reclaimed" in harness.figures("sample-oom")
    False
    """
    return _kind("reclaimed", of, axis)


def plot_pages(*of: Drawn, axis: str | None = None) -> Figure:
    """The time that a page takes at its first touch, before the memory limit and beyond it.

    >>> import harness
    >>> harness.plot_pages("sample-memory", axis="swap").axes[0].get_yscale()
    'log'
    """
    return _kind("pages", of, axis)


def plot_growth(*of: Drawn, axis: str | None = None) -> Figure:
    """Memory of one trial over time, between the lines of its limits.

    >>> import harness
    >>> harness.plot_growth("sample-memory", axis="swap").axes[0].get_ylabel()
    'Memory (MiB)'
    """
    return _kind("growth", of, axis)


def plot_pressure(*of: Drawn, axis: str | None = None) -> Figure:
    """The share of the time in which a container waited for a CPU, for memory and for a disk.

    The kernel keeps it for each container on cgroup v2 only.

    >>> import harness
    >>> sample = harness.load("sample-cpu")
    >>> sample.info.engine.cgroup_version, "pressure" in harness.figures(sample)
    (1, False)
    """
    return _kind("pressure", of, axis)


def _records(of: Sequence[Drawn]) -> list[Run]:
    if not of:
        raise UsageError("no run is named.", "Give one or several: harness.load() is the newest.")
    return [
        run
        for one in of
        for run in (chosen(one) if isinstance(one, pd.DataFrame) else [run_of(one)])
    ]


def chosen(frame: pd.DataFrame) -> list[Run]:
    """The runs that a frame has rows of, with the points and trials that it has rows of alone.

    What is drawn is worked out of these again: a median is that of the trials that were chosen.
    """
    if missing := {"run", "point"} - set(frame.columns):
        raise UsageError(
            f"a frame without the column {min(missing)!r} names nothing to be drawn.",
            "Give rows of a run's trials, points, estimates, verdicts, errors or gaps.",
        )
    if frame.empty:
        raise UsageError("the frame has no rows.", "Choose some trials or points.")
    paths = frame.attrs.get(PATHS, {})
    found = []
    for name, rows in frame.groupby("run", sort=False):
        run = load(paths.get(name, name)).only(set(rows["point"])).run
        if "trial" in rows:
            numbers = set(rows["trial"])
            run = run.holding(one for one in run.trials if one.index in numbers)
        found.append(run)
    return found
