"""``bench compare``: two runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from harness import store
from harness.cli.options import (
    all_option,
    allow_option,
    baselines_option,
    json_option,
    results_option,
    strict_option,
)
from harness.errors import ResultsError, UsageError


@click.command(
    epilog="""
\b
Examples:
  bench compare before after --allow kernel
  bench compare default 20261125-101500-cpu      a baseline and a run
  bench compare 20261125-101500-ab               the two sides of an A/B run
"""
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@allow_option
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a summary in Markdown too.")  # fmt: skip
@strict_option
@all_option
@results_option
@baselines_option
@json_option
def compare(
    a: str,
    b: str | None,
    allow: tuple[str, ...],
    markdown: Path | None,
    strict: bool,
    every: bool,
    results: Path,
    baselines: Path,
    as_json: bool,
) -> int:
    """Compare two runs: for each point the change, its interval, the adjusted p, and the verdict.

    A and B are runs or baselines. An A/B run alone is compared side with side. The verdicts are
    those of `bench check`; the exit code is theirs under --strict. Else it is 3 where the two
    cannot be compared at all, and 4 where most trials of one do not count.
    """
    from harness import baseline, comparing
    from harness.cli import verdict
    from harness.cli.reference import digested
    from harness.model import Change, Digest
    from harness.report.comparison import Titles

    def of(name: str) -> Digest:
        try:
            run = store.find(results, name)
        except ResultsError:
            if not (baselines / f"{name}.json").exists():
                raise
            return baseline.load(baselines, name).digest
        return digested(run)

    permitted = verdict.allowed(allow)
    outputs = verdict.Outputs(as_json, every, markdown)
    if b is None:
        run = store.find(results, a)
        if not run.info.sides:
            raise UsageError(f"{run.info.name} has no two sides.", "Name a second run.")
        return verdict.show_sides(run, outputs, strict=strict)
    before, after = of(a), of(b)
    noise = baseline.noise_of(baselines, before.fingerprint)
    compared = comparing.compare(before, after, allow=permitted, noise=noise)
    verdict.show(compared, Titles("a", "b"), outputs)
    for one in (before, after):
        verdict.refuse_invalid(one)
    if strict:
        return verdict.exit_code(compared)
    return 3 if compared.status is Change.INCOMPARABLE else 0
