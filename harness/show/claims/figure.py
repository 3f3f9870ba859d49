"""What claims say of a number, beside what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from harness.model import ClaimVerdict
from harness.show.claims import view as views
from harness.show.plots import style
from harness.show.plots.style import AMBER, BLUE, INK, VERMILION, Mark, Sheet

if TYPE_CHECKING:
    from harness.store.claims import ClaimsRun

_MARKS = {
    ClaimVerdict.HOLDS: Mark("o", BLUE),
    ClaimVerdict.REFUTED: Mark("X", VERMILION),
    ClaimVerdict.INCONCLUSIVE: Mark("^", AMBER, filled=False),
}
CLAIMED = "claimed"
"""The number of a finding that a claim promises; the next one is what was measured of it."""


def has_claimed(run: ClaimsRun) -> bool:
    """Whether there is a claim that promises a number, and was measured."""
    return bool(_pairs(run))


def claimed(run: ClaimsRun) -> Sheet:
    """A line a claim: what was measured over what it promises, on a logarithmic scale."""
    pairs = _pairs(run)
    with style.styled():
        sheet = Sheet(1.0 + 0.34 * len(pairs), (1.0,), [""])
        ((ax,),) = sheet.columns
        ax.axvline(1.0, color=INK, lw=1.2)
        for line, (row, share) in enumerate(pairs):
            mark = _MARKS[row.verdict]
            ax.plot([1.0, share], [line, line], color=mark.colour, lw=1.0, alpha=0.5)
            ax.plot([share], [line], **mark.style())
        ax.set_xscale("log")
        style.plain_log_ticks(ax.xaxis)
        ax.set_yticks(range(len(pairs)), [row.text.id for row, _ in pairs])
        ax.set_ylim(len(pairs) - 0.5, -0.5)
        ax.grid(visible=False, axis="y")
        sheet.xlabel("Measured / claimed (1 = as claimed)")
        known = {row.verdict for row, _ in pairs}
        handles = [
            Line2D([], [], label=verdict.value, **mark.style())
            for verdict, mark in _MARKS.items()
            if verdict in known
        ]
        sheet.key(ax, handles)
        far, share = max(pairs, key=lambda pair: max(pair[1], 1 / pair[1]))
        engine = run.info.engine
        sheet.words = "; ".join(f"{row.text.id}: {share:.3g} times" for row, share in pairs)
        sheet.finish(
            f"{far.text.id}: {share:.3g} times what is claimed",
            f"{run.info.name} · {run.info.host.hostname} · {engine.name} {engine.version} · "
            f"cgroup v{engine.cgroup_version}",
        )
    return sheet


def _pairs(run: ClaimsRun) -> list[tuple[views.Row, float]]:
    """Each claim that promises a positive number, with what was measured as a share of it."""
    found = []
    for row in views.build(run).rows:
        numbers = [
            (name, float(value))
            for name, value in row.result.finding.numbers
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        if len(numbers) > 1 and numbers[0][0] == CLAIMED and row.verdict in _MARKS:
            promised, measured = numbers[0][1], numbers[1][1]
            if promised > 0 and measured > 0:
                found.append((row, measured / promised))
    return found
