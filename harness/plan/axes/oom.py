"""Who is killed where memory has run out; what comes of nobody being killed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import ContainerSpec, Growth, Limits, Point
from harness.plan.axes.axis import Axis, NoSuchValueError, Options, texts, whole, with_limits
from harness.units import MIB

SHARED_BYTES = 64 * MIB
"""What the containers have together: the limit of the cgroup around them."""
HELD = 0.6
"""The share of it that all but the last hold, before the last begins."""
LATER_S = 1.5
"""So long after the others the last one begins."""
MOST = 4
STANDS = "disabled"
STANDS_BYTES = 16 * MIB
DEFAULT_OOM = ("0:0", "0:100", "0:300", "-1000:0", "0:300:0", STANDS)
QUICK_OOM = ("0:0", "0:300", STANDS)


def holds_bytes(shared_bytes: int, count: int) -> list[int]:
    """What each of ``count`` containers wants: holders first, each half of the one before.

    The last one grows over the limit, by less than the smallest holder has: so that one kill is
    enough, whoever it is.
    """
    parts = [2**i for i in reversed(range(count - 1))]
    held = [round(HELD * shared_bytes * part / sum(parts)) // MIB * MIB for part in parts]
    return [*held, shared_bytes - sum(held) + min(held) // 2 // MIB * MIB]


def _oom(options: Options, _cpus: EngineCpus) -> Iterable[Point]:
    fixed = options.fixed
    if fixed.memory_bytes is not None or fixed.memory_swap_bytes is not None:
        raise PlanError(
            "--memory is not to be fixed here: the containers have one limit together.",
            "Leave it out, and --memory-swap too.",
        )
    for text in texts(options, QUICK_OOM if options.quick else DEFAULT_OOM):
        yield _standing(fixed) if text == STANDS else _rivals(fixed, text)


def _rivals(fixed: Limits, text: str) -> Point:
    """Containers below one limit, each with its own adjustment."""
    adjusted = [whole(part) for part in text.split(":")]
    if not 2 <= len(adjusted) <= MOST:
        raise NoSuchValueError(f"'{text}' names no 2 to {MOST} containers.")
    if set(adjusted) == {-1000}:
        raise NoSuchValueError(f"'{text}' leaves nobody to be killed.")
    return Point(
        id=f"oom-score-adj={text}", axis="oom", value=text,
        containers=tuple(
            ContainerSpec(
                limits=with_limits(fixed, oom_score_adj=adjustment),
                workload=Growth(
                    target_bytes=target, victim="rival",
                    after_s=LATER_S if i + 1 == len(adjusted) else 0.0,
                ),
            )
            for i, (adjustment, target) in enumerate(
                zip(adjusted, holds_bytes(SHARED_BYTES, len(adjusted)), strict=True)
            )
        ),
        parent=Limits(memory_bytes=SHARED_BYTES, memory_swap_bytes=SHARED_BYTES),
    )  # fmt: skip


def _standing(fixed: Limits) -> Point:
    limits = with_limits(fixed, oom_kill_disable=True)
    limits = replace(limits, memory_bytes=STANDS_BYTES, memory_swap_bytes=STANDS_BYTES)
    growth = Growth(target_bytes=2 * STANDS_BYTES, may_stand=True)
    spec = ContainerSpec(limits=limits, workload=growth)
    return Point(id="oom-kill-disable", axis="oom", value=STANDS, containers=(spec,))


AXES: Sequence[Axis] = (
    Axis(
        "oom", "--oom-score-adj", "who of several is killed; --oom-kill-disable",
        "--values 0:0,0:300,-1000:0,disabled", _oom, metric="oom_killed",
    ),
)  # fmt: skip
