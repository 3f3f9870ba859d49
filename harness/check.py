"""Verdicts: what the estimates say of the laws, and whether a limit is in force at all. Pure.

By equivalence: the whole interval inside the law's bounds → conforms; wholly outside → deviates;
straddling, or no interval at all → inconclusive, which is never green.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness import laws
from harness import limits as rules
from harness.analysis import PointSummary, Result
from harness.model import (
    UNLIMITED,
    ContainerRecord,
    EngineFacts,
    Estimate,
    Expectation,
    KernelLimits,
    Scale,
    Status,
    Verdict,
)

PAGE_BYTES = 4096
"""The kernel keeps memory limits in pages, rounded down."""


# --- laws --------------------------------------------------------------------------------------


def by_equivalence(estimate: Estimate | None, law: Expectation) -> tuple[Status, str]:
    """The verdict on a deviation, with the reason in words."""
    if law.not_exercisable:
        return Status.NOT_EXERCISABLE, law.not_exercisable
    if estimate is None:
        return Status.INCONCLUSIVE, "no valid trial"
    if estimate.low is None or estimate.high is None:
        return Status.INCONCLUSIVE, f"{estimate.n} valid trial gives no interval"
    span = f"[{amount(estimate.low, law)}, {amount(estimate.high, law)}]"
    within = f"[{amount(law.low, law)}, {amount(law.high, law)}]"
    if law.low <= estimate.low and estimate.high <= law.high:
        return Status.CONFORMS, f"error {span} lies in {within}"
    if estimate.low > law.high or estimate.high < law.low:
        return Status.DEVIATES, f"error {span} lies outside {within}"
    return Status.INCONCLUSIVE, f"error {span} straddles {within}: more repeats would decide"


def amount(deviation: float, law: Expectation) -> str:
    """A deviation in words: ``+0.21%``, or in the metric's unit where it is absolute."""
    if law.scale is not Scale.ABSOLUTE:
        share = math.expm1(deviation) if law.scale is Scale.LOG else deviation
        return f"{signed(share * 100, '+.2f')}%"
    if law.metric.endswith("_s"):
        return f"{signed(deviation * 1e3, '+.1f')} ms"
    if law.metric.endswith("_bytes"):
        return f"{signed(deviation / 2**20, '+.2f')} MiB"
    return signed(deviation, "+.4g")


def signed(value: float, form: str) -> str:
    """A number with its sign, which one that is rounded to nothing does not have."""
    said = f"{value:{form}}"
    return said if said.strip("+-0.") else said.lstrip("+-")


def judge(summary: PointSummary, result: Result, readbacks: Sequence[ReadBack]) -> Verdict:
    """The verdict of one law on a point, explained where the reason is known."""
    law = result.expectation
    status, reason = by_equivalence(result.deviation, law)
    wrong = [readback.text for readback in readbacks if readback.agrees is False]
    if wrong and status is not Status.NOT_EXERCISABLE:
        # The law is about the limit that was asked for, and another one is in force.
        reason = f"{'; '.join(wrong)}; {reason}"
        if status is Status.CONFORMS:
            status = Status.INCONCLUSIVE
    if law.explanation:
        reason = f"{reason}; {law.explanation}"
    return Verdict(
        point_id=summary.point.id,
        metric=law.metric,
        container=law.container,
        status=status,
        reason=reason,
    )


def overall(statuses: Iterable[Status]) -> Status:
    """The verdict of many: the worst of them; inconclusive where there is none.

    What could not be put to the test makes nothing worse, and nothing well by itself.
    """
    found = set(statuses)
    for status in (Status.DEVIATES, Status.INCONCLUSIVE, Status.CONFORMS, Status.NOT_EXERCISABLE):
        if status in found:
            return status
    return Status.INCONCLUSIVE


# --- read-backs --------------------------------------------------------------------------------

NOT_READ = "not read"
NOT_SET = "not set"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """One limit of one container: requested, held by the engine, held by the kernel, in words."""

    option: str
    container: int
    requested: str
    engine: str
    kernel: str
    agrees: bool | None
    """None where neither could be read back: not known is not a mismatch."""

    @property
    def text(self) -> str:
        """The mismatch in words."""
        held = [
            f"the {who} holds {what}"
            for who, what in (("engine", self.engine), ("kernel", self.kernel))
            if what not in (self.requested, NOT_READ)
        ]
        return f"{self.option}: requested {self.requested}, {' and '.join(held)}"


def readbacks(container: ContainerRecord, engine: EngineFacts, index: int = 0) -> list[ReadBack]:
    """Each limit that was requested or is in force unasked, side by side.

    A value that could not be read back is "not read" and no mismatch.
    """
    found = [_cpu_time(container, engine, index), _cpuset(container, index)]
    found += [_shares(container, engine, index), *_memory(container, engine, index)]
    found.append(_kernel_memory(container, index))
    return [readback for readback in found if readback is not None]


def _cpu_time(container: ContainerRecord, engine: EngineFacts, index: int) -> ReadBack | None:
    wanted = rules.quota_and_period_us(container.requested)
    held = None if container.engine is None else rules.quota_and_period_us(container.engine)
    kernel = [
        None if k.cpu_quota_us == UNLIMITED else (k.cpu_quota_us, k.cpu_period_us)
        for k in (container.kernel, container.kernel_after)
        if k is not None and k.cpu_quota_us is not None and k.cpu_period_us is not None
    ]
    if wanted is None and held is None and not any(kernel):
        return None
    due = [None] if wanted is None else [
        (held_us, wanted[1]) for held_us in rules.held_quotas_us(wanted, engine.cgroup_driver)
    ]  # fmt: skip
    said = list(dict.fromkeys(_quota(pair) for pair in kernel))
    return ReadBack(
        option="--cpus" if container.requested.cpus is not None else "--cpu-quota",
        container=index,
        requested=_quota(wanted),
        engine=NOT_READ if container.engine is None else _quota(held),
        # Read twice, since the kernel may change it: then it is told twice.
        kernel=", then ".join(said) or NOT_READ,
        agrees=_all(
            None if container.engine is None else held == wanted,
            all(pair in due for pair in kernel) if kernel else None,
        ),
    )


def _cpuset(container: ContainerRecord, index: int) -> ReadBack | None:
    wanted = container.requested.cpuset_cpus
    if wanted is None:
        return None
    engine = None if container.engine is None else container.engine.cpuset_cpus or NOT_SET
    kernel = None if container.kernel is None else container.kernel.cpuset_cpus
    return ReadBack(
        option="--cpuset-cpus",
        container=index,
        requested=wanted,
        engine=engine or NOT_READ,
        kernel=kernel or NOT_READ,
        agrees=_all(
            *(None if held is None else _same_cpus(held, wanted) for held in (engine, kernel))
        ),
    )


def _same_cpus(held: str, wanted: str) -> bool:
    return held != NOT_SET and rules.parse_cpu_list(held) == rules.parse_cpu_list(wanted)


def _shares(container: ContainerRecord, engine: EngineFacts, index: int) -> ReadBack | None:
    wanted = container.requested.cpu_shares
    if wanted is None:
        return None
    held = None if container.engine is None else container.engine.cpu_shares or 0
    kernel, said = None, NOT_READ
    if container.kernel is not None and engine.cgroup_version == 1:
        kernel = container.kernel.cpu_shares
        said = NOT_READ if kernel is None else f"{kernel}"
    elif container.kernel is not None:
        kernel = container.kernel.cpu_weight
        said = NOT_READ if kernel is None else f"weight {kernel}"
    return ReadBack(
        option="--cpu-shares",
        container=index,
        requested=f"{wanted}",
        engine=NOT_READ if held is None else f"{held or NOT_SET}",
        kernel=said,
        agrees=_all(
            None if held is None else held == wanted,
            None if kernel is None else kernel == laws.weight(container.requested, engine),
        ),
    )


def _memory(container: ContainerRecord, engine: EngineFacts, index: int) -> list[ReadBack | None]:
    wanted = container.requested
    kernel = container.kernel or KernelLimits()
    said = container.engine
    held: list[int | None] = [None] * 3
    if said is not None:
        held = [said.memory_bytes or 0, said.memory_swap_bytes or 0,
                said.memory_reservation_bytes or 0]  # fmt: skip
    swap = _size("--memory-swap", index, rules.swap_total_bytes(wanted), held[1],
                 kernel.memory_swap_bytes)  # fmt: skip
    if swap is not None and rules.not_supported(wanted, engine):
        # No mismatch: it is told as what the engine does not support.
        swap = replace(swap, agrees=None)
    return [
        _size("--memory", index, wanted.memory_bytes, held[0], kernel.memory_bytes),
        swap,
        _size("--memory-reservation", index, wanted.memory_reservation_bytes, held[2],
              kernel.memory_reservation_bytes),
    ]  # fmt: skip


def _kernel_memory(container: ContainerRecord, index: int) -> ReadBack | None:
    """An option that does nothing, on any current engine: that is what is told of it.

    No mismatch, since no law is about it: kernel memory is charged to ``--memory`` (runc 1.0,
    libcontainer/cgroups/fs/memory.go; the kernel's own limit is gone since 5.16).
    """
    wanted = container.requested.kernel_memory_bytes
    if wanted is None:
        return None
    held = None if container.engine is None else container.engine.kernel_memory_bytes or 0
    kernel = None if container.kernel is None else container.kernel.kernel_memory_bytes
    said = "no such file: ignored" if kernel is None else rules.format_size(kernel)
    if kernel is not None and kernel != wanted:
        said += ": ignored"
    return ReadBack(
        option="--kernel-memory",
        container=index,
        requested=rules.format_size(wanted),
        engine=NOT_READ if held is None else rules.format_size(held) if held else NOT_SET,
        kernel=NOT_READ if container.kernel is None else said,
        agrees=None,
    )


def _size(
    option: str, index: int, wanted: int | None, engine: int | None, kernel: int | None
) -> ReadBack | None:
    if wanted is None:
        return None
    due = wanted if wanted == UNLIMITED else wanted // PAGE_BYTES * PAGE_BYTES
    return ReadBack(
        option=option,
        container=index,
        requested=rules.format_size(wanted),
        engine=NOT_READ if engine is None else rules.format_size(engine) if engine else NOT_SET,
        kernel=NOT_READ if kernel is None else rules.format_size(kernel),
        agrees=_all(
            None if engine is None else engine == wanted,
            None if kernel is None else kernel == due,
        ),
    )


def _all(*answers: bool | None) -> bool | None:
    """False where one is; None where nothing is known."""
    known = [answer for answer in answers if answer is not None]
    return all(known) if known else None


def _quota(pair: tuple[int, int] | None) -> str:
    return "no quota" if pair is None else f"{pair[0]}/{pair[1]} µs"
