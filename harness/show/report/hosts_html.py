"""Hosts side by side as one HTML file that stays small with a thousand of them.

No figure has a row a host: a point over all hosts is a strip of bars, and the hosts are one table
that is sorted and searched in the page.
"""

from __future__ import annotations

import math
from collections import Counter

from markupsafe import Markup

from harness.comparison.words import brief
from harness.model import HostRow, Hosts, HostSeries
from harness.show.report import hosts as words
from harness.show.report import page
from harness.show.report.page import Cell, Head, Table
from harness.show.report.words import NONE
from harness.wording import counted

_BARS = 48
_HEIGHT = 20
_MOST_FACTS = 4
"""Of those in which hosts differ, so many are columns of the hosts' table: all are in the other."""


def render(hosts: Hosts) -> str:
    """The page of a fleet in any state."""
    counts = Counter(row.standing for row in hosts.rows)
    groups = list(words.groups(hosts))
    return page.render(
        "hosts.html",
        title=f"{counted(len(hosts.rows), 'host')} side by side",
        headline=words.headline(hosts),
        status=words.status(hosts),
        remarks=words.remarks(hosts),
        shared=[
            (one.finding, words.who(one), words.same(one), words.p_value(one.adjusted_p))
            for one in hosts.separations
        ],
        series=_series(hosts) if hosts.series else None,
        facts=_facts(hosts, groups) if groups else None,
        rows=len(hosts.rows),
        standings=[(one, counts[one]) for one in words.standings(hosts)],
        hosts=_hosts(hosts),
    )


def _series(hosts: Hosts) -> Table:
    rows = []
    for label, one in zip(words.labels(hosts), hosts.series, strict=True):
        apart = words.apart_in(one, hosts.alpha)
        named = ", ".join(apart[:3]) + (f" and {len(apart) - 3} more" if len(apart) > 3 else "")
        rows.append((
            Cell(label),
            Cell(words.metric(one.metric, one.container)),
            Cell(str(len(one.hosts)), sort=len(one.hosts)),
            Cell(words.value(one, one.median), sort=one.median),
            Cell(words.scatter(one), sort=one.scatter),
            Cell("", (words.range_of(one),), sort=len(apart), drawn=_strip(one, hosts.alpha)),
            Cell(str(len(apart)), (named,) if named else (), sort=len(apart)),
            Cell(words.told_from(one),
                 sort=math.nan if math.isinf(one.told_from) else one.told_from),
        ))  # fmt: skip
    return Table(
        caption="The hosts' medians: their median and robust scatter, how many lie where, how many "
        "lie apart, and the least change of one host that would be told",
        heads=(Head("Point"), Head("Metric"), Head("Hosts", "number"), Head("Median", "number"),
               Head("Scatter", "number"), Head("From the least to the greatest", "run"),
               Head("Apart", "number"), Head("Told from", "number")),
        rows=tuple(rows),
    )  # fmt: skip


def _strip(one: HostSeries, alpha: float) -> Markup:
    """How many hosts lie where, of numbers of ours alone; those apart in a colour of their own."""
    whole = words.bins(one, _BARS)
    most = max(whole)
    lying = [p <= alpha for p in one.adjusted_ps]
    far = words.bins(one, _BARS, only=lying) if any(lying) else [0] * _BARS
    drawn = []
    for i, n in enumerate(whole):
        if n:
            height = max(2.0, n / most * _HEIGHT)
            kind = "far" if far[i] else "all"
            drawn.append(
                f'<rect class="{kind}" x="{i * 4}" y="{_HEIGHT + 2 - height:.1f}" width="3" '
                f'height="{height:.1f}"/>'
            )
    base = f'<line class="base" x1="0" x2="{_BARS * 4}" y1="{_HEIGHT + 3}" y2="{_HEIGHT + 3}"/>'
    return Markup(
        f'<svg class="strip" viewBox="0 0 {_BARS * 4} {_HEIGHT + 4}" preserveAspectRatio="none" '
        f'aria-hidden="true" focusable="false">{base}{"".join(drawn)}</svg>'
    )


def _facts(hosts: Hosts, groups: list[words.Group]) -> Table:
    standings = words.standings(hosts)
    return Table(
        caption="The facts in which hosts differ, and how the hosts with each value stand",
        heads=(Head("Fact"), Head("Value"), Head("Hosts", "number"),
               *(Head(one.value.capitalize(), "number") for one in standings)),
        rows=tuple(
            (
                Cell(group.fact), Cell(group.value), Cell(str(group.hosts), sort=group.hosts),
                *(Cell(str(group.standings[one]) if group.standings[one] else "",
                       sort=group.standings[one]) for one in standings),
            )
            for group in groups
        ),
    )  # fmt: skip


def _hosts(hosts: Hosts) -> Table:
    facts = words.differing(hosts)[:_MOST_FACTS]
    return Table(
        caption="Every host, the worst first; a click on a head sorts, and the search leaves out "
        "hosts without each of its words",
        heads=(Head("Host"), Head("Standing"), Head("Why", "why"), Head("Furthest", "number"),
               *([Head(f"Against {hosts.against}")] if hosts.against else []),
               *(Head(fact.capitalize()) for fact in facts), Head("Run", "run")),
        rows=tuple(
            _row(row, facts, against=bool(hosts.against)) for row in words.ordered(hosts.rows)
        ),
        searched=True,
    )  # fmt: skip


def _row(row: HostRow, facts: list[str], *, against: bool) -> tuple[Cell, ...]:
    distance = row.apart[0].distance if row.apart else math.nan
    return (
        Cell(row.name),
        Cell("", status=row.standing),
        Cell(words.about(row)),
        Cell(NONE if math.isnan(distance) else f"{distance:.1f}", sort=distance),
        *([Cell(row.change.value if row.change else NONE)] if against else []),
        *(Cell(brief(row.facts.get(fact, NONE))) for fact in facts),
        Cell(row.runs[0] if row.runs else NONE),
    )
