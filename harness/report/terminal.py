"""The terminal's table of a run: 80 columns hold it, the read-backs too where there is room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness import axes, check
from harness.analysis import METRICS
from harness.model import Estimate, Expectation, Scale, Status
from harness.report.view import Line, Row, View
from harness.report.words import duration

_STYLE = {
    Status.CONFORMS: "green",
    Status.DEVIATES: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Status.NOT_EXERCISABLE: "dim",
}


@dataclass(frozen=True, slots=True)
class _Extra:
    """A column that stands beside the law: shown where any point has it."""

    head: str
    metric: str
    form: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class _Form:
    """How the numbers of a unit are written in a column: without the unit, which stands once."""

    unit: str
    text: Callable[[float], str]


_FORMS = {
    "CPUs": _Form("", lambda value: f"{value:.4f}"),
    "s": _Form("ms", lambda value: f"{value * 1e3:.1f}"),
    "bytes": _Form("MiB", lambda value: f"{value / 2**20:.2f}"),
    "share": _Form("%", lambda value: f"{value * 100:.1f}"),
    "yes": _Form("", lambda value: {0.0: "no", 1.0: "yes"}.get(value, f"{value:.2f}")),
}
_PLAIN = _Form("", lambda value: f"{value:.4g}")


def _form(unit: str) -> _Form:
    return _FORMS.get(unit, _PLAIN)


_EXTRAS = (
    _Extra("thrott.", "throttled_share", lambda value: f"{value:.0%}"),
    _Extra("gap", "gap_max_s", duration),
    _Extra("stats", "stats_cpus", lambda value: f"{value:.3f}"),
    _Extra("p99", "response_p99_s", duration),
    _Extra("max", "response_max_s", duration),
    _Extra("hits", "limit_hits", lambda value: f"{value:.0f}"),
    _Extra("swap", "peak_swap_bytes", lambda value: f"{value / 2**20:.1f} MiB"),
    _Extra("page", "fresh_page_s", duration),
    _Extra("beyond", "swapping_page_s", duration),
)


_HELD_AS = {"--cpu-period": "--cpu-quota"}
"""Quota and period are read back together."""
_SHORT = {
    "cpus": "CPUs",
    "outside_cpus": "elsewhere",
    "gap_s": "gap",
    "reached_bytes": "reached",
    "oom_killed": "OOM kill",
}
"""What a column of 80 has room for, by metric."""


def print_view(view: View) -> None:
    """Print the run's headline, table and remarks to stdout; colour only on a terminal."""
    console = Console(highlight=False)
    info = view.run.info
    console.print(Text(view.headline, style=_STYLE[view.status]))
    console.print(
        f"{info.plan.sweep} on {info.host.hostname}: {info.host.cpus} CPUs, kernel "
        f"{info.host.kernel}, cgroup v{info.engine.cgroup_version}, "
        f"{info.engine.name} {info.engine.version}, "
        f"{info.engine.runtime} {info.engine.runtime_version}",
        style="dim",
    )
    axes_shown = list(dict.fromkeys(row.summary.point.axis for row in view.rows))
    for axis in axes_shown:
        rows = [row for row in view.rows if row.summary.point.axis == axis]
        console.print(_fitting_table(axes.option(axis), rows, console))
    for row in view.rows:
        _print_reasons(console, row)
    for text in view.rejected:
        console.print(text, style="yellow", markup=False)
    for warned in view.warnings:
        console.print(
            f"Warning ({warned.trials} trial{'s' * (warned.trials > 1)}): {warned.text}; "
            f"{warned.remedy}.",
            style="yellow",
            markup=False,
        )
    for remark in view.remarks:
        console.print(remark, style="dim", markup=False)


def _print_reasons(console: Console, row: Row) -> None:
    """Why a point does not simply conform; what is said of several lines is said once."""
    said: dict[tuple[Status, str], list[str]] = {}
    for line in row.lines:
        verdict = line.verdict
        if verdict is not None and (
            verdict.status is not Status.CONFORMS or (line.law and line.law.explanation)
        ):
            said.setdefault((verdict.status, verdict.reason), []).append(line.metric.title)
    for (status, reason), metrics in said.items():
        about = Text(f"{row.summary.point.id}, {' and '.join(metrics)}: ", style=_STYLE[status])
        console.print(about + Text(reason, style="default"))


def _fitting_table(option: str, rows: list[Row], console: Console) -> Table:
    """The table with as many columns as the terminal has room for, the least important dropped."""
    own = dict.fromkeys(name for row in rows for name in _own_names(row))
    extras = [one for one in _EXTRAS if any(row.summary.estimate(one.metric) for row in rows)]
    extras += [_Extra(name, name, lambda value: f"{value:.4g}") for name in own]
    held = ["engine", "kernel"]
    unbounded = console.options.update(max_width=10_000)
    while True:
        table = _table(option, rows, held, extras)
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            return table
        if held:
            held.pop(0)
        elif extras:
            extras.pop()
        else:
            return table


def _table(option: str, rows: list[Row], held: list[str], extras: list[_Extra]) -> Table:
    several = any(len(row.lines) > 1 or line.container for row in rows for line in row.lines)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(option, justify="right", no_wrap=True)
    for who in held:
        table.add_column(who, justify="right", no_wrap=True)
    if several:
        table.add_column("metric", no_wrap=True)
    for name in ("promised", "achieved", "interval", "error"):
        table.add_column(name, justify="right", no_wrap=True)
    for extra in extras:
        table.add_column(extra.head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        for i, line in enumerate(row.lines):
            cells: list[Text | str] = [row.summary.point.value if i == 0 else ""]
            cells += [_held(row, option, who) if i == 0 else "" for who in held]
            if several:
                cells.append(_name(row, line))
            cells += _numbers(line)
            cells += [_extra(row, extra) if i == 0 else "" for extra in extras]
            status = line.verdict and line.verdict.status
            cells.append(Text(status.value, style=_STYLE[status]) if status else Text("no law"))
            table.add_row(*cells)
    return table


def _own_names(row: Row) -> list[str]:
    """What the programs of a point say of themselves, as far as it was said."""
    return [name for name, _ in row.summary.estimates if name not in METRICS]


def _held(row: Row, option: str, who: str) -> str:
    """The limit as the engine, or the kernel, reads it back; of each container, parted by ``:``."""
    shown = [one for one in row.readbacks if one.option == _HELD_AS.get(option, option)]
    return ":".join(getattr(one, who).removesuffix(" µs") for one in shown) or "-"


def _name(row: Row, line: Line) -> str:
    if line.metric.name == "ratio":
        containers = len(row.summary.point.containers)
        return "CPU ratio" if containers == 2 else f"CPU {line.container + 1}:{containers}"
    unit = _form(line.metric.unit).unit
    name = _SHORT.get(line.metric.name, line.metric.title)
    return f"{name}, {unit}" if unit else name


def _numbers(line: Line) -> list[Text | str]:
    text = _form(line.metric.unit).text
    promised = "-" if line.promised is None else text(line.promised)
    achieved = "-" if line.achieved is None else text(line.achieved.median)
    if line.law is not None and line.law.is_ceiling:
        return [f"≤{promised}", achieved, interval(line.achieved), "-"]
    error = "-"
    if line.deviation is not None and line.law is not None:
        error = _error(line.deviation.median, line.law, text)
    return [promised, achieved, interval(line.achieved), error]


def _error(deviation: float, law: Expectation, text: Callable[[float], str]) -> str:
    if law.scale is not Scale.ABSOLUTE:
        return check.amount(deviation, law)
    if deviation == 0:
        return "0"
    return f"{'+' if deviation > 0 else '-'}{text(abs(deviation))}"


def _extra(row: Row, extra: _Extra) -> str:
    estimate = row.summary.estimate(extra.metric)
    return "-" if estimate is None else extra.form(estimate.median)


def interval(estimate: Estimate | None) -> str:
    """``0.4991-0.5004``, or ``-`` where there is no interval."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return "-"
    low, high = (_form(estimate.unit).text(value) for value in (estimate.low, estimate.high))
    return low if low == high else f"{low}-{high}"
