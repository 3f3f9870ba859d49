"""``bench check``: do limits still behave as they did, and as they should?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import store
from harness.axes import Options
from harness.cli.dialogue import asker, say
from harness.cli.measuring import measure, refuse_to_starve
from harness.cli.options import (
    Share,
    all_option,
    allow_option,
    baselines_option,
    engine_host_option,
    json_option,
    results_option,
)
from harness.cli.reference import (
    REPEATS,
    Reference,
    digested,
    options_of,
    plan_of,
    reference,
    refuse_useless,
)
from harness.digest import fingerprint
from harness.errors import ComparisonError

if TYPE_CHECKING:
    from harness.engine import Engine
    from harness.model import Fingerprint, Plan


@click.command(
    epilog="""
\b
Examples:
  bench check                            the points of the baseline 'default', again
  bench check --sweep shares             those of a sweep; without a baseline, its laws
  bench check 20261125-101500-cpu        a run that is there already
  bench check --against v24 --allow engine,runtime
                                         what differs is what is put to the test
  bench check --junit check.xml --markdown "$GITHUB_STEP_SUMMARY"
"""
)
@click.argument("run", required=False)
@click.option("--against", metavar="NAME", help="The baseline.  [default: 'default' if there is "
              "such a one, else the laws alone]")  # fmt: skip
@click.option("--sweep", "sweep_name", metavar="AXIS|all|FILE.toml", help="What to measure.  "
              "[default: the baseline's points, or cpu]")  # fmt: skip
@click.option("--values", metavar="LIST", help="Of --sweep: values of the limit.")
@click.option("--repeats", type=int, help=f"Trials of each point.  [default: {REPEATS}]")
@click.option("--until", type=Share(), metavar="PERCENT", help="Go on until each interval is "
              "±PERCENT wide or narrower, e.g. 0.5%.")  # fmt: skip
@click.option("--duration", "duration_s", type=float, metavar="SECONDS", help="Of --sweep: length "
              "of the window.")  # fmt: skip
@click.option("--seed", type=int, help="Seed of the trials' order.  [default: 1]")
@allow_option
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write JUnit XML too.")  # fmt: skip
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a summary in Markdown too.")  # fmt: skip
@all_option
@engine_host_option
@results_option
@baselines_option
@json_option
def check(
    run: str | None,
    against: str | None,
    sweep_name: str | None,
    allow: tuple[str, ...],
    junit: Path | None,
    markdown: Path | None,
    every: bool,
    engine_host: str | None,
    results: Path,
    baselines: Path,
    as_json: bool,
    **options: Any,
) -> int:
    """Tell whether limits still behave as they did, and as they should.

    Measures, or takes RUN, and compares it with a baseline: a metric has regressed where its change
    is significant and wholly beyond what matters. Without a baseline the laws alone are judged.

    Exits 0 where all is well, 1 on a regression or a violated law, 3 where too little is known or
    the baseline is missing or not comparable, 4 where host, engine or measurement are unfit.
    """
    from harness import baseline, comparing
    from harness.cli import verdict
    from harness.report.comparison import Titles

    permitted = verdict.allowed(allow)
    refuse_useless({"sweep_name": sweep_name, **options}, there=run is not None)
    held = reference(against, baselines)
    if run is not None:
        found = store.find(results, run)
    else:
        plan, engine = _prepare(held, sweep_name, engine_host, permitted, options_of(options))
        refuse_to_starve(plan)
        store.prepare_root(results)
        found = store.load(measure(plan, engine, results))
        say(f"Kept in {found.path}")
    after = digested(found)
    if held.digest is None:
        compared = comparing.laws_alone(after)
    else:
        noise = baseline.noise_of(baselines, held.digest.fingerprint)
        compared = comparing.compare(held.digest, after, allow=permitted, noise=noise)
    outputs = verdict.Outputs(as_json, every, markdown, junit)
    verdict.show(compared, Titles(f"baseline '{held.name}'", "now"), outputs)
    verdict.refuse_invalid(after)
    return verdict.exit_code(compared)


def _prepare(
    held: Reference,
    sweep_name: str | None,
    engine_host: str | None,
    permitted: frozenset[str],
    options: Options,
) -> tuple[Plan, Engine]:
    """The plan and the engine; ComparisonError where it would be measured in vain."""
    from harness import host
    from harness.engine import DockerEngine, obtain_engine

    engine = DockerEngine(obtain_engine(engine_host, say, asker()))
    facts, host_facts = engine.facts(), host.facts()
    if held.digest is not None:
        # Before the plan: that another host has too few CPUs for the baseline's points is no news.
        own = [one.point for one in held.digest.points]
        workload = engine.prepare_images(
            spec.workload for point in own for spec in point.containers
        )
        _refuse_another_host(held, fingerprint(host_facts, facts, workload, own), permitted)
    plan = plan_of(held, sweep_name, options, facts.cpus)
    if held.digest is not None:
        _refuse_other_points(held, plan)
    return plan, engine


def _refuse_another_host(held: Reference, now: Fingerprint, permitted: frozenset[str]) -> None:
    from harness import comparing

    assert held.digest is not None
    found = comparing.differences(held.digest.fingerprint, now, permitted)
    refused = [one for one in found if not one.allowed]
    if refused:
        names = ",".join(one.fact for one in refused)
        raise ComparisonError(
            f"the baseline '{held.name}' is not comparable: {comparing.differing(refused)}.",
            f"If that is what you put to the test: --allow {names}; else set a baseline here.",
        )


def _refuse_other_points(held: Reference, plan: Plan) -> None:
    assert held.digest is not None
    known = {one.point.id for one in held.digest.points}
    if not known & {point.id for point in plan.points}:
        raise ComparisonError(
            f"the baseline '{held.name}' has none of the points of this sweep.",
            "Name another with --against, or leave --sweep away.",
        )
