"""Findings of time that tasks stood waiting for something (PSI)."""

from __future__ import annotations

from collections.abc import Iterator

from harness.inspection.findings.entry import Evidence, Said, entry
from harness.inspection.findings.memory import raise_above

PRESSURE_NOTED = 0.01
"""From this share of the window on waiting is told."""

STALLED_BADLY = 0.1
"""From this share on it waits for memory more than it can be said to work."""

_PSI = "Documentation/accounting/psi.rst"
_FOR_MEMORY = (
    "all of it waited for memory {:.0%} of the time: it reclaims or swaps instead of working"
)


@entry(
    id="memory-stalls-badly",
    subject="pressure",
    grade="bad",
    condition=f"All of its tasks waited for memory at once, {STALLED_BADLY:.0%} of the window or "
    "more: it reclaims or swaps instead of working.",
    remedy="Raise --memory.",
    source=f"memory.pressure: full; {_PSI}",
)
def _stalls_badly(of: Evidence) -> Iterator[Said]:
    if (of.use.memory_full or 0) >= STALLED_BADLY:
        yield Said(_FOR_MEMORY.format(of.use.memory_full), raise_above(of))


@entry(
    id="memory-stalls",
    subject="pressure",
    grade="note",
    condition=f"All of its tasks waited for memory at once, {PRESSURE_NOTED:.0%} of the window or "
    f"more and less than {STALLED_BADLY:.0%}.",
    remedy="Raise --memory.",
    source=f"memory.pressure: full; {_PSI}",
)
def _stalls(of: Evidence) -> Iterator[Said]:
    if PRESSURE_NOTED <= (of.use.memory_full or 0) < STALLED_BADLY:
        yield Said(_FOR_MEMORY.format(of.use.memory_full), raise_above(of))


@entry(
    id="io-stalls",
    subject="pressure",
    grade="note",
    condition=f"All of its tasks waited for the disk at once, {PRESSURE_NOTED:.0%} of the window "
    "or more.",
    remedy="Look at BLOCK I/O in docker stats.",
    source=f"io.pressure: full; {_PSI}",
)
def _io_stalls(of: Evidence) -> Iterator[Said]:
    if (of.use.io_full or 0) >= PRESSURE_NOTED:
        yield Said(f"all of it waited for the disk {of.use.io_full:.0%} of the time")


@entry(
    id="cpu-contended",
    subject="pressure",
    grade="note",
    condition=f"Some of its tasks waited for a CPU, {PRESSURE_NOTED:.0%} of the window or more, "
    "and neither it nor a cgroup above was throttled: a throttled thread waits for the CPU too, "
    "and then it is the quota.",
    remedy="Give it more CPUs, or more --cpu-shares than the others.",
    source=f"cpu.pressure: some; {_PSI}",
)
def _contended(of: Evidence) -> Iterator[Said]:
    throttled = any(one.throttled_periods for one in (of.use, *of.use.above))
    if (of.use.cpu_some or 0) >= PRESSURE_NOTED and not throttled:
        yield Said(f"some of it waited for a CPU {of.use.cpu_some:.0%} of the time without being "
                   "throttled: it has more threads than CPUs, or others compete")  # fmt: skip
