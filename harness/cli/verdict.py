"""How a command that compares gives its verdict.

What ``--allow`` means, how the comparison is shown, and the exit code.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import output as files
from harness.cli.terminal import show_page
from harness.errors import MeasurementError, UsageError
from harness.model import Change, Compared, Digest
from harness.show.report.comparison import Titles
from harness.wording import agreeing, counted

if TYPE_CHECKING:
    from harness.cli.ending import Ending
    from harness.store.runs import Run

_EXIT = {Change.REGRESSED: 1, Change.INCONCLUSIVE: 3, Change.INCOMPARABLE: 3}


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a comparison goes."""

    as_json: bool = False
    every: bool = False
    markdown: Path | None = None
    junit: Path | None = None
    end: Ending | None = None
    """Who else is told of it, where the command ends well."""


def allowed(texts: Iterable[str]) -> frozenset[str]:
    """What may differ from a baseline; UsageError for a name that is none, with the nearest."""
    from harness.comparison.changes import ALLOW_LAWS, FACTS

    return facts_of(texts, FACTS, ALLOW_LAWS)


def facts_of(texts: Iterable[str], facts: Collection[str], *more: str) -> frozenset[str]:
    """The names in an option's lists: of ``facts``, which ``all`` means, or one ``more``."""
    known = (*facts, *more)
    found = {name.strip() for text in texts for name in text.split(",") if name.strip()}
    for name in sorted(found - {"all", *known}):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}, all."
        raise UsageError(f"--allow: there is no fact '{name}'.", hint)
    return frozenset(facts) | (found & set(more)) if "all" in found else frozenset(found)


def show(compared: Compared, titles: Titles, outputs: Outputs) -> None:
    """Print the comparison, and write the files that were asked for."""
    from harness.show.report import comparison

    if outputs.as_json:
        click.echo(json.dumps(comparison.as_json(compared, titles), indent=2))
    else:
        show_page(comparison.Page(compared, titles, every=outputs.every))
    if outputs.markdown is not None:
        files.write(outputs.markdown, comparison.as_markdown(compared, titles).encode())
    if outputs.junit is not None:
        files.write(outputs.junit, comparison.as_junit(compared, titles).encode())
    if outputs.end is not None:
        outputs.end.came_to(compared, titles)


def exit_code(compared: Compared) -> int:
    """1 on a regression or a violated law, 3 where the verdict is open, else 0."""
    return 1 if compared.violations else _EXIT.get(compared.status, 0)


def refuse_invalid(digest: Digest) -> None:
    """MeasurementError where no trial or few of a run count: it says nothing of the host."""
    trials = sum(point.trials for point in digest.points)
    valid = sum(point.valid for point in digest.points)
    if not trials:
        raise MeasurementError(f"{digest.run} holds no trial.", "Measure again, or take another.")
    if 2 * valid < trials:
        reason = next(point.rejected for point in digest.points if point.rejected)
        raise MeasurementError(
            f"{trials - valid} of {counted(trials, 'trial')} of {digest.run} "
            f"{agreeing(trials - valid, 'does', 'do')} not count: {reason}.",
            "`bench doctor` tells what disturbs this host.",
        )


def show_sides(run: Run, outputs: Outputs, *, strict: bool) -> int:
    """Show an A/B run's two sides; the exit code."""
    from harness.cli.reference import digested
    from harness.comparison import changes
    from harness.show.report.comparison import Titles

    a, b = (digested(run, side.name) for side in run.info.sides)
    # Whatever differs between the sides is what was put to the test.
    compared = changes.compare(a, b, allow=(*changes.FACTS, changes.ALLOW_LAWS), ab=True)
    titles = Titles(*(f"{side.name}: {side.options}" for side in run.info.sides))
    show(compared, titles, outputs)
    refuse_invalid(a)
    refuse_invalid(b)
    return exit_code(compared) if strict else 0
