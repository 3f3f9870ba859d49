"""Differences of raw counters over a window, of one container or of the host."""

from __future__ import annotations

from typing import Protocol

from harness.model import ContainerRecord, Sample


class Counted(Protocol):
    """What was read at the two edges of a window: a container, or a server's load."""

    @property
    def first(self) -> Sample | None:
        """At its begin."""
        ...

    @property
    def last(self) -> Sample | None:
        """At its end."""
        ...


def window_s(container: ContainerRecord) -> float | None:
    """The length of the container's window in seconds, between its first and last read."""
    if container.first is None or container.last is None:
        return None
    return (container.last.t_mono_ns - container.first.t_mono_ns) / 1e9


def grown(before: object, after: object, counter: str) -> int | None:
    """By how much a counter grew from one sample to another; None where it was not read twice."""
    if before is None or after is None:
        return None
    first, last = getattr(before, counter), getattr(after, counter)
    return None if first is None or last is None else int(last - first)


def delta(container: Counted, counter: str) -> int | None:
    """By how much a counter of ``Sample`` grew in the window."""
    return grown(container.first, container.last, counter)


def of_memory(container: ContainerRecord, counter: str) -> int | None:
    """By how much a counter of ``MemoryCounters`` grew from before the load to after it."""
    return grown(container.memory_first, container.memory_last, counter)


def swap_bytes(sample: Sample) -> int | None:
    """What a container had swapped out at one moment; None where swap is not accounted for.

    Two files, read one after the other: a charge between the two must not become negative swap.
    """
    if sample.total_bytes is None or sample.memory_bytes is None:
        return None
    return max(0, sample.total_bytes - sample.memory_bytes)


PerCpu = tuple[int, ...] | None


def percpu_ns(container: Counted) -> tuple[PerCpu, PerCpu]:
    """CPU time on each CPU at the window's first and last read; None where there is no count."""
    first, last = container.first, container.last
    return (
        None if first is None else first.usage_percpu_ns,
        None if last is None else last.usage_percpu_ns,
    )


def on(cpus: frozenset[int], first: PerCpu, last: PerCpu) -> int | None:
    """CPU time on some CPUs between two reads of counters per CPU."""
    if not first or not last or len(first) != len(last):  # a CPU came or went in between
        return None
    return sum(b - a for i, (a, b) in enumerate(zip(first, last, strict=True)) if i in cpus)
