"""How an inspection is shown: one window whole, or a line a window."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import click

from harness import units
from harness.cli import beside, findings, terminal
from harness.errors import MeasurementError
from harness.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.inspection.inspection import Inspection
    from harness.inspection.use import Use, UseAbove


def watch(look: Callable[[], Inspection], as_json: bool) -> None:
    """A line a window until it ends, or Ctrl-C, and what the last one means."""
    told: Inspection | None = None
    try:
        for number in itertools.count():
            told = look()
            if as_json:
                click.echo(json.dumps(told.as_json()))
            else:
                print_line(told.use, number)
            if told.ended:
                break
    except KeyboardInterrupt:  # the way in which it is meant to end
        click.echo(err=True)
    except MeasurementError as error:  # it ended between two windows
        if told is None:
            raise
        click.echo(error.message, err=True)
    if told is not None and not as_json:
        findings.show(told.findings)


def show(look: Callable[[], Inspection], as_json: bool) -> None:
    """One window whole: its limits, what was used of them, what that means."""
    told = look()
    if as_json:
        click.echo(json.dumps(told.as_json(), indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    console = terminal.console()
    one = told.container
    if told.set_by:
        what = f"cgroup {one.id}"
        process = f"process {one.pid}" if one.pid else "a process of another PID namespace"
        state = f"{process} runs in it; its limits are set by {told.set_by}"
    else:
        image = one.image.removeprefix("sha256:")[:12] if "sha256:" in one.image else one.image
        what = f"{one.id[:12]}, image {image}"
        state = f"{one.state} since {one.started_at[:19].replace('T', ' ')} UTC"
    console.print(f"{one.name} ({what})", style="bold", markup=False)
    console.print(state, style="dim", markup=False)
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
    for name, text in (*_used(told), *beside.rows(told)):
        rows.add_row(name, Text(text))
    console.print(rows)
    console.print()
    findings.show(told.findings)


def _used(told: Inspection) -> list[tuple[str, str]]:
    """What was used, a line a subject; what could not be measured with the reason."""
    use, absent = told.use, told.absent
    out = [("throttled", _throttled(use, absent))]
    if use.window_s is not None:
        if use.cpus is not None and use.cpus_limit:
            share = f"{use.cpus / use.cpus_limit:.0%}"
            text = f"{use.cpus:.3f} of {units.cpus(use.cpus_limit)} ({share})"
            out.insert(0, ("CPU", f"{text} over {use.window_s:.1f} s"))
        elif why := absent.get("cpu_usage_ns"):
            out.insert(0, ("CPU", f"- ({why})"))
        out += [
            ("memory", _memory(use, absent)),
            ("events", _events(use)),
            ("pressure", _pressure(use, absent)),
        ]
    out += [("above", _above(one)) for one in use.above]
    if not told.set_by:
        out.append(("docker stats", _stats(use)))
    if use.others_cpus is not None:
        steal = "" if use.steal_cpus is None else f", steal takes {use.steal_cpus:.3f}"
        out.append(("host", f"others use {use.others_cpus:.3f} CPUs{steal}"))
    return out


def _above(one: UseAbove) -> str:
    """What all in a cgroup above the container used of its caps."""
    parts = []
    if one.cpus_limit:
        used = "- of " if one.cpus is None else f"{one.cpus:.3f} of "
        share = "" if one.cpus is None else f" ({one.cpus / one.cpus_limit:.0%})"
        parts.append(f"{used}{units.cpus(one.cpus_limit)}{share}")
        if one.periods is not None:
            periods = counted(one.periods, "period")
            parts.append(f"throttled {one.throttled_periods} of {periods}")
    if one.memory_bytes is not None and one.memory_limit_bytes:
        share = f"{one.memory_bytes / one.memory_limit_bytes:.0%}"
        sizes = f"{units.size(one.memory_bytes)} of {units.size(one.memory_limit_bytes)}"
        parts.append(f"memory {sizes} ({share})")
    if one.memory_bytes is not None and one.memory_high_bytes:
        parts.append(f"memory.high {units.size(one.memory_high_bytes)}")
    if one.tasks is not None and one.tasks_limit:
        parts.append(f"{one.tasks} of {counted(one.tasks_limit, 'task')}")
    return f"{one.at}, all in it: {', '.join(parts) or 'nothing is counted'}"


def _throttled(use: Use, absent: dict[str, str]) -> str:
    if use.periods is None:
        return f"- ({absent.get('throttling') or absent.get('cgroup', 'not read')})"
    text = f"{use.throttled_periods} of {counted(use.periods, 'period')} in which it ran"
    if use.throttled_s:
        text += f"; {use.throttled_s:.2f} s, all CPUs together"
    if use.longest_stretch_s:
        text += f"; longest stretch {units.round_duration(use.longest_stretch_s)}"
    return text


def _memory(use: Use, absent: dict[str, str]) -> str:
    if use.memory_bytes is None:
        return f"- ({absent.get('memory_bytes', 'not read')})"
    text = units.size(use.memory_bytes)
    if use.memory_limit_bytes:
        share = f"{use.memory_bytes / use.memory_limit_bytes:.0%}"
        text += f" of {units.size(use.memory_limit_bytes)} ({share})"
    if use.file_bytes is not None and use.anon_bytes is not None:
        cache = use.file_bytes - (use.shmem_bytes or 0)
        shmem = (
            f", {units.size(use.shmem_bytes)} tmpfs and shared memory" if use.shmem_bytes else ""
        )
        text += f": {units.size(use.anon_bytes)} its own, {units.size(cache)} page cache{shmem}"
    if use.memory_peak_bytes is not None:
        text += f"; peak {units.size(use.memory_peak_bytes)}"
    return text + (f"; {units.size(use.swap_bytes)} swapped out" if use.swap_bytes else "")


def _events(use: Use) -> str:
    hits = "not counted" if use.limit_hits is None else f"{use.limit_hits}"
    kills = "not counted" if use.oom_kills is None else f"{use.oom_kills}"
    ever = f" ({use.oom_kills_ever} since it began)" if use.oom_kills_ever else ""
    return f"memory limit met: {hits}; OOM kills: {kills}{ever}"


def _stats(use: Use) -> str:
    if use.stats_cpus is None:
        return "no usable frame: one comes each second, and the first has no predecessor"
    memory = f", memory {units.size(use.stats_memory_bytes)}" if use.stats_memory_bytes else ""
    frames = counted(use.stats_frames, "frame")
    return f"{use.stats_cpus:.3f} CPUs{memory} ({frames})"


def _pressure(use: Use, absent: dict[str, str]) -> str:
    parts = []
    for name, some, full in (
        ("CPU", use.cpu_some, use.cpu_full),
        ("memory", use.memory_some, use.memory_full),
        ("io", use.io_some, use.io_full),
    ):
        if some is not None:
            parts.append(
                f"{name} {units.percent(some)}" + (f" (all {units.percent(full)})" if full else "")
            )
    return ", ".join(parts) if parts else f"- ({absent.get('cpu_some_us', 'not read')})"


_HEAD = "   CPUs  of limit  throttled  stretch      memory  of limit  hits  kills   stats"


def print_line(use: Use, number: int) -> None:
    """One window in 80 columns; ``-`` is what could not be measured."""

    def form(value: float | None, text: str) -> str:
        return "-" if value is None else format(value, text)

    share = use.cpus / use.cpus_limit if use.cpus is not None and use.cpus_limit else None
    held, stretch_s = use.most_throttled, use.most_throttled.longest_stretch_s
    throttled, of_limit = held.throttled_share, use.fullest.memory_share
    stretch = "-" if stretch_s is None else units.round_duration(stretch_s)
    memory = "-" if use.memory_bytes is None else units.size(use.memory_bytes)
    if number % 20 == 0:
        click.echo(click.style(_HEAD, bold=True))
    click.echo(
        f"{form(use.cpus, '.3f'):>7}  {form(share, '.0%'):>8}  {form(throttled, '.0%'):>9}  "
        f"{stretch:>7}  {memory:>10}  {form(of_limit, '.0%'):>8}  {form(use.limit_hits, 'd'):>4}  "
        f"{form(use.oom_kills, 'd'):>5}  {form(use.stats_cpus, '.3f'):>6}"
    )
