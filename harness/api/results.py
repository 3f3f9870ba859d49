"""Runs as tidy frames: which there are, one of them, several.

``Results`` is one run; its attributes are pandas frames: one row an observation, one column a
variable, units in the columns' names. docs/notebooks.md describes every column.
"""

from __future__ import annotations

import html
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from harness.errors import ResultsError, UsageError
from harness.model import RunInfo
from harness.show import frames
from harness.show.report import columns
from harness.show.report import view as views
from harness.show.report.columns import Form
from harness.show.report.words import SYMBOLS
from harness.store import listing
from harness.store import runs as store_runs
from harness.store.folder import SAMPLE_RUNS
from harness.store.runs import Run

RUN_VARIABLE = "BENCH_RUN"
"""The runs that are taken where none is named: how ``bench notebook RUN…`` hands them over."""
RESULTS_VARIABLE = "BENCH_RESULTS"
PATHS = "limitbench.paths"
"""Of ``DataFrame.attrs``: where the frame's runs lie, by name."""


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
        return axes_of(self.run.info)

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
        """The frame, knowing where its run lies: rows of it can be drawn."""
        frame.attrs[PATHS] = {self.name: str(self.path)}
        return frame

    @cached_property
    def _view(self) -> views.View:
        return views.build(self.run)

    def _repr_html_(self) -> str:
        """The table of verdicts, as a notebook shows it."""
        shown = columns.shown(Form.NOTEBOOK, self._view.rows)
        rows = [
            [
                f"{SYMBOLS[status]} {status.value}" if (status := column.status(told))
                else column.text(told)
                for column in shown
            ]
            for told in columns.told(self._view.rows)
        ]  # fmt: skip
        head = [column.title.capitalize() for column in shown]
        told = html.escape(f"{self.name}: {self.headline}")
        body = "".join(_html_row("td", row) for row in rows)
        return f"<p>{told}</p><table><thead>{_html_row('th', head)}</thead>{body}</table>"


def _html_row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


Runs = Results | Run | str | Path
"""What the functions of the API take: what ``load`` gives, or what it takes."""


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
            "run": one.name, "path": str(one.path), "created": one.created, "sweep": one.sweep,
            "axes": " ".join(one.axes), "status": one.status, "trials": one.trials,
            "planned": one.planned, "host": one.host, "cpus": one.cpus, "kernel": one.kernel,
            "cgroup": one.cgroup_version, "engine": one.engine_version, "runtime": one.runtime,
        }
        for one in listing.list_runs(results_folder(results)).runs
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
    folder = results_folder(results)
    wanted = (axis,) if isinstance(axis, str) else tuple(axis or ())
    handed = _handed()
    named = str(run) if run is not None else handed[0] if handed else None
    if named is not None:
        found = store_runs.find(folder, named)
        has = axes_of(found.info)
        if wanted and not set(wanted) & set(has):
            raise UsageError(
                f"{found.info.name} did not vary {' or '.join(wanted)}.",
                f"It varied {', '.join(has)}.",
            )
        return Results(found)
    fitting = [
        one
        for one in listing.list_runs(folder).runs
        if one.trials and (not wanted or set(wanted) & set(one.axes))
    ]
    own = [one for one in fitting if not one.path.name.startswith(SAMPLE_RUNS)]
    if not fitting:
        what = f" of {' or '.join(wanted)}" if wanted else ""
        raise ResultsError(f"no run{what} in {folder}.", f"`bench sweep {(*wanted, 'cpu')[0]}`.")
    return Results(store_runs.load((own or sorted(fitting, key=lambda one: one.path.name))[0].path))


def load_several(*runs: str | Path, results: str | Path | None = None) -> list[Results]:
    """Two runs or more to be looked at side by side, by name, a part of it, or path.

    Without names, those that $BENCH_RUN names; else the newest four at the most of the newest
    sweep that was made more than once, the oldest of them first; else a pair of samples.
    ResultsError where there is none of these.

    >>> import harness
    >>> [run.name for run in harness.load_several("sample-cpu", "sample-cpu-busy")]
    ['sample-cpu', 'sample-cpu-busy']
    """
    folder = results_folder(results)
    named = [str(run) for run in runs] or _handed()
    if named:
        return [Results(store_runs.find(folder, name)) for name in named]
    by_sweep: dict[tuple[bool, str], list[Path]] = {}
    for one in listing.list_runs(folder).runs:
        sample = one.path.name.startswith(SAMPLE_RUNS)
        if one.trials:
            by_sweep.setdefault((sample, one.sweep), []).append(one.path)
    several = [key for key, paths in by_sweep.items() if len(paths) > 1]
    if not several:
        raise ResultsError(
            f"no two runs of one sweep in {folder}.", "`bench sweep cpu`, twice, makes them."
        )
    chosen = min(several, key=lambda key: key[0])
    return [Results(store_runs.load(path)) for path in reversed(by_sweep[chosen][:4])]


def run_of(run: Runs) -> Run:
    """The records of one run, however it is named."""
    if isinstance(run, Run):
        return run
    return (run if isinstance(run, Results) else load(run)).run


def _handed() -> list[str]:
    """The runs that the environment names."""
    return [name for name in os.environ.get(RUN_VARIABLE, "").split(os.pathsep) if name]


def axes_of(info: RunInfo) -> tuple[str, ...]:
    """The axes of a run's plan, in its order."""
    return tuple(dict.fromkeys(point.axis for point in info.plan.points))


def results_folder(results: str | Path | None) -> Path:
    """The results folder; upwards, since notebooks lie in a folder beside it."""
    if results is not None:
        return Path(results)
    named = os.environ.get(RESULTS_VARIABLE)
    if named:
        return Path(named)
    here = Path.cwd()
    found = (folder / "results" for folder in (here, *here.parents))
    return next((folder for folder in found if folder.is_dir()), Path("results"))
