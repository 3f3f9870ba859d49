"""The settings of a limit that may be tried, from the least to the most.

Four to a step of the resolution where that is a share, so that the step itself can be placed; one
to a step where it is a size, as finer ones say nothing that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness import limits as rules
from harness import units
from harness.errors import UsageError
from harness.model import Limits, SoughtLimit
from harness.wording import counted

PARTS = 4
"""Settings to a relative step."""
MOST_SETTINGS = 5000
_GRAIN_BYTES, _RATE_GRAIN_BYTES, _GRAINS = 64 << 10, 4 << 10, 256
"""Sizes are multiples of the first, bytes a second of the second, and of coarser ones where that is
a fine part of them: 161m is read more easily than 164736k, and the engine rounds to pages anyway.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A limit that can be found: more of it never does harm to what runs under it."""

    name: str
    field: str
    axis: str
    """Of sweeps: what its points are judged and drawn by."""
    option: str
    """Docker's."""
    read: Callable[[str], float]
    write: Callable[[float], str]
    """As Docker takes it."""
    words: Callable[[float], str]
    rounded: Callable[[float], float]
    parts: int = PARTS
    """Settings to a relative step; one of what is counted, whose next number may be further off."""
    disk: Literal["read", "write"] | None = None
    """What it limits of a block device; None = it is about none."""

    def limits(self, fixed: Limits, value: float | None) -> dict[str, float | int | None]:
        """The fields that set it in a container beside what is fixed; None = no limit."""
        number = value if value is None or self.name == "cpus" else round(value)
        found: dict[str, float | int | None] = {self.field: number}
        if self.name == "memory" and fixed.memory_swap_bytes is None:
            # Without swap, so that it is the memory limit that is found.
            found["memory_swap_bytes"] = number
        return found


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UsageError(f"'{text}' is not a number.", "Write for example 0.5.")
    return found


def _pages(value: float) -> float:
    return _in_grains(value, _GRAIN_BYTES)


def _in_grains(value: float, least: int) -> float:
    grain = max(least, 1 << max(0, int(value / _GRAINS).bit_length() - 1))
    return max(1, round(value / grain)) * grain


def _size(text: str) -> float:
    return float(rules.parse_size(text))


def _written_size(value: float) -> str:
    return rules.format_size(round(value))


def _bytes_a_second(disk: Literal["read", "write"]) -> Kind:
    return Kind(
        name=f"{disk}-bps", field=f"device_{disk}_bps", axis="io", option=f"--device-{disk}-bps",
        read=_size, write=_written_size, words=lambda value: f"{units.size(value)}/s",
        rounded=lambda value: _in_grains(value, _RATE_GRAIN_BYTES), disk=disk,
    )  # fmt: skip


def _ios_a_second(disk: Literal["read", "write"]) -> Kind:
    return Kind(
        name=f"{disk}-iops", field=f"device_{disk}_iops", axis="iops",
        option=f"--device-{disk}-iops", read=_number, write=lambda value: f"{value:.0f}",
        words=lambda value: f"{value:.0f} {disk}s a second", rounded=round, parts=1, disk=disk,
    )  # fmt: skip


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="cpus", field="cpus", axis="cpu", option="--cpus", read=_number,
            write=lambda value: f"{value:g}", words=lambda value: units.cpus(round(value, 3)),
            rounded=lambda value: round(value, 3),
        ),
        Kind(
            name="quota", field="cpu_quota_us", axis="quota", option="--cpu-quota", read=_number,
            write=lambda value: f"{value:.0f}", words=lambda value: f"{value:.0f} µs",
            rounded=round,
        ),
        Kind(
            name="memory", field="memory_bytes", axis="memory", option="--memory",
            read=_size, write=_written_size, words=units.size, rounded=_pages,
        ),
        Kind(
            name="pids", field="pids_limit", axis="pids", option="--pids-limit", read=_number,
            write=lambda value: f"{value:.0f}", words=lambda value: counted(round(value), "task"),
            rounded=round, parts=1,
        ),
        _bytes_a_second("write"),
        _bytes_a_second("read"),
        _ios_a_second("write"),
        _ios_a_second("read"),
    )
}  # fmt: skip


def settings(sought: SoughtLimit) -> tuple[float, ...]:
    """The values that may be tried, ascending and distinct. UsageError where there is no range."""
    kind = KINDS[sought.limit]
    least, most = kind.rounded(sought.least), kind.rounded(sought.most)
    if not 0 < least < most:
        told = f"from {kind.write(sought.least)} to {kind.write(sought.most)}"
        raise UsageError(f"there is no {kind.name} {told}.", "Give --from below --to.")
    factor = 1 + sought.step / kind.parts if sought.relative else 0.0
    count = math.log(most / least) / math.log(factor) if factor else (most - least) / sought.step
    if count > MOST_SETTINGS:
        raise UsageError(
            f"{count:.0f} settings are too many to be told apart.",
            "Give a coarser --resolution, or a narrower range: --from, --to.",
        )
    steps = range(int(count) + 1)
    values = [least * factor**i if factor else least + i * sought.step for i in steps]
    rounded = [one for value in values if (one := kind.rounded(value)) < most]
    return tuple(dict.fromkeys([*rounded, most]))


def width(sought: SoughtLimit) -> int:
    """So many settings one step of the resolution is."""
    return KINDS[sought.limit].parts if sought.relative else 1
