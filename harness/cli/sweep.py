"""``bench sweep``: plan, run, store, summarise."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.cli import commandline
from harness.cli.alone import have_alone, no_wait_option
from harness.cli.device import device_option, without_device
from harness.cli.dialogue import asker, say
from harness.cli.limits import fixed_limits_options, take_fixed
from harness.cli.measuring import begin, execute, refuse_to_starve
from harness.cli.options import Share, engine_host_option, json_option, results_option
from harness.cli.terminal import show_page
from harness.errors import MeasurementError
from harness.limits import format_size, to_engine
from harness.model import Load, Plan, Status
from harness.plan import axes, workloads
from harness.plan import build as planning
from harness.store import folder, runs
from harness.wording import counted

if TYPE_CHECKING:
    from harness.engine.connect import Connection
    from harness.limits import EngineCpus
    from harness.show.report.view import View

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
  bench sweep cpu --workload nginx        how long a server takes to answer under each value
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
              "load), burst (response times), stress-ng, nginx, redis, postgres, xz, or FILE.toml "
              "of your own; of memory, shares and io a program.  [default: spin]")  # fmt: skip
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
@device_option
@no_wait_option
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
    from harness.engine.connect import find_engine, obtain_engine
    from harness.engine.docker_engine import DockerEngine

    asked = understood(sweep_name, options)
    connection = find_engine(engine_host)
    plan = _planned(asked, connection)
    if dry_run:
        print_plan(plan, as_json)
        return 0
    folder.prepare_root(results)  # before others are waited for
    have_alone(connection)
    if not force:
        refuse_to_starve(plan, otherwise=", or take the risk: --force")
    engine = DockerEngine(connection or obtain_engine(engine_host, say, asker()))
    run, where = begin(plan, engine, results)
    path = execute(run, where, ended_early=functools.partial(tell, as_json=as_json))
    return conclude(path, as_json=as_json, strict=strict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A sweep as its user asked for it."""

    name: str
    options: axes.Options
    points_of: planning.PointsOf | None = None
    """What makes its points, where a file does."""


def understood(name: str, options: dict[str, Any]) -> Asked:
    """By the axis, or by the file with what the command line sets over it."""
    options["workload"] = find_workload(options["workload"])
    chosen = axes.Options(
        command=commandline.kept(sys.argv[1:]), fixed=take_fixed(options), **options
    )
    if name.endswith(".toml"):
        from harness.plan import sweepfile

        # What the settings file says is weaker than the sweep's own file.
        weak: dict[str, Any] = {key: getattr(chosen, key) for key in _from_settings() & _MERGED}
        nothing: dict[str, Any] = dict.fromkeys(weak)
        strong = replace(chosen, **nothing)
        found = sweepfile.load(Path(name), strong, find_workload)
        given = found.options
        filled = {key: value for key, value in weak.items() if getattr(given, key) is None}
        return Asked(found.name, replace(given, **filled), found.points)
    if name != planning.ALL:
        axes.find(name)
    return Asked(name, chosen)


def _planned(asked: Asked, connection: Connection | None) -> Plan:
    """The plan for the engine that answers.

    Without one yet, it is that for the private engine: a plan that cannot work is refused before
    anything is installed or started.
    """
    from harness.engine import place
    from harness.engine.docker_engine import DockerEngine

    engine = DockerEngine(connection) if connection else None
    cpus = engine.facts().cpus_to_give if engine else place.cpus_of_our_own()
    plan = built(asked, cpus, lambda: without_device(engine))
    pinned = any(spec.limits.cpuset_cpus for point in plan.points for spec in point.containers)
    if pinned and not cpus.known:
        say(f"Which CPUs this engine has cannot be seen from here: taken for {cpus.text}.")
    return plan


def built(asked: Asked, cpus: EngineCpus, no_device: Callable[[], str]) -> Plan:
    """The plan for an engine's CPUs.

    Without what needs a block device where there is none, as ``no_device`` says why: that is told.
    """
    plan = planning.build(asked.name, asked.options, cpus=cpus, points_of=asked.points_of)
    left = list(filter(planning.on_device, plan.points))
    others = None if asked.points_of else planning.without_device(asked.name, asked.options)
    if left and others and (why := no_device()):
        plan = planning.build(asked.name, asked.options, cpus=cpus, points_of=others)
        in_part = {one.axis for one in plan.points}
        names = dict.fromkeys(one.id if one.axis in in_part else one.axis for one in left)
        say(f"Left out, as they need a device: {', '.join(names)}. {why}")
    return plan


_MERGED = {"repeats", "duration_s", "warmup_s", "seed", "cadence_hz", "threads"}
"""Options that a sweep's own file may set too."""


def _from_settings() -> set[str]:
    """The options that neither the command line nor the environment has set."""
    ctx = click.get_current_context()
    return {
        name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
    }


def find_workload(name: str | None) -> Load:
    """The workload of that name or file; full load where there is none."""
    from harness.engine.image import workloads_root

    return workloads.find(name, workloads_root())


def conclude(path: Path, *, as_json: bool, strict: bool) -> int:
    """Show the run that is there now; the exit code. MeasurementError where no trial counts."""
    view = tell(path, as_json=as_json)
    if not any(row.summary.valid for row in view.rows):
        why = view.rejected[0] if view.rejected else "what was measured is damaged"
        raise MeasurementError(
            f"no trial of {view.run.info.name} counts: {why}.",
            "`bench doctor` tells what disturbs this host.",
        )
    if strict:
        return {Status.DEVIATES: 1, Status.INCONCLUSIVE: 3}.get(view.status, 0)
    return 0


def tell(path: Path, *, as_json: bool) -> View:
    """Show a run as far as it came."""
    from harness.show.report import view as views

    view = views.build(runs.load(path))
    if as_json:
        from harness.show.report import json_data

        click.echo(json.dumps(json_data.as_json(view), indent=2))
    else:
        from harness.show.report import terminal

        show_page(terminal.Page(view))
        click.echo(f"\nKept in {path}\nNext:   bench report {path.name}")
    return view


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print what would be measured, and how long it would take."""
    estimated_s = planning.estimated_s(plan)
    if as_json:
        document = {
            "sweep": plan.sweep,
            "points": [
                {
                    "point": point.id,
                    "warmup_s": point.warmup_s,
                    "duration_s": point.duration_s,
                    "parent": to_engine(point.parent) if point.parent else None,
                    "containers": [
                        {
                            "workload": spec.workload.name,
                            "threads": spec.workload.threads,
                            "engine": to_engine(spec.limits),
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
        if point.parent is not None:
            around = f"--memory {format_size(point.parent.memory_bytes or 0)}"
            click.echo(f"{point.id:<{width}}  {times:<13} all below one cgroup with {around}:")
        for i, spec in enumerate(point.containers):
            first = i == 0 and point.parent is None
            settings = to_engine(spec.limits).items()
            words = ", ".join(f"{key}={value}" for key, value in settings) or "no limit"
            click.echo(
                f"{point.id if first else '':<{width}}  {times if first else '':<13} "
                f"{spec.workload.words}: {words}"
            )
    click.echo(
        f"\n{counted(len(plan.points), 'point')} x {counted(plan.repeats, 'trial')} = "
        f"{counted(len(plan.trials), 'trial')} (warm-up "
        f"+ window of each as above): about {estimated_s / 60:.1f} minutes. Seed {plan.seed}."
    )
