"""The cgroups above a container, read at its own moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness import limits
from harness.cgroup import CgroupPaths, CounterReader, limited_above, memory_counters
from harness.errors import MeasurementError
from harness.measure.sampler import Reader
from harness.model import CgroupAbove, Sample


class Above:
    """Readers of those above that cap what is counted, open until they are closed.

    A slice, a pod or a task of ECS has a quota or a memory limit that all in it share. It can bind
    while the container's own is the smaller number, since others take their part: so all are read,
    and not the tightest alone.
    """

    def __init__(self, paths: CgroupPaths) -> None:
        self._readers: dict[str, CounterReader] = {}
        self._paths: dict[str, CgroupPaths] = {}
        self.found: tuple[CgroupAbove, ...] = ()
        """As they were before the window."""
        for one, kernel in limited_above(paths):
            self._paths[one.at] = one
            memory = None
            if limits.caps(kernel):
                try:
                    self._readers[one.at] = CounterReader(one)
                    memory = memory_counters(one)
                except MeasurementError:  # its limits can be read, its counters cannot
                    pass
            self.found += (CgroupAbove(at=one.at, kernel=kernel, memory_first=memory),)

    def close(self) -> None:
        """Give the descriptors back."""
        for reader in self._readers.values():
            reader.close()

    @property
    def readers(self) -> list[Reader]:
        """For the window, beside the container's own."""
        return list(self._readers.values())

    def after(
        self, samples: Sequence[Sequence[Sample]], moments: Sequence[int]
    ) -> tuple[tuple[CgroupAbove, ...], tuple[tuple[Sample, ...], ...]]:
        """(the cgroups as they are after the window, the samples of each).

        ``samples`` are those of ``readers``; ``moments`` are the numbers of those samples at which
        the container was there. Of one without a reader there are none.
        """
        read = {
            at: tuple(series[i] for i in moments)
            for at, series in zip(self._readers, samples, strict=True)
        }
        done = tuple(
            replace(
                one,
                first=read[one.at][0],
                last=read[one.at][-1],
                memory_last=memory_counters(self._paths[one.at]),
            )
            if one.at in read
            else one
            for one in self.found
        )
        return done, tuple(read.get(one.at, ()) for one in self.found)
