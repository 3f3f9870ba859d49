"""What went on around a trial's containers in their window.

What others took, and what measuring took.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.judge.counters import Counted, delta, on, percpu_ns
from harness.model import (
    TrialRecord,
)


def foreign_cpus(trial: TrialRecord, cpus: frozenset[int] | None = None) -> float | None:
    """CPU that no container of the trial used: the root cgroup less them, and less their loads.

    With some CPUs, on those alone: what runs on another takes nothing from them. None where
    the root cgroup is not visible, or has no counters per CPU where those are needed (v2). Never
    below 0: the two are read microseconds apart, and charged by the tick.
    """
    first, last = trial.host_first, trial.host_last
    if first is None or last is None or last.t_mono_ns <= first.t_mono_ns:
        return None
    if cpus is not None:
        everything = on(cpus, first.root_percpu_ns, last.root_percpu_ns)
        ours = [on(cpus, *percpu_ns(one)) for one in _counted(trial)]
    else:
        begin, end = first.root_usage_ns, last.root_usage_ns
        everything = None if begin is None or end is None else end - begin
        ours = [delta(one, "cpu_usage_ns") for one in _counted(trial)]
    known = [used for used in ours if used is not None]
    if everything is None or len(known) < len(ours):
        return None
    return max(0.0, (everything - sum(known)) / (last.t_mono_ns - first.t_mono_ns))


def _counted(trial: TrialRecord) -> list[Counted]:
    """The trial's own containers: those of its point, and what loads their servers."""
    loads = [one.load for one in trial.containers if one.load is not None]
    return [*trial.containers, *loads]


def named(trial: TrialRecord) -> str:
    """Who used CPU beside the trial: ``: cc1 (pid 77) 0.94, container 0a1b2c3d4e5f 0.40``."""
    if not trial.neighbours:
        return ""
    return ": " + ", ".join(f"{one.name} {one.cpus:.2f}" for one in trial.neighbours)


def mostly_kernel(trial: TrialRecord) -> bool:
    """Whether most of what was named beside the trial were threads of the kernel."""
    of_kernel = sum(one.cpus for one in trial.neighbours if one.kernel)
    return of_kernel > sum(one.cpus for one in trial.neighbours) / 2


CLOCK_SET_S = 0.05
"""A clock that was set moves by more against the monotonic one."""
CLOCK_SLEW = 0.001
"""Twice what the kernel slews a clock by that is being steered (adjtimex: 500 ppm)."""


def clock_set_s(trial: TrialRecord) -> float | None:
    """By how much the host's clock was set within the window; None where it was not, or unknown."""
    jump_s = _apart_s(trial, "t_real_ns")
    bearable_s = max(CLOCK_SET_S, CLOCK_SLEW * (span_s(trial) or 0.0))
    return jump_s if jump_s is not None and abs(jump_s) > bearable_s else None


def suspended_s(trial: TrialRecord) -> float | None:
    """How long the host slept within the window; None where it did not, or unknown."""
    slept_s = _apart_s(trial, "t_boot_ns")
    return slept_s if slept_s is not None and slept_s > CLOCK_SET_S else None


def _apart_s(trial: TrialRecord, clock: str) -> float | None:
    """How much further than the monotonic clock another one went in the window."""
    first, last = trial.host_first, trial.host_last
    if first is None or last is None:
        return None
    begin, end = getattr(first, clock), getattr(last, clock)
    if begin is None or end is None:
        return None
    return float((end - begin) - (last.t_mono_ns - first.t_mono_ns)) / 1e9


def harness_cpus(trial: TrialRecord) -> float | None:
    """CPU that the harness itself used in the window; part of ``foreign_cpus``."""
    first, last = trial.host_first, trial.host_last
    if first is None or last is None:
        return None
    if first.harness_cpu_ns is None or last.harness_cpu_ns is None:
        return None
    return (last.harness_cpu_ns - first.harness_cpu_ns) / (last.t_mono_ns - first.t_mono_ns)


def steal_cpus(trial: TrialRecord, cpus: frozenset[int] | None = None) -> float | None:
    """CPUs stolen by the hypervisor over the window, of all together or of some alone."""
    first, last = trial.host_first, trial.host_last
    if first is None or last is None or last.t_mono_ns <= first.t_mono_ns:
        return None
    every = frozenset(range(len(first.steal_ns or ())))
    stolen = on(every if cpus is None else cpus, first.steal_ns, last.steal_ns)
    return None if stolen is None else stolen / (last.t_mono_ns - first.t_mono_ns)


@dataclass(frozen=True, slots=True)
class Sampling:
    """What sampling itself took, over all windows of a run."""

    ticks: int
    missed: int
    cpu_share: float
    """Of one CPU, in the windows."""
    cpu_per_read_s: float | None
    """CPU time of the sampler for each moment of one container; None without any."""
    lateness_p50_s: float
    """Median over the trials of their own medians."""
    lateness_p99_s: float
    """The same of their 99 % quantiles."""
    cpus: str | None
    """Where the sampler kept to, if that was apart from the containers in every trial."""


def sampling(trials: Sequence[TrialRecord]) -> Sampling | None:
    """The sampler's own cost; None where no trial had a window in which it read anything."""
    found = [
        (trial.sampler, span, len(trial.containers))
        for trial in trials
        if trial.sampler is not None and any(one.first for one in trial.containers)
        and (span := span_s(trial))
    ]  # fmt: skip
    if not found:
        return None
    reads = sum((cost.ticks + 2) * containers for cost, _, containers in found)
    cpu_s = sum(cost.cpu_ns for cost, _, _ in found) / 1e9
    kept_to = {cost.cpus for cost, _, _ in found}
    return Sampling(
        ticks=sum(cost.ticks for cost, _, _ in found),
        missed=sum(cost.missed for cost, _, _ in found),
        cpu_share=cpu_s / sum(span for _, span, _ in found),
        cpu_per_read_s=cpu_s / reads if reads else None,
        lateness_p50_s=statistics.median(cost.lateness_p50_ns for cost, _, _ in found) / 1e9,
        lateness_p99_s=statistics.median(cost.lateness_p99_ns for cost, _, _ in found) / 1e9,
        cpus=kept_to.pop() if len(kept_to) == 1 else None,
    )


def span_s(trial: TrialRecord) -> float | None:
    """The length of the trial's window in seconds, whether a cgroup was read in it or not."""
    first, last = trial.host_first, trial.host_last
    return None if first is None or last is None else (last.t_mono_ns - first.t_mono_ns) / 1e9
