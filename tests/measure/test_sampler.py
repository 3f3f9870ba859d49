"""The cadence on a clock that stands still unless somebody sleeps."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass, field

import pytest

from harness.cgroup import RawSample
from harness.measure.sampler import kept_off, sample_window
from harness.model import HostSample, Sample

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


def test_a_cadence_that_is_no_whole_number_of_ns_does_not_drift() -> None:
    times, missed = sample(FakeClock(), duration=3_600_000 * MS, hz=3.0)
    assert missed == 0
    assert len(times) == 3 * 3600 + 1
    assert times[-2] == 10 + 3_600_000 - 334  # a third of a second before the end, an hour later


@pytest.mark.parametrize(("hz", "each"), [(50.0, 5), (250.0, 25), (1000.0, 100), (4.0, 1)])
def test_what_is_costly_is_read_ten_times_a_second_at_the_most(hz: float, each: int) -> None:
    clock = FakeClock()
    reader = FakeReader(clock)
    sample_window(
        [reader],
        lambda: HostSample(t_mono_ns=clock.now),
        start_ns=0,
        duration_ns=2000 * MS,
        cadence_hz=hz,
        clock=clock,
    )
    interval_ns = round(each * 1e9 / hz)
    assert reader.details == [i * interval_ns for i in range(1, len(reader.details) + 1)]
    assert len(reader.details) == 2000 * MS // interval_ns - 1


def test_the_sampling_thread_keeps_off_the_measured_cpus_where_one_is_left() -> None:
    before = os.sched_getaffinity(0)
    with kept_off(None):
        assert os.sched_getaffinity(0) == before
    with kept_off(frozenset(before)):  # nothing would be left
        assert os.sched_getaffinity(0) == before
    first = min(before)
    with kept_off(frozenset({first})):
        assert os.sched_getaffinity(0) == (before - {first} or before)
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("hz", [1.0, 50.0, 250.0, 1000.0])
def test_totals_do_not_depend_on_the_cadence(hz: float) -> None:
    times, _ = sample(FakeClock(), duration=3000 * MS, hz=hz)
    assert (times[0], times[-1]) == (10, 3010)
