"""How Docker writes limits, and what it would refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import Limits
from tests.fakes import CPUS


@pytest.mark.parametrize(
    ("text", "expected"),
    [("64m", 64 << 20), ("1.5g", 3 << 29), ("1048576", 1 << 20), ("6M", 6 << 20), ("10b", 10),
     ("128MiB", 128 << 20), ("2kb", 2048)],
)  # fmt: skip
def test_sizes(text: str, expected: int) -> None:
    assert rules.parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-1m", "1.5.2g", "64 megs", "1e3", "nan", "∞"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(PlanError, match="is not a size"):
        rules.parse_size(text)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_cpu_lists_survive_a_round_trip(cpus: set[int]) -> None:
    assert rules.parse_cpu_list(rules.format_cpu_list(frozenset(cpus))) == cpus


@pytest.mark.parametrize("text", ["", "0-", "a", "3-1", "0,,1", "-1", "0;1"])
def test_no_cpu_lists(text: str) -> None:
    with pytest.raises(PlanError):
        rules.parse_cpu_list(text)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(cpus=0.5), (50_000, 100_000)),
        (Limits(cpus=0.015), (1_500, 100_000)),  # 0.01 is a floor, not a step
        (Limits(cpus=0.29), (29_000, 100_000)),  # 0.29 * 100000 is 28999.99… in floating point
        (Limits(cpu_quota_us=20_000, cpu_period_us=40_000), (20_000, 40_000)),
        (Limits(cpu_quota_us=20_000), (20_000, 100_000)),
        (Limits(cpu_period_us=50_000), None),  # a period alone limits nothing
        (Limits(cpu_quota_us=-1), None),
        (Limits(), None),
    ],
)
def test_quota_and_period(limits: Limits, expected: tuple[int, int] | None) -> None:
    assert rules.quota_and_period_us(limits) == expected


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(cpus=0.0), "--cpus 0 is out of range. This engine takes 0.01 to 2 CPUs."),
        (Limits(cpus=-1.0), "--cpus -1 is out of range"),
        (Limits(cpus=2.5), "--cpus 2.5 is out of range"),
        (Limits(cpus=0.001), "--cpus 0.001 is out of range"),
        (Limits(cpus=1.0, cpu_quota_us=5000), "conflicts"),
        (Limits(cpus=1.0, cpu_period_us=5000), "conflicts"),
        (Limits(cpu_period_us=999), "1000 to 1000000"),
        (Limits(cpu_period_us=1_000_001), "1000 to 1000000"),
        (Limits(cpu_quota_us=999), "1000 µs or more"),
        (Limits(cpu_quota_us=0), "1000 µs or more"),
        (Limits(cpu_shares=1), "2 to 262144"),
        (Limits(cpuset_cpus="0-2"), "CPU 2 is not there for containers."),
        (Limits(memory_bytes=5 << 20), "6m or more"),
        (Limits(memory_swap_bytes=64 << 20), "needs --memory"),
        (Limits(memory_bytes=64 << 20, memory_swap_bytes=32 << 20), "is below"),
        (Limits(memory_bytes=64 << 20, memory_reservation_bytes=128 << 20), "is above"),
    ],
)
def test_what_the_engine_would_refuse_is_refused_before(limits: Limits, message: str) -> None:
    with pytest.raises(PlanError) as refused:
        rules.validate(limits, cpus=CPUS)
    assert message in str(refused.value)


AFFINE = EngineCpus.listed("0-1", most=1)  # dockerd under `taskset -c 1`
GAPS = EngineCpus.listed("1,3-5", most=4)  # CPUs 0 and 2 offline, or of another slice
SHRUNK = EngineCpus.listed("0", most=2)  # the cgroup that containers lie in has lost CPU 1


@pytest.mark.parametrize(
    ("cpus", "limits", "message"),
    [
        (AFFINE, Limits(cpuset_cpus="1"), ""),
        (AFFINE, Limits(cpuset_cpus="0-2"), "containers may run on CPUs 0-1."),
        (AFFINE, Limits(cpus=2), "This engine takes 0.01 to 1 CPU."),
        (GAPS, Limits(cpuset_cpus="3,5"), ""),
        (GAPS, Limits(cpuset_cpus="1-3"), "CPU 2 is not there for containers. "),
        (GAPS, Limits(cpuset_cpus="1-3"), "This engine's containers may run on CPUs 1,3-5."),
        (SHRUNK, Limits(cpuset_cpus="1"), "containers may run on CPU 0."),
        (SHRUNK, Limits(cpus=2), ""),  # the engine takes it; the law says what it comes to
        (EngineCpus.first(1), Limits(cpuset_cpus="1"), ""),  # it need not be CPU 0
    ],
)  # fmt: skip
def test_what_counts_of_the_engine_s_cpus(cpus: EngineCpus, limits: Limits, message: str) -> None:
    if not message:
        rules.validate(limits, cpus=cpus)
        return
    with pytest.raises(PlanError) as refused:
        rules.validate(limits, cpus=cpus)
    assert message in str(refused.value)


def test_two_engines_have_in_common_what_both_have() -> None:
    assert GAPS.shared(SHRUNK).numbers == ()
    both = GAPS.shared(EngineCpus.first(4))
    assert (both.numbers, both.most, both.known) == ((1, 3), 4, False)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(cpus=0.01), Limits(cpus=2.0), Limits(cpu_quota_us=-1),
        Limits(cpu_quota_us=400_000, cpu_period_us=100_000),  # larger than the host: accepted
        Limits(memory_bytes=6 << 20, memory_swap_bytes=-1), Limits(cpuset_cpus="0,1"),
    ],
)  # fmt: skip
def test_what_the_engine_takes_passes(limits: Limits) -> None:
    rules.validate(limits, cpus=CPUS)
