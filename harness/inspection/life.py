"""Whether what is looked at is still there, as the kernel says."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harness.cgroup import is_populated
from harness.host.process import stat_fields

_STAT_BYTES = 4096


class Life(Protocol):
    """Of a process, or of a cgroup with whatever runs in it."""

    def seems_on(self) -> bool:
        """The same by one call, for every tick: wrong where another has taken its place."""
        ...

    def goes_on(self) -> bool:
        """Whether it is there yet, and no other has got its number or name."""
        ...

    def ending(self) -> str:
        """How it ended, where the kernel is all that tells; empty while it goes on."""
        ...


class ProcessLife:
    """Of a process, by its /proc/PID."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._stat = folder, f"{folder}/stat"
        self._started = self._start()

    def _start(self) -> bytes:
        """When it started, in ticks; empty where it is gone."""
        try:
            with open(self._stat, "rb", buffering=0) as file:  # noqa: PTH123 - a third of the time
                text = file.read(_STAT_BYTES)
        except OSError:
            return b""
        return stat_fields(text)[1][19]

    def seems_on(self) -> bool:
        """Whether a process of its number is there."""
        return self._folder.exists()

    def goes_on(self) -> bool:
        """Whether it is that one."""
        return self._folder.exists() and self._start() == self._started

    def ending(self) -> str:
        """That it ended."""
        return "" if self.goes_on() else f"process {self._folder.name} ended"


class CgroupLife:
    """Of a cgroup: it goes on for as long as there is a process in it, or below it.

    Where none was to be seen from the first (v1, from within another PID namespace), the cgroup
    alone tells.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._identity = self._inode()
        self._seen = is_populated(folder)

    def _inode(self) -> int | None:
        try:
            return self._folder.stat().st_ino
        except OSError:
            return None

    def seems_on(self) -> bool:
        """Whether there is a cgroup of its name."""
        return self._folder.exists()

    def goes_on(self) -> bool:
        """Whether it is that one, with a process in it."""
        return not self.ending()

    def ending(self) -> str:
        """That its cgroup is another, is gone, or is empty."""
        now = self._inode()
        if now is None:
            return "its cgroup is gone: what ran in it ended"
        if now != self._identity:
            return "its cgroup was removed, and is there again: what runs in it was started again"
        emptied = self._seen and not is_populated(self._folder)
        return "its last process ended" if emptied else ""
