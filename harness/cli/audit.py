"""``bench audit``: how far each source of numbers is from the truth, on this host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import units
from harness.cli import terminal
from harness.cli.alone import no_wait_option, obtain_alone
from harness.cli.dialogue import say
from harness.cli.options import engine_host_option, json_option, results_option
from harness.errors import MeasurementError, PlanError
from harness.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from harness.audit.errors import Audit, Cost, Reading


@click.command()
@click.option("--trials", type=int, metavar="N", help="Of each length of window.  [default: 30; 5 "
              "with --quick]")  # fmt: skip
@click.option("--quick", is_flag=True, help="Few trials of one and two seconds: a first look.")
@no_wait_option
@engine_host_option
@results_option
@json_option
def audit(
    trials: int | None, quick: bool, engine_host: str | None, results: Path, as_json: bool
) -> None:
    """Tell how far each source of numbers is from the truth.

    The same containers are measured by the cgroup's counters and by docker stats at once. The truth
    of CPU is the workload's own thread clocks, in windows of 2, 5 and 10 s under --cpus 0.1 to 1.5;
    that of memory is what the workload touched. Takes about 15 minutes, 1 with --quick. The CPU
    trials are kept as runs.
    """
    from harness.audit import errors as auditing
    from harness.audit import run
    from harness.cli.measuring import measure
    from harness.engine.docker_engine import DockerEngine
    from harness.host import identity
    from harness.store import folder, runs

    many = trials if trials is not None else 5 if quick else auditing.TRIALS
    if not 1 <= many <= 10_000:
        raise PlanError(f"--trials {many} is out of range.", "Give 1 to 10000; 30 tell enough.")
    folder.prepare_root(results)
    (connection,) = obtain_alone(engine_host)
    engine, host_facts = DockerEngine(connection), identity.facts()
    plans = auditing.cpu_plans(
        engine.facts().cpus_to_give,
        host_facts.tick_ns,
        durations_s=(1.0, 2.0) if quick else auditing.DURATIONS_S,
        trials=many,
    )
    found = {}
    for duration_s, plan in plans.items():
        say(f"Windows of {duration_s:g} s:")
        path = measure(replace(plan, sweep=f"audit-{duration_s:g}s"), engine, results)
        found[duration_s] = runs.load(path).trials
    say("Memory, and what docker stats costs:")
    try:
        memory = list(
            run.memory_trials(
                engine, host_facts, auditing.MEMORY_KINDS, 2 if quick else auditing.MEMORY_TRIALS
            )
        )
        cost = run.stats_cost(
            engine, connection.host, seconds=3.0 if quick else 10.0, rounds=1 if quick else 3
        )
    finally:
        engine.remove_all(run.RUN)
    told = auditing.summarise(found, memory, cost)
    if not any(reading.errors.n or reading.errors.missing for reading in told.cpu):
        raise MeasurementError(f"no trial counts: {told.rejected[0]}.", "See `bench doctor`.")
    if as_json:
        click.echo(json.dumps(told.as_json(), indent=2))
    else:
        _print(told)


def _print(told: Audit) -> None:

    console = terminal.console()
    console.print("CPU: error against the workload's own thread clocks", style="bold")
    console.print(_table("window", told.cpu, rates=True))
    _print_remarks(console, told.cpu)
    console.print("\nMemory: error against what the workload touched", style="bold")
    console.print(_table("kind: read", told.memory, rates=False))
    _print_remarks(console, told.memory)
    console.print("\nCPU time of one reading of one container", style="bold")
    for cost in told.costs:
        console.print(_cost(cost), markup=False)
    if told.rejected:
        console.print(f"{len(told.rejected)} of {counted(told.trials, 'trial')} rejected: "
                      f"{told.rejected[0]}",
                      style="yellow", markup=False)  # fmt: skip


def _print_remarks(console: Console, readings: tuple[Reading, ...]) -> None:
    """What was not measured, each with why."""
    for source, why in dict.fromkeys((r.source, r.remark) for r in readings if r.remark):
        whats = ", ".join(r.what for r in readings if (r.source, r.remark) == (source, why))
        console.print(f"{source} was not measured ({whats}): {why}", style="yellow", markup=False)


def _table(what: str, readings: tuple[Reading, ...], *, rates: bool) -> object:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(what, no_wrap=True)
    table.add_column("source", no_wrap=True)
    for name in ("bias", "RMS", "worst", "trials", *(["a second"] if rates else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for reading in readings:
        errors = reading.errors
        n = f"{errors.n}" + (f" ({errors.missing} without)" if errors.missing else "")
        if reading.remark:
            n = "not measured"
        cells = [_share(errors.bias), _share(errors.rms).lstrip("+"), _share(errors.worst), n]
        if rates:
            cells.append("-" if reading.rate_hz is None else f"{reading.rate_hz:.3g}")
        table.add_row(reading.what, reading.source, *cells)
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else units.relative(value, digits=3)


def _cost(cost: Cost) -> str:
    def form(seconds: float | None) -> str:
        return "not known" if seconds is None else f"{seconds * 1e6:.1f} µs"

    if not cost.readings:
        return f"{cost.source:<13} not measured: {cost.remark}"
    # The kernel's files are read without the engine.
    parts = "" if cost.engine_s == 0 else (
        f": {form(cost.client_s)} here, {form(cost.engine_s)} in the engine"
    )  # fmt: skip
    return (
        f"{cost.source:<13} {form(cost.total_s)}{parts} ({cost.readings} readings; {cost.remark})"
    )
