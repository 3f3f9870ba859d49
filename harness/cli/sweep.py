"""``bench sweep``: plan, run, store, summarise."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness import axes, store
from harness import plan as planning
from harness.cli.dialogue import asker, say
from harness.cli.limits import fixed_limits_options, take_fixed
from harness.cli.measuring import measure, refuse_to_starve
from harness.cli.options import Share, engine_host_option, json_option, results_option
from harness.errors import MeasurementError
from harness.limits import format_size
from harness.model import Plan, Program, Status, Workload

if TYPE_CHECKING:
    from harness.engine import Engine
    from harness.report.view import View

_AXES = "\n".join(
    f"  {axis.name:<8} {axis.option:<14} {axis.summary}" for axis in axes.AXES.values()
)


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
  bench sweep shares --values 1024:512,3072:1024
  bench sweep period --ratio 0.25 --cpuset-cpus 0
"""
)
@click.argument("sweep_name", metavar="AXIS|all|FILE.toml")
@click.option("--values", metavar="LIST", help="Values of the limit, e.g. 0.25,0.5,1. Default: "
              "some that fit the host.")  # fmt: skip
@click.option("--repeats", type=int, help="Trials of each value.  [default: 5; 3 with --quick]")
@click.option("--until", type=Share(), metavar="PERCENT", help="Go on until each interval is "
              "±PERCENT wide or narrower, e.g. 1%.")  # fmt: skip
@click.option("--most-repeats", type=int, metavar="N", help="With --until: trials of each value "
              "at the most.  [default: 50]")  # fmt: skip
@click.option("--duration", "duration_s", type=float, metavar="SECONDS",
              help="Length of the measured window, rounded up to whole quota periods.  "
              "[default: 3; 1 with --quick]")  # fmt: skip
@click.option("--warmup", "warmup_s", type=float, metavar="SECONDS",
              help="Time under load before the window.  [default: 0.5, or 5 quota "
              "periods]")  # fmt: skip
@click.option("--threads", type=int, help="Threads that want CPU.  [default: enough to want more "
              "than the limit]")  # fmt: skip
@click.option("--ratio", type=float, metavar="CPUS", help="Of the period sweep: quota / period.  "
              "[default: 0.5]")  # fmt: skip
@click.option("--workload", metavar="NAME", help="Of the cpu, quota and period sweeps: spin (full "
              "load), burst (response times), stress-ng, or FILE.toml of your own.  "
              "[default: spin]")  # fmt: skip
@click.option("--seed", type=int, help="Seed of the trials' order.  [default: 1]")
@click.option("--cadence", "cadence_hz", type=float, metavar="HZ", help="Samples a second, for "
              "timelines; totals do not depend on it.  [default: 50]")  # fmt: skip
@click.option("--quick", is_flag=True, help="Fewer and shorter trials: wide intervals.")
@click.option("--dry-run", is_flag=True, help="Print the plan and its time; start nothing.")
@click.option("--strict", is_flag=True, help="Exit 1 where a law is violated, 3 where a point is "
              "inconclusive.")  # fmt: skip
@click.option("--force", is_flag=True, help="Sweep memory even where it takes more than half of "
              "what is free.")  # fmt: skip
@fixed_limits_options
@engine_host_option
@results_option
@json_option
def sweep(
    sweep_name: str,
    results: Path,
    engine_host: str | None,
    dry_run: bool,
    strict: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Measure containers under a range of one limit, beside what the limit promises.

    AXIS is one of those below; `all` sweeps each of them; a TOML file combines limits and
    workloads, in the form that docs/sweeps.md describes.

    Each value is measured in several containers, one after another in random order. Results are
    kept in a folder of their own after every trial; Ctrl-C keeps the finished ones.
    """
    from harness import host
    from harness.engine import DockerEngine, find_engine, obtain_engine

    name, chosen, points_of = _understood(sweep_name, options)
    connection = find_engine(engine_host)
    # Without an engine yet, the private one would have this host's CPUs: a plan that cannot work
    # is refused before anything is installed or started.
    cpus = DockerEngine(connection).facts().cpus if connection else host.facts().cpus
    plan = planning.build(name, chosen, host_cpus=cpus, points_of=points_of)
    if dry_run:
        _print_plan(plan, as_json)
        return 0
    if not force:
        refuse_to_starve(plan, otherwise=", or take the risk: --force")
    store.prepare_root(results)
    engine = DockerEngine(connection or obtain_engine(engine_host, say, asker()))
    return _execute(plan, engine, results, strict=strict, as_json=as_json)


def _understood(
    name: str, options: dict[str, Any]
) -> tuple[str, axes.Options, planning.PointsOf | None]:
    """The sweep's name, its options, and what makes its points where a file does."""
    chosen = axes.Options(command=_command_line(), fixed=take_fixed(options), **options)
    if chosen.workload not in (None, "spin", "burst"):
        path = str(chosen.workload)
        chosen = replace(chosen, workload=Path(path).stem, program=program(path))
    if name.endswith(".toml"):
        from harness import sweepfile

        # What the settings file says is weaker than the sweep's own file.
        weak: dict[str, Any] = {key: getattr(chosen, key) for key in _from_settings() & _MERGED}
        nothing: dict[str, Any] = dict.fromkeys(weak)
        strong = replace(chosen, **nothing)
        found = sweepfile.load(Path(name), strong, program)
        given = found.options
        filled = {key: value for key, value in weak.items() if getattr(given, key) is None}
        return found.name, replace(given, **filled), found.points
    if name != planning.ALL:
        axes.find(name)
    return name, chosen, None


_MERGED = {"repeats", "duration_s", "warmup_s", "seed", "cadence_hz", "threads"}
"""Options that a sweep's own file may set too."""


def _from_settings() -> set[str]:
    """The options that neither the command line nor the environment has set."""
    ctx = click.get_current_context()
    return {
        name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
    }


def program(name: str) -> Program:
    """A workload that is not the probe's, by its name or file."""
    from harness import programs
    from harness.engine import workloads_root

    return programs.find(name, workloads_root())


def _execute(plan: Plan, engine: Engine, results: Path, *, strict: bool, as_json: bool) -> int:
    def ended_early(path: Path) -> None:
        _print_run(path, as_json)

    path = measure(plan, engine, results, ended_early=ended_early)
    return _exit_code(_print_run(path, as_json), strict=strict)


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

    estimated_s = planning.estimated_s(plan)
    if as_json:
        document = {
            "sweep": plan.sweep,
            "points": [
                {
                    "point": point.id,
                    "warmup_s": point.warmup_s,
                    "duration_s": point.duration_s,
                    "containers": [
                        {
                            "workload": spec.workload.name,
                            "threads": spec.workload.threads,
                            "engine": engine_settings(spec.limits),
                        }
                        for spec in point.containers
                    ],
                }
                for point in plan.points
            ],
            "trials": len(plan.trials),
            "repeats": plan.repeats,
            "seed": plan.seed,
            "order": [trial.point_id for trial in plan.trials],
            "estimated_s": estimated_s,
        }
        click.echo(json.dumps(document, indent=2))
        return
    width = max(len(point.id) for point in plan.points)
    for point in plan.points:
        times = f"{point.warmup_s:g} s + {point.duration_s:g} s"
        for i, spec in enumerate(point.containers):
            settings = engine_settings(spec.limits).items()
            words = ", ".join(f"{key}={value}" for key, value in settings) or "no limit"
            click.echo(
                f"{point.id if i == 0 else '':<{width}}  {times if i == 0 else '':<13} "
                f"{_load(spec.workload)}: {words}"
            )
    click.echo(
        f"\n{len(plan.points)} points x {plan.repeats} trials = {len(plan.trials)} trials (warm-up "
        f"+ window of each as above): about {estimated_s / 60:.1f} minutes. Seed {plan.seed}."
    )


def _load(workload: Workload) -> str:
    """What runs in a container, in words."""
    threads = f"{workload.threads} thread{'s' * (workload.threads > 1)}"
    if workload.name == "memory":
        return f"{workload.kind} memory up to {format_size(workload.target_bytes or 0)}"
    if workload.program is not None:
        return f"{workload.name}, {threads}"
    if workload.name == "burst":
        return f"{threads}, bursts of {workload.cost_us} µs {workload.rate_hz} times a second"
    return f"{threads} at full load"


def _command_line() -> str:
    return shlex.join(["bench", *sys.argv[1:]])
