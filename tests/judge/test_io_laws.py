"""What is promised of a disk, and what makes each promise false."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge import io as judge_io
from harness.judge import laws, points
from harness.judge.laws import Circumstances
from harness.judge.laws.io import not_weighed
from harness.judge.verdicts import by_equivalence
from harness.limits import EngineCpus
from harness.model import (
    BlockDevice,
    ContainerRecord,
    DeviceIo,
    Estimate,
    Expectation,
    Io,
    Outcome,
    Point,
    Sample,
    Status,
    TrialRecord,
)
from harness.plan import axes
from harness.plan.axes import Options
from tests.fakes import ENGINE_FACTS, HOST_FACTS

MIB = 1 << 20
LOOP = BlockDevice(path="/dev/loop3", number="7:3", filesystem="ext4", scheduler="none", made=True)
V1 = Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS, device=LOOP)
V2 = replace(V1, engine=replace(ENGINE_FACTS, cgroup_version=2))


def point(axis: str, value: str) -> Point:
    (found,) = axes.find(axis).points(Options(values=value), EngineCpus.first(2))
    return found


def law(axis: str, value: str, given: Circumstances = V1) -> dict[str, Expectation]:
    return {one.metric: one for one in laws.expectations(point(axis, value), given)}


@pytest.mark.parametrize(("axis", "value"), [("io", "4m"), ("iops", "100")])
def test_for_a_load_that_has_a_pace_of_its_own_a_rate_is_a_ceiling(axis: str, value: str) -> None:
    free = point(axis, value)
    (spec,) = free.containers
    assert isinstance(spec.workload, Io)
    paced = replace(spec, workload=replace(spec.workload, rate_hz=10))
    for before, after in zip(
        laws.expectations(free, V1),
        laws.expectations(replace(free, containers=(paced,)), V1), strict=True,
    ):  # fmt: skip
        assert (before.metric, before.value, before.high) == (after.metric, after.value, after.high)
        assert before.low is not None
        assert before.low > -0.1
        assert after.low == -1.0


def test_a_pace_that_wants_more_than_the_limit_is_held_to_it_from_below_too() -> None:
    free = point("io", "1m")
    (spec,) = free.containers
    assert isinstance(spec.workload, Io)
    paced = replace(spec, workload=replace(spec.workload, rate_hz=10_000))
    assert laws.expectations(replace(free, containers=(paced,)), V1) == laws.expectations(free, V1)


@pytest.mark.parametrize(
    ("axis", "value", "metric", "promised", "bound"),
    [
        ("io", "1m", "io_bytes_rate", MIB, "--device-write-bps"),
        ("io", "1m", "io_device_bytes_rate", MIB, "--device-write-bps"),
        ("io", "4m@read", "io_bytes_rate", 4 * MIB, "--device-read-bps"),
        ("iops", "100", "io_rate", 100, "--device-write-iops"),
        ("iops", "100", "io_device_rate", 100, "--device-write-iops"),
        ("iops", "100@read", "io_rate", 100, "--device-read-iops"),
        ("iops", "100@4k+1m", "io_rate", 100, "--device-write-iops"),
        ("iops", "100@64k+1m", "io_rate", 16, "--device-write-bps"),  # the tighter of both
    ],
)
def test_a_rate_is_the_limit_inside_and_at_the_device(
    axis: str, value: str, metric: str, promised: float, bound: str
) -> None:
    found = law(axis, value)[metric]
    assert (found.value, found.bound) == (promised, bound)
    assert not found.is_ceiling


def test_a_large_i_o_is_promised_in_bios_alone() -> None:
    assert {name: one.value for name, one in law("iops", "20@1m").items()} == {"io_device_rate": 20}


def test_without_a_limit_nothing_is_promised() -> None:
    assert law("io", "none") == {}


@pytest.mark.parametrize("given", [V1, V2])
def test_what_fsync_sends_is_limited_on_both_versions(given: Circumstances) -> None:
    found = law("io", "1m@fsync", given)["io_bytes_rate"]
    assert found.is_ceiling
    assert verdict(found, 0.9 * MIB) is Status.CONFORMS
    assert verdict(found, 100 * MIB) is Status.DEVIATES


def test_what_the_page_cache_takes_is_nobodys_on_v1_and_its_owners_on_v2() -> None:
    (free,), (owned,) = (law("io", "1m@buffered", given).values() for given in (V1, V2))
    assert (free.law, free.metric, free.value) == ("io-escapes", "io_device_bytes_rate", 0)
    assert verdict(free, 0.0) is Status.CONFORMS
    assert verdict(free, 1.0 * MIB) is Status.DEVIATES  # a kernel that charged the container
    assert (owned.law, owned.value) == ("io-writeback", MIB)
    assert verdict(owned, 1.0 * MIB) is Status.CONFORMS
    assert verdict(owned, 0.2 * MIB) is Status.CONFORMS
    assert verdict(owned, 50.0 * MIB) is Status.DEVIATES


@pytest.mark.parametrize(("achieved", "status"), [
    (MIB, Status.CONFORMS), (0.99 * MIB, Status.CONFORMS), (1.06 * MIB, Status.DEVIATES),
    (0.9 * MIB, Status.DEVIATES), (60 * MIB, Status.DEVIATES),
])  # fmt: skip
def test_a_wrong_rate_deviates(achieved: float, status: Status) -> None:
    assert verdict(law("io", "1m")["io_bytes_rate"], achieved) is status


def verdict(law: Expectation, achieved: float) -> Status:
    off = points.deviation(law, achieved, law.value)
    found = Estimate(metric=law.metric, unit="1", n=5, median=off, low=off, high=off,
                     confidence=0.9, method="exact")  # fmt: skip
    return by_equivalence(found, law)[0]


def test_a_disk_of_somebodys_own_may_be_slower_by_itself() -> None:
    own = replace(V1, device=replace(LOOP, path="/dev/sdb", made=False))
    assert "/dev/sdb may be slower" in law("io", "1m", own)["io_bytes_rate"].explanation
    assert law("io", "1m")["io_bytes_rate"].explanation == ""


# --- weights ---


@pytest.mark.parametrize(("value", "bound"), [
    ("800:200", "--blkio-weight"), ("800:200@device", "--blkio-weight-device"),
])  # fmt: skip
def test_weights_divide_a_disk_where_bfq_is_active(value: str, bound: str) -> None:
    bfq = replace(V2, device=replace(LOOP, scheduler="bfq"))
    (found,) = laws.expectations(point("io-weight", value), bfq)
    assert (found.metric, found.value, found.not_exercisable) == ("io_ratio", 4.0, "")
    assert found.bound == bound
    assert verdict(found, 4.2) is Status.CONFORMS
    assert verdict(found, 1.0) is Status.DEVIATES


def test_a_weight_of_the_device_counts_instead_of_that_of_all_disks() -> None:
    bfq = replace(V2, device=replace(LOOP, scheduler="bfq"))
    two = point("io-weight", "800:200@device")
    both = [
        replace(one, limits=replace(one.limits, blkio_weight=500 + 100 * i))
        for i, one in enumerate(two.containers)
    ]
    (found,) = laws.expectations(replace(two, containers=tuple(both)), bfq)
    assert found.value == 4.0


def test_why_no_weight_of_a_device_is_held_is_told() -> None:
    value = "800:200@device"
    unwritten = replace(V2, weight_unwritten=True, device=replace(LOOP, scheduler="bfq"))
    (found,) = laws.expectations(point("io-weight", value), unwritten)
    assert "modprobe bfq" in found.not_exercisable
    refused = replace(V2, device=None, refused="operation not supported")
    (found,) = laws.expectations(point("io-weight", value), refused)
    assert found.not_exercisable.endswith("operation not supported")
    (found,) = laws.expectations(point("io-weight", "800:200"), refused)
    assert found.not_exercisable == ""  # that one says nothing of weights of all disks


def test_what_would_have_to_be_set_is_told_where_no_weight_does_anything() -> None:
    assert "echo bfq > /sys/block/loop3/queue/scheduler" in not_weighed(V2)
    assert "discarded by the engine" in not_weighed(replace(V1, weight_discarded=True))
    (found,) = laws.expectations(point("io-weight", "800:200"), V2)
    assert verdict(found, 1.0) is Status.NOT_EXERCISABLE


# --- what the kernel counts ---


def counted(number: str, at_s: float, write_bytes: int, writes: int) -> Sample:
    io = DeviceIo(number=number, read_bytes=0, write_bytes=write_bytes, reads=0, writes=writes)
    return Sample(t_mono_ns=round(at_s * 1e9), devices=(io,))


def trial(first: Sample, last: Sample) -> TrialRecord:
    one = ContainerRecord(requested=point("io", "1m").containers[0].limits, first=first, last=last)
    return TrialRecord(index=0, block=0, point_id="p", outcome=Outcome.COMPLETED, started_at="",
                       containers=(one,), device=LOOP)  # fmt: skip


def test_what_is_counted_at_the_device_is_that_of_the_trials_own() -> None:
    mine = trial(counted("7:3", 1, MIB, 64), counted("7:3", 3, 5 * MIB, 320))
    assert judge_io.device_bytes_a_second(mine, 0) == 2 * MIB
    assert judge_io.device_ios_a_second(mine, 0) == 128
    other = trial(counted("8:0", 1, MIB, 64), counted("8:0", 3, 5 * MIB, 320))
    assert judge_io.device_bytes_a_second(other, 0) is None
    unread = trial(Sample(t_mono_ns=1), Sample(t_mono_ns=2))
    assert judge_io.device_bytes_a_second(unread, 0) is None
