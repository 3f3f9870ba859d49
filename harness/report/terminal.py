"""The terminal's table of a run: everything at 80 columns, the read-backs too where there is room."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.model import Estimate, Status
from harness.report.view import Row, View

_STYLE = {
    Status.CONFORMS: "green",
    Status.DEVIATES: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Status.NOT_EXERCISABLE: "dim",
}
_WIDE = 100
"""From this many columns on the read-backs of engine and kernel have columns of their own."""


def print_view(view: View) -> None:
    """Print the run's headline, table and remarks to stdout; colour only on a terminal."""
    console = Console(highlight=False)
    wide = console.width >= _WIDE
    info = view.run.info
    console.print(Text(view.headline, style=_STYLE[view.status]))
    console.print(
        f"{info.plan.sweep} on {info.host.hostname}: {info.host.cpus} CPUs, kernel "
        f"{info.host.kernel}, cgroup v{info.engine.cgroup_version}, Docker {info.engine.version}, "
        f"{info.engine.runtime} {info.engine.runtime_version}",
        style="dim",
    )
    console.print(_table(view, wide))
    for row in view.rows:
        if row.verdict.status is not Status.CONFORMS:
            line = Text(f"{row.summary.point.id}: ", style=_STYLE[row.verdict.status])
            console.print(line + Text(row.verdict.reason, style="default"))
    for text in view.rejected:
        console.print(text, style="yellow")
    for warned in view.warnings:
        console.print(
            f"Warning ({warned.trials} trial{'s' * (warned.trials > 1)}): {warned.text}; "
            f"{warned.remedy}.",
            style="yellow",
        )
    for remark in view.remarks:
        console.print(remark, style="dim")


def _table(view: View, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("--cpus", justify="right")
    if wide:
        table.add_column("engine", justify="right")
        table.add_column("kernel", justify="right")
    for name in ("promised", "achieved", "interval", "error", "thrott.", "gap", "stats"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in view.rows:
        table.add_row(*_cells(row, wide))
    return table


def _cells(row: Row, wide: bool) -> list[Text | str]:
    summary = row.summary
    achieved, error = summary.achieved, summary.error
    readback: list[Text | str] = [row.engine, row.kernel] if wide else []
    return [
        summary.point.value,
        *readback,
        f"{summary.law.expectation.value:.3f}",
        _number(achieved, "{:.4f}"),
        interval(achieved),
        _number(error, "{:+.2%}"),
        _number(summary.throttled, "{:.0%}"),
        "-" if summary.gap_s is None else duration(summary.gap_s.median),
        _number(summary.stats, "{:.3f}"),
        Text(row.verdict.status.value, style=_STYLE[row.verdict.status]),
    ]


def _number(estimate: Estimate | None, form: str) -> str:
    return "-" if estimate is None else form.format(estimate.median)


def interval(estimate: Estimate | None) -> str:
    """``0.4991-0.5004``, or ``-`` where there is no interval."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.low:.4f}-{estimate.high:.4f}"


def duration(seconds: float) -> str:
    """A time as people read it: ``48.2 ms``, ``1.20 s``."""
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
