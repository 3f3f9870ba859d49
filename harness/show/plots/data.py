"""What figures are drawn from: one axis of one run or of several, as frames."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from harness.errors import UsageError
from harness.judge import points as judge_points
from harness.model import RunInfo
from harness.plan import axes
from harness.show import frames
from harness.show.plots.style import MOST_RUNS, Sheet
from harness.show.plots.words import NBSP
from harness.store.runs import Run

THROTTLED = 0.9
"""A point that is throttled in this share of its periods shows throttling well."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure with what must stand beside it."""

    name: str
    title: str
    """The finding, in one sentence without a full stop."""
    caption: str
    """What is drawn, and how to read it."""
    alt: str
    """The figure in words and numbers, for those who do not see it."""
    figure: Sheet


@dataclass(frozen=True)
class Frames:
    """The frames of some runs, each made when it is first asked for."""

    runs: tuple[Run, ...]
    _trials: dict[tuple[str, ...], pd.DataFrame] = field(default_factory=dict, compare=False)

    @cached_property
    def points(self) -> pd.DataFrame:
        """``frames.points``."""
        return frames.points(*self.runs)

    def trials(self, *metrics: str) -> pd.DataFrame:
        """``frames.trials`` of these metrics."""
        if metrics not in self._trials:
            self._trials[metrics] = frames.trials(*self.runs, metrics=metrics)
        return self._trials[metrics]

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """``frames.estimates``."""
        return frames.estimates(*self.runs)

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """``frames.verdicts``."""
        return frames.verdicts(*self.runs)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """``frames.errors``."""
        return frames.errors(*self.runs)

    @cached_property
    def growth(self) -> pd.DataFrame:
        """``frames.growth``."""
        return frames.growth(*self.runs)


@dataclass(frozen=True)
class Material:
    """What the figures of one axis are drawn from; the frames are ``harness.show.frames``'."""

    axis: str
    prefix: str
    """Before the figures' names: empty where the runs have one axis only."""
    runs: tuple[Run, ...]
    """Their names differ."""
    labels: Mapping[str, str]
    """Run → what tells it apart from the others; its name where it is alone."""
    _frames: Frames

    @property
    def names(self) -> list[str]:
        """The names of the runs."""
        return [run.info.name for run in self.runs]

    @property
    def facts(self) -> str:
        """The runs in a line: a figure must be told apart when it travels alone."""
        if len(self.runs) > 1:
            return " · ".join(dict.fromkeys(run.info.name for run in self.runs))
        (run,) = self.runs
        info = run.info
        state = "" if info.status == "finished" else f" ({info.status})"
        return " · ".join((
            f"{info.name}{state}", info.host.hostname, f"{info.engine.name} {info.engine.version}",
            f"kernel {info.host.kernel}", f"cgroup v{info.engine.cgroup_version}",
        ))  # fmt: skip

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The points in the plan's order; where runs differ, by number."""
        points = [
            (axes.x_of(point), point.id)
            for run in self.runs
            for point in run.info.plan.points
            if point.axis == self.axis
        ]
        plans = {tuple(p.id for p in run.info.plan.points) for run in self.runs}
        if len(plans) > 1 and all(math.isfinite(x) for x, _ in points):
            points.sort(key=lambda pair: pair[0])
        return tuple(dict.fromkeys(point for _, point in points))

    @cached_property
    def points(self) -> pd.DataFrame:
        """``frames.points`` of this axis."""
        return self._own(self._frames.points)

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """``frames.estimates`` of this axis."""
        return self._own(self._frames.estimates)

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """``frames.verdicts`` of this axis."""
        return self._own(self._frames.verdicts)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """``frames.errors`` of this axis."""
        return self._own(self._frames.errors)

    @cached_property
    def growth(self) -> pd.DataFrame:
        """``frames.growth`` of this axis."""
        return self._own(self._frames.growth)

    def gaps(self, points: Collection[str]) -> pd.DataFrame:
        """``frames.gaps`` of the trials that count, of some points."""
        found = self._own(frames.gaps(*self.runs, points=points))
        return found[found["counts"]]

    def points_with_gaps(self) -> list[str]:
        """The points with gaps in a trial that counts, in order."""
        found: set[str] = set()
        for run in self.runs:
            for trial in run.trials:
                if trial.point_id not in found and judge_points.counts(trial):
                    insides = [c.inside for c in trial.containers if c.inside]
                    if any(one.gap_list or any(one.gap_histogram) for one in insides):
                        found.add(trial.point_id)
        return [point for point in self.order if point in found]

    def of(self, metric: str) -> pd.DataFrame:
        """The estimates of one metric."""
        return self.estimates[self.estimates["metric"] == metric]

    def counted(self, metric: str, *beside: str) -> pd.DataFrame:
        """The trials that count, where the metric was measured; with the metrics beside it."""
        trials = self._own(self._frames.trials(metric, *beside))
        return trials[trials["counts"] & trials[metric].notna()]

    def each(self) -> list[tuple[str, Material]]:
        """(label, material) of each run by itself."""
        if len(self.runs) == 1:
            return [(self.labels[self.runs[0].info.name], self)]
        return [(self.labels[run.info.name], replace(self, runs=(run,))) for run in self.runs]

    def only(self, names: Collection[str]) -> Material:
        """The same of some of the runs."""
        return replace(self, runs=tuple(run for run in self.runs if run.info.name in names))

    def found(self, finding: Callable[[Material], str]) -> str:
        """What is found in each run, in one line: once where it is the same."""
        said = {label: finding(one) for label, one in self.each()}
        different = list(dict.fromkeys(text for text in said.values() if text))
        if len(said) == 1 or not different:
            return different[0] if different else ""
        if len(different) == 1 and all(said.values()):
            both = "both" if len(said) == 2 else f"each of {len(said)}"
            return f"{different[0]} in {both} runs"
        parts = [f"{label}: {text}" for label, text in said.items() if text]
        return "; ".join([*parts[:3], *(["…"] if len(parts) > 3 else [])])

    def sheet(self, height: float, ratios: Sequence[float] = (1.0,)) -> Sheet:
        """Empty panels: a column a run."""
        return Sheet(height, ratios, [self.labels[run.info.name] for run in self.runs])

    def picture(self, name: str, sheet: Sheet, title: str, caption: str, alt: str) -> Picture:
        """The finished figure."""
        sheet.finish(title, self.facts)
        sheet.words = f"{title}. {alt}".strip()
        return Picture(name, title, caption, sheet.words, sheet)

    @property
    def option(self) -> str:
        """Docker's option that the axis varies; ``limits`` where it is several."""
        return axes.option(self.axis)

    def whose(self, row: Mapping[Any, Any]) -> str:
        """Which run a row is of, before what is told of it; empty where there is one run."""
        return f"{self.labels[row['run']]}, " if len(self.runs) > 1 else ""

    def name(self, value: str) -> str:
        """A point as it is asked for on Docker's command line: ``--cpus 0.5``."""
        said = f"{self.option} {value}" if self.axis in axes.AXES else value
        return said.replace(" ", NBSP)

    def _own(self, frame: pd.DataFrame) -> pd.DataFrame:
        names = {run.info.name for run in self.runs}
        return frame[(frame["axis"] == self.axis) & frame["run"].isin(names)]


def materials(runs: Sequence[Run]) -> list[Material]:
    """Everything that the figures of runs need, axis by axis, in any state of the runs."""
    if len(runs) > MOST_RUNS:
        raise UsageError(f"{len(runs)} are too many runs.", f"Name {MOST_RUNS} at the most.")
    own = distinct(runs)
    known = Frames(own)
    found = list(dict.fromkeys(p.axis for run in own for p in run.info.plan.points))
    names = labels(own)
    out = []
    for axis in found:
        mine = tuple(r for r in own if any(p.axis == axis for p in r.info.plan.points))
        out.append(
            Material(
                axis=axis, prefix=f"{axis}-" if len(found) > 1 else "", runs=mine, labels=names,
                _frames=known,
            )
        )  # fmt: skip
    return out


def distinct(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs with names that differ: hosts may have measured in the same second."""
    taken: set[str] = set()
    out = []
    for run in runs:
        name, number = run.info.name, 2
        while name in taken:
            name, number = f"{run.info.name} ({number})", number + 1
        taken.add(name)
        same = name == run.info.name
        out.append(run if same else run.telling(replace(run.info, name=name)))
    return tuple(out)


_BY_TIME = re.compile(r"\d{8}-\d{6}-")
"""How a run is called that nobody gave a name."""
_TELLING: Sequence[Callable[[RunInfo], str]] = (
    lambda info: info.host.hostname,
    lambda info: f"kernel {info.host.kernel}",
    lambda info: f"{info.engine.name} {info.engine.version}",
    lambda info: f"cgroup v{info.engine.cgroup_version}",
    lambda info: f"{info.engine.runtime} {info.engine.runtime_version}",
    lambda info: info.name if not _BY_TIME.match(info.name) else "",
    lambda info: info.created[:10],
    lambda info: info.created[:16].replace("T", " "),
)
"""What tells runs apart, the plainest first: where, on what, by a name that somebody gave, when."""


def labels(runs: Sequence[Run]) -> dict[str, str]:
    """Run's name → the facts in which it differs from the others, as few as will do."""
    names = [run.info.name for run in runs]
    if len(runs) < 2:
        return dict(zip(names, names, strict=True))
    parts: list[list[str]] = [[] for _ in runs]
    for fact in _TELLING:
        facts = [fact(run.info) for run in runs]
        if len(set(facts)) > 1:
            for own, said in zip(parts, facts, strict=True):
                # A moment says the day too, which may have been said already.
                own[:] = [part for part in own if not said.startswith(part)] + [said]
            joined = [", ".join(filter(None, own)) for own in parts]
            if len(set(joined)) == len(runs):
                return dict(zip(names, joined, strict=True))
    return dict(zip(names, names, strict=True))
