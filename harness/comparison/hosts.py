"""Hosts side by side: how each stands among the others. Pure.

A host's law verdicts are its own; whether it lies apart is asked of all hosts that measured the
same point: with the same limits, load and window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.comparison import hosts_apart, hosts_facts
from harness.comparison.hosts_apart import ALPHA, LEAST_HOSTS, Spread
from harness.comparison.hosts_found import FINISHED, Found, Member
from harness.comparison.sensitivity import SENSITIVITY
from harness.judge import verdicts
from harness.judge.metrics import METRICS
from harness.model import (
    Apart,
    Change,
    HostRow,
    Hosts,
    HostSeries,
    Level,
    Point,
    Separation,
    Standing,
    Status,
)

DEVIATES, REGRESSED = "a law deviates", "regressed against its baseline"
APART = "lies apart in"
"""The findings for which a common fact is looked for; the last for each metric."""

_Key = tuple[Point, str, int]


def beside(found: Found, metrics: Sequence[str] = ()) -> Hosts:
    """The hosts side by side, by some metrics alone where these are named."""
    keys: dict[_Key, list[tuple[str, Level]]] = {}
    for member in found.members:
        seen: set[Point] = set()
        for run in member.levels:
            for point in run.points:
                if point.point in seen:
                    continue  # a newer run of this host has it
                seen.add(point.point)
                for level in point.levels:
                    if not metrics or level.metric in metrics:
                        key = point.point, level.metric, level.container
                        keys.setdefault(key, []).append((member.name, level))
    ordered = _ordered(keys)
    spreads = [hosts_apart.spread([level for _, level in mine]) for _, mine in ordered]
    tests = sum(len(one.ps) for one in spreads if len(one.ps) >= LEAST_HOSTS)
    adjusted = hosts_apart.adjusted_over(spreads)
    series = tuple(
        _series(key, mine, one, ps, tests)
        for (key, mine), one, ps in zip(ordered, spreads, adjusted, strict=True)
    )
    apart = _apart(series, spreads)
    rows = tuple(_row(member, apart.get(member.name, ())) for member in found.members)
    return Hosts(
        rows=rows, series=series, separations=shared(rows), tests=tests, alpha=ALPHA,
        left_out=found.left_out,
    )  # fmt: skip


def _ordered(
    keys: Mapping[_Key, list[tuple[str, Level]]],
) -> list[tuple[_Key, list[tuple[str, Level]]]]:
    """Points as they were met, of each the metrics in the order of ``SENSITIVITY``."""
    points = {point: i for i, point in enumerate(dict.fromkeys(point for point, _, _ in keys))}
    order = {metric: i for i, metric in enumerate(SENSITIVITY)}
    return sorted(keys.items(), key=lambda one: (points[one[0][0]], order[one[0][1]], one[0][2]))


def _series(
    key: _Key, mine: Sequence[tuple[str, Level]], one: Spread, ps: tuple[float, ...], tests: int
) -> HostSeries:
    point, metric, container = key
    return HostSeries(
        point=point,
        metric=metric,
        container=container,
        hosts=tuple(host for host, _ in mine),
        levels=tuple(level for _, level in mine),
        median=one.median,
        scatter=one.change(one.scatter),
        scale=one.scale,
        told_from=one.told_from(ALPHA / max(tests, 1)),
        distances=one.distances,
        adjusted_ps=ps,
    )


def _apart(series: Sequence[HostSeries], spreads: Sequence[Spread]) -> dict[str, list[Apart]]:
    """Host → where it lies apart, the furthest first."""
    out: dict[str, list[Apart]] = {}
    for one, spread in zip(series, spreads, strict=True):
        for i, p in enumerate(one.adjusted_ps):
            if p <= ALPHA:
                out.setdefault(one.hosts[i], []).append(Apart(
                    host=one.hosts[i], point=one.point, metric=one.metric,
                    container=one.container, median=one.levels[i].median, fleet=one.median,
                    scale=one.scale, change=spread.change(spread.places[i]),
                    distance=one.distances[i], adjusted_p=p,
                ))  # fmt: skip
    for mine in out.values():
        mine.sort(key=lambda one: -one.distance)
    return out


def _row(member: Member, apart: Sequence[Apart]) -> HostRow:
    judged: dict[str, Status] = {}
    whys: dict[Status, str] = {}
    facts: dict[str, str] = {}
    for run in member.levels:
        facts = run.facts | facts  # the newest run's count
        for point in run.points:
            if point.verdict is not None and point.point.id not in judged:
                judged[point.point.id] = point.verdict
                whys.setdefault(point.verdict, f"{point.point.id}: {point.why}")
    standing, why = _standing(member, judged.values(), apart)
    if not why and standing.value in {one.value for one in whys}:
        why = whys[Status(standing.value)]
    return HostRow(
        name=member.name, standing=standing,
        why="" if standing in (Standing.CONFORMS, Standing.APART) else why,
        runs=member.runs, created=member.levels[0].created if member.levels else "",
        facts=facts, verdicts=judged, apart=tuple(apart),
    )  # fmt: skip


def _standing(
    member: Member, judged: Iterable[Status], apart: Sequence[Apart]
) -> tuple[Standing, str]:
    """The worst that can be said; inconclusive is never shown as success."""
    if member.status != FINISHED:
        return Standing(member.status), member.why
    if not member.levels:
        return Standing.INCONCLUSIVE, member.why
    found = set(judged)
    if Status.DEVIATES in found:
        return Standing.DEVIATES, ""
    if apart:
        return Standing.APART, ""
    if not found:
        return Standing.INCONCLUSIVE, "no law speaks of its points"
    return Standing(verdicts.overall(found).value), ""


def shared(rows: Sequence[HostRow]) -> tuple[Separation, ...]:
    """What the hosts of each finding have in common, and the others have not."""
    measured = {row.name: row for row in rows if row.facts}
    findings: dict[str, set[str]] = {}
    for name, row in measured.items():
        if row.standing is Standing.DEVIATES:
            findings.setdefault(DEVIATES, set()).add(name)
        if row.change is Change.REGRESSED:
            findings.setdefault(REGRESSED, set()).add(name)
        for one in row.apart:
            title = f"{APART} {METRICS[one.metric].title}"
            findings.setdefault(title, set()).add(name)
    of = hosts_facts.groups({name: row.facts for name, row in measured.items()})
    return hosts_facts.separations(findings, of, measured)
