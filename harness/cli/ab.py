"""``bench ab``: two settings, engines or runtimes, their trials alternating in one run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.alone import no_wait_option, obtain_alone
from harness.cli.device import device_option
from harness.cli.dialogue import say
from harness.cli.limits import fixed_limits_options, take_fixed
from harness.cli.measuring import measure, refuse_to_starve
from harness.cli.options import (
    Share,
    all_option,
    engine_host_option,
    json_option,
    markdown_option,
    results_option,
    strict_option,
)
from harness.cli.reference import REPEATS, options_of, refuse_unknown
from harness.comparison.digest import sided
from harness.errors import UsageError
from harness.limits import EngineCpus
from harness.model import ContainerSpec, EngineFacts, Limits, Load, Plan, Point, Side
from harness.plan import axes
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import folder, runs

if TYPE_CHECKING:
    from harness.cli.verdict import Outputs


@dataclass(frozen=True, slots=True)
class _Given:
    """One side as it was asked for."""

    name: str
    text: str
    limits: Limits
    runtime: str | None
    engine_host: str | None
    workload: Load


@click.command(
    epilog="""
\b
Examples:
  bench ab --a '--cpus 0.5' --b '--cpu-quota 5000 --cpu-period 10000'
  bench ab --sweep shares --a '--runtime runc' --b '--runtime crun'
  bench ab --a '--cpus 1 --workload v1.toml' --b '--cpus 1 --workload v2.toml'
  bench ab --sweep cpu --a '--engine-host unix:///run/a.sock'
                       --b '--engine-host unix:///run/b.sock'
"""
)
@click.option("--a", "a_text", metavar="OPTIONS", required=True, help="The first side: limits, "
              "--runtime, --workload and --engine-host, in quotes.")  # fmt: skip
@click.option("--b", "b_text", metavar="OPTIONS", required=True, help="The second side.")
@click.option("--sweep", "sweep_name", metavar="AXIS|FILE.toml", help="Compare the sides at each "
              "point of a sweep.  [default: one point with the sides' limits]")  # fmt: skip
@click.option("--values", metavar="LIST", help="Of --sweep: values of the limit.")
@click.option("--repeats", type=int, help=f"Trials of each side.  [default: {REPEATS}]")
@click.option("--until", type=Share(), metavar="PERCENT", help="Go on until each interval is "
              "±PERCENT wide or narrower, e.g. 0.5%.")  # fmt: skip
@click.option("--duration", "duration_s", type=float, metavar="SECONDS",
              help="Length of the measured window.  [default: 3]")  # fmt: skip
@click.option("--threads", type=int, help="Threads that want CPU.")
@click.option("--seed", type=int, help="Seed of the trials' order.  [default: 1]")
@markdown_option
@strict_option
@all_option
@device_option
@no_wait_option
@engine_host_option
@results_option
@json_option
def ab(
    a_text: str,
    b_text: str,
    sweep_name: str | None,
    markdown: Path | None,
    strict: bool,
    every: bool,
    engine_host: str | None,
    results: Path,
    as_json: bool,
    **options: Any,
) -> int:
    """Compare two settings, engines or runtimes, their trials alternating in one run.

    What can be switched for each container is compared best like this: a drift of the host meets
    both sides alike. Two images are two workloads, each a file that names its image. For a kernel
    or a sysctl use `bench baseline` and `bench check`.

    Where the sides set different limits, achieved CPU and ratios are compared beside what the law
    promises each. The run is kept; `bench compare RUN` shows it again.
    """
    from harness.cli import verdict
    from harness.engine.docker_engine import DockerEngine
    from harness.engine.sides import Sides

    given = [_understood("a", a_text), _understood("b", b_text)]
    refuse_unknown(sweep_name)
    if given[0] == replace(given[1], name="a", text=given[0].text):
        say("Note: both sides are the same: this shows the noise.")
    if sweep_name is None and options["values"] is not None:
        raise UsageError("--values needs --sweep.", "Write the limits into --a and --b.")
    folder.prepare_root(results)
    connections = obtain_alone(*(side.engine_host or engine_host for side in given))
    engines = {side.name: DockerEngine(one) for side, one in zip(given, connections, strict=True)}
    facts = {name: engine.facts() for name, engine in engines.items()}
    for side in given:
        engines[side.name].refuse_runtime(side.runtime)
    plan = _plan(sweep_name, given, options_of(options), _cpus_of_both(facts))
    refuse_to_starve(plan)
    sides = tuple(
        Side(name=side.name, options=side.text, engine=facts[side.name]) for side in given
    )
    path = measure(plan, Sides(engines), results, sides=sides)
    return conclude(path, verdict.Outputs(as_json, every, markdown), strict=strict)


def conclude(path: Path, outputs: Outputs, *, strict: bool) -> int:
    """Show the two sides of a whole run; the exit code."""
    from harness.cli import verdict

    code = verdict.show_sides(runs.load(path), outputs, strict=strict)
    say(f"Kept in {path}")
    return code


def _understood(name: str, text: str) -> _Given:
    """A side's options; UsageError names what is wrong with them, and on which side."""
    from harness.cli.sweep import find_workload

    try:
        words = shlex.split(text)
        params = dict(_side.make_context(f"--{name}", words).params)
    except (ValueError, click.ClickException) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        raise UsageError(
            f"--{name} '{text}': {said.rstrip('.')}.",
            "It takes limits, --runtime, --workload and --engine-host.",
        ) from None
    limits, workload = take_fixed(params), find_workload(params["workload"])
    return _Given(name, text, limits, params["runtime"], params["side_engine"], workload)


@click.command(add_help_option=False)
@fixed_limits_options
@click.option("--runtime")
@click.option("--engine-host", "side_engine")
@click.option("--workload")
def _side(**_options: Any) -> None:
    """Not a command: how the options of one side are read."""


def _plan(name: str | None, given: list[_Given], options: Options, cpus: EngineCpus) -> Plan:
    """One plan with every point twice, once a side."""
    points_of: planning.PointsOf = _one_point
    sweep = "ab"
    if name is not None and name.endswith(".toml"):
        from harness.cli.sweep import find_workload
        from harness.plan import sweepfile

        found = sweepfile.load(Path(name), options, find_workload)
        options, points_of, sweep = found.options, found.points, f"ab-{found.name}"
    elif name is not None:
        points_of, sweep = axes.find(name).points, f"ab-{name}"

    def both(asked: Options, cpus: EngineCpus) -> Iterable[Point]:
        for side in given:
            own = replace(asked, fixed=side.limits, workload=side.workload)
            for point in points_of(own, cpus):
                yield sided(point, side.name, side.runtime)

    return planning.build(sweep, options, cpus=cpus, points_of=both)


def _cpus_of_both(facts: Mapping[str, EngineFacts]) -> EngineCpus:
    """The CPUs that the engines of both sides have; UsageError where there is none."""
    first, second = (one.cpus_to_give for one in facts.values())
    both = first.shared(second)
    if not both.numbers:
        raise UsageError(
            f"the engines have no CPU in common: {first.text}, and {second.text}.",
            "Compare two runs instead: `bench compare`.",
        )
    return both


def _one_point(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    """The sides' own limits, under a load that wants every CPU."""
    spec = ContainerSpec(limits=options.fixed, workload=axes.load_on_every_cpu(options, cpus))
    return [Point(id="limits", axis="file", value="limits", containers=(spec,))]
