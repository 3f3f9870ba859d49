"""The containers of a trial seen from outside: their limits, their memory, one window.

``Observer`` is what the runner sees. ``LocalObserver`` reads this host's own files;
``harness.measure.sidecar`` does the same on an engine's host from within a container;
``BlindObserver`` is what is left where neither can be had.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.cgroup import (
    CounterReader,
    effective_limits,
    kernel_limits,
    locate,
    memory_counters,
)
from harness.host.neighbours import Census
from harness.measure.above import Above
from harness.measure.clock import Clock
from harness.measure.conversation import TrialEndedError
from harness.measure.sampled import Ending, Window
from harness.measure.sampler import Reader, Sampler, SamplerFailedError, Sampling, StartSampling
from harness.model import (
    EffectiveLimits,
    HostSample,
    KernelLimits,
    MemoryCounters,
    Outcome,
    Sample,
    SamplerCost,
)

Watched = tuple[int, str]
"""(pid of its first process on the engine's host, id) of a container."""


class Observer(Protocol):
    """All containers of one trial, seen from outside, in their order."""

    @property
    def absent(self) -> Sequence[dict[str, str]]:
        """Counters that each has none of, with why."""
        ...

    def limits(self) -> Sequence[KernelLimits | None]:
        """The limits that the kernel holds now; None where they cannot be read."""
        ...

    def effective(self) -> Sequence[EffectiveLimits | None]:
        """The tightest limits on each one's path to the root."""
        ...

    def memory(self) -> Sequence[MemoryCounters | None]:
        """Each one's memory now."""
        ...

    def window(self, start_ns: int, duration_ns: int, ending: Ending | None = None) -> Window:
        """One window from ``start_ns`` (our CLOCK_MONOTONIC) on; see ``sampler.Sampler``.

        TrialEndedError where it is not seen through.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class OpenCgroup:
    """One container's cgroup: its counters and its limits."""

    reader: Reader
    limits: Callable[[], KernelLimits]
    effective: Callable[[], EffectiveLimits]
    memory: Callable[[], MemoryCounters]
    above: Above | None = None


def open_cgroup(pid: int, container_id: str) -> OpenCgroup:
    """A container's cgroup on this host; MeasurementError where it is not visible here."""
    paths = locate(pid, container_id)
    return OpenCgroup(
        CounterReader(paths),
        functools.partial(kernel_limits, paths),
        functools.partial(effective_limits, paths),
        functools.partial(memory_counters, paths),
        Above(paths),
    )


class LocalObserver:
    """By the files of this host.

    MeasurementError where they are not seen from here, or there is no sampler for it.
    TrialEndedError where the sampler does not do its work.
    """

    def __init__(  # noqa: PLR0913 - the last three are what tests replace
        self,
        containers: Sequence[Watched],
        cadence_hz: float,
        measured: frozenset[int] | None = None,
        *,
        opening: Callable[[int, str], OpenCgroup] = open_cgroup,
        sampling: StartSampling = Sampler,
        census: Callable[[], Census] = Census,
    ) -> None:
        self._ours = [container_id for _, container_id in containers]
        self._census = census()
        self._opened: list[OpenCgroup] = []
        self._sampling: Sampling | None = None
        try:
            for pid, container_id in containers:
                self._opened.append(opening(pid, container_id))
            # Before the load begins, as that is when the window's time begins to pass.
            self._sampling = sampling(self._readers(), cadence_hz, measured)
        except SamplerFailedError as error:
            self.close()
            raise TrialEndedError(Outcome.FAILED, error.message.rstrip(".")) from None
        except BaseException:
            self.close()
            raise

    @property
    def absent(self) -> Sequence[dict[str, str]]:
        """As each reader found it."""
        return [cgroup.reader.absent for cgroup in self._opened]

    def limits(self) -> Sequence[KernelLimits]:
        """From the files, now."""
        return [cgroup.limits() for cgroup in self._opened]

    def effective(self) -> Sequence[EffectiveLimits]:
        """From the files, now."""
        return [cgroup.effective() for cgroup in self._opened]

    def memory(self) -> Sequence[MemoryCounters]:
        """From the files, now."""
        return [cgroup.memory() for cgroup in self._opened]

    def _readers(self) -> list[Reader]:
        """The containers', then those of the cgroups above them."""
        above = [one.above for one in self._opened if one.above]
        return [
            *(one.reader for one in self._opened),
            *(reader for one in above for reader in one.readers),
        ]

    def window(self, start_ns: int, duration_ns: int, ending: Ending | None = None) -> Window:
        """Sampled by a process beside this one; there is one window of each observer."""
        assert self._sampling is not None
        above = [cgroup.above for cgroup in self._opened]
        try:
            window = self._sampling.window(start_ns, duration_ns, ending)
        except SamplerFailedError as error:
            raise TrialEndedError(Outcome.FAILED, error.message.rstrip(".")) from None
        own, rest = window.samples[: len(above)], iter(window.samples[len(above) :])
        found = []
        for one, samples in zip(above, own, strict=True):
            series = [next(rest) for _ in one.readers] if one else []
            after, _ = one.after(series, range(len(samples))) if one else ((), ())
            found.append(tuple(cgroup for cgroup in after if cgroup.first is not None))
        return replace(
            window,
            samples=own,
            above=tuple(found),
            neighbours=self._census.since(self._ours),
        )

    def close(self) -> None:
        """End the sampler and close the descriptors."""
        if self._sampling is not None:
            self._sampling.close()
        for cgroup in self._opened:
            cgroup.reader.close()
            if cgroup.above is not None:
                cgroup.above.close()
        self._opened = []


class BlindObserver:
    """Nothing from outside: what the workload says of itself and docker stats are all there is."""

    def __init__(self, containers: Sequence[Watched], clock: Clock, why: str) -> None:
        self._count, self._clock, self._why = len(containers), clock, why

    @property
    def absent(self) -> Sequence[dict[str, str]]:
        """Every counter, for the same reason."""
        counters = [name for name in Sample.__dataclass_fields__ if name != "t_mono_ns"]
        return [dict.fromkeys(counters, self._why)] * self._count

    def limits(self) -> Sequence[KernelLimits | None]:
        """Not known."""
        return [None] * self._count

    def effective(self) -> Sequence[EffectiveLimits | None]:
        """Not known."""
        return [None] * self._count

    def memory(self) -> Sequence[MemoryCounters | None]:
        """Not known."""
        return [None] * self._count

    def window(self, start_ns: int, duration_ns: int, ending: Ending | None = None) -> Window:
        """Time passes; nothing is read."""
        clock, end_ns = self._clock, start_ns + duration_ns
        clock.sleep_ns(start_ns - clock.now_ns())
        first = HostSample(t_mono_ns=clock.now_ns())
        while (left := end_ns - clock.now_ns()) > 0 and not (ending and ending.seen()):
            clock.sleep_ns(min(left, round(ending.every_s * 1e9)) if ending else left)
        last = HostSample(t_mono_ns=clock.now_ns())
        return Window(((),) * self._count, first, last, SamplerCost.of_none())

    def close(self) -> None:
        """It holds nothing."""
