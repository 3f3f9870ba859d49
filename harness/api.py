"""The Python API of notebooks: what ``import harness`` offers.

Runs come as ``Results``, whose attributes are tidy pandas frames: one row an observation, one
column a variable, units in the columns' names. docs/notebooks.md describes every column. The
``plot_…`` functions take one run or several, or rows of their frames, and give a matplotlib Figure,
which a notebook shows by itself; of several runs there is a panel a run, with the same axes in all.
"""

from __future__ import annotations

import html
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from harness import frames, plots, store
from harness.analysis import METRICS
from harness.errors import ResultsError, UsageError
from harness.model import RunInfo
from harness.report import view as views
from harness.report.words import SYMBOLS, interval, metric_name, point_name, quantity
from harness.store import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUN_VARIABLE = "BENCH_RUN"
"""The runs that are taken where none is named: how ``bench notebook RUN…`` hands them over."""
RESULTS_VARIABLE = "BENCH_RESULTS"


class Results:
    """One run: its facts, and its frames, each worked out when it is first asked for.

    Shown by itself in a notebook, it is the table of its verdicts. Made by ``harness.load``.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        """The records behind the frames."""

    def __repr__(self) -> str:
        return f"<{self.name}: {self.headline}>"

    @property
    def name(self) -> str:
        """The name of the run and of its folder."""
        return self.run.info.name

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return self.run.path

    @property
    def info(self) -> RunInfo:
        """The plan, and the facts of host, engine and workload."""
        return self.run.info

    @property
    def damage(self) -> tuple[str, ...]:
        """What of the run could not be read, in words; all the rest is there."""
        return self.run.damage

    @property
    def headline(self) -> str:
        """What the run found, in a sentence.

        >>> import harness
        >>> harness.load("sample-memory").headline
        'All 9 points conform: the largest median error is 0.27 MiB.'
        """
        return self._view.headline

    @property
    def axes(self) -> tuple[str, ...]:
        """The limits that were varied: ``cpu``, ``quota`` and so on."""
        return _axes(self.run.info)

    @cached_property
    def points(self) -> pd.DataFrame:
        """The plan: a row a container of a point. See ``frames.points``."""
        return self._named(frames.points(self.run))

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row a container of a trial, with every metric. See ``frames.trials``.

        >>> import harness
        >>> trials = harness.load("sample-shares").trials
        >>> trials[trials["counts"]].groupby("container")["cpus"].max().round(1)
        container
        0    2.0
        1    0.9
        Name: cpus, dtype: float64
        """
        return self._named(frames.trials(self.run))

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """A row a metric of a point: median and interval. See ``frames.estimates``."""
        return self._named(frames.estimates(self.run))

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """A row a law of a point: promised, achieved, verdict. See ``frames.verdicts``.

        >>> import harness
        >>> verdicts = harness.load("sample-memory").verdicts
        >>> verdicts["verdict"].value_counts().to_dict()
        {'conforms': 18}
        """
        return self._named(frames.verdicts(self.run))

    @cached_property
    def errors(self) -> pd.DataFrame:
        """A row a law and a trial: measured, expected, error. See ``frames.errors``."""
        return self._named(frames.errors(self.run))

    @cached_property
    def gaps(self) -> pd.DataFrame:
        """A row a time that a thread was off the CPU. See ``frames.gaps``."""
        return self._named(frames.gaps(self.run))

    @cached_property
    def growth(self) -> pd.DataFrame:
        """A row a step of a workload that grows in memory. See ``frames.growth``."""
        return frames.growth(self.run)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Every sample of every trial: raw, cumulative counters. See ``frames.samples``.

        Of a large run, ``read_samples`` reads the columns or the trial that are wanted alone.
        """
        return frames.samples(self.run)

    def read_samples(
        self, trial: int | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """The samples of one trial, or some columns of all: nothing else is read from disk.

        >>> import harness
        >>> run = harness.load("sample-cpu")
        >>> list(run.read_samples(trial=0, columns=["t_mono_ns", "cpu_usage_ns"]).columns)
        ['t_mono_ns', 'cpu_usage_ns']
        """
        return frames.samples(self.run, trial, columns)

    def timeline(self, trial: int) -> pd.DataFrame:
        """The rates of one trial from sample to sample. See ``frames.timeline``.

        >>> import harness
        >>> line = harness.load("sample-cpu").timeline(0)
        >>> bool(line["t_s"].iloc[0] == 0)
        True
        """
        return frames.timeline(self.run, trial)

    def only(self, points: Collection[str]) -> Results:
        """The same run with some of its points; UsageError where it has none of that name.

        >>> import harness
        >>> harness.load("sample-cpu").only(["cpus=0.5", "cpus=1"]).axes
        ('cpu',)
        """
        plan = self.run.info.plan
        kept = tuple(point for point in plan.points if point.id in points)
        missing = set(points) - {point.id for point in kept}
        if missing:
            known = ", ".join(point.id for point in plan.points)
            raise UsageError(f"{self.name} has no point {min(missing)!r}.", f"It has {known}.")
        info = replace(self.run.info, plan=replace(plan, points=kept))
        trials = (trial for trial in self.run.trials if trial.point_id in points)
        return Results(self.run.holding(trials).telling(info))

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame, knowing where its run lies: see ``_chosen``."""
        frame.attrs[_PATHS] = {self.name: str(self.path)}
        return frame

    @cached_property
    def _view(self) -> views.View:
        return views.build(self.run)

    def _repr_html_(self) -> str:
        """The table of verdicts, as a notebook shows it."""
        head = ("Point", "Measured", "Promised", "Achieved", "Interval", "Verdict")
        rows = []
        for row in self._view.rows:
            for line in row.lines:
                unit = line.metric.unit
                promised = "–" if line.promised is None else quantity(line.promised, unit)
                achieved = "–" if line.achieved is None else quantity(line.achieved.median, unit)
                status = line.verdict and line.verdict.status
                said = f"{SYMBOLS[status]} {status.value}" if status else "no law"
                name, metric = point_name(row.summary.point), metric_name(row, line)
                rows.append((name, metric, promised, achieved, interval(line.achieved), said))
        told = html.escape(f"{self.name}: {self.headline}")
        body = "".join(_html_row("td", row) for row in rows)
        return f"<p>{told}</p><table><thead>{_html_row('th', head)}</thead>{body}</table>"


def _html_row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


Runs = Results | Run | str | Path
"""What the functions below take: what ``load`` gives, or what it takes."""
Drawn = Runs | pd.DataFrame
"""What can be drawn: runs, or rows of a frame, which choose runs, points and trials."""
_PATHS = "limitbench.paths"
"""Of ``DataFrame.attrs``: where the frame's runs lie, by name."""


# --- runs ----------------------------------------------------------------------------------------


def runs(results: str | Path | None = None) -> pd.DataFrame:
    """The runs of a results folder, newest first: a row a run.

    ``run``, ``path``, ``created`` (datetime64[s, UTC]), ``sweep``, ``axes`` (parted by spaces),
    ``status``, ``trials`` and ``planned`` (int64), ``host``, ``cpus`` (int64), ``kernel``,
    ``cgroup`` (int64), ``engine``, ``runtime``. Folders that are no runs are left out.

    Without ``results``, the folder is $BENCH_RESULTS, or the next ``results`` upwards.

    >>> import harness
    >>> sorted(run for run in harness.runs()["run"] if run.startswith("sample"))[:2]
    ['sample-cpu', 'sample-cpu-busy']
    """
    rows = [
        {
            "run": one.info.name, "path": str(one.path), "created": one.info.created,
            "sweep": one.info.plan.sweep, "axes": " ".join(_axes(one.info)),
            "status": one.info.status, "trials": one.trials, "planned": len(one.info.plan.trials),
            "host": one.info.host.hostname, "cpus": one.info.host.cpus,
            "kernel": one.info.host.kernel, "cgroup": one.info.engine.cgroup_version,
            "engine": one.info.engine.version,
            "runtime": f"{one.info.engine.runtime} {one.info.engine.runtime_version}",
        }
        for one in store.list_runs(_folder(results)).runs
    ]  # fmt: skip
    numbers = dict.fromkeys(("trials", "planned", "cpus", "cgroup"), "int64")
    columns = {
        "run": "str", "path": "str", "created": "str", "sweep": "str", "axes": "str",
        "status": "str", "trials": "", "planned": "", "host": "str", "cpus": "", "kernel": "str",
        "cgroup": "", "engine": "str", "runtime": "str",
    }  # fmt: skip
    frame = pd.DataFrame.from_records(rows, columns=list(columns)).astype({**columns, **numbers})
    created = pd.to_datetime(frame["created"], utc=True, format="ISO8601").astype(
        "datetime64[s, UTC]"
    )
    return frame.assign(created=created)


def load(
    run: str | Path | None = None,
    *,
    axis: str | Collection[str] | None = None,
    results: str | Path | None = None,
) -> Results:
    """One run, in any state: by name, a part of it, or path.

    Without ``run``, the one that $BENCH_RUN names; else the newest, or with ``axis`` the newest
    that varied that limit (or one of several); else the sample run that comes with limitbench.

    ResultsError where there is none, where a folder is no run, or where its format is newer than
    this limitbench; UsageError where the run that was named did not vary that limit.

    >>> import harness
    >>> harness.load("sample-memory").axes
    ('memory', 'swap')
    >>> harness.load("sample-memory", axis="cpu")
    Traceback (most recent call last):
    ...
    harness.errors.UsageError: sample-memory did not vary cpu. It varied memory, swap.
    """
    folder = _folder(results)
    wanted = (axis,) if isinstance(axis, str) else tuple(axis or ())
    handed = _handed()
    named = str(run) if run is not None else handed[0] if handed else None
    if named is not None:
        found = store.find(folder, named)
        has = _axes(found.info)
        if wanted and not set(wanted) & set(has):
            raise UsageError(
                f"{found.info.name} did not vary {' or '.join(wanted)}.",
                f"It varied {', '.join(has)}.",
            )
        return Results(found)
    fitting = [
        one
        for one in store.list_runs(folder).runs
        if one.trials and (not wanted or set(wanted) & set(_axes(one.info)))
    ]
    own = [one for one in fitting if not one.path.name.startswith(store.SAMPLE_RUNS)]
    if not fitting:
        what = f" of {' or '.join(wanted)}" if wanted else ""
        raise ResultsError(f"no run{what} in {folder}.", f"`bench sweep {(*wanted, 'cpu')[0]}`.")
    return Results(store.load((own or sorted(fitting, key=lambda one: one.path.name))[0].path))


def load_several(*runs: str | Path, results: str | Path | None = None) -> list[Results]:
    """Two runs or more to be looked at side by side, by name, a part of it, or path.

    Without names, those that $BENCH_RUN names; else the newest four at the most of the newest
    sweep that was made more than once, the oldest of them first; else a pair of samples.
    ResultsError where there is none of these.

    >>> import harness
    >>> [run.name for run in harness.load_several("sample-cpu", "sample-cpu-busy")]
    ['sample-cpu', 'sample-cpu-busy']
    """
    folder = _folder(results)
    named = [str(run) for run in runs] or _handed()
    if named:
        return [Results(store.find(folder, name)) for name in named]
    by_sweep: dict[tuple[bool, str], list[Path]] = {}
    for one in store.list_runs(folder).runs:
        sample = one.path.name.startswith(store.SAMPLE_RUNS)
        if one.trials:
            by_sweep.setdefault((sample, one.info.plan.sweep), []).append(one.path)
    several = [key for key, paths in by_sweep.items() if len(paths) > 1]
    if not several:
        raise ResultsError(
            f"no two runs of one sweep in {folder}.", "`bench sweep cpu`, twice, makes them."
        )
    chosen = min(several, key=lambda key: key[0])
    return [Results(store.load(path)) for path in reversed(by_sweep[chosen][:4])]


def _handed() -> list[str]:
    """The runs that the environment names."""
    return [name for name in os.environ.get(RUN_VARIABLE, "").split(os.pathsep) if name]


def _axes(info: RunInfo) -> tuple[str, ...]:
    return tuple(dict.fromkeys(point.axis for point in info.plan.points))


def _folder(results: str | Path | None) -> Path:
    """The results folder; upwards, since notebooks lie in a folder beside it."""
    if results is not None:
        return Path(results)
    named = os.environ.get(RESULTS_VARIABLE)
    if named:
        return Path(named)
    here = Path.cwd()
    found = (folder / "results" for folder in (here, *here.parents))
    return next((folder for folder in found if folder.is_dir()), Path("results"))


# --- two runs ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ComparedRuns:
    """What changed from one run to another, as ``bench compare`` tells it."""

    verdict: str
    """``same``, ``improved``, ``regressed``, ``inconclusive`` or ``incomparable``."""
    headline: str
    differences: tuple[str, ...]
    """Facts of host, engine and workload that differ, in words."""
    remarks: tuple[str, ...]
    table: pd.DataFrame
    """A row a metric of a container of a point: ``point``, ``metric``, ``unit`` (str),
    ``container`` (int64), ``before`` and ``after`` (medians, float64, in the unit), ``scale`` (of
    what follows: ``relative`` or ``absolute``), ``change``, ``low``, ``high`` (its interval),
    ``matters`` (the smallest change that counts; all float64), ``p`` and ``adjusted_p``
    (float64), ``verdict``, ``reason`` (str)."""

    def _repr_html_(self) -> str:
        shown = self.table[["point", "metric", "before", "after", "change", "low", "high",
                            "adjusted_p", "verdict"]]  # fmt: skip
        return f"<p>{html.escape(f'{self.verdict}: {self.headline}')}</p>{shown.to_html()}"


def compare(before: Runs, after: Runs, *, allow: Collection[str] = ()) -> ComparedRuns:
    """Whether anything changed from one run to another: interval, adjusted p and verdict.

    Runs whose host, kernel, engine, runtime or workload differ are ``incomparable`` unless the
    facts that differ are named in ``allow``, because they are what is put to the test. ResultsError
    where a run cannot be read.

    >>> import harness
    >>> compared = harness.compare("sample-cpu", "sample-cpu")
    >>> sorted(set(compared.table["change"].dropna()))
    [0.0]
    """
    from harness import comparing  # noqa: PLC0415 - loads scipy, which nothing else here does
    from harness.digest import digest  # noqa: PLC0415 - of the comparison alone

    one, other = (digest(run.info, run.trials) for run in _records((before, after)))
    found = comparing.compare(one, other, allow=allow)
    rows = [
        {
            "point": row.point_id, "metric": row.metric, "unit": METRICS[row.metric].unit,
            "container": row.container, "before": row.before, "after": row.after,
            "scale": row.scale.value, "change": row.change, "low": row.low, "high": row.high,
            "matters": row.effect, "p": row.p, "adjusted_p": row.adjusted_p,
            "verdict": row.status.value, "reason": row.reason,
        }
        for row in found.rows
    ]  # fmt: skip
    numbers = ("before", "after", "change", "low", "high", "matters", "p", "adjusted_p")
    columns = {
        "point": "str", "metric": "str", "unit": "str", "container": "int64", "before": "",
        "after": "", "scale": "str", "change": "", "low": "", "high": "", "matters": "", "p": "",
        "adjusted_p": "", "verdict": "str", "reason": "str", **dict.fromkeys(numbers, "float64"),
    }  # fmt: skip
    return ComparedRuns(
        verdict=found.status.value,
        headline=found.headline,
        differences=tuple(f"{one.fact}: {one.before} → {one.after}" for one in found.differences),
        remarks=found.remarks,
        table=pd.DataFrame.from_records(rows, columns=list(columns)).astype(columns),
    )


# --- figures -------------------------------------------------------------------------------------


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
    names = [f"{axis}-{kind}"] if axis else [kind]
    several = len({a for run in records for a in _axes(run.info)}) > 1
    return plot(names[0] if several else kind, *records)


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


def plot_reached(*of: Drawn, axis: str | None = None) -> Figure:
    """Memory reached against the limit, and how far short of it the kill came.

    >>> import harness
    >>> harness.plot_reached("sample-memory", axis="memory").axes[0].get_ylabel()
    'Memory reached (MiB)'
    """
    return _kind("reached", of, axis)


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
        for run in (
            _chosen(one)
            if isinstance(one, pd.DataFrame)
            else (
                one.run
                if isinstance(one, Results)
                else one
                if isinstance(one, Run)
                else load(one).run,
            )
        )
    ]


def _chosen(frame: pd.DataFrame) -> list[Run]:
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
    paths = frame.attrs.get(_PATHS, {})
    found = []
    for name, rows in frame.groupby("run", sort=False):
        run = load(paths.get(name, name)).only(set(rows["point"])).run
        if "trial" in rows:
            numbers = set(rows["trial"])
            run = run.holding(one for one in run.trials if one.index in numbers)
        found.append(run)
    return found
