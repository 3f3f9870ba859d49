"""The cadence on a clock that stands still unless somebody sleeps."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field

import pytest

from harness.cgroup import RawSample
from harness.model import HostSample, Sample
from harness.sampler import sample_window

MS = 1_000_000


@dataclass
class FakeClock:
    now: int = 0
    oversleeps: list[int] = field(default_factory=list)
    """How much later than asked each sleep ends, in turn."""
    slept: int = 0

    def now_ns(self) -> int:
        return self.now

    def sleep_ns(self, duration_ns: int) -> None:
        if duration_ns > 0:
            late = self.oversleeps[self.slept] if self.slept < len(self.oversleeps) else 0
            self.slept += 1
            self.now += duration_ns + late

    def thread_cpu_ns(self) -> int:
        return self.now // 100


@dataclass
class FakeReader:
    clock: FakeClock
    was_collecting: list[bool] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    details: list[int] = field(default_factory=list)

    def read_details(self) -> RawSample:
        self.details.append(self.clock.now)
        return self.read()

    def read(self) -> RawSample:
        self.was_collecting.append(gc.isenabled())
        return RawSample(self.clock.now, 0, (b"%d" % self.clock.now,))

    def read_edge(self) -> tuple[RawSample, bytes | None]:
        return self.read(), b"1 2"

    def parse(self, raw: RawSample, percpu: bytes | None = None) -> Sample:
        return Sample(
            t_mono_ns=raw.t_mono_ns,
            cpu_usage_ns=int(raw.files[0] or b"-1"),
            usage_percpu_ns=(1, 2) if percpu else None,
        )

    def close(self) -> None:
        pass


def sample(
    clock: FakeClock, *, duration: int = 100 * MS, hz: float = 50.0
) -> tuple[list[int], int]:
    reader = FakeReader(clock)
    window = sample_window(
        [reader],
        lambda: HostSample(t_mono_ns=clock.now),
        start_ns=10 * MS,
        duration_ns=duration,
        cadence_hz=hz,
        clock=clock,
    )
    assert not any(reader.was_collecting)
    assert gc.isenabled()
    (samples,) = window.samples
    assert samples[0].usage_percpu_ns == samples[-1].usage_percpu_ns == (1, 2)
    assert window.cost.ticks == len(samples) - 2
    return [s.t_mono_ns // MS for s in samples], window.cost.missed


def test_ticks_are_absolute_and_the_window_is_exact() -> None:
    assert sample(FakeClock()) == ([10, 30, 50, 70, 90, 110], 0)


def test_a_late_tick_does_not_shift_the_next() -> None:
    times, missed = sample(FakeClock(oversleeps=[0, 7 * MS, 0]))
    assert (times, missed) == ([10, 37, 50, 70, 90, 110], 0)


def test_missed_ticks_are_counted_and_not_made_up_for() -> None:
    times, missed = sample(FakeClock(oversleeps=[0, 45 * MS]))
    # due at 30, awake at 75: the ticks at 30 and 50 are missed, that of 70 is 5 ms late
    assert (times, missed) == ([10, 75, 90, 110], 2)


def test_a_window_shorter_than_a_tick_has_its_two_edges() -> None:
    assert sample(FakeClock(), duration=5 * MS) == ([10, 15], 0)


@pytest.mark.parametrize("hz", [1.0, 50.0, 250.0, 1000.0])
def test_totals_do_not_depend_on_the_cadence(hz: float) -> None:
    times, _ = sample(FakeClock(), duration=3000 * MS, hz=hz)
    assert (times[0], times[-1]) == (10, 3010)
