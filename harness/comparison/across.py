"""What moved on several hosts at once, or where the same fact changed. Pure.

A single series has a change that is none in fewer than one of a hundred (``changepoints``); several
hosts have one alike by chance as often as the binomial distribution says. docs/decisions/049.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from harness.comparison.changepoints import LEAST_RUNS
from harness.comparison.significance import adjusted
from harness.model import (
    ChangePoint,
    Point,
    RunSeries,
    SharedChange,
    SharedEvent,
    SharedFact,
)

ALPHA = 0.01
"""Of what is told of several hosts, so much is so by chance (Benjamini and Hochberg, over all that
was asked). Where nothing changed anywhere, so many histories tell any."""
FALSE_ALARMS = 0.01
"""Of a host's series without a change so many have one that way: more than are simulated."""

MOST_BY_CHANCE = 0.5
"""What hosts that each moved at a time of their own would more likely than not have in common is
not told."""

_Key = tuple[Point, str, int]
_Fact = tuple[str, str, str]
_Place = tuple[str, str]
"""(host, first run of the new level)."""


@dataclass(frozen=True, slots=True)
class _Moved:
    """One change of one host, and when it may have been: later than ``after``."""

    series: RunSeries
    change: ChangePoint

    @property
    def place(self) -> _Place:
        return self.series.host, self.series.entries[self.change.at].run

    @property
    def after(self) -> str:
        return self.series.entries[self.change.first - 1].created

    @property
    def until(self) -> str:
        return self.series.entries[self.change.last].created

    @property
    def weight(self) -> float:
        """How many times the least that matters it is."""
        least = self.series.entries[self.change.at].level.matters
        return abs(self.change.after - self.change.before) / least if least else 0.0

    def width(self, ends: int) -> float:
        """The share that it may lie in of all runs but the first, and so many at both ends."""
        places = len(self.series.entries) - 1 - 2 * ends
        return min(1.0, (self.change.last - self.change.first + 1) / places)

    @property
    def facts(self) -> set[_Fact]:
        return {(one.fact, one.before, one.after) for one in self.change.facts}


@dataclass(frozen=True, slots=True)
class _Told:
    """Changes that are alike, among the series that were asked."""

    cluster: Sequence[_Moved]
    asked: Sequence[RunSeries]
    p: float
    by_chance: float


def shared(series: Sequence[RunSeries]) -> tuple[SharedEvent, ...]:
    """What several hosts have in common, the newest first.

    Of each metric of a point the changes of one direction that have a moment in common, or a fact;
    what two metrics have in common on one host is one event.
    """
    asked: dict[_Key, list[RunSeries]] = {}
    for one in series:
        if len(one.entries) >= 2 * LEAST_RUNS:
            asked.setdefault((one.point, one.metric, one.container), []).append(one)
    found: list[_Told] = []
    none = 0
    for mine in asked.values():
        if len({one.host for one in mine}) < 2:
            continue
        clusters = [*_clusters(mine)]
        none += not clusters
        found += [
            _Told(one, mine, _false_alarms(len(one), len(mine)), meeting)
            for one, meeting in clusters
        ]
    ps = adjusted([*(one.p for one in found), *[1.0] * none])
    told = [
        replace(one, p=p)
        for one, p in zip(found, ps, strict=False)
        if p <= ALPHA and one.by_chance <= MOST_BY_CHANCE
    ]  # fmt: skip
    events = [_event(one) for one in _joined(told)]
    return tuple(sorted(events, key=lambda one: (one.until, one.after), reverse=True))


def _false_alarms(alike: int, hosts: int) -> float:
    """How likely so many hosts have a false alarm that way, up or down, wherever it lies."""
    return min(1.0, 2 * float(stats.binom.sf(alike - 1, hosts, FALSE_ALARMS)))


def _meeting(cluster: Sequence[_Moved], movers: Sequence[_Moved]) -> float:
    """How likely as many of these meet, were each to move at a time of its own; at the most.

    With a fact of the cluster: of those that have it, at one of the places where facts changed,
    which may be any run. Else at the beginning of any one's interval, as where most overlap one
    begins; a change is told nowhere near the ends.
    """
    common = set.intersection(*(one.facts for one in cluster))
    width = statistics.fmean(one.width(0 if common else LEAST_RUNS - 1) for one in cluster)
    if not common:
        others = float(stats.binom.sf(len(cluster) - 2, len(movers) - 1, width))
        return min(1.0, len(movers) * others)
    having = [one for one in movers if common & _facts_of(one.series)]
    places = max(sum(bool(entry.changed) for entry in one.series.entries) for one in having)
    return min(1.0, places * float(stats.binom.sf(len(cluster) - 1, len(having), width)))


def _facts_of(one: RunSeries) -> set[_Fact]:
    return {(f.fact, f.before, f.after) for entry in one.entries for f in entry.changed}


def _clusters(mine: Sequence[RunSeries]) -> Iterator[tuple[list[_Moved], float]]:
    """Those of two hosts or more, with how likely they meet by chance.

    The largest first; of as large ones, those that share a fact.
    """
    for up in (True, False):
        left = movers = [
            _Moved(one, change)
            for one in mine
            for change in one.changes
            if (change.after > change.before) == up
        ]
        while True:
            candidates = [*_by_fact(left), _by_time(left)]
            best = max(candidates, key=len)
            if len(best) < 2:
                break
            yield best, _meeting(best, movers)
            taken = {one.place for one in best}
            left = [one for one in left if one.place not in taken]


def _by_fact(left: Sequence[_Moved]) -> list[list[_Moved]]:
    """The changes of each fact, one a host: the first where it changed so twice."""
    found: dict[_Fact, dict[str, _Moved]] = {}
    for one in left:
        for fact in sorted(one.facts):
            found.setdefault(fact, {}).setdefault(one.series.host, one)
    return [[*one.values()] for _, one in sorted(found.items())]


def _by_time(left: Sequence[_Moved]) -> list[_Moved]:
    """The most hosts that can have moved at one moment."""
    best: dict[str, _Moved] = {}
    active: list[_Moved] = []
    for one in sorted(left, key=lambda one: (one.after, one.series.host)):
        active = [*(other for other in active if other.until > one.after), one]
        if len(active) > len(best):
            hosts = {other.series.host: other for other in active}
            best = hosts if len(hosts) > len(best) else best
    return [*best.values()]


def _joined(told: Sequence[_Told]) -> list[list[_Told]]:
    """Those that share a host's run, or a fact of all their hosts, belong together."""
    groups: list[tuple[set[_Place | _Fact], list[_Told]]] = []
    for one in told:
        common: set[_Place | _Fact] = {*set.intersection(*(moved.facts for moved in one.cluster))}
        common |= {moved.place for moved in one.cluster}
        mine, others = [one], []
        for group in groups:
            if group[0] & common:
                common, mine = group[0] | common, [*group[1], *mine]
            else:
                others.append(group)
        groups = [*others, (common, mine)]
    return [mine for _, mine in groups]


def _event(told: Sequence[_Told]) -> SharedEvent:
    ordered = sorted(
        told, key=lambda one: (-len(one.cluster), -max(moved.weight for moved in one.cluster))
    )
    every = [moved for one in ordered for moved in one.cluster]
    hosts = tuple(sorted({one.series.host for one in every}))
    after, until = max(one.after for one in every), min(one.until for one in every)
    at_once = after < until
    if not at_once:
        after, until = min(one.after for one in every), max(one.until for one in every)
    facts = _facts(every)
    common = [one for one in facts if len(one.hosts) == len(hosts)]
    concerned = {series.host: series for one in ordered for series in one.asked}
    return SharedEvent(
        changes=tuple(
            SharedChange(
                moved=tuple(sorted(
                    ((moved.series, moved.change) for moved in one.cluster),
                    key=lambda moved: moved[0].host,
                )),
                asked=tuple(sorted({series.host for series in one.asked})),
                adjusted_p=one.p,
                by_chance=one.by_chance,
            )
            for one in ordered
        ),
        hosts=hosts,
        still=tuple(sorted(
            host for host, one in concerned.items()
            if host not in hosts and _had(one, common, after, until)
        )),
        facts=facts,
        at_once=at_once,
        after=after,
        until=until,
    )  # fmt: skip


def _facts(every: Sequence[_Moved]) -> tuple[SharedFact, ...]:
    found: dict[_Fact, set[str]] = {}
    for one in every:
        for fact in one.facts:
            found.setdefault(fact, set()).add(one.series.host)
    several: Mapping[_Fact, set[str]] = {k: v for k, v in found.items() if len(v) > 1}
    return tuple(
        SharedFact(fact=fact, before=before, after=after, hosts=tuple(sorted(hosts)))
        for (fact, before, after), hosts in sorted(
            several.items(), key=lambda one: (-len(one[1]), one[0])
        )
    )


def _had(one: RunSeries, common: Sequence[SharedFact], after: str, until: str) -> bool:
    """Whether the host had occasion to move as well."""
    if common:
        had = _facts_of(one)
        return any((fact.fact, fact.before, fact.after) in had for fact in common)
    return one.entries[0].created <= after and one.entries[-1].created >= until
