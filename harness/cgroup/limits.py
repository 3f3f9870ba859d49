"""The limits of one cgroup at one moment after another, as cheaply as can be.

Of hundreds of containers hardly one has other limits than a moment ago: the files stay open, and
what says the same as before is not parsed again.
"""

from __future__ import annotations

from dataclasses import replace

from harness.cgroup.descriptors import close_all, open_file, read_at, read_whole
from harness.cgroup.paths import CgroupPaths
from harness.errors import MeasurementError
from harness.limits import kernel_files, read_kernel
from harness.model import KernelLimits

_MOST_BYTES = 8192


class LimitReader:
    """Reads what ``state.kernel_limits`` reads."""

    def __init__(self, paths: CgroupPaths) -> None:
        self._version = paths.version
        self._files = kernel_files(paths.version)
        places = [paths]
        if paths.scope:
            around = dict.fromkeys(paths.folders, paths.scope)
            places.append(replace(paths, folders=around, process=None))
        self._fds: list[int | None] = []
        try:
            for place in places:
                self._fds += [open_file(place, file) for file in self._files]
        except MeasurementError:
            self.close()
            raise
        self._texts: list[bytes | None] = []
        self._held = KernelLimits()

    def read(self) -> KernelLimits:
        """What the kernel holds now: the same object where that is what it held before."""
        files = self._files * (len(self._fds) // len(self._files))
        texts = [
            read_whole(fd) if file[0] == "process" else read_at(fd, _MOST_BYTES)
            for file, fd in zip(files, self._fds, strict=True)
        ]
        if texts != self._texts:
            size = len(self._files)
            parts = [texts[i : i + size] for i in range(0, len(texts), size)]
            by_file = (dict(zip(self._files, part, strict=True)).get for part in parts)
            self._texts, self._held = texts, read_kernel(self._version, tuple(by_file))
        return self._held

    def close(self) -> None:
        """Close the descriptors; may be called again."""
        close_all(self._fds)
        self._fds = []
