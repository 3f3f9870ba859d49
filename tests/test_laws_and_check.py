"""What is promised, and when a measurement conforms to it."""

from __future__ import annotations

import pytest

from harness import check, laws
from harness import plan as planning
from harness.laws import Bound
from harness.model import ContainerRecord, ContainerSpec, Estimate, KernelLimits, Limits, Status
from tests.fakes import ENGINE_FACTS, HOST_FACTS

PLAN = planning.build("cpu", planning.Options(), host_cpus=2)


def law(limits: Limits, threads: int = 2) -> laws.CpuLaw:
    spec = ContainerSpec(limits=limits, threads=threads)
    return laws.cpu_law(spec, engine=ENGINE_FACTS, host=HOST_FACTS, plan=PLAN)


@pytest.mark.parametrize(
    ("limits", "threads", "value", "bound"),
    [
        (Limits(cpus=0.5), 2, 0.5, Bound.QUOTA),
        (Limits(cpus=1.0), 1, 1.0, Bound.QUOTA),
        (Limits(cpus=1.5), 1, 1.0, Bound.THREADS),
        (Limits(cpus=2.0), 2, 2.0, Bound.QUOTA),
        (Limits(cpus=2.0, cpuset_cpus="0"), 2, 1.0, Bound.CPUSET),
        (Limits(cpu_quota_us=400_000), 4, 2.0, Bound.HOST),
        (Limits(), 1, 1.0, Bound.THREADS),
    ],
)
def test_the_cpu_law(limits: Limits, threads: int, value: float, bound: Bound) -> None:
    found = law(limits, threads)
    assert found.expectation.value == value
    assert found.bound is bound


def test_a_point_that_wants_the_host_is_judged_against_what_is_left() -> None:
    assert law(Limits(cpus=2.0)).expected_cpus(0.033) == pytest.approx(1.967)
    assert law(Limits(cpus=1.5)).expected_cpus(0.033) == 1.5
    assert law(Limits(cpus=2.0)).expected_cpus(None) == 2.0  # not measured, so nothing is taken off


def test_the_tolerance_is_one_percent_or_one_tick_of_the_window() -> None:
    assert law(Limits(cpus=0.5)).expectation.tolerance == 0.01
    # 4 ms of 3 s x 0.03 CPUs = 90 ms
    assert law(Limits(cpus=0.03)).expectation.tolerance == pytest.approx(4 / 90)


def estimate(low: float | None, high: float | None, n: int = 5) -> Estimate:
    return Estimate(
        metric="error", unit="ratio", n=n, median=0.0, low=low, high=high, confidence=0.9,
        method="order statistics",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (estimate(-0.004, 0.009), Status.CONFORMS),
        (estimate(-0.01, 0.01), Status.CONFORMS),
        (estimate(0.011, 0.05), Status.DEVIATES),
        (estimate(-0.05, -0.011), Status.DEVIATES),
        (estimate(0.009, 0.011), Status.INCONCLUSIVE),
        (estimate(-0.5, 0.5), Status.INCONCLUSIVE),
        (estimate(None, None, n=1), Status.INCONCLUSIVE),
        (None, Status.INCONCLUSIVE),
    ],
)
def test_by_equivalence(found: Estimate | None, status: Status) -> None:
    assert check.by_equivalence(found, tolerance=0.01)[0] is status


def test_a_limit_that_another_holds_is_named() -> None:
    container = ContainerRecord(
        requested=Limits(cpus=0.5),
        engine=Limits(cpus=0.5),
        kernel=KernelLimits(cpu_quota_us=52_500, cpu_period_us=100_000),
        kernel_after=KernelLimits(cpu_quota_us=-1, cpu_period_us=100_000),
    )
    assert check.readback_mismatches(container) == [
        "requested 50000/100000 µs, the kernel holds 52500/100000 µs",
        "requested 50000/100000 µs, the kernel holds no quota after the window",
    ]


def test_what_was_not_read_back_is_no_mismatch() -> None:
    assert check.readback_mismatches(ContainerRecord(requested=Limits(cpus=0.5))) == []
    assert not check.readback_mismatches(
        ContainerRecord(requested=Limits(cpus=0.5), kernel=KernelLimits())
    )
