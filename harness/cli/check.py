"""``bench check``: do limits still behave as they should?

As they did when the baseline was made, and as the laws promise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.alone import no_wait_option, obtain_alone
from harness.cli.device import device_option
from harness.cli.dialogue import say
from harness.cli.ending import told
from harness.cli.going_on import budget_of, budget_option, calmly, comparer, queue_of, with_room
from harness.cli.measuring import begin, execute, refuse_to_starve
from harness.cli.options import (
    Share,
    all_option,
    allow_option,
    baselines_option,
    engine_host_option,
    json_option,
    junit_option,
    markdown_option,
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
from harness.comparison.digest import fingerprint
from harness.errors import ComparisonError
from harness.model import ForCheck
from harness.plan.axes import Options
from harness.store import folder, runs

if TYPE_CHECKING:
    from harness.cli.ending import Ending
    from harness.cli.verdict import Outputs
    from harness.engine.boundary import Engine
    from harness.model import Fingerprint, Plan
    from harness.store.runs import Run


@click.command(
    epilog="""
\b
Examples:
  bench check                            the points of the baseline 'default', again
  bench check --sweep shares             those of a sweep; without a baseline, its laws
  bench check 20261125-101500-cpu        a run that is there already
  bench check --found 20261125-101500-find-cpus
                                         a limit that was found: does it still do?
  bench check --against v24 --allow engine,runtime
                                         what differs is what is put to the test
  bench check --junit check.xml --markdown check.md
  bench check --openmetrics /var/lib/prometheus/node-exporter/limitbench.prom
"""
)
@click.argument("run", required=False)
@click.option("--against", metavar="NAME", help="The baseline.  [default: 'default' if there is "
              "such a one, else the laws alone]")  # fmt: skip
@click.option("--sweep", "sweep_name", metavar="AXIS|all|FILE.toml", help="What to measure.  "
              "[default: the baseline's points, or cpu]")  # fmt: skip
@click.option("--found", metavar="RUN", help="Measure the answer of that `bench find` again: does "
              "the goal still hold there?")  # fmt: skip
@click.option("--values", metavar="LIST", help="Of --sweep: values of the limit.")
@click.option("--repeats", type=int, help=f"Trials of each point.  [default: {REPEATS}]")
@click.option("--until", type=Share(), metavar="PERCENT", help="Go on until each interval is "
              "±PERCENT wide or narrower, e.g. 0.5%.")  # fmt: skip
@budget_option
@click.option("--duration", "duration_s", type=float, metavar="SECONDS", help="Of --sweep: length "
              "of the window.")  # fmt: skip
@click.option("--seed", type=int, help="Seed of the trials' order.  [default: 1]")
@allow_option
@junit_option
@markdown_option
@all_option
@device_option
@no_wait_option
@engine_host_option
@results_option
@baselines_option
@json_option
@told
def check(
    run: str | None,
    against: str | None,
    sweep_name: str | None,
    found: str | None,
    allow: tuple[str, ...],
    junit: Path | None,
    markdown: Path | None,
    every: bool,
    engine_host: str | None,
    results: Path,
    baselines: Path,
    budget: float | None,
    as_json: bool,
    end: Ending,
    **options: Any,
) -> int:
    """Tell whether limits still behave as they did, and as they should.

    Measures, or takes RUN, and compares it with a baseline: a metric has regressed where its change
    is significant and wholly beyond what matters. Where that is open it goes on by itself, and it
    waits while others use the host's CPUs. Without a baseline the laws alone are judged.

    Exits 0 where all is well, 1 on a regression or a violated law, 3 where too little is known or
    the baseline is missing or not comparable, 4 where host, engine or measurement are unfit.
    """
    from harness.cli import verdict

    if found is not None:
        from harness.cli.still import check_found

        # What is compared with a baseline is not what is asked here.
        others = {
            "run": run, "against": against, "sweep": sweep_name, "allow": allow, "junit": junit,
            "markdown": markdown, "all": every, "budget": budget, "github": end.github,
            "openmetrics": end.openmetrics, "duration": options["duration_s"],
        }  # fmt: skip
        theirs = {name: options[name] for name in ("values", "until", "repeats", "seed")}
        return check_found(found, engine_host, results, {**others, **theirs}, as_json=as_json)
    permitted = verdict.allowed(allow)
    refuse_useless({"sweep_name": sweep_name, "budget": budget, **options}, there=run is not None)
    held = reference(against, baselines)
    end.about(held)
    if run is not None:
        measured = runs.find(results, run)
    else:
        factor = budget_of(budget, options["until"])
        folder.prepare_root(results)  # before others are waited for
        plan, engine = _prepare(held, sweep_name, engine_host, permitted, options_of(options))
        refuse_to_starve(plan)
        against = None if held.digest is None else held.name
        purpose = ForCheck(against=against, allow=tuple(sorted(permitted)), budget=factor)
        plan = with_room(plan, factor)
        kept, where = begin(plan, engine, results, purpose=purpose)
        queue, left = queue_of(kept.info, comparer(held, permitted, baselines))
        measured = runs.load(execute(kept, calmly(where, kept.info, left), queue=queue))
        say(f"Kept in {measured.path}")
    return conclude(
        measured, held, permitted, baselines, verdict.Outputs(as_json, every, markdown, junit, end)
    )


def conclude(
    found: Run, held: Reference, permitted: frozenset[str], baselines: Path, outputs: Outputs
) -> int:
    """Show what a whole run says beside what it is compared with; the exit code."""
    from harness.cli import verdict
    from harness.show.report.comparison import Titles

    after = digested(found)
    compared = comparer(held, permitted, baselines)(after)
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
    from harness.engine.docker_engine import DockerEngine
    from harness.host import identity

    (connection,) = obtain_alone(engine_host)
    engine = DockerEngine(connection)
    facts, host_facts = engine.facts(), identity.facts()
    if held.digest is not None:
        # Before the plan: that another host has too few CPUs for the baseline's points is no news.
        own = [one.point for one in held.digest.points]
        workload = engine.prepare_images(
            spec.workload for point in own for spec in point.containers
        )
        _refuse_another_host(held, fingerprint(host_facts, facts, workload, own), permitted)
    plan = plan_of(held, sweep_name, options, facts.cpus_to_give)
    if held.digest is not None:
        _refuse_other_points(held, plan)
    return plan, engine


def _refuse_another_host(held: Reference, now: Fingerprint, permitted: frozenset[str]) -> None:
    from harness.comparison import changes, words

    assert held.digest is not None
    found = changes.differences(held.digest.fingerprint, now, permitted)
    refused = [one for one in found if not one.allowed]
    if refused:
        names = ",".join(one.fact for one in refused)
        raise ComparisonError(
            f"the baseline '{held.name}' is not comparable: {words.differing(refused)}.",
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
