"""The rows of an inspection beside what was used: its program's view, what would be enough."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness import units
from harness.wording import counted

if TYPE_CHECKING:
    from harness.inspection.enough import Enough, EnoughCpus, EnoughMemory
    from harness.inspection.inspection import Inspection


def rows(told: Inspection) -> list[tuple[str, str]]:
    """A line a subject, as far as there is something to tell."""
    every = (("program", _program(told)), ("enough", _enough(told.enough)))
    return [(name, text) for name, text in every if text]


def _program(told: Inspection) -> str:
    one = told.program
    sees = []
    if one.affinity_cpus is not None:
        of = f" (of {one.online_cpus})" if one.online_cpus not in (None, one.affinity_cpus) else ""
        sees.append(counted(one.affinity_cpus, "CPU") + of)
    if one.memory_bytes is not None:
        sees.append(units.size(one.memory_bytes))
    parts = [f"sees {' and '.join(sees)}"] if sees else []
    if one.threads is not None:
        at_once = one.threads_at_once
        running = "" if at_once is None else f", {at_once} of them runnable at once"
        parts.append(counted(one.threads, "thread") + running)
    return "; ".join(parts)


def _enough(one: Enough) -> str:
    parts = [one.cpus and _enough_cpus(one.cpus), one.memory and _enough_memory(one.memory)]
    told = "; ".join(part for part in parts if part)
    return f"an estimate: {told}" if told else ""


def _enough_cpus(one: EnoughCpus) -> str:
    from harness.inspection.enough import MOST_SHARE

    least, periods = f"{_upward(one.cpus)} CPUs", counted(one.periods, "period")
    if one.at:
        least += f" for all in {one.at}"
    if one.throttled_periods:
        throttled = f"{one.throttled_periods} of {periods}"
        text = f"at least {least}: what {throttled} wanted beyond the quota is not seen"
    elif one.at_least:
        text = f"at least {least}, of {periods}: it waited for a CPU, too"
    else:
        text = f"{least} for each of {periods}"
    if one.most is None:
        return text
    low, high = (None if end is None else f"{end:.2f}" for end in (one.low, one.high))
    interval = f", {low} to {high}" if low and high else f", {low} or more" if low else ""
    return f"{text} ({MOST_SHARE:.0%} of them need {one.most:.2f}{interval})"


def _enough_memory(one: EnoughMemory) -> str:
    least = "at least " if one.at_least else ""
    return f"{least}{units.size(one.bytes)} of memory, which it cannot give back"


def _upward(cpus: float) -> str:
    """Rounded up to what --cpus is written in: 0.01, which is the least that Docker takes."""
    return f"{max(math.ceil(cpus * 100 - 1e-6), 1) / 100:g}"
