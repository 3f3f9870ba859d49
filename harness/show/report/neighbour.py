"""What is left of a victim beside its neighbour, for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table

from harness import units
from harness.model import Estimate
from harness.show.report.view import Row

_TAIL, _DONE = "tail_vs_alone", "done_vs_alone"


def tables(rows: Sequence[Row]) -> Iterator[Table]:
    """One table, where any of the points was measured beside itself alone; else none."""
    told = [row.summary for row in rows if row.summary.estimate(_TAIL)]
    if not told:
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("victim beside", justify="right", no_wrap=True)
    for head in ("slowest, alone = 1", "interval", "work done", "interval"):
        table.add_column(head, justify="right", no_wrap=True)
    for summary in told:
        table.add_row(
            summary.point.value,
            *_said(summary.estimate(_TAIL), times),
            *_said(summary.estimate(_DONE), units.percent),
        )
    yield table


def times(factor: float) -> str:
    """So many times as much: ``1.25``, ``14.1``."""
    return f"{factor:.2f}" if factor < 9.995 else f"{factor:.1f}"


def _said(found: Estimate | None, write: Callable[[float], str]) -> tuple[str, str]:
    if found is None:
        return "-", "-"
    if found.low is None or found.high is None:
        return write(found.median), "-"
    return write(found.median), units.from_to(write(found.low), write(found.high), "-")
