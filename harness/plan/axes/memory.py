"""How much memory, how much swap beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import UNLIMITED, ContainerSpec, Growth, Limits, Point, Program
from harness.plan.axes import reclaim
from harness.plan.axes.axis import Axis, Options, limit, point, texts, with_limits
from harness.plan.axes.cpu import load_on_every_cpu
from harness.units import MIB

DEFAULT_MEMORY = ("6m", "16m", "64m", "256m", "64m@file", "64m@tmpfs")
QUICK_MEMORY = ("6m", "64m")
PROGRAM_MEMORY = ("16m", "32m", "64m", "128m", "256m")
_KINDS = ("anon", "file", "tmpfs")
SWAP_SWEEP_MEMORY_BYTES = 64 * MIB
PRESSED_RESERVATIONS = ("32m@pressed", "none@pressed")
BEYOND = 1.5
"""A workload wants so many times its limit, so that the limit and not the workload ends it."""


def _grower(limits: Limits, most_bytes: int, kind: str = "anon") -> ContainerSpec:
    target = math.ceil(BEYOND * most_bytes / MIB) * MIB
    return ContainerSpec(limits=limits, workload=Growth(target_bytes=target, kind=kind))


def _programs_memory(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    """A program under the same limits: it uses what it needs, and how it does is asked."""
    workload = load_on_every_cpu(options, cpus)
    for text in texts(options, PROGRAM_MEMORY):
        memory = rules.parse_size(text)
        limits = with_limits(options.fixed, memory_bytes=memory)
        if limits.memory_swap_bytes is None:
            limits = replace(limits, memory_swap_bytes=memory)
        yield point("memory", "memory", text, ContainerSpec(limits=limits, workload=workload))


def _memory(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    if isinstance(options.workload, Program):
        yield from _programs_memory(options, cpus)
        return
    default = QUICK_MEMORY if options.quick else DEFAULT_MEMORY
    for text in texts(options, default):
        size, _, kind = text.partition("@")
        if kind and kind not in _KINDS:
            raise PlanError(f"'{kind}' is no kind of memory.", f"Known: {', '.join(_KINDS)}.")
        memory = rules.parse_size(size)
        limits = with_limits(options.fixed, memory_bytes=memory)
        if limits.memory_swap_bytes is None and kind != "file":
            # Without swap, so that the memory limit itself is what is met. Page cache needs none,
            # and where memory and swap end together the kernel may not count how often.
            limits = replace(limits, memory_swap_bytes=memory)
        name = f"{size} {kind}" if kind and kind != "anon" else size
        most = max(memory, rules.swap_total_bytes(limits) or 0)
        yield point("memory", "memory", name, _grower(limits, most, kind or "anon"))


def _swap(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    memory = options.fixed.memory_bytes or SWAP_SWEEP_MEMORY_BYTES
    fixed = replace(options.fixed, memory_bytes=memory)
    size = rules.format_size
    default = [size(memory), size(memory * 3 // 2), size(memory * 3), "unset", "-1"]
    for text in texts(options, default):
        if text == "unset":
            limits = fixed
        else:
            total = UNLIMITED if text == "-1" else rules.parse_size(text)
            limits = with_limits(fixed, memory_swap_bytes=total)
        total_bytes = rules.swap_total_bytes(limits)
        # Nothing ends it at -1 but the host's own swap: so it wants no more than at 2 times.
        most = 2 * memory if total_bytes in (None, UNLIMITED) else total_bytes
        spec = _grower(limits, most or memory)
        yield point("swap", "memory-swap", text, spec)


def _reservation(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    default = ["16m"] if options.quick else ["16m", "64m", *PRESSED_RESERVATIONS]
    for text in texts(options, default):
        size, _, where = text.partition("@")
        if where not in ("", reclaim.PRESSED):
            raise PlanError(
                f"'{text}' names no place that is known.",
                f"Write 16m, or 32m@{reclaim.PRESSED} beside a neighbour that presses.",
            )
        if where:
            yield reclaim.pressed(options.fixed, size)
            continue
        reservation = rules.parse_size(text)
        limits = with_limits(options.fixed, memory_reservation_bytes=reservation)
        yield point("reservation", "reservation", text, _grower(limits, 2 * reservation))


AXES = (
    Axis(
        "memory", "--memory", "where a growing workload is killed; page cache and tmpfs",
        "--values 6m,64m,64m@file,64m@tmpfs", _memory,
        metric="reached_bytes", x=limit("memory_bytes"), takes="program",
    ),
    Axis(
        "swap", "--memory-swap", "memory and swap together, and what swapping costs",
        "--values 64m,128m,unset,-1", _swap,
        metric="reached_bytes", x=limit("memory_swap_bytes"),
    ),
    Axis(
        "reservation", "--memory-reservation", "a soft limit is no cap; what it spares from others",
        "--values 16m,32m@pressed", _reservation,
        metric="reached_bytes", x=limit("memory_reservation_bytes"),
    ),
)  # fmt: skip
