"""Whether limits are in force at all: asked for, the engine's, the kernel's, by their rows."""

from __future__ import annotations

from dataclasses import replace

from harness import limits
from harness.limits import ReadBack, Sides
from harness.model import ContainerRecord, EngineFacts


def readbacks(container: ContainerRecord, engine: EngineFacts, index: int = 0) -> list[ReadBack]:
    """Each limit that was requested or is in force unasked, side by side.

    A value that could not be read back is "not read" and no mismatch.
    """
    found = limits.readbacks(sides_of(container, engine))
    return [replace(one, container=index) for one in found]


def sides_of(container: ContainerRecord, engine: EngineFacts) -> Sides:
    """The limits of a container as all who hold them said."""
    return Sides(
        asked=container.requested,
        engine=container.engine,
        kernel=container.kernel,
        kernel_after=container.kernel_after,
        of=engine,
    )
