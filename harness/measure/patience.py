"""How long a container may take to be ready, then to have done what its load is to do."""

from __future__ import annotations

from harness import limits
from harness.model import Batch, ContainerSpec, Growth, Io, Point, Server

READY_TIMEOUT_S = 20.0
START_CPU_S = 0.1
"""CPU time that a container's start may need: under a tiny quota it takes that over the quota."""
GROW_TIMEOUT_S = 30.0
SLOWEST_GROWTH = 4 << 20
"""Bytes a second: a growing workload that swaps to a slow disk is given so much time."""


def start_timeout_s(spec: ContainerSpec) -> float:
    """How long a container may take to become ready: longer where its quota is tiny."""
    quota = limits.quota_and_period_us(spec.limits)
    share = min(1.0, quota[0] / quota[1]) if quota else 1.0
    if isinstance(spec.workload, Server):
        serving = spec.workload.serving
        return serving.ready_s + serving.start_cpu_s / share
    return READY_TIMEOUT_S + START_CPU_S / share + _layout_s(spec)


def _layout_s(spec: ContainerSpec) -> float:
    """What a file takes that is written before the load begins, under the limit on writes."""
    bps = spec.limits.device_write_bps
    return 2 * spec.workload.file_bytes / bps if bps and isinstance(spec.workload, Io) else 0.0


def load_timeout_s(spec: ContainerSpec, point: Point) -> float:
    """How long the load may take from the end of its warm-up on."""
    load = spec.workload
    if not load.ends_by_itself:
        return point.duration_s
    if isinstance(load, Batch):
        return load.timeout_s
    if not isinstance(load, Growth):
        return point.duration_s + GROW_TIMEOUT_S
    if load.may_stand:
        return point.duration_s + load.STANDS_S
    grows_s = GROW_TIMEOUT_S + load.target_bytes / SLOWEST_GROWTH
    return point.duration_s + load.after_s + grows_s
