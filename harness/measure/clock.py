"""The time by which things are measured."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time and sleep, so that what waits can be tested without waiting."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in ns."""
        ...

    def sleep_ns(self, duration_ns: int) -> None:
        """Sleep that long; returns at once for 0 or less."""
        ...


class SystemClock:
    """The host's own."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in ns."""
        return time.monotonic_ns()

    def sleep_ns(self, duration_ns: int) -> None:
        """Sleep that long; returns at once for 0 or less."""
        if duration_ns > 0:
            time.sleep(duration_ns / 1e9)
