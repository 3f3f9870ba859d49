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

from harness.cli.dialogue import say
from harness.cli.first_figures import FirstFigures
from harness.cli.terminal import console
from harness.measure.runner import Listener
from harness.model import ForFind, Plan, PlannedTrial, RunInfo, TrialRecord
from harness.plan import build as planning
from harness.wording import agreeing, counted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def clock(seconds: float) -> str:
    """Seconds as people read them: ``45 s``, ``1 min 50 s``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def progress(info: RunInfo, done: int = 0) -> Iterator[Listener]:
    """A listener that fits where stderr goes; ``done`` are the trials that are there already.

    A search for a limit does not know how many trials it takes: it says where it has come to. A
    sweep, which shows its table at its end alone, tells the first figures of each point.
    """
    plan, purpose = info.plan, info.purpose
    if isinstance(purpose, ForFind):
        click.echo(
            f"First {counted(len(plan.trials), 'trial')} over the whole range, then where it is "
            f"open, {clock(purpose.budget_s)} at the most; Ctrl-C keeps what is done.",
            err=True,
        )
        yield _Search()
        return
    remaining = _Remaining(plan, done)
    left = remaining.text(done, max(done, len(plan.trials)))
    there = (
        f"{counted(done, 'trial')} {agreeing(done, 'is', 'are')} there already; " if done else ""
    )
    click.echo(
        f"{counted(len(plan.points), 'point')} x {counted(plan.repeats, 'trial')}, {there}about "
        f"{left}; Ctrl-C keeps what is done.",
        err=True,
    )
    first = FirstFigures(info) if purpose is None and not done else None
    if not sys.stderr.isatty():
        yield _Lines(plan, remaining, first)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(
        *columns, console=console(stderr=True), auto_refresh=False, transient=True, expand=True
    ) as bar:
        task = bar.add_task("starting", total=len(plan.trials), completed=done, left=left)
        yield _Bar(remaining, bar, task, first)


class _Remaining:
    """The time left, from what the trials so far took."""

    def __init__(self, plan: Plan, done: int) -> None:
        self._per_trial = planning.estimated_s(plan) / len(plan.trials)
        self._before, self._since = done, time.monotonic()

    def text(self, done: int, total: int) -> str:
        if done > self._before:
            self._per_trial = (time.monotonic() - self._since) / (done - self._before)
        return f"{clock(self._per_trial * (total - done))} left"


class _Shown(Listener):
    def engine_gone(self, why: str, waits_s: float) -> None:
        say(f"{why[0].upper()}{why[1:]} Waiting up to {clock(waits_s)} for it.")

    def goes_on(self, why: str) -> None:
        say(f"Going on: {why}.")

    def busy(self, why: str, waits_s: float) -> None:
        say(f"Paused: {why}. Waiting up to {clock(waits_s)} for a calm host.")

    def calm(self, waited_s: float, *, again: bool) -> None:
        why = "the host is calm" if again else "the budget leaves no more time to wait"
        say(f"Resumed after {clock(waited_s)}: {why}.")


class _Search(_Shown):
    """The bracket, as often as it moves."""

    _where = ""

    def goes_on(self, why: str) -> None:
        where, _, _ = why.partition(" (")
        if where != self._where:
            self._where = where
            say(f"{why}.")


class _Bar(_Shown):
    def __init__(
        self, remaining: _Remaining, bar: Progress, task: TaskID, first: FirstFigures | None
    ) -> None:
        self._bar, self._task = bar, task
        self._remaining, self._first = remaining, first

    def finished(self, record: TrialRecord, done: int, total: int) -> None:
        if self._first and (said := self._first.of(record)):
            self._bar.console.print(said, markup=False, highlight=False)

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


class _Lines(_Shown):
    def __init__(self, plan: Plan, remaining: _Remaining, first: FirstFigures | None) -> None:
        self._block = len(plan.points)
        self._remaining, self._first = remaining, first

    def finished(self, record: TrialRecord, done: int, total: int) -> None:
        if self._first and (said := self._first.of(record)):
            click.echo(said, err=True)
        if done % self._block == 0 or done == total:
            left = self._remaining.text(done, total)
            click.echo(f"{done} of {counted(total, 'trial')} done, {left}", err=True)
