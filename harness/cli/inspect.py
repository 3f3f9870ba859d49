"""``bench inspect``: the limits, the use and the troubles of a container that already runs."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import click

from harness.cli.options import engine_host_option, json_option
from harness.errors import EngineError, MeasurementError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.inspection import Inspection, Use

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "red")}
_WATCHED_S = 2.0
_LEAST_S, _MOST_S = 1.0, 3600.0


@click.command()
@click.argument("container")
@click.option("--duration", "duration_s", type=float, metavar="SECONDS",
              help="How long to measure, rounded up to whole quota periods.  [default: 10; 2 with "
              "--watch]")  # fmt: skip
@click.option("--watch", is_flag=True, help="Go on, a line a window, until Ctrl-C or its end.")
@engine_host_option
@json_option
def inspect(
    container: str, duration_s: float | None, watch: bool, engine_host: str | None, as_json: bool
) -> None:
    """Tell what a running container may use, uses, and lacks.

    Its limits as they were requested, as the engine and the kernel hold them, and what is in force;
    what it uses of them, and what that means. CONTAINER is a name or an id, or the beginning of
    one. Nothing is changed or started: the cgroup's files and docker stats are read. With --json
    and --watch, each line is an object of its own.
    """
    from harness import host, inspection
    from harness.engine import DockerEngine, find_engine
    from harness.onlooker import Onlooker

    seconds = duration_s if duration_s is not None else _WATCHED_S if watch else 10.0
    if not _LEAST_S <= seconds <= _MOST_S:
        raise UsageError(f"--duration {seconds:g} is out of range.", "Give 1 to 3600 seconds.")
    connection = find_engine(engine_host)
    if connection is None:
        raise EngineError("no engine answers, so no container runs on it.",
                          "Name one with --engine-host or DOCKER_HOST.")  # fmt: skip
    engine = DockerEngine(connection)
    found, facts, host_facts = engine.find(container), engine.facts(), host.facts()
    with Onlooker(engine, found, host_facts) as onlooker:

        def look() -> tuple[Inspection, bool]:
            seen = onlooker.look(seconds)
            return inspection.inspect(seen, facts, host_facts), bool(seen.ended)

        if watch:
            _watch(look, as_json)
        else:
            _print(look()[0], as_json)


def _watch(look: Callable[[], tuple[Inspection, bool]], as_json: bool) -> None:
    """A line a window, and what the last one means; ``look`` tells whether the container ended."""
    told: Inspection | None = None
    try:
        for number in itertools.count():
            told, ended = look()
            if as_json:
                click.echo(json.dumps(told.as_json()))
            else:
                _print_line(told.use, number)
            if ended:
                break
    except KeyboardInterrupt:  # the way in which it is meant to end
        click.echo(err=True)
    except MeasurementError as error:  # it ended between two windows
        if told is None:
            raise
        click.echo(error.message, err=True)
    if told is not None and not as_json:
        _print_findings(told)


def _print(told: Inspection, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(told.as_json(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    one, use = told.container, told.use
    image = one.image.removeprefix("sha256:")[:12] if "sha256:" in one.image else one.image
    since = one.started_at[:19].replace("T", " ")
    console.print(f"{one.name} ({one.id[:12]}, image {image})", style="bold", markup=False)
    console.print(f"{one.state} since {since} UTC", style="dim", markup=False)
    console.print()
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in ("limit", "requested", "engine", "kernel", "in force"):
        table.add_column(name, no_wrap=name == "limit")
    for row in told.limits:
        force = f"{row.effective}, at {row.at}" if row.at else row.effective
        table.add_row(row.option, row.requested, row.engine, row.kernel, force)
    console.print(table)
    console.print()
    rows = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column()
    for name, text in _used(use, told.absent):
        rows.add_row(name, Text(text))
    console.print(rows)
    console.print()
    _print_findings(told)


def _print_findings(told: Inspection) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in told.findings:
        mark, colour = _MARKS[finding.grade]
        text = f"{finding.subject}: {finding.text}."
        if finding.remedy:
            text += f"\n→ {finding.remedy}"
        table.add_row(Text(mark, style=colour), Text(text))
    Console(highlight=False).print(table)


def _used(use: Use, absent: dict[str, str]) -> list[tuple[str, str]]:
    """What was used, a line a subject; what could not be measured with the reason."""
    out = [("throttled", _throttled(use, absent))]
    if use.window_s is not None:
        if use.cpus is not None and use.cpus_limit:
            share = f"{use.cpus / use.cpus_limit:.0%}"
            text = f"{use.cpus:.3f} of {use.cpus_limit:g} CPUs ({share}) over {use.window_s:.1f} s"
            out.insert(0, ("CPU", text))
        out += [
            ("memory", _memory(use)),
            ("events", _events(use)),
            ("pressure", _pressure(use, absent)),
        ]
    out.append(("docker stats", _stats(use)))
    if use.others_cpus is not None:
        steal = "" if use.steal_cpus is None else f", steal takes {use.steal_cpus:.3f}"
        out.append(("host", f"others use {use.others_cpus:.3f} CPUs{steal}"))
    return out


def _throttled(use: Use, absent: dict[str, str]) -> str:
    if use.periods is None:
        return f"- ({absent.get('throttling') or absent.get('cgroup', 'not read')})"
    text = f"{use.throttled_periods} of {use.periods} periods in which it ran"
    if use.throttled_s:
        text += f"; {use.throttled_s:.2f} s, all CPUs together"
    if use.longest_stretch_s:
        text += f"; longest stretch {use.longest_stretch_s * 1e3:.0f} ms"
    return text


def _memory(use: Use) -> str:
    from harness.inspection import amount

    if use.memory_bytes is None:
        return "-"
    text = amount(use.memory_bytes)
    if use.memory_limit_bytes:
        share = f"{use.memory_bytes / use.memory_limit_bytes:.0%}"
        text += f" of {amount(use.memory_limit_bytes)} ({share})"
    if use.file_bytes is not None and use.anon_bytes is not None:
        text += f": {amount(use.anon_bytes)} its own, {amount(use.file_bytes)} page cache"
    if use.memory_peak_bytes is not None:
        text += f"; peak {amount(use.memory_peak_bytes)}"
    return text + (f"; {amount(use.swap_bytes)} swapped out" if use.swap_bytes else "")


def _events(use: Use) -> str:
    hits = "not counted" if use.limit_hits is None else f"{use.limit_hits}"
    kills = "not counted" if use.oom_kills is None else f"{use.oom_kills}"
    ever = f" ({use.oom_kills_ever} since it began)" if use.oom_kills_ever else ""
    return f"memory limit met: {hits}; OOM kills: {kills}{ever}"


def _stats(use: Use) -> str:
    from harness.inspection import amount

    if use.stats_cpus is None:
        return "no usable frame: one comes each second, and the first has no predecessor"
    memory = f", memory {amount(use.stats_memory_bytes)}" if use.stats_memory_bytes else ""
    frames = f"{use.stats_frames} frame{'s' * (use.stats_frames > 1)}"
    return f"{use.stats_cpus:.3f} CPUs{memory} ({frames})"


def _pressure(use: Use, absent: dict[str, str]) -> str:
    parts = []
    for name, some, full in (
        ("CPU", use.cpu_some, use.cpu_full),
        ("memory", use.memory_some, use.memory_full),
        ("io", use.io_some, use.io_full),
    ):
        if some is not None:
            parts.append(f"{name} {some:.1%}" + (f" (all {full:.1%})" if full else ""))
    return ", ".join(parts) if parts else f"- ({absent.get('cpu_some_us', 'not read')})"


_HEAD = "   CPUs  of limit  throttled  stretch      memory  of limit  hits  kills   stats"


def _print_line(use: Use, number: int) -> None:
    """One window in 80 columns; ``-`` is what could not be measured."""
    from harness.inspection import amount

    def form(value: float | None, text: str) -> str:
        return "-" if value is None else format(value, text)

    share = use.cpus / use.cpus_limit if use.cpus is not None and use.cpus_limit else None
    throttled = (use.throttled_periods or 0) / use.periods if use.periods else None
    stretch = "-" if use.longest_stretch_s is None else f"{use.longest_stretch_s * 1e3:.0f} ms"
    memory = "-" if use.memory_bytes is None else amount(use.memory_bytes)
    of_limit = (
        use.memory_bytes / use.memory_limit_bytes
        if use.memory_bytes is not None and use.memory_limit_bytes
        else None
    )
    if number % 20 == 0:
        click.echo(click.style(_HEAD, bold=True))
    click.echo(
        f"{form(use.cpus, '.3f'):>7}  {form(share, '.0%'):>8}  {form(throttled, '.0%'):>9}  "
        f"{stretch:>7}  {memory:>10}  {form(of_limit, '.0%'):>8}  {form(use.limit_hits, 'd'):>4}  "
        f"{form(use.oom_kills, 'd'):>5}  {form(use.stats_cpus, '.3f'):>6}"
    )
