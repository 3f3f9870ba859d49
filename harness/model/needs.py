"""What others ask of every workload: where it may write, what it wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

SCRATCH = "/scratch"
"""Where a container has what its workload may write to."""


Place = Literal["layer", "image", "volume", "bind", "device", "tmpfs", "shm"]
"""Where files of a container lie: in its writable layer; in its image, from which one is copied up
to the layer when it is opened for writing; in a volume, or a folder of the host's (``-v /path:…``),
on a disk; on the block device that the run has (``engine.device``); in a tmpfs, or in its /dev/shm,
in memory."""

OF_THE_IMAGE = "data"
"""What the file is called that is in an image from the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Where a workload must be able to write."""

    type: Place
    size_bytes: int | None = None
    """Of a tmpfs, or of /dev/shm."""
    folder: str = SCRATCH
    """In the container."""


class Asked:
    """What others ask of a workload, with the answers that most of them give."""

    __slots__ = ()

    wants_cpu: ClassVar[bool] = True
    """Whether CPU time is what it wants: else it is nobody's promise, and what a neighbour takes of
    it makes a trial slower, and not wrong."""
    grows: ClassVar[bool] = False
    """Whether memory is what it wants: its laws, its numbers and its checks are those of memory."""
    ends_by_itself: ClassVar[bool] = False
    """Whether it says when it is done, instead of going on until it is told to stop."""
    saturates: ClassVar[bool] = True
    """Whether it wants all of its limit, all the time. Where not, the limit is a ceiling of the
    mean, and trials scatter by their nature."""
    has_clocks: ClassVar[bool] = True
    """Whether it reports the CPU time that it got by its own clocks, which must agree."""

    @property
    def scratch(self) -> Scratch | None:
        """What it must be able to write to; None = nothing."""
        return None

    @property
    def load(self) -> Asked | None:
        """What loads it from a container of its own, beside it; None = it loads itself."""
        return None
