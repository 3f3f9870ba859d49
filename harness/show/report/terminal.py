"""The terminal's table of a run: 80 columns hold it, the read-backs too where there is room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.model import Status
from harness.plan import axes
from harness.show.report import columns, neighbour
from harness.show.report.columns import Column, Form, Told
from harness.show.report.view import Row, View
from harness.wording import counted

_STYLE = {
    Status.CONFORMS: "green",
    Status.DEVIATES: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Status.NOT_EXERCISABLE: "dim",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A run's headline, table and remarks, for a console of rich to print."""

    view: View

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Each part in its order; the table as wide as the console has room for."""
        view, info = self.view, self.view.run.info
        yield Text(view.headline, style=_STYLE[view.status])
        yield Text(
            f"{info.plan.sweep} on {info.host.hostname}: {counted(info.host.cpus, 'CPU')}, kernel "
            f"{info.host.kernel}, cgroup v{info.engine.cgroup_version}, "
            f"{info.engine.name} {info.engine.version}, "
            f"{info.engine.runtime} {info.engine.runtime_version}",
            style="dim",
        )
        for axis in dict.fromkeys(row.summary.point.axis for row in view.rows):
            rows = [row for row in view.rows if row.summary.point.axis == axis]
            yield _fitting_table(axes.option(axis), rows, console, options)
            yield from neighbour.tables(rows)
        for row in view.rows:
            yield from _reasons(row)
        for text in view.rejected:
            yield Text(text, style="yellow")
        for warned in view.warnings:
            said = f"Warning ({counted(warned.trials, 'trial')}): {warned.text}; {warned.remedy}."
            yield Text(said, style="yellow")
        for remark in view.remarks:
            yield Text(remark, style="dim")


def _reasons(row: Row) -> Iterator[Text]:
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
        yield about + Text(reason, style="default")


def _fitting_table(
    option: str, rows: list[Row], console: Console, options: ConsoleOptions
) -> Table:
    """The table with as many columns as the terminal has room for."""
    shown = columns.shown(Form.TERMINAL, rows)
    unbounded = options.update(max_width=10_000)
    while True:
        table = _table(option, rows, shown)
        spare = max(shown, key=lambda column: column.spare)
        fits = Measurement.get(console, unbounded, table).maximum <= options.max_width
        if fits or not spare.spare:
            return table
        shown.remove(spare)


def _table(option: str, rows: list[Row], shown: list[Column[Told]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for column in shown:
        right = column.number or column.shared
        table.add_column(column.head or option, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        for i, told in enumerate(columns.told([row])):
            table.add_row(*(
                "" if column.shared and i else _cell(column, told) for column in shown
            ))  # fmt: skip
    return table


def _cell(column: Column[Told], told: Told) -> Text:
    status = column.status(told)
    return Text(column.narrow(told), style=_STYLE[status] if status else "")
