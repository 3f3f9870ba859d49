"""A sampler in virtual time: what the probe's does (workloads/probe/window.c), on a fake clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from harness.cgroup import RawSample
from harness.measure.clock import Clock
from harness.measure.sampled import Ending, Window
from harness.measure.sampler import Reader
from harness.model import HostSample, Sample, SamplerCost


class Readable(Reader, Protocol):
    """What stands for its files here."""

    def read_edge(self) -> tuple[RawSample, bytes | None]: ...

    def parse(self, raw: RawSample, percpu: bytes | None = None) -> Sample: ...


@dataclass
class VirtualSampling:
    """Begins a window of some readers: given in place of ``Sampler``, and is one itself."""

    clock: Clock
    read_host: Callable[[], HostSample] | None = None
    readers: Sequence[Reader] = ()
    cadence_hz: float = 0.0
    closed: int = 0

    def __call__(
        self, readers: Sequence[Reader], cadence_hz: float, measured: frozenset[int] | None = None
    ) -> VirtualSampling:
        self.readers, self.cadence_hz = readers, cadence_hz
        return self

    def window(self, start_ns: int, duration_ns: int, ending: Ending | None = None) -> Window:
        clock = self.clock
        clock.sleep_ns(start_ns - clock.now_ns())
        first, taken = self._host(), [self._read()]
        number = 1
        while (due := start_ns + round(number * 1e9 / self.cadence_hz)) < start_ns + duration_ns:
            clock.sleep_ns(due - clock.now_ns())
            taken.append(self._read())
            if ending is not None and ending.seen():
                break
            number += 1
        else:
            clock.sleep_ns(start_ns + duration_ns - clock.now_ns())
        taken.append(self._read())
        cost = SamplerCost(
            ticks=len(taken) - 2, missed=0, lateness_p50_ns=0, lateness_p99_ns=0, cpu_ns=0
        )
        series = tuple(zip(*taken, strict=True)) if self.readers else ()
        return Window(series, first, self._host(), cost)

    def _read(self) -> list[Sample]:
        readers = [cast("Readable", one) for one in self.readers]
        return [one.parse(*one.read_edge()) for one in readers]

    def _host(self) -> HostSample:
        return self.read_host() if self.read_host else HostSample(t_mono_ns=self.clock.now_ns())

    def close(self) -> None:
        self.closed += 1
