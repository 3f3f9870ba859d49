"""What is promised, and when a measurement conforms to it."""

from __future__ import annotations

import dataclasses

import pytest

from harness import limits as rules
from harness.judge import laws, readbacks, verdicts
from harness.judge.laws import Circumstances
from harness.judge.laws.cpu import SUB_TICK_LOSS, allowed_cpus, pinned_cpus
from harness.judge.laws.memory import usable_bytes
from harness.model import (
    UNLIMITED,
    Burst,
    ContainerRecord,
    ContainerSpec,
    EffectiveLimits,
    Estimate,
    Expectation,
    Growth,
    KernelLimits,
    Limits,
    Point,
    Scale,
    Spin,
    Status,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS

GIVEN = Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS)


def point(*limits: Limits, threads: int = 2, axis: str = "cpu") -> Point:
    containers = tuple(ContainerSpec(limits=one, workload=Spin(threads=threads)) for one in limits)
    return Point(id="p", axis=axis, value="v", containers=containers)


def law(limits: Limits, threads: int = 2, given: Circumstances = GIVEN) -> Expectation:
    return laws.expectations(point(limits, threads=threads), given)[0]


@pytest.mark.parametrize(
    ("limits", "threads", "value", "bound"),
    [
        (Limits(cpus=0.5), 2, 0.5, "quota"),
        (Limits(cpus=1.0), 1, 1.0, "quota"),
        (Limits(cpus=1.5), 1, 1.0, "threads"),
        (Limits(cpus=2.0), 2, 2.0, "quota"),
        (Limits(cpus=2.0, cpuset_cpus="0"), 2, 1.0, "cpuset"),
        (Limits(cpu_quota_us=400_000), 4, 2.0, "host"),
        (Limits(), 1, 1.0, "threads"),
        (Limits(cpu_period_us=10_000), 2, 2.0, "threads"),  # a period alone limits nothing
        (Limits(cpu_shares=2), 2, 2.0, "threads"),  # shares cap no lone container
    ],
)
def test_the_cpu_law(limits: Limits, threads: int, value: float, bound: str) -> None:
    found = law(limits, threads)
    assert (found.metric, found.value, found.bound) == ("cpus", value, bound)


def test_a_point_that_wants_the_host_is_judged_against_what_is_left() -> None:
    assert law(Limits(cpus=2.0)).expected(0.033) == pytest.approx(1.967)
    assert law(Limits(cpus=1.5)).expected(0.033) == 1.5
    assert law(Limits(cpus=2.0)).expected(None) == 2.0  # not measured, so nothing is taken off


def test_the_tolerance_is_one_percent_or_one_tick_of_the_window() -> None:
    assert law(Limits(cpus=0.5)).high == 0.01
    # 4 ms of 3 s x 0.03 CPUs = 90 ms
    assert law(Limits(cpus=0.03)).high == pytest.approx(4 / 90)


def test_a_tighter_limit_above_the_container_is_the_effective_one() -> None:
    above = dataclasses.replace(GIVEN, effective=(EffectiveLimits(cpus=0.3, cpus_at="/kubepods"),))
    found = law(Limits(cpus=0.5), given=above)
    assert (found.value, found.bound) == (0.3, "/kubepods")
    assert law(Limits(cpus=0.2), given=above).bound == "quota"
    own = dataclasses.replace(GIVEN, effective=(EffectiveLimits(cpus=0.3),))
    assert law(Limits(cpus=0.5), given=own).value == 0.5


def test_what_a_burst_has_saved_is_no_excess() -> None:
    held = EffectiveLimits(cpus=0.5, cpus_burst_us=200_000)
    found = law(Limits(cpus=0.5), given=dataclasses.replace(GIVEN, effective=(held,)))
    plain = law(Limits(cpus=0.5))
    assert (found.value, found.low) == (plain.value, plain.low)
    # Once in the window of 3 s: 0.2 s of CPU time more than its 1.5.
    assert found.high == pytest.approx(plain.high + 0.2 / 1.5)
    less = law(Limits(cpus=0.2), given=dataclasses.replace(GIVEN, effective=(held,)))
    assert less.high == law(Limits(cpus=0.2)).high  # another quota binds, and it saves nothing


def test_under_systemd_the_quota_that_is_in_force_is_the_law() -> None:
    """Runc writes the exact quota; systemd rounds it up to a hundredth once it writes it again."""
    engine = dataclasses.replace(ENGINE_FACTS, cgroup_driver="systemd")
    given = Circumstances(engine=engine, host=HOST_FACTS)
    assert law(Limits(cpus=0.505), given=given).value == 0.505
    rewritten = dataclasses.replace(given, effective=(EffectiveLimits(cpus=0.51),))
    assert law(Limits(cpus=0.505), given=rewritten).value == 0.51
    # Another quota is no law, under any driver: the read-back tells it.
    wrong = dataclasses.replace(given, effective=(EffectiveLimits(cpus=0.55),))
    assert law(Limits(cpus=0.505), given=wrong).value == 0.505
    cgroupfs = dataclasses.replace(GIVEN, effective=(EffectiveLimits(cpus=0.51),))
    assert law(Limits(cpus=0.505), given=cgroupfs).value == 0.505


@pytest.mark.parametrize(
    ("driver", "held_us", "agrees"),
    [("systemd", 33_300, True), ("systemd", 34_000, True), ("systemd", 35_000, False),
     ("cgroupfs", 33_300, True), ("cgroupfs", 34_000, False)],
)  # fmt: skip
def test_a_quota_read_back_under_either_driver(driver: str, held_us: int, agrees: bool) -> None:
    container = ContainerRecord(
        requested=Limits(cpus=0.333),
        engine=Limits(cpus=0.333),
        kernel=KernelLimits(cpu_quota_us=held_us, cpu_period_us=100_000),
    )
    engine = dataclasses.replace(ENGINE_FACTS, cgroup_driver=driver)
    (found,) = readbacks.readbacks(container, engine)
    assert found.agrees is agrees


def test_a_period_below_a_tick_has_a_law_of_its_own() -> None:
    short = law(Limits(cpu_quota_us=1000, cpu_period_us=2000), 1)
    assert short.law == "cpu-bandwidth-below-a-tick"
    assert "4 ms" in short.explanation
    assert (short.low, short.high) == (-SUB_TICK_LOSS, 0.01)
    assert law(Limits(cpu_quota_us=2000, cpu_period_us=4000), 1).explanation == ""


@pytest.mark.parametrize(
    ("quota", "threads", "gap_s"),
    [
        (50_000, 1, 0.05),
        (50_000, 2, 0.075),
        (50_000, 3, None),  # more threads than CPUs: the law says nothing
        (3_000, 1, None),  # bursts below a tick overshoot and skip periods
        (95_000, 1, None),  # a gap that a tick can swallow
        (200_000, 2, None),  # the quota does not bind
    ],
)
def test_the_gap_law(quota: int, threads: int, gap_s: float | None) -> None:
    found = laws.expectations(
        point(Limits(cpu_quota_us=quota), threads=threads, axis="quota"), GIVEN
    )
    gaps = [one.value for one in found if one.metric == "gap_s"]
    assert gaps == ([] if gap_s is None else [pytest.approx(gap_s)])


def shares(*values: int, cpuset: str | None = "0") -> Point:
    return point(*(Limits(cpu_shares=n, cpuset_cpus=cpuset) for n in values), axis="shares")


def test_pinned_containers_share_their_cpu_by_weight() -> None:
    found = laws.expectations(shares(2048, 1024, 512), GIVEN)
    assert [(one.metric, one.container, one.value) for one in found] == [
        ("ratio", 0, 4.0), ("ratio", 1, 2.0), ("outside_cpus", 0, 0.0),
    ]  # fmt: skip
    assert found[0].scale is Scale.LOG


@pytest.mark.parametrize("cpuset", [None, "0-1"])
def test_there_is_no_law_for_shares_on_several_cpus(cpuset: str | None) -> None:
    assert laws.expectations(shares(1024, 512, cpuset=cpuset), GIVEN) == ()


@pytest.mark.parametrize(
    ("runtime", "version", "ratio"),
    [
        ("runc", "1.1.5+ds1", 39 / 20),
        ("runc", "1.3.1", 39 / 20),
        ("runc", "1.3.2", 100 / 59),
        ("runc", "1.4.0-rc.1", 100 / 59),
        ("crun", "1.22", 39 / 20),
        ("crun", "1.23", 100 / 59),
    ],
)
def test_v2_shares_become_weights_by_the_runtimes_formula(
    runtime: str, version: str, ratio: float
) -> None:
    engine = dataclasses.replace(
        ENGINE_FACTS, cgroup_version=2, runtime=runtime, runtime_version=version
    )
    found = laws.expectations(shares(1024, 512), Circumstances(engine=engine, host=HOST_FACTS))
    assert found[0].value == pytest.approx(ratio)
    assert version in found[0].explanation


NVIDIA = dataclasses.replace(
    ENGINE_FACTS, cgroup_version=2, runtime="nvidia", runtime_version="1.17.4"
)


@pytest.mark.parametrize(
    ("beneath", "ratio", "refused"),
    [
        ("runc 1.1.5+ds1", 39 / 20, ""),
        ("runc 1.4.0", 100 / 59, ""),
        ("crun 1.22", 39 / 20, ""),
        ("", 39 / 20, "the runtime nvidia does not tell which version of runc or crun it runs"),
    ],
)
def test_the_version_of_what_runs_beneath_a_runtime_s_name_counts(
    beneath: str, ratio: float, refused: str
) -> None:
    engine = dataclasses.replace(NVIDIA, runtimes=(("nvidia", beneath),) if beneath else ())
    given = Circumstances(engine=engine, host=HOST_FACTS)
    first, *_ = laws.expectations(shares(1024, 512), given)
    assert first.value == pytest.approx(ratio)
    assert bool(first.not_exercisable) == bool(refused)
    assert refused in first.not_exercisable
    assert (beneath or "no formula is named") in (first.explanation or "no formula is named")
    # where both formulas come to the same there is nothing to know
    for pair in ((1024, 1024), (2, 262144)):
        assert not laws.expectations(shares(*pair), given)[0].not_exercisable


def test_a_container_s_own_runtime_is_whose_formula_counts() -> None:
    """Of an A/B run of runtimes: that side's is not the engine's default one."""
    told = (("new", "crun 1.28"),)
    engine = dataclasses.replace(ENGINE_FACTS, cgroup_version=2, runtimes=told)
    given = Circumstances(engine=engine, host=HOST_FACTS)
    point = shares(1024, 512)

    def under(runtime: str) -> Expectation:
        specs = [dataclasses.replace(spec, runtime=runtime) for spec in point.containers]
        return laws.expectations(dataclasses.replace(point, containers=tuple(specs)), given)[0]

    assert under("new").value == pytest.approx(100 / 59)
    assert not under("new").not_exercisable
    assert under("other").not_exercisable


@pytest.mark.parametrize(
    ("shares", "old", "new"),
    [(2, 1, 1), (256, 10, 35), (512, 20, 59), (1024, 39, 100), (2048, 79, 174),
     (10240, 391, 639), (262144, 10000, 10000)],
)  # fmt: skip
def test_both_weight_formulas(shares: int, old: int, new: int) -> None:
    assert rules.weight_of_shares(shares, rules.OLD_WEIGHTS) == old
    assert rules.weight_of_shares(shares, rules.NEW_WEIGHTS) == new


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
    assert verdicts.by_equivalence(found, ONE_PERCENT)[0] is status


ONE_PERCENT = Expectation(
    metric="cpus", value=0.5, low=-0.01, high=0.01, law="l", text="t", source="s"
)


def test_the_verdict_is_by_equivalence_to_the_bounds_of_the_law() -> None:
    upward = dataclasses.replace(ONE_PERCENT, low=-0.5)
    assert verdicts.by_equivalence(estimate(-0.4, 0.0), upward)[0] is Status.CONFORMS
    assert verdicts.by_equivalence(estimate(-0.6, -0.51), upward)[0] is Status.DEVIATES
    nowhere = dataclasses.replace(ONE_PERCENT, not_exercisable="no swap")
    assert verdicts.by_equivalence(estimate(0, 0), nowhere) == (Status.NOT_EXERCISABLE, "no swap")


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        ([Status.CONFORMS, Status.DEVIATES, Status.INCONCLUSIVE], Status.DEVIATES),
        ([Status.CONFORMS, Status.INCONCLUSIVE], Status.INCONCLUSIVE),
        ([Status.CONFORMS, Status.NOT_EXERCISABLE], Status.CONFORMS),
        ([Status.NOT_EXERCISABLE], Status.NOT_EXERCISABLE),
        ([], Status.INCONCLUSIVE),
    ],
)
def test_the_worst_verdict_counts(statuses: list[Status], worst: Status) -> None:
    assert verdicts.overall(statuses) is worst


def test_deviations_are_told_in_the_metrics_unit() -> None:
    gap = dataclasses.replace(ONE_PERCENT, metric="gap_s", scale=Scale.ABSOLUTE)
    size = dataclasses.replace(ONE_PERCENT, metric="reached_bytes", scale=Scale.ABSOLUTE)
    assert verdicts.error_text(0.0021, ONE_PERCENT) == "+0.21%"
    assert verdicts.error_text(-0.004, gap) == "-4.0 ms"
    assert verdicts.error_text(1 << 19, size) == "+0.50 MiB"
    other = dataclasses.replace(gap, metric="cpus")
    for nothing in (0.0, 1e-9, -1e-9):  # nothing has no sign
        assert verdicts.error_text(nothing, ONE_PERCENT) == "0.00%"
        assert verdicts.error_text(nothing, gap) == "0.0 ms"
        assert verdicts.error_text(nothing, size) == "0.00 MiB"
    assert verdicts.error_text(0.0, other) == "0.0000"
    assert verdicts.error_text(-0.0, other) == "0.0000"
    assert verdicts.error_text(-0.01, other) == "-0.0100"


# --- memory ------------------------------------------------------------------------------------

MIB = 1 << 20


def memory_laws(
    limits: Limits, kind: str = "anon", *, swap_mib: int = 0, target_mib: int = 1024
) -> dict[str, Expectation]:
    host = dataclasses.replace(HOST_FACTS, swap_bytes=swap_mib * MIB)
    workload = Growth(target_bytes=target_mib * MIB, kind=kind)
    grower = Point(
        id="p", axis="memory", value="v",
        containers=(ContainerSpec(limits=limits, workload=workload),),
    )  # fmt: skip
    given = Circumstances(engine=ENGINE_FACTS, host=host)
    return {one.metric: one for one in laws.expectations(grower, given)}


@pytest.mark.parametrize(
    ("limits", "kind", "swap_mib", "reached_mib", "killed"),
    [
        (Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB), "anon", 0, 64, True),
        (Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB), "anon", 512, 64, True),
        (Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB), "tmpfs", 0, 64, True),
        (Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB), "file", 0, None, False),
        (Limits(memory_bytes=64 * MIB, memory_swap_bytes=192 * MIB), "anon", 512, 192, True),
        (Limits(memory_bytes=64 * MIB), "anon", 512, 128, True),  # unset: twice the memory
        (Limits(memory_bytes=64 * MIB, memory_swap_bytes=-1), "anon", 2048, None, False),
        # the host's swap is smaller than the allowance
        (Limits(memory_bytes=64 * MIB, memory_swap_bytes=192 * MIB), "anon", 100, 164, True),
        (Limits(memory_reservation_bytes=64 * MIB), "anon", 0, None, False),
    ],
)
def test_where_a_growing_workload_ends(
    limits: Limits, kind: str, swap_mib: int, reached_mib: int | None, killed: bool
) -> None:
    found = memory_laws(limits, kind, swap_mib=swap_mib)
    assert found["oom_killed"].value == float(killed)
    reached = found["reached_bytes"].value
    if reached_mib is None:
        assert reached == 1024 * MIB
    else:
        assert reached == usable_bytes(reached_mib * MIB)
        assert 0.3 * MIB < reached_mib * MIB - reached < 1.1 * MIB
    assert not found["reached_bytes"].not_exercisable


@pytest.mark.parametrize("swap", [192 * MIB, None, -1])
def test_without_swap_on_the_host_the_swap_limit_is_not_exercisable(swap: int | None) -> None:
    found = memory_laws(Limits(memory_bytes=64 * MIB, memory_swap_bytes=swap))
    assert {bool(one.not_exercisable) for one in found.values()} == {True}
    assert "has no swap" in found["reached_bytes"].not_exercisable


def test_without_swap_accounting_the_swap_limit_is_not_exercisable() -> None:
    host = dataclasses.replace(HOST_FACTS, swap_bytes=512 * MIB)
    given = Circumstances(engine=ENGINE_FACTS, host=host, swap_accounted=False)
    grower = Growth(target_bytes=1 << 30)
    spec = ContainerSpec(limits=Limits(memory_bytes=64 * MIB), workload=grower)
    found = laws.expectations(Point(id="p", axis="swap", value="v", containers=(spec,)), given)
    assert "does not account for swap" in found[0].not_exercisable
    # Without that no total holds: what is driven out of memory is swapped unasked.
    limits = Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB)
    same = dataclasses.replace(spec, limits=limits)
    found = laws.expectations(Point(id="p", axis="memory", value="v", containers=(same,)), given)
    assert "does not account for swap" in found[0].not_exercisable
    host = dataclasses.replace(HOST_FACTS, swap_bytes=0)
    given = dataclasses.replace(given, host=host)
    found = laws.expectations(Point(id="p", axis="memory", value="v", containers=(same,)), given)
    assert not found[0].not_exercisable


@pytest.mark.parametrize(
    ("memory_mib", "swap_mib", "total_mib", "host_mib", "reached_mib", "bound"),
    [
        (32, None, 64, 0, 32, "/runner"),
        # No swap was asked for, and on v1 that is a total: what the runner's limit drives out of
        # memory is in it all the same.
        (32, None, 64, 512, 64, "--memory-swap"),
        (32, 48, 64, 512, 48, "/pod"),
        (None, 96, 192, 512, 96, "/pod"),
        (None, 256, 192, 512, 192, "--memory-swap"),
        (None, 96, -1, 512, 96, "/pod"),
        (None, 96, -1, 16, 80, "host swap"),
        (None, 64, 192, 512, 64, "/pod"),  # a pod that gives no swap
    ],
)
def test_a_limit_above_the_container_ends_it_sooner(  # noqa: PLR0913, PLR0917 - a table
    memory_mib: int | None,
    swap_mib: int | None,
    total_mib: int,
    host_mib: int,
    reached_mib: int,
    bound: str,
) -> None:
    above = EffectiveLimits(
        memory_bytes=None if memory_mib is None else memory_mib * MIB, memory_at="/runner",
        memory_swap_bytes=None if swap_mib is None else swap_mib * MIB, memory_swap_at="/pod",
    )  # fmt: skip
    host = dataclasses.replace(HOST_FACTS, swap_bytes=host_mib * MIB)
    given = dataclasses.replace(GIVEN, effective=(above,), host=host)
    grower = Growth(target_bytes=1 << 30)
    total = total_mib * MIB if total_mib > 0 else total_mib
    limits = Limits(memory_bytes=64 * MIB, memory_swap_bytes=total)
    spec = ContainerSpec(limits=limits, workload=grower)
    found = laws.expectations(Point(id="p", axis="memory", value="v", containers=(spec,)), given)
    assert (found[0].value, found[0].bound) == (usable_bytes(reached_mib * MIB), bound)
    assert {one.not_exercisable for one in found} == {""}
    assert (found[0].law == "memory-and-swap") is (reached_mib > (memory_mib or 64))


@pytest.mark.parametrize(
    ("high_mib", "target_mib", "slowed"),
    [(32, 1024, True), (64, 1024, False), (32, 16, False), (None, 1024, False)],
)
def test_where_memory_high_slows_no_kill_is_promised(
    high_mib: int | None, target_mib: int, slowed: bool
) -> None:
    high = None if high_mib is None else high_mib * MIB
    above = EffectiveLimits(memory_high_bytes=high, memory_high_at="/pod")
    given = dataclasses.replace(GIVEN, effective=(above,))
    grower = Growth(target_bytes=target_mib * MIB)
    limits = Limits(memory_bytes=64 * MIB, memory_swap_bytes=64 * MIB)
    spec = ContainerSpec(limits=limits, workload=grower)
    found = laws.expectations(Point(id="p", axis="memory", value="v", containers=(spec,)), given)
    why = "memory.high of /pod (32m) slows it before that" if slowed else ""
    assert {one.not_exercisable for one in found} == {why}
    cache = dataclasses.replace(spec, workload=dataclasses.replace(grower, kind="file"))
    found = laws.expectations(Point(id="p", axis="memory", value="v", containers=(cache,)), given)
    assert {one.not_exercisable for one in found} == {""}


def test_bursts_may_use_less_than_their_limit_and_never_more() -> None:
    burst = Burst(threads=2, cost_us=1000, rate_hz=10)
    spec = ContainerSpec(limits=Limits(cpus=0.5), workload=burst)
    found = laws.expectations(Point(id="p", axis="cpu", value="v", containers=(spec,)), GIVEN)
    assert [(one.metric, one.low, one.high) for one in found] == [("cpus", -1.0, 0.01)]


# --- read-backs --------------------------------------------------------------------------------


def readback(**fields: object) -> rules.ReadBack:
    (found,) = readbacks.readbacks(ContainerRecord(**fields), ENGINE_FACTS)  # type: ignore[arg-type]
    return found


def test_a_limit_that_another_holds_is_named() -> None:
    found = readback(
        requested=Limits(cpus=0.5),
        engine=Limits(cpus=0.5),
        kernel=KernelLimits(cpu_quota_us=52_500, cpu_period_us=100_000),
        kernel_after=KernelLimits(cpu_quota_us=UNLIMITED, cpu_period_us=100_000),
    )
    assert found.agrees is False
    assert found.text == (
        "--cpus: requested 50000/100000 µs, the kernel holds 52500/100000 µs, then no quota"
    )


def test_a_limit_that_the_engine_dropped_is_a_mismatch() -> None:
    found = readback(requested=Limits(cpu_shares=512), engine=Limits())
    assert found.agrees is False
    assert found.text == "--cpu-shares: requested 512, the engine holds not set"


def test_a_quota_that_nobody_asked_for_is_a_mismatch() -> None:
    held = KernelLimits(cpu_quota_us=50_000, cpu_period_us=100_000)
    found = readback(requested=Limits(), engine=Limits(), kernel=held)
    assert found.agrees is False


def test_memory_is_kept_in_pages() -> None:
    odd = (6 << 20) + 1
    kernel = KernelLimits(memory_bytes=6 << 20, memory_swap_bytes=2 * odd // 4096 * 4096)
    engine = Limits(memory_bytes=odd, memory_swap_bytes=2 * odd)
    found = readbacks.readbacks(
        ContainerRecord(requested=Limits(memory_bytes=odd), engine=engine, kernel=kernel),
        ENGINE_FACTS,
    )
    assert [(one.option, one.agrees) for one in found] == [
        ("--memory", True), ("--memory-swap", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "total"),
    [
        (Limits(), None),
        (Limits(memory_bytes=64), 128),
        (Limits(memory_bytes=64, memory_swap_bytes=0), 128),  # 0 does not switch swap off
        (Limits(memory_bytes=64, memory_swap_bytes=64), 64),
        (Limits(memory_bytes=64, memory_swap_bytes=-1), UNLIMITED),
    ],
)
def test_memory_and_swap_together(limits: Limits, total: int | None) -> None:
    assert rules.swap_total_bytes(limits) == total


def test_cpus_are_compared_as_sets() -> None:
    found = readback(
        requested=Limits(cpuset_cpus="0,1"), engine=Limits(cpuset_cpus="0,1"),
        kernel=KernelLimits(cpuset_cpus="0-1"),
    )  # fmt: skip
    assert found.agrees is True


def test_what_was_not_read_back_is_no_mismatch() -> None:
    assert readback(requested=Limits(cpus=0.5)).agrees is None
    assert readback(requested=Limits(cpus=0.5), kernel=KernelLimits()).agrees is None
    assert readbacks.readbacks(ContainerRecord(requested=Limits()), ENGINE_FACTS) == []


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (UNLIMITED, "no limit: ignored"),
        (None, "no such file: ignored"),
        (16 << 20, "16m"),
    ],
)
def test_kernel_memory_is_told_to_be_ignored_and_breaks_no_law(
    kernel: int | None, said: str
) -> None:
    found = readback(
        requested=Limits(kernel_memory_bytes=16 << 20),
        engine=Limits(kernel_memory_bytes=16 << 20),
        kernel=KernelLimits(kernel_memory_bytes=kernel),
    )
    assert (found.requested, found.engine, found.kernel) == ("16m", "16m", said)
    assert found.agrees is None


def test_a_cpuset_above_that_lost_a_cpu_is_what_binds() -> None:
    """tests/data/cases/C03-parent-cpuset: /docker has CPU 0 of the engine's two."""
    above = EffectiveLimits(cpuset_cpus="0", cpuset_at="/docker")
    given = dataclasses.replace(GIVEN, effective=(above,))
    found = law(Limits(cpus=2.0), threads=2, given=given)
    assert (found.value, found.bound) == (1.0, "/docker")
    assert found.capacity_cpus == 1.0  # others on CPU 0 take of it, those on CPU 1 do not
    assert law(Limits(cpus=0.5), threads=2, given=given).value == 0.5
    alone = law(Limits(cpuset_cpus="0-1"), threads=2, given=given)
    assert (alone.value, alone.bound) == (1.0, "/docker")
    # its own wish is none of somebody above
    own = dataclasses.replace(GIVEN, effective=(EffectiveLimits(cpuset_cpus="0"),))
    assert law(Limits(cpuset_cpus="0"), threads=2, given=own).bound == "cpuset"


def test_an_affinity_that_the_engine_handed_on_is_what_binds() -> None:
    """Dockerd under `taskset -c 1`: measured, a container without a cpuset runs on CPU 1 alone."""
    engine = dataclasses.replace(GIVEN.engine, cpus=1, cpu_list="0-1")
    handed = EffectiveLimits(cpuset_cpus="0-1", affinity="1")
    given = dataclasses.replace(GIVEN, engine=engine, effective=(handed,))
    for limits in (Limits(), Limits(cpuset_cpus="0-1")):
        found = law(limits, threads=2, given=given)
        assert (found.value, found.bound, found.capacity_cpus) == (1.0, "affinity", 1.0)
    assert allowed_cpus(Limits(), handed) == frozenset({1})
    # an older kernel, or a newer runc, does not hand it on
    whole = EffectiveLimits(cpuset_cpus="0-1")
    both = law(Limits(), threads=2, given=dataclasses.replace(given, effective=(whole,)))
    assert (both.value, both.bound) == (2.0, "threads")


def test_the_capacity_is_that_of_the_list_where_it_is_known() -> None:
    engine = dataclasses.replace(GIVEN.engine, cpus=4, cpu_list="1,3-5")
    assert dataclasses.replace(GIVEN, engine=engine).cpus == 4
    engine = dataclasses.replace(engine, cpus=1)
    assert dataclasses.replace(GIVEN, engine=engine).cpus == 4
    engine = dataclasses.replace(engine, cpu_list=None)  # an old run, an engine elsewhere
    assert dataclasses.replace(GIVEN, engine=engine).cpus == 1


def test_foreign_cpu_is_that_of_the_cpus_that_are_left() -> None:
    effective = EffectiveLimits(cpuset_cpus="0", cpuset_at="/docker")
    assert allowed_cpus(Limits(), effective) == frozenset({0})
    assert allowed_cpus(Limits(), EffectiveLimits(cpuset_cpus="0-1")) is None
    spec = ContainerSpec(limits=Limits())
    assert pinned_cpus([spec], [effective]) == frozenset({0})
    assert pinned_cpus([spec]) is None


# --- the engine's commands ---------------------------------------------------------------------


@pytest.mark.parametrize(("values", "low"), [("free", -0.032), ("cpus=0.05", -0.032), ("busy", -1)])
def test_the_laws_of_the_engines_commands(values: str, low: float) -> None:
    (point,) = planning.build("lifecycle", Options(values=values), cpus=CPUS).points
    found = {law.metric: law for law in laws.expectations(point, GIVEN)}
    assert set(found) == {"updated_cpus", "paused_cpus", "stop_s"}
    # A tick of 4 ms in the 125 ms that a quota of 0.25 CPUs leaves to a window of 0.5 s.
    assert found["updated_cpus"].low == pytest.approx(low)
    assert found["updated_cpus"].high == pytest.approx(0.032)
    assert (found["paused_cpus"].low, found["paused_cpus"].high) == (0.0, 0.0)
    assert (found["stop_s"].value, found["stop_s"].low) == (1.0, 0.0)
