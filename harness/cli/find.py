"""``bench find``: which limit does a program need?"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import units
from harness.cli import commandline
from harness.cli.alone import no_wait_option, obtain_alone
from harness.cli.device import device_option, refuse_unneeded
from harness.cli.limits import fixed_limits_options, take_fixed
from harness.cli.measuring import begin, execute, refuse_to_starve
from harness.cli.options import Share, engine_host_option, json_option, results_option
from harness.cli.sweep import find_workload
from harness.cli.terminal import show_page
from harness.errors import MeasurementError, UsageError
from harness.limits import DEFAULT_PERIOD_US, MIN_MEMORY_BYTES, EngineCpus, parse_size
from harness.model import (
    Burst,
    ContainerSpec,
    EngineFacts,
    ForFind,
    Growth,
    Io,
    Load,
    Plan,
    Point,
    Program,
    SoughtLimit,
    Take,
)
from harness.plan import axes
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.sizing import finding, ladder
from harness.sizing import goal as goals
from harness.sizing.search import MOST_TRIALS, Search
from harness.store import folder, runs
from harness.wording import counted

if TYPE_CHECKING:
    from harness.measure.queue import Queue
    from harness.model import RunInfo
    from harness.show.report.found import Found

LEAST_CPUS = 0.05
"""Of what is tried unasked: below, a period of 100 ms has less than a tick or two."""
MOST_TASKS = 4096.0
DISK_BYTES = (float(256 << 10), float(256 << 20))
DISK_IOS = (10.0, 10_000.0)
"""The rates of a disk between which is looked unasked: what it gives without a limit is not known
before, and the probe's file is laid out under the limit too."""
_BLOCK_BYTES, _PACE_HZ, _DEPTH, _FILE_BYTES = 64 << 10, 64, 8, 1 << 20
"""Of the workload io under a limit on a disk: 4 MiB a second."""
_KINDS = ", ".join(ladder.KINDS)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h)?")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, None: 1.0}


class Duration(click.ParamType[float]):
    """A time, written as ``90s``, ``10m``, ``1h``; seconds without a unit."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        if isinstance(value, float | int):
            return float(value)
        found = _DURATION.fullmatch(str(value).strip())
        if not found or float(found[1]) <= 0:
            return self.fail(f"'{value}' is not a time: write for example 10m.", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


@click.command(
    epilog=f"""
\b
Limits: {_KINDS}.
Goals:  METRIC < > <= >= = VALUE, several joined by `and`; `no-kill`; PERCENT of unlimited.
        p50, p90, p99, max are the workload's own latency; docs/notebooks.md lists the metrics.

\b
Examples:
  bench find cpus --goal 'p99 < 80ms' --workload burst
  bench find memory --goal no-kill --workload memory --target 64m --from 16m --to 256m
  bench find cpus --goal 'cpus > 95% of unlimited' --workload stress-ng
  bench find cpus --also memory --goal 'p99 < 80ms and no-kill' --workload burst --growth 50%
  bench find write-bps --goal 'p99 < 50ms' --workload io
  bench find cpus --goal 'p99 < 80ms' --workload burst --dry-run
"""
)
@click.argument("limit", metavar="LIMIT", type=click.Choice(list(ladder.KINDS)))
@click.option("--goal", required=True, metavar="GOAL", help="What must hold, e.g. 'p99 < 50ms and "
              "no-kill'.")  # fmt: skip
@click.option("--workload", required=True, metavar="NAME", help="What runs: burst, spin, memory, "
              "io, stress-ng, nginx, or FILE.toml of your own.")  # fmt: skip
@click.option("--also", metavar="LIMIT", type=click.Choice(list(ladder.KINDS)),
              help="A second limit, found once the first is.")  # fmt: skip
@click.option("--from", "least", metavar="VALUE", help="The least that is tried.  [default: 0.05 "
              "CPUs, 6m of memory]")  # fmt: skip
@click.option("--to", "most", metavar="VALUE", help="The most that is tried.  [default: all CPUs, "
              "all memory of the engine's host]")  # fmt: skip
@click.option("--resolution", default="5%", show_default=True, metavar="STEP", help="How narrow "
              "the bracket must be: a percentage, or a step such as 1m.")  # fmt: skip
@click.option("--budget", "budget_s", type=Duration(), default="10m", show_default=True,
              metavar="TIME", help="The most that it takes.")  # fmt: skip
@click.option("--confidence", type=Share(), default="95%", show_default=True, metavar="PERCENT",
              help="Of the median trial's holding.")  # fmt: skip
@click.option("--growth", type=Share(), metavar="PERCENT", help="Of the load, for which head-room "
              "is told.")  # fmt: skip
@click.option("--target", metavar="SIZE", help="Of the workload memory: what it grows to.  "
              "[default: 64m]")  # fmt: skip
@click.option("--duration", "duration_s", type=float, metavar="SECONDS", help="Length of the "
              "measured window: a tail takes a long one.  [default: 3]")  # fmt: skip
@click.option("--warmup", "warmup_s", type=float, metavar="SECONDS", help="Time under load before "
              "the window.  [default: 0.5]")  # fmt: skip
@click.option("--threads", type=int, help="Threads of the workload.  [default: as many as CPUs; 1 "
              "of burst]")  # fmt: skip
@click.option("--seed", type=int, help="Seed of the trials' order.  [default: 1]")
@click.option("--dry-run", is_flag=True, help="Print what would be tried first; start nothing.")
@fixed_limits_options
@device_option
@no_wait_option
@engine_host_option
@results_option
@json_option
def find(
    limit: str,
    goal: str,
    workload: str,
    also: str | None,
    results: Path,
    engine_host: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Find the least limit at which a goal holds, of a program on this host.

    LIMIT is tried from below and above, in a new container for each trial, where the answer is
    still open; it ends once the bracket is narrow enough, or the budget is spent. What was measured
    is kept as a run: `bench show`, `report`, `plot`, `compare` and `resume` know it.

    Exits 0 where a limit was found, 1 where none on this host will do, 3 where it stays open.
    """
    from harness.cli.going_on import calmly
    from harness.engine.connect import find_engine
    from harness.engine.docker_engine import DockerEngine

    if also == limit:
        raise UsageError(f"--also {also} is the limit that is sought.", "Name another.")
    kinds = [ladder.KINDS[name] for name in (limit, also) if name]
    load = _on_device(_load(workload, options.pop("target")), kinds)
    asked = _Asked(options, load, goal, kinds)
    if dry_run:
        connection = find_engine(engine_host)
        if connection is None:
            raise UsageError("no engine answers.", "Start one: `bench engine start`.")
        facts = DockerEngine(connection).facts()
        plan, purpose = asked.plan(facts)
        _print_plan(plan, purpose, as_json=as_json)
        return 0
    folder.prepare_root(results)
    (connection,) = obtain_alone(engine_host)
    engine = DockerEngine(connection)
    plan, purpose = asked.plan(engine.facts())
    refuse_to_starve(plan)
    kept, where = begin(plan, engine, results, purpose=purpose)
    queue, budget = queue_of(kept.info)
    path = execute(kept, calmly(where, kept.info, budget), queue=queue)
    return conclude(path, as_json=as_json)


def queue_of(info: RunInfo, finished: Any = ()) -> tuple[Queue, Any]:
    """The trials of a search that are left, and its budget."""
    from harness.measure.queue import Queue

    further = finding.Finding(info)
    return Queue(info.plan, info.engine, info.host, finished, further), further.budget


def conclude(path: Path, *, as_json: bool) -> int:
    """Show what a whole run came to; the exit code. MeasurementError where no trial counts."""
    from harness.show.report import found as reports

    run = runs.load(path)
    found = reports.build(run)
    assert found is not None
    if not found.study.held:
        why = next((t.invalid or t.failure for t in run.trials if t.invalid or t.failure), None)
        raise MeasurementError(
            f"no trial of {run.info.name} counts: {why or 'what was measured is damaged'}.",
            "`bench doctor` tells what disturbs this host.",
        )
    tell(found, path, as_json=as_json)
    return found.exit_code


def tell(found: Found, path: Path, *, as_json: bool) -> None:
    """Print the answer."""
    from harness.show.report import found as reports

    if as_json:
        click.echo(json.dumps({"run": path.name, **reports.as_json(found)}, indent=2))
        return
    show_page(reports.Page(found))
    click.echo(f"\nKept in {path}\nNext:   bench report {path.name}\nAgain:  "
               f"{found.study.info.plan.command}")  # fmt: skip


def _load(name: str, target: str | None) -> Load:
    load = find_workload(name)
    if isinstance(load, Growth):
        return replace(load, target_bytes=parse_size(target or "64m"))
    if target is not None:
        raise UsageError("--target is of the workload memory.", "Leave it away.")
    if isinstance(load, Take):
        raise UsageError(
            f"'{name}' takes until it is refused: it needs no least limit.",
            "`bench sweep pids` shows where it ends.",
        )
    return load


def _on_device(load: Load, kinds: Sequence[ladder.Kind]) -> Load:
    """The load, with its data on the run's device where a limit on that is sought."""
    disk = next((kind.disk for kind in kinds if kind.disk), None)
    if disk is None:
        return load
    if isinstance(load, Io):
        if {kind.disk for kind in kinds} >= {"read", "write"}:
            raise UsageError(
                "the workload io reads or writes, and not both.",
                "Look for one of the two, or name a program that does both.",
            )
        return replace(
            load, operation=disk, place="device", block_bytes=_BLOCK_BYTES, rate_hz=_PACE_HZ,
            depth=_DEPTH, file_bytes=_FILE_BYTES,
        )  # fmt: skip
    if isinstance(load, Program) and load.description.image.volume is not None:
        return replace(load, place="device")
    raise UsageError(
        f"'{load.name}' keeps its data on no disk that could be limited.",
        'Name io, postgres, or a program whose file has volume = "/data" in [image].',
    )


class _Asked:
    """The options of a search; UsageError for what no engine could make right.

    --from, --to and a step that is a size are of the first of ``kinds``.
    """

    def __init__(
        self, options: dict[str, Any], load: Load, goal: str, kinds: Sequence[ladder.Kind]
    ) -> None:
        least, most = options.pop("least"), options.pop("most")
        self._kinds = kinds
        self._least = None if least is None else kinds[0].read(least)
        self._most = None if most is None else kinds[0].read(most)
        self._step = _step(options.pop("resolution"), kinds[0])
        self._budget_s, self._confidence = options.pop("budget_s"), options.pop("confidence")
        self._growth = options.pop("growth") or 0.0
        self._fixed = take_fixed(options)
        self._options, self._load = options, load
        self._goal = goals.parse(goal, self._template(load))
        if not 0.5 <= self._confidence < 1:
            raise UsageError(f"--confidence {self._confidence:.0%} is out of range.",
                             "Give 50% to 99.9%.")  # fmt: skip
        if not 0 <= self._growth <= 100:
            raise UsageError(f"--growth {self._growth:.0%} is out of range.", "Give 0% or more.")
        for kind in kinds:
            if getattr(self._fixed, kind.field) is not None:
                raise UsageError(f"{kind.option} is what is sought.", "Leave it away.")
        refuse_unneeded(self._template(load))

    def _template(self, load: Load) -> Point:
        spec = ContainerSpec(limits=self._fixed, workload=load)
        return Point(id=finding.UNLIMITED, axis="file", value="", containers=(spec,))

    def plan(self, facts: EngineFacts) -> tuple[Plan, ForFind]:
        """What is tried first, and what is looked for."""
        first, *others = self._kinds
        unasked, asked = self._range(first, facts), (self._least, self._most)
        least, most = (one if given is None else given
                       for one, given in zip(unasked, asked, strict=True))  # fmt: skip
        step, relative = self._step
        sought = (
            _sought(first, least, most, step, relative=relative),
            *(
                _sought(kind, *self._range(kind, facts), step if relative else 0.05, relative=True)
                for kind in others
            ),
        )
        cpus = facts.cpus_to_give
        options = Options(
            fixed=self._fixed, workload=self._load, repeats=1,
            command=commandline.kept(sys.argv[1:]), **self._options,
        )  # fmt: skip
        template = self._template(_with_threads(options, cpus))
        values = ladder.settings(sought[0])
        search = Search(len(values), width=ladder.width(sought[0]), confidence=0.95, seed=1)
        settings: list[finding.Setting] = [
            ((sought[0].limit, values[i]),) for i in search.ladder
        ]  # fmt: skip
        if self._goal.relative:
            settings.append(())
        points = [finding.point_at(template, one) for one in settings]
        name = f"find-{'-'.join(kind.name for kind in self._kinds)}"
        plan = planning.build(name, options, cpus=cpus, points_of=lambda *_: points)
        plan = replace(plan, most_repeats=MOST_TRIALS, points=finding.ordered(plan.points))
        purpose = ForFind(
            goal=self._goal.text, limits=sought, confidence=self._confidence,
            budget_s=self._budget_s, growth=self._growth,
        )  # fmt: skip
        return plan, purpose

    def _range(self, kind: ladder.Kind, facts: EngineFacts) -> tuple[float, float]:
        """Where a limit is looked for unasked."""
        period_us = self._fixed.cpu_period_us or DEFAULT_PERIOD_US
        return {
            "cpus": (LEAST_CPUS, float(facts.cpus_to_give.most)),
            "quota": (LEAST_CPUS * period_us, float(facts.cpus_to_give.most * period_us)),
            "memory": (float(MIN_MEMORY_BYTES), float(facts.memory_bytes)),
            "pids": (1.0, MOST_TASKS),
            "write-bps": DISK_BYTES,
            "read-bps": DISK_BYTES,
            "write-iops": DISK_IOS,
            "read-iops": DISK_IOS,
        }[kind.name]


def _sought(
    kind: ladder.Kind, least: float, most: float, step: float, *, relative: bool
) -> SoughtLimit:
    found = SoughtLimit(limit=kind.name, least=least, most=most, step=step, relative=relative)
    ladder.settings(found)  # refuses what leaves nothing to be tried
    return found


def _step(text: str, kind: ladder.Kind) -> tuple[float, bool]:
    """How narrow the bracket must be, and whether that is a share of the limit."""
    if text.strip().endswith("%"):
        share = Share().convert(text, None, None)
        if not 0.005 <= share <= 1:
            raise UsageError(f"--resolution {text} is out of range.", "Give 0.5% to 100%.")
        return share, True
    step = kind.read(text.strip())
    if step <= 0:
        raise UsageError(f"--resolution {text} is no step.", "Give 5%, or a size such as 1m.")
    return step, False


def _with_threads(options: Options, cpus: EngineCpus) -> Load:
    """The load with the threads that were asked for; of what wants CPU as many as there are."""
    load = options.workload
    if isinstance(load, Growth | Io):
        if options.threads is not None:
            raise UsageError(f"{load.name} has one thread.", "Leave --threads away.")
        return load
    if isinstance(load, Burst):
        return replace(load, threads=options.threads or 1)
    return axes.load_on_every_cpu(options, cpus)


def _print_plan(plan: Plan, purpose: ForFind, *, as_json: bool) -> None:
    one_s = planning.estimated_s(plan) / len(plan.trials)
    if as_json:
        document = {
            "goal": purpose.goal,
            "limits": [
                {"limit": one.limit, "from": one.least, "to": one.most, "step": one.step,
                 "relative": one.relative, "settings": len(ladder.settings(one))}
                for one in purpose.limits
            ],
            "first": [trial.point_id for trial in plan.trials],
            "trial_s": one_s,
            "budget_s": purpose.budget_s,
        }  # fmt: skip
        click.echo(json.dumps(document, indent=2))
        return
    spec = plan.points[0].containers[0]
    click.echo(f"{spec.workload.words}; goal: {purpose.goal}")
    for one in purpose.limits:
        kind = ladder.KINDS[one.limit]
        step = units.percent(one.step) if one.relative else kind.words(one.step)
        click.echo(
            f"{kind.option} from {kind.write(one.least)} to {kind.write(one.most)}, to within "
            f"{step}: one of {counted(len(ladder.settings(one)), 'setting')}"
        )
    first = ", ".join(trial.point_id for trial in plan.trials)
    most = int(purpose.budget_s / one_s)
    click.echo(
        f"First, in this order: {first}\nThen one after another where it is open: about "
        f"{one_s:.1f} s a trial, {most} in the {purpose.budget_s / 60:g} minutes at the most."
    )
