"""``bench sweep``: plan, run, store, summarise."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import plan as planning
from harness import store
from harness.cli.options import engine_host_option, json_option, results_option
from harness.errors import MeasurementError
from harness.model import Plan, Status

if TYPE_CHECKING:
    from harness.engine import Engine
    from harness.report.view import View

_AXES = "\n".join(f"  {axis.name:<8} {axis.option:<14} {axis.summary}" for axis in planning.AXES.values())


@click.command(
    epilog="\b\nAxes:\n"
    + _AXES
    + """

\b
Examples:
  bench sweep cpu                         5 values of --cpus, 5 trials each, under 2 minutes
  bench sweep cpu --quick                 a first look in half a minute
  bench sweep cpu --values 0.1,0.5 --repeats 10
  bench sweep cpu --dry-run               what would be done, and how long it takes
"""
)
@click.argument("axis")
@click.option("--values", metavar="LIST", help="Values of the limit, e.g. 0.25,0.5,1. Default: "
              "some that fit the host.")  # fmt: skip
@click.option("--repeats", type=int, help="Trials of each value.  [default: 5; 3 with --quick]")
@click.option("--duration", "duration_s", type=float, metavar="SECONDS",
              help="Length of the measured window, rounded up to whole quota periods.  "
              "[default: 3; 1 with --quick]")  # fmt: skip
@click.option("--warmup", "warmup_s", type=float, metavar="SECONDS",
              help="Time under load before the window.  [default: 0.5]")  # fmt: skip
@click.option("--threads", type=int, help="Threads that want CPU.  [default: enough to want more "
              "than the limit]")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the trials' order.")
@click.option("--cadence", "cadence_hz", type=float, default=50.0, show_default=True,
              metavar="HZ", help="Samples a second, for timelines; totals do not depend on "
              "it.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Fewer and shorter trials: wide intervals.")
@click.option("--dry-run", is_flag=True, help="Print the plan and its time; start nothing.")
@click.option("--strict", is_flag=True, help="Exit 1 where a law is violated, 3 where a point is "
              "inconclusive.")  # fmt: skip
@engine_host_option
@results_option
@json_option
def sweep(
    axis: str,
    results: Path,
    engine_host: str | None,
    dry_run: bool,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Measure containers under a range of one limit, beside what the limit promises.

    Each value is measured in several containers, one after another in random order. Results are
    kept in a folder of their own after every trial; Ctrl-C keeps the finished ones.
    """
    from harness import host
    from harness.engine import DockerEngine, find_engine, obtain_engine

    planning.find_axis(axis)
    chosen = planning.Options(command=_command_line(), **options)
    connection = find_engine(engine_host)
    # Without an engine yet, the private one would have this host's CPUs: a plan that cannot work
    # is refused before anything is installed or started.
    cpus = DockerEngine(connection).facts().cpus if connection else host.facts().cpus
    plan = planning.build(axis, chosen, host_cpus=cpus)
    if dry_run:
        _print_plan(plan, as_json)
        return 0
    store.prepare_root(results)
    engine = DockerEngine(connection or obtain_engine(engine_host, _say))
    return _execute(plan, engine, results, strict=strict, as_json=as_json)


def _execute(
    plan: Plan, engine: Engine, results: Path, *, strict: bool, as_json: bool
) -> int:
    from harness import host, runner
    from harness.cli.progress import progress

    facts, host_facts = engine.facts(), host.facts()
    workload = engine.prepare_image()
    run = store.create(results, plan, host=host_facts, engine=facts, workload=workload)
    where = runner.real_surroundings(engine, facts, host_facts)
    try:
        with progress(plan) as observer:
            runner.run_plan(plan, run.info.name, where, run.keep, observer)
    except KeyboardInterrupt:
        run.finish("interrupted")
        _print_run(run.path, as_json)
        raise
    except Exception as error:
        run.finish("failed", str(error))
        _print_run(run.path, as_json)
        raise
    run.finish("finished")
    return _exit_code(_print_run(run.path, as_json), strict=strict)


def _exit_code(view: View, *, strict: bool) -> int:
    if not any(row.summary.valid for row in view.rows):
        raise MeasurementError(
            f"no trial of {view.run.info.name} counts: {view.rejected[0]}.",
            "`bench doctor` tells what disturbs this host.",
        )
    if strict:
        return {Status.DEVIATES: 1, Status.INCONCLUSIVE: 3}.get(view.status, 0)
    return 0


def _print_run(path: Path, as_json: bool) -> View:
    from harness.report import view as views

    view = views.build(store.load(path))
    if as_json:
        click.echo(json.dumps(views.as_json(view), indent=2))
    else:
        from harness.report import terminal

        terminal.print_view(view)
        click.echo(f"\nKept in {path}\nNext:   bench report {path.name}")
    return view


def _print_plan(plan: Plan, as_json: bool) -> None:
    from harness.engine import engine_settings

    settings = [
        (point.id, spec.threads, engine_settings(spec.limits))
        for point in plan.points
        for spec in point.containers
    ]
    estimated_s = planning.estimated_s(plan)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "sweep": plan.sweep,
                    "containers": [
                        {"point": point, "threads": threads, "engine": given}
                        for point, threads, given in settings
                    ],
                    "trials": len(plan.trials),
                    "repeats": plan.repeats,
                    "warmup_s": plan.warmup_s,
                    "duration_s": plan.duration_s,
                    "seed": plan.seed,
                    "order": [trial.point_id for trial in plan.trials],
                    "estimated_s": estimated_s,
                },
                indent=2,
            )
        )
        return
    for point, threads, given in settings:
        words = ", ".join(f"{key}={value}" for key, value in given.items())
        click.echo(f"{point:<12} {threads} thread{'s' * (threads > 1)}  {words}")
    click.echo(
        f"\n{len(plan.points)} points x {plan.repeats} trials, each {plan.warmup_s:g} s of warm-up "
        f"and {plan.duration_s:g} s measured: about {estimated_s / 60:.1f} minutes. Seed {plan.seed}."
    )


def _say(text: str) -> None:
    click.echo(text, err=True)


def _command_line() -> str:
    return shlex.join(["bench", *sys.argv[1:]])
