"""Which of several containers fares worst."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from harness.inspection.inspection import Inspection
from harness.inspection.use import Use


def throttled(use: Use) -> float | None:
    """The share of its periods in which it was throttled; None without a quota, or where idle."""
    return (use.throttled_periods or 0) / use.periods if use.periods else None


def of_cpus(use: Use) -> float | None:
    """What it uses of the CPUs that it may."""
    return use.cpus / use.cpus_limit if use.cpus is not None and use.cpus_limit else None


def of_memory(use: Use) -> float | None:
    """What it holds of its memory limit; None without one."""
    held, limit = use.memory_bytes, use.memory_limit_bytes
    return held / limit if held is not None and limit else None


def pressure(use: Use) -> float | None:
    """The share of the window in which some of it waited for a CPU, for memory or for the disk."""
    some = [one for one in (use.cpu_some, use.memory_some, use.io_some) if one is not None]
    return max(some, default=None)


MEASURES: Mapping[str, Callable[[Use], float | None]] = {
    "throttled": throttled,
    "cpu": of_cpus,
    "memory": of_memory,
    "pressure": pressure,
}
"""What they can be sorted by."""


def graded(told: Inspection) -> tuple[int, int]:
    """(findings that are bad, findings that are noted)."""
    grades = [finding.grade for finding in told.findings]
    return grades.count("bad"), grades.count("note")


def worst_first(told: Iterable[Inspection], by: str | None = None) -> list[Inspection]:
    """By a measure, or by the findings: bad ones, then notes, then how often it was throttled."""

    def gravity(one: Inspection) -> tuple[float, ...]:
        by_findings = (*graded(one), throttled(one.use) or 0.0)
        if by is None:
            return by_findings
        measured = MEASURES[by](one.use)
        return (-1.0 if measured is None else measured, *by_findings)

    return sorted(told, key=lambda one: (*(-part for part in gravity(one)), one.container.name))
