"""What a running container may use, what it uses, and what that means: observation → inspection.

Pure. An operator's questions in their order: which limits are really in force, what is used of
them, what holds the container up, and what to do. Numbers that could not be measured are None, and
``absent`` says why.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness import analysis, check
from harness import limits as rules
from harness.check import NOT_READ, NOT_SET
from harness.diagnosis import Finding
from harness.model import (
    UNLIMITED,
    ContainerRecord,
    EffectiveLimits,
    EngineFacts,
    HostFacts,
    KernelLimits,
    MemoryCounters,
    RunningContainer,
    Sample,
    TrialRecord,
)

THROTTLED_NOTED = 0.01
"""Below this share of throttled periods nobody notices."""
AT_LIMIT = 0.95
"""From this share of its limit on a container is held back by it, and not by bursts."""
MEMORY_NEAR = 0.9
PRESSURE_NOTED = 0.01
STALLED_BADLY = 0.1
STATS_DIFFER = 0.05
STATS_LEAST_CPUS = 0.01
"""Below it a share of the difference says nothing."""
STEAL_NOTED = 0.005


@dataclass(frozen=True, slots=True)
class Observation:
    """One window of a container that somebody else runs, as it was read."""

    container: RunningContainer
    trial: TrialRecord
    """With this container alone: so analysis works on it as on a trial of ours."""
    samples: tuple[Sample, ...] = ()
    obstacle: str = ""
    """Why the cgroup could not be read; empty where it could."""
    ended: str = ""
    """How the container ended within the window; empty where it goes on."""

    @property
    def record(self) -> ContainerRecord:
        """The container's record."""
        return self.trial.containers[0]


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit side by side: asked for, held by the engine, held by the kernel, in force."""

    option: str
    requested: str
    engine: str
    kernel: str
    effective: str
    at: str = ""
    """The cgroup above the container that sets what is in force; empty where it is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What was used in the window. None = not measured; ``Inspection.absent`` says why."""

    window_s: float | None = None
    cpus: float | None = None
    cpus_limit: float | None = None
    """The tightest of quota, cpuset and host."""
    periods: int | None = None
    throttled_periods: int | None = None
    """Both None without a quota: then nothing is counted, which is not 0."""
    throttled_s: float | None = None
    """Summed over the run queues of all CPUs."""
    longest_stretch_s: float | None = None
    """The longest time in which nothing ran until the kernel said that it had been throttled: to
    within a tick. Stretches in which some threads ran do not show in any counter."""
    memory_bytes: int | None = None
    memory_highest_bytes: int | None = None
    """In any sample of the window."""
    memory_peak_bytes: int | None = None
    """The kernel's own, since the container began."""
    memory_limit_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    swap_bytes: int | None = None
    limit_hits: int | None = None
    """In the window; ``limit_hits_ever`` since the container began; likewise the kills."""
    limit_hits_ever: int | None = None
    high_hits: int | None = None
    """In the window: so often it was slowed at memory.high (v2)."""
    oom_kills: int | None = None
    oom_kills_ever: int | None = None
    cpu_some: float | None = None
    """Pressure: shares of the window."""
    cpu_full: float | None = None
    memory_some: float | None = None
    memory_full: float | None = None
    io_some: float | None = None
    io_full: float | None = None
    stats_frames: int = 0
    stats_cpus: float | None = None
    stats_memory_bytes: float | None = None
    others_cpus: float | None = None
    """CPU of everything else on the host."""
    steal_cpus: float | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that is told of one window."""

    container: RunningContainer
    limits: tuple[LimitRow, ...]
    use: Use
    findings: tuple[Finding, ...]
    absent: dict[str, str]
    """Counters of ``model.Sample`` that there are none of, each with why."""

    def as_json(self) -> dict[str, Any]:
        """The inspection as plain data with stable names; numbers are not rounded."""
        return {
            "container": {
                "id": self.container.id,
                "name": self.container.name,
                "image": self.container.image,
                "pid": self.container.pid,
                "state": self.container.state,
                "started_at": self.container.started_at,
            },
            "limits": [asdict(row) for row in self.limits],
            "use": asdict(self.use),
            "findings": [finding.as_json() for finding in self.findings],
            "absent": self.absent,
        }


def inspect(seen: Observation, engine: EngineFacts, host: HostFacts) -> Inspection:
    """The limits, the use and the findings of one window."""
    used = _use(seen, engine, host)
    absent = dict(seen.record.absent)
    if seen.obstacle:
        absent["cgroup"] = seen.obstacle
    if used.periods is None and not seen.obstacle:
        without = "without a CPU quota the kernel counts no periods"
        absent["throttling"] = absent.get("nr_periods", without)
    return Inspection(
        container=seen.container,
        limits=tuple(_rows(seen.record, engine, host)),
        use=used,
        findings=tuple(_findings(seen, used, engine, host)),
        absent=absent,
    )


# --- limits ----------------------------------------------------------------------------------


def _rows(record: ContainerRecord, engine: EngineFacts, host: HostFacts) -> Iterator[LimitRow]:
    """Every limit that one asks for, whether or not it is set."""
    asked, kernel = record.requested, record.kernel or KernelLimits()
    force = record.effective
    held = rules.quota_and_period_us(asked)
    option, said = "--cpus", NOT_SET
    if asked.cpus is not None:
        said = f"{asked.cpus:g}"
    elif held:
        option, said = "--cpu-quota", f"{held[0]}"
    cpuset = asked.cpuset_cpus or NOT_SET
    shares = f"{asked.cpu_shares}" if asked.cpu_shares else NOT_SET
    every = rules.format_cpu_list(frozenset(range(host.cpus)))
    yield LimitRow(
        option, said, NOT_SET if held is None else f"{held[0]}/{held[1]} µs", _quota(kernel),
        _force(force, f"{_cpus_in_force(record, engine, host):g} CPUs"),
        force.cpus_at if force else "",
    )  # fmt: skip
    yield LimitRow(
        "--cpuset-cpus", cpuset, cpuset, kernel.cpuset_cpus or NOT_READ,
        _force(force, (force.cpuset_cpus if force else None) or every),
    )  # fmt: skip
    yield LimitRow("--cpu-shares", shares, shares, _weight(kernel), "if others compete")
    force = force or EffectiveLimits()
    yield _size_row(
        "--memory", asked.memory_bytes, kernel.memory_bytes, host.memory_bytes,
        force.memory_bytes, force.memory_at,
    )  # fmt: skip
    # Where swap has no limit the host's is what there is, but memory can be limited all the same.
    most = min(host.memory_bytes, force.memory_bytes or host.memory_bytes) + host.swap_bytes
    yield _size_row(
        "--memory-swap", asked.memory_swap_bytes, kernel.memory_swap_bytes, most,
        force.memory_swap_bytes, force.memory_swap_at,
    )  # fmt: skip
    soft = asked.memory_reservation_bytes
    words = _size(soft) if soft else NOT_SET
    yield LimitRow(
        "--memory-reservation", words, words, _read(kernel.memory_reservation_bytes), "no cap"
    )
    if force.memory_high_bytes is not None:  # no option of an engine: told where somebody set it
        yield LimitRow(
            "memory.high", NOT_SET, NOT_SET, _read(kernel.memory_high_bytes),
            f"slowed at {amount(force.memory_high_bytes)}", force.memory_high_at,
        )  # fmt: skip


def _size_row(  # noqa: PLR0913, PLR0917 - one limit, by all who hold it
    option: str, asked: int | None, kernel: int | None, host: int, tightest: int | None, at: str
) -> LimitRow:
    words = _size(asked) if asked else NOT_SET
    if tightest is None or tightest > host:
        force = f"{amount(host)} (host)" if kernel is not None else NOT_READ
        return LimitRow(option, words, words, _read(kernel), force)
    return LimitRow(option, words, words, _read(kernel), amount(tightest), at)


def _force(force: EffectiveLimits | None, text: str) -> str:
    return NOT_READ if force is None else text


def _quota(kernel: KernelLimits) -> str:
    if kernel.cpu_quota_us is None:
        return NOT_READ
    if kernel.cpu_quota_us == UNLIMITED:
        return "no limit"
    return f"{kernel.cpu_quota_us}/{kernel.cpu_period_us} µs"


def _weight(kernel: KernelLimits) -> str:
    if kernel.cpu_shares is not None:
        return f"{kernel.cpu_shares}"
    return NOT_READ if kernel.cpu_weight is None else f"weight {kernel.cpu_weight}"


def _read(size_bytes: int | None) -> str:
    return NOT_READ if size_bytes is None else _size(size_bytes)


def _size(size_bytes: int) -> str:
    """A limit as Docker writes it, but where that would be a long number of bytes."""
    text = rules.format_size(size_bytes)
    return amount(size_bytes) if text.endswith("b") and size_bytes else text


def amount(size_bytes: float) -> str:
    """Bytes as people read them: ``812 KiB``, ``32.1 MiB``, ``23.5 GiB``."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes / 1024:.0f} KiB"


def _cpus_in_force(record: ContainerRecord, engine: EngineFacts, host: HostFacts) -> float:
    """The CPUs that the container can use at the most: quota, cpuset, host."""
    most = float(host.cpus or engine.cpus)
    force = record.effective or EffectiveLimits()
    if force.cpuset_cpus:
        most = min(most, len(rules.parse_cpu_list(force.cpuset_cpus)))
    return min(most, force.cpus) if force.cpus is not None else most


# --- use -------------------------------------------------------------------------------------


def _use(seen: Observation, engine: EngineFacts, host: HostFacts) -> Use:
    record, trial = seen.record, seen.trial
    told = [frame.memory_bytes for frame in record.stats if frame.memory_bytes is not None]
    by_stats = Use(
        stats_frames=len(record.stats),
        stats_cpus=analysis.stats_cpus(record),
        stats_memory_bytes=statistics.median(told) if told else None,
    )
    first, last = record.first, record.last
    if first is None or last is None:
        return by_stats
    latest = _latest(seen.samples)
    before, after = record.memory_first or _UNREAD, record.memory_last or _UNREAD
    force = record.effective or EffectiveLimits()
    return replace(
        by_stats,
        window_s=analysis.window_s(record) or None,
        cpus=analysis.achieved_cpus(record),
        cpus_limit=_cpus_in_force(record, engine, host),
        **_throttling(seen, first, last),
        memory_bytes=last.memory_bytes,
        memory_highest_bytes=max(
            (s.memory_bytes for s in seen.samples if s.memory_bytes is not None), default=None
        ),
        memory_peak_bytes=latest.peak_bytes,
        memory_limit_bytes=force.memory_bytes,
        anon_bytes=latest.anon_bytes,
        file_bytes=latest.file_bytes,
        swap_bytes=_swap(last),
        limit_hits=_more(before.limit_hits, after.limit_hits),
        limit_hits_ever=after.limit_hits,
        high_hits=_more(before.high_hits, after.high_hits),
        oom_kills=_more(first.oom_kills, latest.oom_kills),
        oom_kills_ever=latest.oom_kills,
        cpu_some=_pressure(first, latest, "cpu_some_us"),
        cpu_full=_pressure(first, latest, "cpu_full_us"),
        memory_some=_pressure(first, latest, "memory_some_us"),
        memory_full=_pressure(first, latest, "memory_full_us"),
        io_some=_pressure(first, latest, "io_some_us"),
        io_full=_pressure(first, latest, "io_full_us"),
        others_cpus=analysis.foreign_cpus(trial),
        steal_cpus=analysis.steal_cpus(trial),
    )


def _throttling(seen: Observation, first: Sample, last: Sample) -> dict[str, Any]:
    """Nothing without a quota: then the kernel counts none of it, which is not 0."""
    periods = _more(first.nr_periods, last.nr_periods)
    kernel = seen.record.kernel or KernelLimits()
    if not periods and kernel.cpu_quota_us in (None, UNLIMITED):
        return {}
    throttled_ns = _more(first.throttled_ns, last.throttled_ns)
    return {
        "periods": periods,
        "throttled_periods": _more(first.nr_throttled, last.nr_throttled),
        "throttled_s": None if throttled_ns is None else throttled_ns / 1e9,
        "longest_stretch_s": longest_stretch_s(seen.samples),
    }


_UNREAD = MemoryCounters()


def _latest(samples: Sequence[Sample]) -> Sample:
    """The last sample that has the details: where the container ended, that is not the last one."""
    return next((s for s in reversed(samples) if s.anon_bytes is not None), samples[-1])


def _more(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _swap(sample: Sample) -> int | None:
    # Two files, read one after the other: a charge between the two must not become negative swap.
    if sample.total_bytes is None or sample.memory_bytes is None:
        return None
    return max(0, sample.total_bytes - sample.memory_bytes)


def _pressure(first: Sample, last: Sample, counter: str) -> float | None:
    more = _more(getattr(first, counter), getattr(last, counter))
    span_ns = last.t_mono_ns - first.t_mono_ns
    return None if more is None or span_ns <= 0 else more * 1000 / span_ns


def longest_stretch_s(samples: Sequence[Sample]) -> float | None:
    """The longest time without CPU that ended with the kernel's counting it as throttled.

    throttled_time grows when a run queue is let go, by as long as it was held (kernel/sched/fair.c,
    ``unthrottle_cfs_rq``), summed over the CPUs. So a stretch in which all was held is a run of
    samples without CPU use at whose end throttled_time jumps; it is no longer than that jump. None
    where throttled_time is not there; 0 where nothing was throttled.
    """
    if not samples or samples[0].throttled_ns is None:
        return None
    longest_ns, since = 0, samples[0]
    for before, after in itertools.pairwise(samples):
        if before.throttled_ns is None or after.throttled_ns is None:
            continue
        jump_ns = after.throttled_ns - before.throttled_ns
        if jump_ns > 0:
            longest_ns = max(longest_ns, min(jump_ns, after.t_mono_ns - since.t_mono_ns))
        if after.cpu_usage_ns != before.cpu_usage_ns:
            since = after
    return longest_ns / 1e9


# --- what it means ---------------------------------------------------------------------------


def _findings(
    seen: Observation, used: Use, engine: EngineFacts, host: HostFacts
) -> Iterator[Finding]:
    """In the order of their weight: what ended, what is held up, what will be, what is odd."""
    if seen.ended:
        when = "within" if used.window_s is None else f"{used.window_s:.1f} s into"
        yield Finding("end", "bad", f"{seen.ended}, {when} the window")
    if seen.container.state == "paused":
        yield Finding("state", "note", "it is paused: nothing of it runs, its memory stays",
                      f"docker unpause {seen.container.name}")  # fmt: skip
    if seen.obstacle:
        yield Finding(
            "counters", "note", f"{seen.obstacle}: docker stats alone is told, which has no "
            "throttling and no limit of a cgroup above", "Run bench on the engine's own host.",
        )  # fmt: skip
    if used.cpus is not None and used.cpus_limit:
        yield _of_cpu(seen, used, used.cpus, used.cpus_limit)
    yield from _of_kills(used)
    yield from _of_memory(seen, used)
    yield from _of_pressure(used)
    yield from _of_limits(seen.record, engine, host)
    yield from _of_stats(seen, used)


def _of_cpu(seen: Observation, used: Use, cpus: float, limit: float) -> Finding:
    share = cpus / limit
    force = seen.record.effective or EffectiveLimits()
    if used.periods is None:
        return _without_quota(cpus, limit, force)
    whose = f"the limit of {force.cpus_at}" if force.cpus_at else "its limit"
    throttled = (used.throttled_periods or 0) / used.periods if used.periods else 0.0
    stretch = ""
    if used.longest_stretch_s:
        stretch = f"; it stood still for up to {used.longest_stretch_s * 1e3:.0f} ms at a time"
    if throttled < THROTTLED_NOTED:
        said = f"it used {cpus:.3f} of {limit:g} CPUs ({share:.0%} of {whose})"
        return Finding("CPU", "ok", f"not throttled: {said}")
    if share >= AT_LIMIT:
        return Finding(
            "CPU", "note", f"at {whose}: it used {share:.0%} of {limit:g} CPUs and was throttled "
            f"in {throttled:.0%} of its periods, so it wants more than it may have{stretch}",
            "Raise --cpus, or give it less to do.",
        )  # fmt: skip
    return Finding(
        "CPU", "note", f"throttled in {throttled:.0%} of its periods although it used only "
        f"{share:.0%} of {whose}: it works in bursts, and each uses up a period's quota before "
        f"the period ends{stretch}",
        f"Raise --cpus above {limit:g} to what a burst needs, or let fewer threads run at once.",
    )  # fmt: skip


def _without_quota(cpus: float, limit: float, force: EffectiveLimits) -> Finding:
    if force.cpus_at:
        return Finding("CPU", "ok", f"no quota of its own: it used {cpus:.3f} of the {limit:g} "
                       f"CPUs that {force.cpus_at} allows, and throttling is counted "
                       "there")  # fmt: skip
    if cpus / limit >= AT_LIMIT:
        return Finding("CPU", "note", f"it uses every CPU that it may run on ({cpus:.2f} of "
                       f"{limit:g}), and no quota caps it",
                       "Set --cpus where others must be protected from it.")  # fmt: skip
    return Finding("CPU", "ok", f"no quota: it used {cpus:.3f} of the {limit:g} CPUs that it may "
                   "run on")  # fmt: skip


def _of_kills(used: Use) -> Iterator[Finding]:
    remedy = "Raise --memory, or find the leak."
    if used.oom_kills:
        said = f"the kernel killed {_times(used.oom_kills, 'process')} in it for memory just now"
        yield Finding("memory", "bad", said, remedy)
    elif used.oom_kills_ever:
        killed = _times(used.oom_kills_ever, "process")
        said = f"the kernel has killed {killed} in it for memory since it began"
        yield Finding("memory", "note", said, remedy)


def _of_memory(seen: Observation, used: Use) -> Iterator[Finding]:
    if used.memory_bytes is None:
        return
    if used.memory_limit_bytes is None:
        yield Finding("memory", "note", f"no limit: it holds {amount(used.memory_bytes)}, and the "
                      "host's memory is all that ends its growth",
                      "Set --memory where others must be protected from it.")  # fmt: skip
    else:
        yield _against_limit(used.memory_bytes, used.file_bytes or 0, used.memory_limit_bytes)
    if used.limit_hits:
        met = _times(used.limit_hits, "time")
        yield Finding("memory", "note", f"it met its limit {met} in the window, and the kernel had "
                      "to take pages back first", "Raise --memory where that costs too "
                      "much.")  # fmt: skip
    yield from _at_high(used, seen.record.effective or EffectiveLimits())
    if used.swap_bytes:
        yield Finding("swap", "note", f"{amount(used.swap_bytes)} of it is swapped out",
                      "Raise --memory, or set --memory-swap equal to it.")  # fmt: skip
    if "total_bytes" in seen.record.absent and seen.record.requested.memory_swap_bytes:
        yield Finding("swap", "note", "this kernel does not account for a container's swap, so "
                      "--memory-swap limits nothing", "Boot with swapaccount=1.")  # fmt: skip


def _at_high(used: Use, force: EffectiveLimits) -> Iterator[Finding]:
    if not used.high_hits or force.memory_high_bytes is None:
        return
    whose = f"memory.high of {force.memory_high_at}" if force.memory_high_at else "its memory.high"
    yield Finding(
        "memory", "note", f"it was slowed {_times(used.high_hits, 'time')} at {whose} "
        f"({amount(force.memory_high_bytes)}): above it the kernel takes pages back and lets it "
        "wait, and kills nothing",
        "Raise memory.high: whoever runs the slice or the pod sets it.",
    )  # fmt: skip


def _against_limit(used: int, cache: int, limit: int) -> Finding:
    said = f"{amount(used)} of {amount(limit)} ({used / limit:.0%})"
    if used - cache >= MEMORY_NEAR * limit:
        return Finding("memory", "bad", f"{said}, and only {amount(cache)} of it is page cache "
                       "that can give way: an OOM kill is near", "Raise --memory.")  # fmt: skip
    if used >= MEMORY_NEAR * limit:
        return Finding("memory", "ok", f"{said}, but {amount(cache)} of it is page cache, which "
                       "gives way: that alone kills nothing")  # fmt: skip
    return Finding("memory", "ok", said)


def _of_pressure(used: Use) -> Iterator[Finding]:
    if used.memory_full is not None and used.memory_full >= PRESSURE_NOTED:
        said = (
            f"all of it waited for memory {used.memory_full:.0%} of the time: it reclaims or "
            "swaps instead of working"
        )
        badly = used.memory_full >= STALLED_BADLY
        yield Finding("pressure", "bad" if badly else "note", said, "Raise --memory.")
    if used.io_full is not None and used.io_full >= PRESSURE_NOTED:
        said = f"all of it waited for the disk {used.io_full:.0%} of the time"
        yield Finding("pressure", "note", said, "Look at BLOCK I/O in docker stats.")
    # A throttled thread waits for the CPU too: then it is the quota, which is told already.
    if used.cpu_some is not None and used.cpu_some >= PRESSURE_NOTED and not used.throttled_periods:
        yield Finding(
            "pressure", "note", f"some of it waited for a CPU {used.cpu_some:.0%} of the time "
            "without being throttled: it has more threads than CPUs, or others compete",
            "Give it more CPUs, or more --cpu-shares than the others.",
        )  # fmt: skip


def _of_limits(record: ContainerRecord, engine: EngineFacts, host: HostFacts) -> Iterator[Finding]:
    for one in check.readbacks(record, engine):
        if one.agrees is False:
            again = (
                "docker update sets it again."
                if engine.name != rules.PODMAN
                else "create it again."
            )
            yield Finding("limits", "bad", one.text, "It was changed behind the engine's back: "
                          f"{again}")  # fmt: skip
    force, kernel = record.effective or EffectiveLimits(), record.kernel or KernelLimits()
    total = amount(force.memory_swap_bytes or 0)
    for what, at, most in (
        ("CPU", force.cpus_at, f"allows {force.cpus or 0:g} CPUs"),
        ("memory", force.memory_at, f"allows {amount(force.memory_bytes or 0)}"),
        ("memory with swap", force.memory_swap_at, f"leaves {total} of both together"),
    ):
        if at:
            said = f"{what} is bound above the container: {at} {most}"
            yield Finding("limits", "note", said, "Raise that limit first.")
    quota_us, period_us = kernel.cpu_quota_us, kernel.cpu_period_us
    if quota_us in (None, UNLIMITED) or not period_us or period_us * 1000 >= host.tick_ns:
        return
    yield Finding(
        "period", "note", f"its period of {period_us} µs is shorter than the scheduler's tick "
        f"({host.tick_ns / 1e6:g} ms): part of the quota is lost",
        "Use a period of several ticks; the default is 100 ms.",
    )  # fmt: skip


def _of_stats(seen: Observation, used: Use) -> Iterator[Finding]:
    found = beside_stats(seen)
    if found is None or found[1] < STATS_LEAST_CPUS:
        return
    said, cpus = found
    off = said / cpus - 1
    if abs(off) < STATS_DIFFER:
        return
    why = ""
    if off > 0 and (used.steal_cpus or 0) > STEAL_NOTED:
        why = ", since it leaves out what the hypervisor takes (steal)"
    yield Finding(
        "docker stats", "note", f"it says {said:.3f} CPUs, {off:+.0%} against the kernel's own "
        f"{cpus:.3f} over the same seconds{why}", "Believe the cgroup.",
    )  # fmt: skip


def beside_stats(seen: Observation) -> tuple[float, float] | None:
    """(CPUs by docker stats, CPUs by the cgroup) over the same seconds; None below two frames.

    A frame tells of the time since the frame before it, so the first one's beginning is not known.
    """
    frames = [f for f in seen.record.stats if f.t_mono_ns is not None]
    if len(frames) < 2:
        return None
    begin, end = (_at(seen.samples, frames[i].t_mono_ns) for i in (0, -1))
    if begin is None or end is None or end.t_mono_ns <= begin.t_mono_ns:
        return None
    used_ns = _more(begin.cpu_usage_ns, end.cpu_usage_ns)
    if used_ns is None:
        return None
    said = statistics.fmean(frame.cpu_percent for frame in frames[1:]) / 100
    return said, used_ns / (end.t_mono_ns - begin.t_mono_ns)


def _at(samples: Sequence[Sample], t_mono_ns: int | None) -> Sample | None:
    """The sample nearest to a moment."""
    if not samples or t_mono_ns is None:
        return None
    return min(samples, key=lambda sample: abs(sample.t_mono_ns - t_mono_ns))


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 'es' if what.endswith('s') else 's'}"
