"""Who of several containers below one limit was killed, by score.

Needs points with a cgroup around their containers, in which somebody could be killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.judge.laws.parent import NEVER, scores
from harness.show.plots.data import Material, Picture
from harness.show.plots.style import AMBER, BAND, BLUE, GREY, INK, LIMIT, VERMILION
from harness.show.plots.words import NBSP
from harness.store.runs import Run

_TAKEN: Any = {"ls": "", "marker": "X", "ms": 9, "color": VERMILION, "mec": INK, "mew": 0.6}


class _Rival(NamedTuple):
    """One container: shares of the limit that they have together."""

    value: str
    container: int
    adjustment: int
    held: float
    score: float | None
    """None: it is never killed."""
    killed: float
    """The share of the trials that count."""


def has_killed(given: Material) -> bool:
    """Whether containers that share a limit were measured."""
    return any(next(_rivals(given, run), None) for run in given.runs)


def _rivals(given: Material, run: Run) -> Iterator[_Rival]:
    """All of them, point by point, with what they held when the limit was met."""
    for point in run.info.plan.points:
        shared = (point.parent.memory_bytes if point.parent else None) or 0
        if point.axis != given.axis or not shared:
            continue
        if any(spec.limits.oom_score_adj is None for spec in point.containers):
            continue
        killed = given.counted("oom_killed", "reached_bytes")
        mine = killed[(killed["run"] == run.info.name) & (killed["point"] == point.id)]
        if mine.empty:
            continue
        # The last one is killed, or goes on once another was: then it had what was left.
        by_container = mine.groupby("container")["reached_bytes"].median()
        held = [float(by_container[i]) for i in range(len(point.containers))]
        held[-1] = min(held[-1], shared - sum(held[:-1]))
        adjusted = [spec.limits.oom_score_adj or 0 for spec in point.containers]
        found = scores(adjusted, held, shared, run.info.host.page_bytes)
        for i, (adjustment, score) in enumerate(zip(adjusted, found, strict=True)):
            yield _Rival(
                point.value, i, adjustment, held[i] / shared,
                None if score is None else score / shared,
                float(mine[mine["container"] == i]["oom_killed"].mean()),
            )  # fmt: skip


def killed(given: Material) -> Picture:
    """A bar a container: its memory, its adjustment, and whether it was killed."""
    by_run = {run.info.name: list(_rivals(given, run)) for run in given.runs}
    lines = max(len(found) + len({one.value for one in found}) for found in by_run.values())
    sheet = given.sheet(1.4 + 0.24 * lines)
    for run, (ax,) in zip(given.runs, sheet.columns, strict=True):
        at, labels, last = 0.0, dict[float, str](), ""
        for one in by_run[run.info.name]:
            at += 1.0 if one.value == last or not last else 1.7
            last = one.value
            labels[at] = f"container {one.container + 1} of {one.value}"
            _draw(ax, at, one)
        ax.axvline(1.0, zorder=1, **LIMIT)
        ax.set_yticks(list(labels), list(labels.values()))
        ax.set_ylim(at + 0.8, 0.2)
        ax.grid(visible=False, axis="y")
    sheet.xlabel("Share of the limit that they have together", "Share of the limit")
    handles = [
        Patch(facecolor=BLUE, label="memory held"),
        Patch(facecolor=AMBER, label="added by oom_score_adj"),
        Patch(facecolor=BAND, label="taken away by it"),
        Line2D([], [], ls="", marker="|", ms=11, mew=2, color=INK, label="score"),
        Line2D([], [], label="was killed", **_TAKEN),
    ]
    sheet.key(sheet.columns[0][0], handles)
    told = "; ".join(
        f"{one.value}, container {one.container + 1}: score "
        f"{'never' if one.score is None else f'{one.score:.2f}'}, killed in {one.killed:.0%}"
        for found in by_run.values()
        for one in found
    )
    return given.picture(
        "killed", sheet, given.found(_finding),
        "What each of several containers held when the limit that they share was met, and what its "
        "oom_score_adj adds: so many thousandths of that limit. The kernel kills the one with the "
        "highest score. A cross is who was killed; where trials differ it bears their share.",
        f"{told}.",
    )  # fmt: skip


def _draw(ax: Any, at: float, one: _Rival) -> None:
    ax.barh(at, one.held, height=0.66, color=GREY if one.score is None else BLUE, zorder=2)
    if one.score is None:
        ax.annotate("never killed (−1000)", (one.held, at), xytext=(6, 0),
                    textcoords="offset points", va="center", fontsize=8)  # fmt: skip
        return
    colour = AMBER if one.adjustment > 0 else BAND
    if one.adjustment:
        ax.barh(at, one.score - one.held, left=one.held, height=0.34, color=colour, zorder=3)
    ax.plot([one.score], [at], ls="", marker="|", ms=11, mew=2, color=INK, zorder=4)
    if one.killed:
        ax.plot([one.score + 0.04], [at], zorder=5, **_TAKEN)
    if 0 < one.killed < 1:
        ax.annotate(f"{one.killed:.0%}", (one.score + 0.04, at), xytext=(8, 0),
                    textcoords="offset points", va="center", fontsize=8)  # fmt: skip


def _finding(one: Material) -> str:
    """Whether the highest score was killed in every point of one run."""
    found = list(_rivals(one, one.runs[0]))
    values = list(dict.fromkeys(each.value for each in found))
    wrong = [
        value
        for value in values
        if max(
            (each for each in found if each.value == value and each.score is not None),
            key=lambda each: each.score or 0.0,
        ).killed
        < 1
    ]
    if wrong:
        return f"At {wrong[0]} another was killed than the one with the highest score"
    never = any(each.adjustment == NEVER for each in found)
    spared = f", and never who has {NEVER}".replace("-", "−") if never else ""
    return f"Killed is who has the highest score{spared}".replace(" score", f"{NBSP}score")
