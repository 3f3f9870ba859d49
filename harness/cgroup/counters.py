"""A container's counters, by descriptors that stay open.

They are what the sampler reads in a window (``harness.measure.sampler``); here they are opened, and
read once in a while. Which files, and what they say, the cgroup version knows
(``harness.cgroup.version``).
"""

from __future__ import annotations

import time

from harness.cgroup.descriptors import close_all, open_file, read_at
from harness.cgroup.paths import CgroupPaths
from harness.cgroup.version import RawSample
from harness.errors import MeasurementError
from harness.model import Sample

_EDGE_SPAN_NS = 100_000
"""A read that took longer was interrupted, and is made again: its moment would be unsure."""
_EDGE_TRIES = 8
_MAX_FILE = 8192
_PERCPU_BYTES = 1 << 18
"""Of cpuacct.usage_percpu: up to 20 digits and a blank for each of 8192 CPUs."""
_TICK_BYTES = 1024
"""More than any file that is read at every tick holds; Python clears as much memory each time."""


class CounterReader:
    """Reads one container's counters through descriptors that stay open.

    Opening and closing every time would cost ten times as much. The files vanish with the
    container, so the last read must come before it ends; a read after that gives None.
    """

    def __init__(self, paths: CgroupPaths) -> None:
        self.version = paths.files
        self._fds: list[int | None] = []
        self._detail_fds: list[int | None] = []
        self._percpu: int | None = None
        try:
            self._fds += [open_file(paths, file) for file in self.version.tick_files]
            self._detail_fds += [open_file(paths, file) for file in self.version.detail_files]
            percpu = self.version.percpu_file
            self._percpu = open_file(paths, percpu.file) if percpu else None
        except MeasurementError:
            self.close()
            raise
        some_do = paths.moved or paths.shared or paths.at  # the rest it has elsewhere, or nowhere
        if all(fd is None for fd in (self._fds if some_do else self._fds[:1])):
            self.close()
            if paths.moved:
                raise MeasurementError(f"{paths.outside}.", "Restart the container.")
            raise MeasurementError(
                "the container's CPU counters cannot be opened.",
                "Run as root on the engine's host.",
            )
        self.absent = self._absent(paths)

    def _absent(self, paths: CgroupPaths) -> dict[str, str]:
        """Counters that this kernel does not have for this container, each with why."""
        raw, percpu = self.read_edge()
        files, percpu_file = self.version, self.version.percpu_file
        read = dict(zip(files.tick_files, raw.files, strict=True))
        read |= zip(files.detail_files, raw.details, strict=True)
        if percpu_file:
            read[percpu_file.file] = percpu
        # Without psi=1 the pressure files can be there and refuse to be read.
        unread = {file for file, text in read.items() if text is None}
        return files.absent(self.parse(raw, percpu), unread, paths.absent)

    @property
    def descriptors(self) -> tuple[tuple[int | None, ...], ...]:
        """Of what is read at every tick, of the details, of what is read at a window's edges.

        In the order of the version's lists; None for a file that there is not.
        """
        edges = (self._percpu,) if self.version.percpu_file else ()
        return tuple(self._fds), tuple(self._detail_fds), edges

    def read_edge(self) -> tuple[RawSample, bytes | None]:
        """All of them at this moment, and the per-CPU counters.

        Read again where the thread was interrupted in the middle: the moment would be unsure.
        """
        sample = self._read_ticks()
        for _ in range(_EDGE_TRIES):
            if sample.span_ns <= _EDGE_SPAN_NS:
                break
            sample = self._read_ticks()
        details = tuple(read_at(fd, _MAX_FILE) for fd in self._detail_fds)
        return sample._replace(details=details), read_at(self._percpu, _PERCPU_BYTES)

    def _read_ticks(self) -> RawSample:
        before = time.monotonic_ns()
        usage = read_at(self._fds[0], _TICK_BYTES)
        after = time.monotonic_ns()
        files = (usage, *[read_at(fd, _TICK_BYTES) for fd in self._fds[1:]])
        return RawSample((before + after) // 2, after - before, files)

    def parse(self, raw: RawSample, percpu: bytes | None = None) -> Sample:
        """Counters of a raw sample. What a file does not hold is None."""
        return self.version.sample(raw, percpu)

    def close(self) -> None:
        """Close the descriptors; may be called again."""
        close_all((*self._fds, *self._detail_fds, self._percpu))
        self._fds, self._detail_fds, self._percpu = [], [], None
