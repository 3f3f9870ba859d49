"""A history in words: what every form of it tells, also as plain data.

Changes of level that begin with the same run are one event, told with what else changed there; so
are those of several hosts at the same time, or where the same fact changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness import units
from harness.comparison.across import ALPHA
from harness.comparison.changepoints import LEAST_RUNS
from harness.comparison.words import brief
from harness.judge.metrics import METRICS
from harness.model import (
    ChangePoint,
    Entry,
    FactChange,
    History,
    RunSeries,
    Scale,
    SharedChange,
    SharedEvent,
)
from harness.wording import agreeing, counted

LEAST = 2 * LEAST_RUNS
"""Of fewer runs no change can be told."""
NOTHING = "no fact that is recorded changed there"
_BARS = "▁▂▃▄▅▆▇█"
_EDGE = "│"


@dataclass(frozen=True, slots=True)
class Event:
    """The changes of level that begin with one run of a host."""

    host: str
    run: Entry
    before: Entry
    moved: tuple[tuple[RunSeries, ChangePoint], ...]
    """The largest share of what matters first."""

    @property
    def facts(self) -> tuple[FactChange, ...]:
        """What else changed there, or as far from there as the changes may lie; each once."""
        found = (fact for _, change in self.moved for fact in change.facts)
        exact = sorted(dict.fromkeys(found), key=lambda one: one.run != self.run.run)
        return tuple(exact)


def events(history: History) -> list[Event]:
    """Newest first."""
    found: dict[tuple[str, str], list[tuple[RunSeries, ChangePoint]]] = {}
    for series in history.series:
        for change in series.changes:
            key = series.host, series.entries[change.at].run
            found.setdefault(key, []).append((series, change))
    made = []
    for (host, _), moved in found.items():
        moved.sort(key=lambda one: -_weight(*one))
        series, change = moved[0]
        made.append(
            Event(host, series.entries[change.at], series.entries[change.at - 1], tuple(moved))
        )
    return sorted(made, key=lambda one: one.run.created, reverse=True)


def of_one_host(history: History) -> list[Event]:
    """The events that no other host shares, newest first; what is left of others where some is."""
    known = {
        (id(series), change.at)
        for event in history.shared
        for one in event.changes
        for series, change in one.moved
    }
    left = []
    for event in events(history):
        moved = tuple(
            one for one in event.moved if (id(one[0]), one[1].at) not in known
        )  # fmt: skip
        if moved:
            left.append(Event(event.host, event.run, event.before, moved))
    return left


def _weight(series: RunSeries, change: ChangePoint) -> float:
    """How many times the least that matters a change is."""
    least = series.entries[change.at].level.matters
    return abs(change.after - change.before) / least if least else 0.0


# --- words -------------------------------------------------------------------------------------


def headline(history: History) -> str:
    """The whole history in a sentence."""
    if not history.series:
        return "No run of this folder has a point that can be followed."
    found = events(history)
    what = f"{counted(history.runs, 'run')}, {span(history)}"
    if found:
        number = sum(len(one.moved) for one in found)
        said = f"{counted(number, 'level')} moved in {what}; last "
        alone = of_one_host(history)
        if history.shared and (not alone or history.shared[0].until >= alone[0].run.created):
            event = history.shared[0]
            return f"{said}{since_on(event)}: {moved_on(event.changes[0])}."
        last = alone[0]
        return f"{said}{since(last)} ({facts(last)}): {moved(*last.moved[0])}."
    told = [one for one in history.series if len(one.entries) >= LEAST]
    if not told:
        most = max(len(one.entries) for one in history.series)
        return (
            f"Too little is known: no point was measured in more than {counted(most, 'run')}, "
            f"and {LEAST} are needed."
        )
    points = len({(one.host, one.point) for one in told})
    return f"No level moved by as much as matters at {counted(points, 'point')} in {what}."


def span(history: History) -> str:
    """The days of the first and the last run."""
    days = sorted(entry.created[:10] for series in history.series for entry in series.entries)
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def when(entry: Entry) -> str:
    """A run's time, to the minute: ``2026-11-20 10:15``."""
    return entry.created[:16].replace("T", " ")


def since(event: Event) -> str:
    """Where the levels moved: ``since 20261120-101500-cpu``."""
    return f"since {event.run.run}"


def facts(event: Event) -> str:
    """What else changed there; what may as well have been it, with the run that it began with."""
    said = []
    for one in event.facts:
        where = "" if one.run == event.run.run else f" (at {one.run}, which may be it as well)"
        said.append(f"{fact(one)}{where}")
    return ", ".join(said) or NOTHING


def fact(one: FactChange) -> str:
    """``kernel 6.18.44 → 6.18.50``."""
    return _change_of(one.fact, one.before, one.after)


def _change_of(fact: str, before: str, after: str) -> str:
    return f"{fact} {brief(before)} → {brief(after)}"


def moved(series: RunSeries, change: ChangePoint) -> str:
    """``throttled periods of cpus=0.5 +4.0 points``."""
    return f"{name(series)} of {series.point.id} {amount(series, change)}"


def since_on(event: SharedEvent) -> str:
    """What hosts share: ``since runtime runc 1.1.5 → runc 1.2.0, on 3 of 4 hosts``.

    Without such a fact ``between 2026-11-20 04:00 and 2026-11-21 04:00, on 3 of 4 hosts``.
    """
    common = event.common
    what = ", ".join(_change_of(one.fact, one.before, one.after) for one in common)
    said = f"since {what}" if common else between(event)
    of = len(event.hosts) + len(event.still)
    partly = [one for one in event.facts if one not in common]
    more = "".join(
        f"; {_change_of(one.fact, one.before, one.after)} on {len(one.hosts)} of these"
        for one in partly
    )
    return f"{said}, on {len(event.hosts)} of {of} hosts{more}"


def between(event: SharedEvent) -> str:
    """When it was: ``between 2026-11-20 04:00 and 2026-11-21 04:00``."""
    ends = [one[:16].replace("T", " ") for one in (event.after, event.until)]
    return f"between {ends[0]} and {ends[1]}"


def moved_on(one: SharedChange) -> str:
    """``throttled periods of cpus=0.5 +3.9 … +4.2 points``, from the least to the most."""
    series = one.moved[0][0]
    return f"{name(series)} of {series.point.id} {amount_on(one)}"


def amount_on(one: SharedChange) -> str:
    """From the least change of a host to the largest; ``up`` where they have no scale in common."""
    ordered = sorted(one.moved, key=lambda each: each[1].change)
    if len({change.scale for _, change in ordered}) > 1:
        return "up" if ordered[0][1].after > ordered[0][1].before else "down"
    low, high = amount(*ordered[0]), amount(*ordered[-1])
    return low if low == high else units.from_to(low, high, " … ")


def meeting(event: SharedEvent) -> str:
    """What there is to it being one event, and no several that meet."""
    chance = event.changes[0].by_chance
    said = f"at most {100 * chance:.0f}" if chance >= 0.01 else "less than 1"
    return f"had each moved at a time of its own, as many would meet in {said} of 100 histories"


def verdict_on(one: SharedChange) -> str:
    """Which way it went, where that is the same on all of its hosts: ``better``, ``worse``."""
    ways = {verdict(change) for _, change in one.moved}
    return ways.pop() if len(ways) == 1 else "moved"


def hosts(names: Sequence[str], most: int = 4) -> str:
    """``a, b, c and 3 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def name(series: RunSeries) -> str:
    """The metric in words, and which container's where that is not the first."""
    title = METRICS[series.metric].title
    return f"{title}, container {series.container + 1}" if series.container else title


def brief_name(series: RunSeries) -> str:
    """The same in few letters."""
    brief_metric = METRICS[series.metric].brief
    return f"{brief_metric} {series.container + 1}" if series.container else brief_metric


def value(series: RunSeries, number: float) -> str:
    """A value of its metric with the unit."""
    return units.of(METRICS[series.metric].unit).text(number)


def amount(series: RunSeries, change: ChangePoint) -> str:
    """``+4.00%``, or a difference in the metric's unit."""
    return _amount(series, change, change.change)


def interval(series: RunSeries, change: ChangePoint) -> str:
    """``+3.8 … +4.2%``."""
    low, high = (_amount(series, change, end) for end in (change.low, change.high))
    return units.from_to(low, high, " … ")


def _amount(series: RunSeries, change: ChangePoint, number: float) -> str:
    if change.scale is Scale.RELATIVE:
        return units.relative(number)
    return units.of(METRICS[series.metric].unit).difference(number)


def verdict(change: ChangePoint) -> str:
    """Which way it went: ``better``, ``worse``, ``moved``."""
    return {True: "better", False: "worse", None: "moved"}[change.better]


def place(series: RunSeries, change: ChangePoint) -> str:
    """Where the change may lie as well; empty where that is one run alone."""
    if change.first == change.last:
        return ""
    ends = [series.entries[i].run for i in (change.first, change.last)]
    return f"between {ends[0]} and {ends[1]}"


def sparkline(series: RunSeries, width: int) -> str:
    """The newest runs' medians as bars, from the least to the greatest; a line where they moved."""
    edges = {one.at for one in series.changes}
    begin = max(0, len(series.entries) - width)
    while begin < len(series.entries) - 1 and (
        len(series.entries) - begin + sum(begin < at for at in edges) > width
    ):
        begin += 1
    medians = [one.level.median for one in series.entries[begin:]]
    low, high = min(medians), max(medians)
    # Scatter far below what matters is not made to look like something.
    room = max(high - low, 2 * series.entries[-1].level.matters)
    middle = (high + low) / 2
    said = ""
    for i, median in enumerate(medians, begin):
        place = (median - middle) / room + 0.5 if room else 0.5
        said += _EDGE * (i in edges and i > begin)
        said += _BARS[min(len(_BARS) - 1, max(0, int(place * len(_BARS))))]
    return said


def labels(history: History) -> list[str]:
    """What each series' point is called: with its host or window where the id alone is not enough.

    Points of one name that were planned otherwise are series of their own.
    """
    hosts = {one.host for one in history.series}
    said = []
    for one in history.series:
        plans = {other.point for other in history.series if other.point.id == one.point.id}
        label = one.point.id
        if len({point.duration_s for point in plans}) > 1:
            label += f" ({one.point.duration_s:g} s)"
        elif len(plans) > 1:
            label += f" (as in {one.entries[-1].run})"
        said.append(f"{one.host}: {label}" if len(hosts) > 1 else label)
    return said


def remarks(history: History) -> list[str]:
    """What is in no series, or in one too short: the same reason once."""
    short = sum(len(one.entries) < LEAST for one in history.series)
    said = []
    if short and short < len(history.series):
        said.append(
            f"{counted(short, 'series') if short == 1 else f'{short} series'} "
            f"{agreeing(short, 'has', 'have')} fewer than {LEAST} runs, and tell nothing yet."
        )
    if history.shared:
        said.append(
            f"Of what several hosts are told to share, at most {ALPHA:.0%} is false alarms that "
            "coincide."
        )
    return [*said, *left_out(history.left_out)]


def left_out(found: Sequence[tuple[str, str]]) -> list[str]:
    """What is left out, (what, why) each: the same reason once."""
    reasons: dict[str, list[str]] = {}
    for what, why in found:
        reasons.setdefault(why.rstrip("."), []).append(what)
    said = []
    for why, names in reasons.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        said.append(f"Left out: {'; '.join(names[:3])}{more}: {why}.")
    return said


# --- plain data --------------------------------------------------------------------------------


def as_json(history: History) -> dict[str, Any]:
    """The history as plain data with stable names; numbers are not rounded."""
    return {
        "headline": headline(history),
        "runs": history.runs,
        "events": [
            {
                "host": event.host,
                "run": event.run.run,
                "created": event.run.created,
                "after": event.before.run,
                "facts": [_fact_json(one) for one in event.facts],
                "changes": [
                    {"point": series.point.id, "metric": series.metric,
                     "container": series.container, **_change_json(series, change)}
                    for series, change in event.moved
                ],
            }
            for event in events(history)
        ],
        "shared": [_shared_json(one) for one in history.shared],
        "shared_error_rate": ALPHA,
        "series": [_series_json(one) for one in history.series],
        "left_out": [{"what": what, "reason": why} for what, why in history.left_out],
    }  # fmt: skip


def _shared_json(event: SharedEvent) -> dict[str, Any]:
    return {
        "headline": since_on(event),
        "hosts": list(event.hosts),
        "still": list(event.still),
        "at_once": event.at_once,
        "after": event.after,
        "until": event.until,
        "facts": [
            {"fact": one.fact, "before": one.before, "after": one.after, "hosts": list(one.hosts)}
            for one in event.facts
        ],
        "changes": [
            {"point": one.moved[0][0].point.id, "metric": one.moved[0][0].metric,
             "container": one.moved[0][0].container, "asked": list(one.asked),
             "adjusted_p": one.adjusted_p, "by_chance": one.by_chance,
             "verdict": verdict_on(one),
             "hosts": [
                 {"host": series.host, **_change_json(series, change)}
                 for series, change in one.moved
             ]}
            for one in event.changes
        ],
    }  # fmt: skip


def _series_json(series: RunSeries) -> dict[str, Any]:
    return {
        "host": series.host,
        "point": series.point.id,
        "duration_s": series.point.duration_s,
        "metric": series.metric,
        "container": series.container,
        "unit": METRICS[series.metric].unit,
        "entries": [
            {"run": one.run, "created": one.created, "trials": one.level.n,
             "median": one.level.median, "low": one.level.low, "high": one.level.high,
             "matters": one.level.matters, "facts": [_fact_json(fact) for fact in one.changed]}
            for one in series.entries
        ],
        "changes": [_change_json(series, one) for one in series.changes],
    }  # fmt: skip


def _change_json(series: RunSeries, change: ChangePoint) -> dict[str, Any]:
    run = [series.entries[i] for i in (change.at, change.first, change.last)]
    return {
        "run": run[0].run,
        "created": run[0].created,
        "first": run[1].run,
        "last": run[2].run,
        "before": change.before,
        "after": change.after,
        "scale": change.scale.value,
        "change": change.change,
        "low": change.low,
        "high": change.high,
        "verdict": verdict(change),
        "facts": [_fact_json(one) for one in change.facts],
    }


def _fact_json(one: FactChange) -> dict[str, str]:
    return {"run": one.run, "fact": one.fact, "before": one.before, "after": one.after}


# --- what is shown -----------------------------------------------------------------------------


def listed(history: History, *, every: bool) -> Sequence[int]:
    """The series that are shown: the first of each point, and every one that moved."""
    seen: set[tuple[str, object]] = set()
    shown = []
    for i, one in enumerate(history.series):
        main = (one.host, one.point) not in seen
        seen.add((one.host, one.point))
        if every or main or one.changes:
            shown.append(i)
    return shown
