"""Progress of a sweep on stderr: a bar on a terminal, a line a block elsewhere.

Nothing is drawn while a window is measured: the bar is redrawn when a trial has become ready,
which is at most once a trial. A thread that redraws would take CPU from what is measured.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from harness import plan as planning
from harness.model import Plan, PlannedTrial, TrialRecord
from harness.runner import Observer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def clock(seconds: float) -> str:
    """Seconds as people read them: ``45 s``, ``1 min 50 s``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def progress(plan: Plan) -> Iterator[Observer]:
    """An observer that fits where stderr goes."""
    left = clock(planning.estimated_s(plan))
    click.echo(
        f"{len(plan.points)} points x {plan.repeats} trials, about {left}; "
        "Ctrl-C keeps what is done.",
        err=True,
    )
    if not sys.stderr.isatty():
        yield _Lines(plan)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(
        *columns, console=Console(stderr=True), auto_refresh=False, transient=True, expand=True
    ) as bar:
        task = bar.add_task("starting", total=len(plan.trials), left=f"{left} left")
        yield _Bar(plan, bar, task)


class _Remaining:
    """The time left, from what the trials so far took."""

    def __init__(self, plan: Plan) -> None:
        self._per_trial = planning.estimated_s(plan) / len(plan.trials)
        self._since = time.monotonic()

    def text(self, done: int, total: int) -> str:
        if done:
            self._per_trial = (time.monotonic() - self._since) / done
        return f"{clock(self._per_trial * (total - done))} left"


class _Bar(Observer):
    def __init__(self, plan: Plan, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task
        self._remaining = _Remaining(plan)

    def phase(self, planned: PlannedTrial, done: int, total: int, phase: str) -> None:
        if phase != "measuring":
            return
        left = self._remaining.text(done, total)
        self._bar.update(
            self._task,
            description=f"measuring {planned.point_id}",
            completed=done,
            total=total,
            left=left,
        )
        self._bar.refresh()


class _Lines(Observer):
    def __init__(self, plan: Plan) -> None:
        self._block = len(plan.points)
        self._remaining = _Remaining(plan)

    def finished(self, record: TrialRecord, done: int, total: int) -> None:
        if done % self._block == 0 or done == total:
            left = self._remaining.text(done, total)
            click.echo(f"{done} of {total} trials done, {left}", err=True)
