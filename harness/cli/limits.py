"""The limits as options of a command: named as Docker names them, for what a sweep keeps fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from harness import limits as rules
from harness.model import Limits


class Size(click.ParamType[int]):
    """Bytes, written as Docker does: 64m, 1.5g, -1."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes; a PlanError names a text that is none."""
        if isinstance(value, int):
            return value
        return -1 if value == "-1" else rules.parse_size(value)


_SIZE = Size()
_FIXED: dict[str, tuple[str, Any, str]] = {
    "cpus": ("--cpus", float, "CPUs, as a quota"),
    "cpu_quota_us": ("--cpu-quota", int, "quota in µs, -1 for none"),
    "cpu_period_us": ("--cpu-period", int, "period in µs"),
    "cpu_shares": ("--cpu-shares", int, "shares"),
    "cpuset_cpus": ("--cpuset-cpus", str, "CPUs, e.g. 0-2,4"),
    "cpuset_mems": ("--cpuset-mems", str, "memory nodes, e.g. 0"),
    "memory_bytes": ("--memory", _SIZE, "memory, e.g. 64m"),
    "memory_swap_bytes": ("--memory-swap", _SIZE, "memory and swap together; -1 for no limit"),
    "memory_reservation_bytes": ("--memory-reservation", _SIZE, "soft limit of memory"),
    "kernel_memory_bytes": ("--kernel-memory", _SIZE, "ignored since runc 1.0; shown so"),
    "memory_swappiness": ("--memory-swappiness", int, "0 to 100"),
    "pids_limit": ("--pids-limit", int, "most processes and threads"),
}
"""Field of ``model.Limits`` → option, type, help."""


def fixed_limits_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each limit that can be fixed in every container of a sweep."""
    for field, (option, kind, text) in reversed(_FIXED.items()):
        metavar = "SIZE" if kind is _SIZE else None
        command = click.option(option, field, type=kind, metavar=metavar,
                               help=f"Fixed in every container: {text}.")(command)  # fmt: skip
    return command


def take_fixed(options: dict[str, Any]) -> Limits:
    """Take the fixed limits out of a command's options."""
    return Limits(**{field: options.pop(field) for field in _FIXED})
