"""``bench compare``: two runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import claimed
from harness.cli.options import (
    all_option,
    allow_option,
    baselines_option,
    json_option,
    markdown_option,
    results_option,
    strict_option,
)
from harness.errors import ResultsError, UsageError
from harness.store import claims as claims_store
from harness.store import runs
from harness.store.claims import ClaimsRun


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
@markdown_option
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

    Of two runs of claims, or two documents of `bench claims --json`: whose verdict is another one.

    A and B are runs or baselines. An A/B run alone is compared side with side. The verdicts are
    those of `bench check`; the exit code is theirs under --strict. Else it is 3 where the two
    cannot be compared at all, and 4 where most trials of one do not count.
    """
    from harness.cli import verdict
    from harness.cli.reference import digested
    from harness.comparison import changes
    from harness.model import Change, Digest
    from harness.show.report.comparison import Titles
    from harness.store import baselines as store_baselines

    def of(name: str) -> Digest:
        try:
            run = runs.find(results, name)
        except ResultsError:
            if not (baselines / f"{name}.json").exists():
                raise
            return store_baselines.load(baselines, name).digest
        return digested(run)

    permitted = verdict.allowed(allow)
    claims = _of_claims(results, a, b)
    if claims is not None:
        if allow:
            raise UsageError("--allow is for runs of sweeps.", "Of claims every change is told.")
        return claimed.compare(
            *claims, claimed.Outputs(as_json=as_json, markdown=markdown), strict=strict
        )
    outputs = verdict.Outputs(as_json, every, markdown)
    if b is None:
        run = runs.find(results, a)
        if not run.info.sides:
            raise UsageError(f"{run.info.name} has no two sides.", "Name a second run.")
        return verdict.show_sides(run, outputs, strict=strict)
    before, after = of(a), of(b)
    noise = store_baselines.noise_of(baselines, before.fingerprint)
    compared = changes.compare(before, after, allow=permitted, noise=noise)
    verdict.show(compared, Titles("a", "b"), outputs)
    for one in (before, after):
        verdict.refuse_invalid(one)
    if strict:
        return verdict.exit_code(compared)
    return 3 if compared.status is Change.INCOMPARABLE else 0


def _of_claims(results: Path, a: str, b: str | None) -> tuple[ClaimsRun, ClaimsRun] | None:
    """Both as runs of claims; None where A is none. UsageError where B is missing."""
    if not claims_store.is_of_claims(results, a):
        return None
    if b is None:
        raise UsageError(f"{a} is a run of claims, which has no two sides.", "Name a second run.")
    return claims_store.find_former(results, a), claims_store.find_former(results, b)
