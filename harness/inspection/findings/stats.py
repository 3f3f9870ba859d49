"""Findings of docker stats beside the kernel's own counters."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from harness.inspection.findings.entry import Evidence, Said, entry
from harness.inspection.use import Observation
from harness.judge import counters
from harness.model import Sample

STATS_DIFFER = 0.05
"""From this share on a difference is told."""

STATS_LEAST_CPUS = 0.01
"""Below it a share of the difference says nothing."""

STEAL_NOTED = 0.005
"""From so many CPUs on what the hypervisor takes explains a difference."""


@entry(
    id="docker-stats-differ",
    subject="docker stats",
    grade="note",
    condition=f"Over the seconds of its own frames docker stats is {STATS_DIFFER:.0%} or more off "
    f"the cgroup's counter, of a container that uses {STATS_LEAST_CPUS:g} CPUs or more.",
    remedy="Believe the cgroup.",
    source="docs/audit.md; docs/decisions/007-inspect.md",
)
def _differ(of: Evidence) -> Iterator[Said]:
    found = _beside_stats(of.seen)
    if found is None or found[1] < STATS_LEAST_CPUS:
        return
    said, cpus = found
    off = said / cpus - 1
    if abs(off) < STATS_DIFFER:
        return
    why = ""
    if off > 0 and (of.use.steal_cpus or 0) > STEAL_NOTED:
        why = ", since it leaves out what the hypervisor takes (steal)"
    yield Said(f"it says {said:.3f} CPUs, {off:+.0%} against the kernel's own {cpus:.3f} over the "
               f"same seconds{why}")  # fmt: skip


def _beside_stats(seen: Observation) -> tuple[float, float] | None:
    """(CPUs by docker stats, CPUs by the cgroup) over the same seconds; None below two frames.

    A frame tells of the time since the frame before it, so the first one's beginning is not known.
    """
    frames = [f for f in seen.record.stats if f.t_mono_ns is not None]
    if seen.earlier:  # the daemon read the first one up to a second before: under other limits
        frames = frames[1:]
    if len(frames) < 2:
        return None
    begin, end = (_at(seen.samples, frames[i].t_mono_ns) for i in (0, -1))
    if begin is None or end is None or end.t_mono_ns <= begin.t_mono_ns:
        return None
    used_ns = counters.grown(begin, end, "cpu_usage_ns")
    if used_ns is None:
        return None
    said = statistics.fmean(frame.cpu_percent for frame in frames[1:]) / 100
    return said, used_ns / (end.t_mono_ns - begin.t_mono_ns)


def _at(samples: Sequence[Sample], t_mono_ns: int | None) -> Sample | None:
    """The sample nearest to a moment."""
    if not samples or t_mono_ns is None:
        return None
    return min(samples, key=lambda sample: abs(sample.t_mono_ns - t_mono_ns))
