"""Hosts side by side in words: what every form of it tells, also as plain data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness import units
from harness.comparison.hosts_apart import LEAST_HOSTS
from harness.comparison.hosts_facts import LEAST
from harness.comparison.words import brief
from harness.judge.metrics import METRICS
from harness.model import (
    Apart,
    Change,
    HostRow,
    Hosts,
    HostSeries,
    Scale,
    Separation,
    Standing,
    Status,
)
from harness.show.report.history import left_out
from harness.wording import agreeing, counted

WORST_FIRST = (
    Standing.DEVIATES, Standing.APART, Standing.FAILED, Standing.UNREACHABLE,
    Standing.INCONCLUSIVE, Standing.RUNNING, Standing.WAITING, Standing.NOT_EXERCISABLE,
    Standing.CONFORMS,
)  # fmt: skip
_CHANGES = (
    Change.REGRESSED, Change.INCOMPARABLE, Change.INCONCLUSIVE, Change.IMPROVED, Change.SAME,
)  # fmt: skip
_VERBS = {
    Standing.CONFORMS: ("conforms", "conform"),
    Standing.DEVIATES: ("deviates", "deviate"),
    Standing.APART: ("lies apart", "lie apart"),
}
_FINE = (Change.SAME, Change.IMPROVED)
_BARS = "▁▂▃▄▅▆▇█"
_LARGE = 10.0
"""A change beyond which nobody asks for its digits: ten times as much again."""
_MOST_VALUES = 12
"""Of a fact; those that fewer hosts have are counted."""


# --- the whole ---------------------------------------------------------------------------------


def headline(hosts: Hosts) -> str:
    """The whole fleet in a sentence, and what those that differ share."""
    if not hosts.separations:
        return tally(hosts)
    shared = who(hosts.separations[0])
    return f"{tally(hosts)} {shared[0].upper()}{shared[1:]}: {hosts.separations[0].finding}."


def tally(hosts: Hosts) -> str:
    """How many hosts stand how."""
    counts = Counter(row.standing for row in hosts.rows)
    said = ", ".join(
        f"{counts[one]} {agreeing(counts[one], *_VERBS.get(one, (one.value, one.value)))}"
        for one in WORST_FIRST
        if counts[one]
    )
    text = f"{counted(len(hosts.rows), 'host')}: {said}."
    changes = Counter(row.change for row in hosts.rows if row.change is not None)
    if changes:
        each = ", ".join(f"{changes[one]} {one.value}" for one in _CHANGES if changes[one])
        text += f" Against baseline '{hosts.against}': {each}."
    return text


def status(hosts: Hosts) -> Status:
    """What the page is coloured by; inconclusive is never shown as success."""
    found = {row.standing for row in hosts.rows}
    changes = {row.change for row in hosts.rows}
    if found & {Standing.DEVIATES, Standing.APART} or Change.REGRESSED in changes:
        return Status.DEVIATES
    if changes & {Change.INCONCLUSIVE, Change.INCOMPARABLE}:
        return Status.INCONCLUSIVE
    fine = found <= {Standing.CONFORMS, Standing.NOT_EXERCISABLE}
    return Status.CONFORMS if fine and Standing.CONFORMS in found else Status.INCONCLUSIVE


def remarks(hosts: Hosts) -> list[str]:
    """What a reader must know of all of it."""
    said = []
    if hosts.tests:
        said.append(
            f"Of all that is said to lie apart, at most {hosts.alpha:.0%} is so by chance, where "
            f"hosts scatter normally: {hosts.tests:,} distances, of hosts and metrics, were tested "
            "together. Allowed is the hosts' own scatter, or two thirds of what matters."
        )
    few = [one for one in hosts.series if len(one.hosts) < LEAST_HOSTS]
    if few:
        what = "Nothing" if len(few) == len(hosts.series) else f"{len(few)} metrics"
        verb = "was" if what == "Nothing" else "were"
        said.append(
            f"{what} {verb} measured alike on {LEAST_HOSTS} hosts or more: with fewer, none can be "
            "said to lie apart. Each has the verdict of its laws."
            if what == "Nothing"
            else f"{what} {verb} measured alike on fewer than {LEAST_HOSTS} hosts: there none can "
            "be said to lie apart."
        )
    if hosts.against:
        said.append(
            "Each comparison with a baseline is one by itself: of a thousand hosts that changed "
            "nothing, ten may be said to have."
        )
    if hosts.separations:
        said.append(
            "A fact that the same hosts have is not thereby the cause: each is tested by Fisher's "
            "exact test, adjusted over all facts."
        )
    return said + left_out(hosts.left_out)


# --- what the hosts of a finding share ---------------------------------------------------------


def who(one: Separation) -> str:
    """``all 50 with runtime runc 1.2.4, none of 950 others``."""
    all_of_them = "both" if one.having == LEAST else f"all {one.having}"
    mine = all_of_them if one.among == one.having else f"{one.among} of {one.having}"
    others = (
        f"none of {one.others} others"
        if not one.among_others
        else f"{one.among_others} of {one.others} others"
    )
    return f"{mine} with {one.fact} {brief(one.value)}, {others}"


def same(one: Separation) -> str:
    """The other facts that exactly these hosts have; empty where there are none."""
    if not one.same:
        return ""
    first = ", ".join(f"{fact} {brief(value)}" for fact, value in one.same[:4])
    more = f" and {len(one.same) - 4} more" if len(one.same) > 4 else ""
    return f"the same hosts have {first}{more}"


def p_value(p: float) -> str:
    """``p 4e-08``."""
    return f"p {p:.1g}"


# --- a host ------------------------------------------------------------------------------------


def about(row: HostRow) -> str:
    """Why a host stands as it does; empty where it conforms."""
    said = [row.why] if row.why else []
    if row.apart:
        more = f", and {len(row.apart) - 1} more" if len(row.apart) > 1 else ""
        said.append(apart(row.apart[0]) + more)
    if row.change is not None and row.change not in _FINE:
        changed = row.changed.rstrip(".")
        said.append(f"against its baseline {changed[:1].lower()}{changed[1:]}")
    return "; ".join(said)


def is_fine(row: HostRow) -> bool:
    """Whether nothing is to be told of a host."""
    return row.standing is Standing.CONFORMS and (row.change is None or row.change in _FINE)


def apart(one: Apart) -> str:
    """``CPUs achieved of cpus=0.5 +5.0%, 14 times the scatter allowed``."""
    times = f"{one.distance:.0f}" if one.distance >= 9.5 else f"{one.distance:.1f}"
    where = f"{metric(one.metric, one.container)} of {one.point.id}"
    return (
        f"{where} {_change(one.metric, one.scale, one.change)}, {times} times the scatter allowed"
    )


def ordered(rows: Sequence[HostRow]) -> list[HostRow]:
    """The worst first, of these the furthest apart, then by name."""
    return sorted(rows, key=lambda row: (
        WORST_FIRST.index(row.standing), is_fine(row),
        -row.apart[0].distance if row.apart else 0.0, row.name,
    ))  # fmt: skip


def differing(hosts: Hosts) -> list[str]:
    """The facts in which hosts differ: those that tell a finding first, then as they are kept."""
    first = [fact for one in hosts.separations for fact in (one.fact, *(f for f, _ in one.same))]
    names = dict.fromkeys(fact for row in hosts.rows for fact in row.facts)
    return [
        fact
        for fact in dict.fromkeys([*first, *names])
        if len({row.facts[fact] for row in hosts.rows if fact in row.facts}) > 1
    ]


@dataclass(frozen=True, slots=True)
class Group:
    """The hosts that have one value of a fact."""

    fact: str
    value: str
    hosts: int
    standings: Counter[Standing]


def groups(hosts: Hosts) -> Iterator[Group]:
    """The hosts by each fact in which they differ, the commonest values first."""
    for fact in differing(hosts):
        by_value: dict[str, Counter[Standing]] = {}
        for row in hosts.rows:
            if fact in row.facts:
                by_value.setdefault(row.facts[fact], Counter())[row.standing] += 1
        found = sorted(by_value.items(), key=lambda one: (-one[1].total(), one[0]))
        kept = found if len(found) <= _MOST_VALUES else found[: _MOST_VALUES - 1]
        for value, standings in kept:
            yield Group(fact, brief(value), standings.total(), standings)
        rest: Counter[Standing] = sum((one for _, one in found[len(kept) :]), Counter())
        if rest:
            yield Group(fact, f"{len(found) - len(kept)} others", rest.total(), rest)


def standings(hosts: Hosts) -> list[Standing]:
    """Those that there are, the worst first."""
    there = {row.standing for row in hosts.rows}
    return [one for one in WORST_FIRST if one in there]


# --- a point over all hosts --------------------------------------------------------------------


def metric(name: str, container: int) -> str:
    """The metric in words, and which container's where that is not the first."""
    title = METRICS[name].title
    return f"{title}, container {container + 1}" if container else title


def labels(hosts: Hosts) -> list[str]:
    """What each series' point is called: points of one name that were planned otherwise differ."""
    said = []
    for one in hosts.series:
        plans = list(dict.fromkeys(
            other.point for other in hosts.series if other.point.id == one.point.id
        ))  # fmt: skip
        number = f" (plan {plans.index(one.point) + 1} of {len(plans)})" if len(plans) > 1 else ""
        said.append(one.point.id + number)
    return said


def value(one: HostSeries, number: float) -> str:
    """A value of its metric with the unit."""
    return units.of(METRICS[one.metric].unit).text(number)


def scatter(one: HostSeries) -> str:
    """How hosts differ: ``0.12%``, or in the metric's unit."""
    return _change(one.metric, one.scale, one.scatter).lstrip("+±")


def told_from(one: HostSeries) -> str:
    """The least change of one host that would be told."""
    if math.isinf(one.told_from):
        return "none"
    if one.scale is Scale.RELATIVE and one.told_from > _LARGE:
        return f"> ±{_LARGE:.0%}"
    return _change(one.metric, one.scale, one.told_from).replace("+", "±")


def range_of(one: HostSeries) -> str:
    """``0.4991 CPUs … 0.5252 CPUs``: the least and the greatest."""
    medians = [level.median for level in one.levels]
    return units.from_to(value(one, min(medians)), value(one, max(medians)), " … ")


def apart_in(one: HostSeries, alpha: float) -> list[str]:
    """The hosts that lie apart in it."""
    return [host for host, p in zip(one.hosts, one.adjusted_ps, strict=True) if p <= alpha]


def bins(one: HostSeries, count: int, only: Sequence[bool] = ()) -> list[int]:
    """How many hosts, or how many of some, lie in each of so many steps from least to greatest."""
    medians = [level.median for level in one.levels]
    low, high = min(medians), max(medians)
    # Scatter far below what matters is not made to look like something.
    room = max(high - low, 2 * max(level.matters for level in one.levels))
    middle = (low + high) / 2
    found = [0] * count
    for i, median in enumerate(medians):
        if only and not only[i]:
            continue
        place = (median - middle) / room + 0.5 if room else 0.5
        found[min(count - 1, max(0, int(place * count)))] += 1
    return found


def bars(one: HostSeries, width: int) -> str:
    """The same as bars of text; a single host is seen beside a thousand."""
    found = bins(one, width)
    most = max(found)
    return "".join(
        " " if not n else _BARS[min(len(_BARS) - 1, int(n / most * (len(_BARS) - 0.01)))]
        for n in found
    )


def listed(hosts: Hosts, *, every: bool) -> list[int]:
    """The series that are shown: the first of each point, and every one where a host is apart."""
    seen = set()
    shown = []
    for i, one in enumerate(hosts.series):
        if every or one.point not in seen or apart_in(one, hosts.alpha):
            shown.append(i)
        seen.add(one.point)
    return shown


def _change(name: str, scale: Scale, change: float) -> str:
    if scale is Scale.RELATIVE:
        return units.relative(change)
    return units.of(METRICS[name].unit).difference(change)


# --- plain data --------------------------------------------------------------------------------


def as_json(hosts: Hosts) -> dict[str, Any]:
    """The hosts as plain data with stable names; numbers are not rounded."""
    return {
        "verdict": status(hosts).value,
        "headline": headline(hosts),
        "remarks": remarks(hosts),
        "against": hosts.against or None,
        "tests": hosts.tests,
        "alpha": hosts.alpha,
        "hosts": [_row_json(row) for row in hosts.rows],
        "shared": [
            {"finding": one.finding, "fact": one.fact, "value": one.value,
             "same": [{"fact": fact, "value": value} for fact, value in one.same],
             "among": one.among, "having": one.having, "among_others": one.among_others,
             "others": one.others, "adjusted_p": one.adjusted_p}
            for one in hosts.separations
        ],
        "series": [
            {"point": one.point.id, "metric": one.metric, "container": one.container,
             "unit": METRICS[one.metric].unit, "scale": one.scale.value, "median": one.median,
             "scatter": one.scatter,
             "told_from": None if math.isinf(one.told_from) else one.told_from,
             "hosts": [
                 {"host": host, "trials": level.n, "median": level.median, "low": level.low,
                  "high": level.high, "distance": distance, "adjusted_p": p,
                  "apart": p <= hosts.alpha}
                 for host, level, distance, p in zip(
                     one.hosts, one.levels, one.distances, one.adjusted_ps, strict=True)
             ]}
            for one in hosts.series
        ],
        "left_out": [{"what": what, "reason": why} for what, why in hosts.left_out],
    }  # fmt: skip


def _row_json(row: HostRow) -> dict[str, Any]:
    return {
        "host": row.name,
        "standing": row.standing.value,
        "reason": row.why,
        "runs": list(row.runs),
        "created": row.created,
        "facts": row.facts,
        "change": row.change and row.change.value,
        "changed": row.changed,
        "verdicts": {point: one.value for point, one in row.verdicts.items()},
        "apart": [
            {"point": one.point.id, "metric": one.metric, "container": one.container,
             "median": one.median, "fleet": one.fleet, "scale": one.scale.value,
             "change": one.change, "distance": one.distance, "adjusted_p": one.adjusted_p}
            for one in row.apart
        ],
    }  # fmt: skip
