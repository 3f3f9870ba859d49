"""Findings of CPU time against what may be used of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from harness import limits as rules
from harness import units
from harness.inspection.counted import CgroupUse
from harness.inspection.findings.entry import Evidence, Said, entry
from harness.inspection.use import UseAbove
from harness.judge import surroundings
from harness.wording import counted

THROTTLED_NOTED = 0.01
"""Below this share of throttled periods nobody notices."""

AT_LIMIT = 0.95
"""From this share of its limit on a container is held back by it, and not by bursts."""

STOLEN_NOTED = 0.05
"""From this share of the host's CPU time on what the hypervisor takes is told."""

_BANDWIDTH = "Documentation/scheduler/sched-bwc.rst: nr_periods, nr_throttled, throttled_time"


class _Cpu(NamedTuple):
    cpus: float
    limit: float
    throttled: float | None
    """The share of its periods; None where no quota is counted."""

    @property
    def share(self) -> float:
        return self.cpus / self.limit


def _cpu(of: Evidence) -> _Cpu | None:
    """None where it was not measured."""
    use = of.use
    if use.cpus is None or not use.cpus_limit:
        return None
    if use.periods is None:
        return _Cpu(use.cpus, use.cpus_limit, None)
    # What its own counters tell is of its own quota, though one above may be tighter.
    own = rules.cpus_of((of.kernel.cpu_quota_us, of.kernel.cpu_period_us))
    limit = own if of.force.cpus_at and math.isfinite(own) else use.cpus_limit
    return _Cpu(use.cpus, limit, use.throttled_share or 0.0)


def _stretch(use: CgroupUse) -> str:
    if not use.longest_stretch_s:
        return ""
    longest = units.round_duration(use.longest_stretch_s)
    return f"; it stood still for up to {longest} at a time"


def _burst(burst_us: int) -> str:
    """That more than the quota in a while is no fault: it was saved before (sched-bwc.rst)."""
    saved = units.round_duration(burst_us / 1e6)
    return f". It may save {saved} of its quota for a burst (cpu.max.burst)" if burst_us else ""


def throttled_above(of: Evidence) -> list[UseAbove]:
    """The cgroups above whose quota holds it up."""
    return [one for one in of.use.above if (one.throttled_share or 0) >= THROTTLED_NOTED]


@entry(
    id="cpu-throttled-above",
    subject="CPU",
    grade="note",
    condition=f"A cgroup above it was throttled in {THROTTLED_NOTED:.0%} of its periods or more: "
    "all in it share its quota, and stand still together. The container's own counters tell "
    "nothing of that.",
    remedy="Raise that quota: whoever runs the slice, the pod or the task sets it.",
    source=_BANDWIDTH + "; Hierarchical considerations",
)
def _throttled_above(of: Evidence) -> Iterator[Said]:
    for one in throttled_above(of):
        bursts = one.cpus is not None and one.cpus < AT_LIMIT * (one.cpus_limit or 0)
        said = f"{_shared(one, of.use.cpus)}, throttled in {one.throttled_share:.0%} of its periods"
        if bursts:
            said += ": what is in it works in bursts"
        yield Said(
            f"{said}{_stretch(one)}{_burst(one.cpu_burst_us)}",
            f"Raise the quota of {one.at}: whoever runs the slice, the pod or the task sets it.",
        )


def _shared(one: UseAbove, own_cpus: float | None) -> str:
    """Who uses how much of a quota above."""
    whole = f"{one.at}'s {units.cpus(one.cpus_limit or 0)}"
    if one.cpus is None or own_cpus is None or not one.cpus_limit:
        return f"it shares {whole}"
    share, others = one.cpus / one.cpus_limit, one.cpus - own_cpus
    if others <= (1 - AT_LIMIT) * one.cpus:
        return f"it uses {share:.0%} of {whole}"
    return f"of {whole} it uses {own_cpus:.3f} and others {others:.3f} ({share:.0%} together)"


@entry(
    id="cpu-not-throttled",
    subject="CPU",
    grade="ok",
    condition=f"It has a quota, was throttled in less than {THROTTLED_NOTED:.0%} of the periods in "
    f"which it ran, and used less than {AT_LIMIT:.0%} of what it may; so were those above.",
    source=_BANDWIDTH,
)
def _not_throttled(of: Evidence) -> Iterator[Said]:
    cpu = _cpu(of)
    if throttled_above(of):
        return
    if cpu and cpu.throttled is not None and cpu.throttled < THROTTLED_NOTED and (
        cpu.share < AT_LIMIT and not _all_in_use(of)
    ):  # fmt: skip
        yield Said(f"not throttled: it used {cpu.cpus:.3f} of {units.cpus(cpu.limit)} "
                   f"({cpu.share:.0%} of its limit){_burst(of.use.cpu_burst_us)}")  # fmt: skip


@entry(
    id="cpu-up-to-limit",
    subject="CPU",
    grade="note",
    condition=f"It used {AT_LIMIT:.0%} of its quota or more and was throttled in less than "
    f"{THROTTLED_NOTED:.0%} of its periods: as many threads as the quota has CPUs never waited.",
    remedy="Raise --cpus before it runs more threads at once: each more is throttled.",
    source=_BANDWIDTH,
)
def _up_to_limit(of: Evidence) -> Iterator[Said]:
    cpu = _cpu(of)
    if cpu and cpu.throttled is not None and cpu.throttled < THROTTLED_NOTED and (
        cpu.share >= AT_LIMIT and not _all_in_use(of)
    ):  # fmt: skip
        yield Said(f"all of its limit is used, and hardly throttled: {cpu.cpus:.3f} of "
                   f"{units.cpus(cpu.limit)} ({cpu.share:.0%} of it)"
                   f"{_burst(of.use.cpu_burst_us)}")  # fmt: skip


@entry(
    id="cpu-at-limit",
    subject="CPU",
    grade="note",
    condition=f"It was throttled in {THROTTLED_NOTED:.0%} of its periods or more, and used "
    f"{AT_LIMIT:.0%} of its limit or more: it wants more than it may have.",
    remedy="Raise --cpus, or give it less to do.",
    source=_BANDWIDTH,
)
def _at_limit(of: Evidence) -> Iterator[Said]:
    cpu = _cpu(of)
    if cpu and (cpu.throttled or 0) >= THROTTLED_NOTED and cpu.share >= AT_LIMIT:
        yield Said(f"at its limit: it used {cpu.share:.0%} of {units.cpus(cpu.limit)} and was "
                   f"throttled in {cpu.throttled:.0%} of its periods, so it wants more than it "
                   f"may have{_stretch(of.use)}{_burst(of.use.cpu_burst_us)}")  # fmt: skip


@entry(
    id="cpu-throttled-in-bursts",
    subject="CPU",
    grade="note",
    condition=f"It was throttled in {THROTTLED_NOTED:.0%} of its periods or more, though it used "
    f"less than {AT_LIMIT:.0%} of its limit: the mean is taken over seconds, the quota is spent "
    "within a period.",
    remedy="Raise --cpus to what a burst needs, or let fewer threads run at once.",
    source=_BANDWIDTH,
)
def _in_bursts(of: Evidence) -> Iterator[Said]:
    cpu = _cpu(of)
    if cpu and (cpu.throttled or 0) >= THROTTLED_NOTED and cpu.share < AT_LIMIT:
        yield Said(
            f"throttled in {cpu.throttled:.0%} of its periods although it used only "
            f"{cpu.share:.0%} of its limit: it works in bursts, and each uses up a period's "
            f"quota before the period ends{_stretch(of.use)}{_burst(of.use.cpu_burst_us)}",
            f"Raise --cpus above {cpu.limit:g} to what a burst needs, or let fewer threads run at "
            "once.",
        )


@entry(
    id="cpu-quota-above",
    subject="CPU",
    grade="ok",
    condition="It has no quota of its own; a cgroup above it has, and was throttled in less than "
    f"{THROTTLED_NOTED:.0%} of its periods.",
    source=_BANDWIDTH,
)
def _quota_above(of: Evidence) -> Iterator[Said]:
    cpu, at = _cpu(of), of.force.cpus_at
    if not at or cpu is None or cpu.throttled is not None or throttled_above(of):
        return
    if _all_in_use(of):
        return
    read = any(one.at == at and one.periods is not None for one in of.use.above)
    so = "which was not throttled" if read else "where throttling is counted and cannot be read"
    yield Said(f"no quota of its own: it used {cpu.cpus:.3f} of the {units.cpus(cpu.limit)} that "
               f"{at} allows, {so}")  # fmt: skip


@entry(
    id="cpu-all-used",
    subject="CPU",
    grade="note",
    condition=f"It used {AT_LIMIT:.0%} or more of the CPUs that cpuset, affinity and host leave "
    "it, without a quota or with one that is no less than those: then nothing is throttled.",
    remedy="Give it more CPUs (--cpuset-cpus), or set --cpus where others must be protected.",
    source="Documentation/admin-guide/cgroup-v1/cpuacct.rst, cgroup-v2.rst: cpu.stat",
)
def _all_used(of: Evidence) -> Iterator[Said]:
    cpu = _cpu(of)
    if cpu is None or not _all_in_use(of):
        return
    quota = rules.cpus_of((of.kernel.cpu_quota_us, of.kernel.cpu_period_us))
    no = "no quota caps it" if cpu.throttled is None and not of.force.cpus_at else "no quota binds"
    of_it = f" (its own is {quota:g})" if math.isfinite(quota) else ""
    yield Said(f"it uses every CPU that it may run on ({cpu.cpus:.2f} of {cpu.limit:g}), and "
               f"{no}{of_it}")  # fmt: skip


def _all_in_use(of: Evidence) -> bool:
    """Whether it uses all of the CPUs that it may run on, and no quota holds it up."""
    cpu = _cpu(of)
    if cpu is None or (cpu.throttled or 0.0) >= THROTTLED_NOTED or throttled_above(of):
        return False
    allowed = _allowed(of)
    return cpu.cpus >= AT_LIMIT * (of.host.cpus if allowed is None else len(allowed))


def _allowed(of: Evidence) -> frozenset[int] | None:
    """The CPUs that it may run on; None where those are the host's."""
    told = of.force.affinity or of.force.cpuset_cpus
    return rules.parse_cpu_list(told) if told else None


@entry(
    id="cpu-throttled-before",
    subject="CPU",
    grade="note",
    condition=f"It was throttled in less than {THROTTLED_NOTED:.0%} of its periods in the window, "
    f"and in {THROTTLED_NOTED:.0%} or more since its cgroup was made, or a cgroup above was.",
    remedy="Look while it works: --duration 60, or --watch.",
    source=_BANDWIDTH,
)
def _throttled_before(of: Evidence) -> Iterator[Said]:
    every = [("", of.seen.samples)]
    above = zip(of.record.above or (), of.seen.above, strict=True)
    every += [(f"all in {one.at}: ", series) for one, series in above]
    now = (of.use.throttled_share or 0.0, *(one.throttled_share or 0.0 for one in of.use.above))
    if any(share >= THROTTLED_NOTED for share in now):
        return
    for whose, samples in every:
        first = samples[0] if samples else None
        if first is None or not first.nr_periods or not first.nr_throttled:
            continue
        share = first.nr_throttled / first.nr_periods
        if share >= THROTTLED_NOTED:
            yield Said(f"{whose}throttled in {share:.0%} of its {first.nr_periods} periods before "
                       "this window, and not in it")  # fmt: skip


@entry(
    id="cpu-host-full",
    subject="CPU",
    grade="note",
    condition=f"{AT_LIMIT:.0%} or more of the CPUs that it may run on were in use, most by others, "
    "and no pressure (PSI, which this kernel does not keep) tells whether it waited.",
    remedy="More --cpu-shares than the others, a quota for them, or CPUs of its own.",
    source="cpuacct.usage_percpu of the root cgroup; Documentation/scheduler/sched-design-CFS.rst",
)
def _host_full(of: Evidence) -> Iterator[Said]:
    use = of.use
    if use.cpu_some is not None or use.cpus is None:
        return
    allowed = _allowed(of)
    others = surroundings.foreign_cpus(of.seen.trial, allowed)
    whole = len(allowed) if allowed is not None else of.host.cpus
    if others is not None and whole and others > use.cpus and use.cpus + others >= AT_LIMIT * whole:
        yield Said(f"of the {counted(whole, 'CPU')} that it may run on others use {others:.2f} "
                   f"and it {use.cpus:.3f}: it may wait for them")  # fmt: skip


@entry(
    id="cpu-stolen",
    subject="CPU",
    grade="note",
    condition=f"The hypervisor took {STOLEN_NOTED:.0%} or more of the host's CPU time in the "
    "window: no counter of a cgroup shows that, and a container that waits for it looks idle.",
    remedy="Ask whoever runs the hypervisor: a larger machine, or one with CPUs of its own.",
    source="/proc/stat: steal; Documentation/virt/kvm/x86/msr.rst",
)
def _stolen(of: Evidence) -> Iterator[Said]:
    steal = of.use.steal_cpus
    if steal is not None and of.host.cpus and steal >= STOLEN_NOTED * of.host.cpus:
        yield Said(f"the hypervisor took {steal:.2f} of the host's {counted(of.host.cpus, 'CPU')}: "
                   "they ran slower than they seem to")  # fmt: skip


@entry(
    id="cpu-no-quota",
    subject="CPU",
    grade="ok",
    condition=f"Without any quota it used less than {AT_LIMIT:.0%} of the CPUs that cpuset and "
    "host leave it.",
    source="Documentation/admin-guide/cgroup-v1/cpuacct.rst, cgroup-v2.rst: cpu.stat",
)
def _no_quota(of: Evidence) -> Iterator[Said]:
    cpu = _cpu(of)
    if cpu and cpu.throttled is None and not of.force.cpus_at and not _all_in_use(of):
        yield Said(f"no quota: it used {cpu.cpus:.3f} of the {units.cpus(cpu.limit)} that it "
                   "may run on")  # fmt: skip
