"""Every limit of a container, side by side: the table's rows, less what does not hold here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from harness import limits
from harness.judge.readbacks import sides_of
from harness.limits import NOT_READ, ReadBack, Room
from harness.model import ContainerRecord, EffectiveLimits, EngineFacts, HostFacts

NO_ENGINE = "no engine"
"""What is said of a limit that was asked of no engine which could tell."""


def room_of(record: ContainerRecord, engine: EngineFacts, host: HostFacts) -> Room:
    """What the container has around it; nothing above it where that could not be read."""
    return Room(
        effective=record.effective or EffectiveLimits(),
        cpus=host.cpus or engine.cpus,
        memory_bytes=host.memory_bytes,
        swap_bytes=host.swap_bytes,
        above=[(one.at, one.kernel) for one in record.above or ()],
    )


def limit_rows(
    record: ContainerRecord, engine: EngineFacts, host: HostFacts, moved: Collection[str] = ()
) -> Iterator[ReadBack]:
    """Each limit, whether or not it is set. Of the controllers in ``moved`` none is in force."""
    for row in _rows(record, engine, host, moved):
        yield row if record.engine else replace(row, requested=NO_ENGINE, engine=NO_ENGINE)


def _rows(
    record: ContainerRecord, engine: EngineFacts, host: HostFacts, moved: Collection[str]
) -> Iterator[ReadBack]:
    room = room_of(record, engine, host)
    for row in limits.inspected(sides_of(record, engine), room if record.effective else None):
        if _controller(row.option) in moved:
            yield replace(row, kernel=NOT_READ, effective="not in force", at="")
        else:
            yield row


def _controller(option: str) -> str:
    """The controller that holds a limit, as its row's files say."""
    for row in limits.LIMITS:
        if row.option == option:
            return limits.controller_of(row)
    return ""


def cpus_in_force(record: ContainerRecord, engine: EngineFacts, host: HostFacts) -> float:
    """The CPUs that the container can use at the most: quota, cpuset, host."""
    return limits.cpus_in_force(room_of(record, engine, host))
