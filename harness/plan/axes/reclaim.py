"""What is taken back where memory is short; from whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import ContainerSpec, Growth, Limits, Point
from harness.plan.axes.axis import Axis, Options, limit, point, texts, whole, with_limits
from harness.units import MIB

PRESSED = "pressed"
SHARED_BYTES = 64 * MIB
"""What the two have together: the limit of the cgroup around them."""
SPARED_BYTES = 24 * MIB
"""Page cache of the one that is pressed."""
PRESSING_BYTES = 96 * MIB
"""What the other writes, and the first must make room for."""
LATER_S = 1.5


def pressed(fixed: Limits, size: str) -> Point:
    """A container that holds page cache, and a neighbour that wants more than both may have.

    Page cache, because a limit around them can take back nothing else without swap.
    """
    for row in rules.LIMITS:
        if row.field in ("memory_bytes", "memory_swap_bytes") and getattr(fixed, row.field):
            raise PlanError(
                f"{row.option} is not to be fixed here: the two have one limit together.",
                f"Leave it out, or the values with @{PRESSED}.",
            )
    own = fixed
    if size != "none":
        own = with_limits(fixed, memory_reservation_bytes=rules.parse_size(size))
    return replace(
        point(
            "reservation", "reservation", f"{size} {PRESSED}",
            ContainerSpec(
                limits=own, workload=Growth(target_bytes=SPARED_BYTES, kind="file")
            ),
            ContainerSpec(
                limits=fixed,
                workload=Growth(target_bytes=PRESSING_BYTES, kind="file", after_s=LATER_S),
            ),
        ),
        parent=Limits(memory_bytes=SHARED_BYTES, memory_swap_bytes=SHARED_BYTES),
    )  # fmt: skip


SWAPPINESS_MEMORY_BYTES = 64 * MIB
WANTED = 1.5
"""So many times the limit is touched, half of it anonymous: no more of that than the limit has."""
DEFAULT_SWAPPINESS = ("0", "1", "60", "100")
QUICK_SWAPPINESS = ("0", "100")


def _swappiness(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    memory = options.fixed.memory_bytes or SWAPPINESS_MEMORY_BYTES
    fixed = replace(options.fixed, memory_bytes=memory)
    for text in texts(options, QUICK_SWAPPINESS if options.quick else DEFAULT_SWAPPINESS):
        limits = with_limits(fixed, memory_swappiness=whole(text))
        target = round(WANTED * memory) // MIB * MIB
        growth = Growth(target_bytes=target, kind="mixed")
        yield point("swappiness", "swappiness", text, ContainerSpec(limits=limits, workload=growth))


AXES: Sequence[Axis] = (
    Axis(
        "swappiness", "--memory-swappiness", "page cache or swap: what gives way at the limit",
        "--values 0,60,100", _swappiness,
        metric="peak_swap_bytes", x=limit("memory_swappiness"), label="--memory-swappiness",
    ),
)  # fmt: skip
