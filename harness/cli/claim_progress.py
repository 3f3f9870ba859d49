"""Progress of a run of claims on stderr: a bar on a terminal, else a line at times.

Nothing is drawn while an experiment is made: it would take CPU from what may be measured.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from harness.claims.claim import Claim
from harness.claims.run import Listener
from harness.cli.progress import clock
from harness.cli.terminal import console
from harness.model import ClaimResult
from harness.wording import counted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_CLAIM_S = 2.0
"""What one takes about: few are measured in several trials, most look at one container."""
_LINE_S = 15.0


@contextmanager
def progress(total: int) -> Iterator[Listener]:
    """A listener that fits where stderr goes."""
    click.echo(
        f"{counted(total, 'claim')}, about {clock(_CLAIM_S * total)}; Ctrl-C keeps what is found.",
        err=True,
    )
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
    )
    with Progress(
        *columns, console=console(stderr=True), auto_refresh=False, transient=True, expand=True
    ) as bar:
        yield _Bar(bar, bar.add_task("starting", total=total))


class _Bar(Listener):
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def begun(self, claim: Claim, done: int, total: int) -> None:
        self._bar.update(self._task, description=claim.id, completed=done, total=total)
        self._bar.refresh()


class _Lines(Listener):
    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def finished(self, result: ClaimResult, done: int, total: int) -> None:
        if time.monotonic() - self._said_at >= _LINE_S or done == total:
            self._said_at = time.monotonic()
            click.echo(f"{done} of {counted(total, 'claim')} done", err=True)
