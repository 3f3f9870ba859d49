"""What to do with a limit that was found: the lines to paste; what room it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness import units
from harness.judge.estimates import estimate
from harness.judge.metrics import METRICS
from harness.model import Estimate, TrialRecord
from harness.sizing.finding import Setting, Study
from harness.sizing.ladder import KINDS, Kind

_COST = ("cpus", "throttled_share", "throttled_rate", "gap_p99_s", "gap_max_s", "peak_bytes",
         "limit_hits", "cpu_some", "memory_full", "io_device_bytes_rate",
         "io_device_rate")  # fmt: skip
_MEMORY, _CPUS, _QUOTA = "memory", "cpus", "quota"
_DEVICE = "DEVICE"
"""Stands for the path of the disk, which is the user's own."""


@dataclass(frozen=True, slots=True)
class Paste:
    """Lines for one tool."""

    tool: str
    lines: tuple[str, ...]


def pastes(setting: Setting, period_us: int) -> tuple[Paste, ...]:
    """The setting for Docker, Compose and Kubernetes; of a tool that lacks a limit, the others.

    ``period_us`` is that of a quota.
    """
    values = dict(setting)
    if _QUOTA in values:
        values[_CPUS] = values[_QUOTA] / period_us
    found = [Paste("Docker", (_docker(setting),))]
    compose = [f'cpus: "{values[_CPUS]:g}"'] if _CPUS in values else []
    compose += [f"memory: {KINDS[_MEMORY].write(values[_MEMORY])}"] if _MEMORY in values else []
    compose += [f"pids: {values['pids']:.0f}"] if "pids" in values else []
    disk = [(KINDS[limit], value) for limit, value in setting if KINDS[limit].disk]
    lines = _nested("deploy:", "resources:", "limits:", leaves=compose) if compose else ()
    found.append(Paste("Compose", (*_blkio(disk), *lines)))
    pod = [f"cpu: {math.ceil(values[_CPUS] * 1000 - 1e-6):d}m"] if _CPUS in values else []
    pod += [f"memory: {_kubernetes_size(values[_MEMORY])}"] if _MEMORY in values else []
    # Which has no limit on tasks of a container.
    lines = _nested("resources:", "limits:", leaves=pod) if pod else ()
    if disk:
        lines += ("# no field of a pod limits what it does to a disk",)
    if lines:
        found.append(Paste("Kubernetes", lines))
    return tuple(found)


def _blkio(disk: Sequence[tuple[Kind, float]]) -> tuple[str, ...]:
    """Compose's rates of a device, which stand in the service itself."""
    lines = ["blkio_config:"] if disk else []
    for kind, value in disk:
        lines += [f"  {kind.field}:", f"    - path: {_DEVICE}", f"      rate: {kind.write(value)}"]
    return tuple(lines)


def _docker(setting: Setting) -> str:
    words = [
        f"{(kind := KINDS[limit]).option} {f'{_DEVICE}:' if kind.disk else ''}{kind.write(value)}"
        for limit, value in setting
    ]
    memory = dict(setting).get(_MEMORY)
    if memory is not None:
        # As it was measured: without it Docker gives as much swap again.
        words.append(f"--memory-swap {KINDS[_MEMORY].write(memory)}")
    return f"docker run {' '.join(words)} …"


def _nested(*keys: str, leaves: Sequence[str]) -> tuple[str, ...]:
    depth = len(keys)
    return (
        *(f"{'  ' * i}{key}" for i, key in enumerate(keys)),
        *(f"{'  ' * depth}{leaf}" for leaf in leaves),
    )


def _kubernetes_size(size_bytes: float) -> str:
    whole = round(size_bytes)
    for unit, factor in (("Gi", units.GIB), ("Mi", units.MIB), ("Ki", 1 << 10)):
        if whole % factor == 0:
            return f"{whole // factor}{unit}"
    return str(whole)


def cost(trials: Sequence[TrialRecord]) -> dict[str, Estimate]:
    """What running at the limit comes to: CPU used, throttling, gaps, memory."""
    found = {}
    for name in _COST:
        metric = METRICS[name]
        values = [v for t in trials if t.containers and (v := metric.of(t, 0)) is not None]
        if one := estimate(name, metric.unit, values):
            found[name] = one
    return found


def room(study: Study, setting: Setting) -> Iterator[str]:
    """What the limit leaves, and what a growth of the load would take, a sentence each."""
    spent = cost(study.trials_of(setting))
    growth = study.purpose.growth
    for limit, value in setting:
        kind = KINDS[limit]
        if limit == _CPUS and (used := spent.get("cpus")):
            share = used.median / value
            yield (
                f"CPU used: {units.cpus(round(used.median, 3))}, {units.round_percent(share)} of "
                f"the limit{_throttled(spent)}."
            )
        if limit == _MEMORY and (peak := spent.get("peak_bytes")):
            left = max(0.0, 1 - peak.median / value)
            yield (
                f"Peak of memory: {units.size(peak.median)}, which leaves "
                f"{units.round_percent(left)} of the limit."
            )
        if kind.disk:
            yield from _at_the_disk(kind, value, spent)
        if growth:
            more = kind.words(kind.rounded(value * (1 + growth)))
            grows = "all of its memory grows" if limit == _MEMORY else "its need grows"
            yield (
                f"For {units.round_percent(growth)} more load: {more}, where {grows} in "
                "proportion; a find with that load tells."
            )


def _at_the_disk(kind: Kind, value: float, spent: dict[str, Estimate]) -> Iterator[str]:
    yield f"{_DEVICE} is the disk that its data lies on, e.g. /dev/sda: no partition."
    used = spent.get("io_device_rate" if kind.axis == "iops" else "io_device_bytes_rate")
    if used:
        share = units.round_percent(used.median / value)
        yield f"At the disk: {kind.words(used.median)}, {share} of the limit."


def _throttled(spent: dict[str, Estimate]) -> str:
    share = spent.get("throttled_share")
    if share is None:
        return ""
    gap = spent.get("gap_p99_s")
    gaps = f", 99 % of its gaps within {units.duration(gap.median)}" if gap else ""
    return f"; throttled in {units.round_percent(share.median)} of the periods{gaps}"
