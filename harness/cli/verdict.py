"""How commands that compare understand ``--allow``, show what came out, and exit."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import output as files
from harness.errors import MeasurementError, UsageError
from harness.model import Change, Compared, Digest
from harness.report.comparison import Titles

if TYPE_CHECKING:
    from harness.store import Run

_EXIT = {Change.REGRESSED: 1, Change.INCONCLUSIVE: 3, Change.INCOMPARABLE: 3}


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a comparison goes."""

    as_json: bool = False
    every: bool = False
    markdown: Path | None = None
    junit: Path | None = None


def allowed(texts: Iterable[str]) -> frozenset[str]:
    """The facts that may differ; UsageError for a name that is none, with the nearest."""
    from harness.comparing import ALLOW_LAWS, FACTS

    known = (*FACTS, ALLOW_LAWS)
    found = {name.strip() for text in texts for name in text.split(",") if name.strip()}
    for name in sorted(found - {"all", *known}):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}, all."
        raise UsageError(f"--allow: there is no fact '{name}'.", hint)
    return frozenset(FACTS) | (found & {ALLOW_LAWS}) if "all" in found else frozenset(found)


def show(compared: Compared, titles: Titles, outputs: Outputs) -> None:
    """Print the comparison, and write the files that were asked for."""
    from harness.report import comparison

    if outputs.as_json:
        click.echo(json.dumps(comparison.as_json(compared, titles), indent=2))
    else:
        comparison.print_compared(compared, titles, every=outputs.every)
    if outputs.markdown is not None:
        files.write(outputs.markdown, comparison.as_markdown(compared, titles).encode())
    if outputs.junit is not None:
        files.write(outputs.junit, comparison.as_junit(compared, titles).encode())


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
            f"{trials - valid} of {trials} trials of {digest.run} do not count: {reason}.",
            "`bench doctor` tells what disturbs this host.",
        )


def show_sides(run: Run, outputs: Outputs, *, strict: bool) -> int:
    """Show an A/B run's two sides; the exit code."""
    from harness import comparing
    from harness.cli.reference import digested
    from harness.report.comparison import Titles

    a, b = (digested(run, side.name) for side in run.info.sides)
    # Whatever differs between the sides is what was put to the test.
    compared = comparing.compare(a, b, allow=(*comparing.FACTS, comparing.ALLOW_LAWS), ab=True)
    titles = Titles(*(f"{side.name}: {side.options}" for side in run.info.sides))
    show(compared, titles, outputs)
    refuse_invalid(a)
    refuse_invalid(b)
    return exit_code(compared) if strict else 0
