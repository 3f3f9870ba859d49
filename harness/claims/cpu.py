"""Claims about CPU time: --cpus, --cpu-quota, --cpu-period."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from harness.claims import kernel
from harness.claims.claim import (
    Claim,
    Expected,
    NotExercisableError,
    Topic,
    decided,
    inconclusive,
)
from harness.claims.measured import against, claimed, law_alone, measure, needs_cpus
from harness.engine.laboratory import Box, Laboratory, refusal
from harness.host import identity
from harness.limits import EngineCpus
from harness.model import UNLIMITED, ClaimVerdict, ContainerSpec, Finding, Limits, Point, Spin
from harness.plan.axes import Options

_BANDWIDTH = "kernel Documentation/scheduler/sched-bwc.rst"
_LOOP = "sh -c 'while :; do :; done'"
_TWO_LOOPS = "sh -c 'while :; do :; done & while :; do :; done'"
_BURSTS = "sh -c 'while :; do timeout 0.3 sh -c \"while :; do :; done\"; sleep 1; done'"
_HALF = 500_000_000


def _held(box: Box) -> str:
    held = kernel.limits_of(box.start())
    if held.cpu_quota_us is None or held.cpu_period_us is None:
        raise NotExercisableError("the kernel's quota is not visible")
    return f"{held.cpu_quota_us}/{held.cpu_period_us} µs"


def _is_period_and_quota(lab: Laboratory) -> Finding:
    by_cpus = _held(lab.create("sleep", "60", nano_cpus=_HALF))
    by_quota = _held(lab.create("sleep", "60", cpu_period=100_000, cpu_quota=50_000))
    return decided(
        by_cpus == by_quota,
        f"the kernel holds {by_cpus} for --cpus 0.5, and {by_quota} for --cpu-period 100000 "
        "--cpu-quota 50000",
        by_cpus=by_cpus, by_period_and_quota=by_quota,
    )  # fmt: skip


def _one_and_a_half(lab: Laboratory) -> Finding:
    needs_cpus(lab, 2)
    return claimed(measure(lab, "cpu", "1.5"), "cpus", 1.5)


def _combine(lab: Laboratory) -> Finding:
    words = refusal(lambda: lab.create("sleep", "60", nano_cpus=_HALF, cpu_quota=50_000))
    return decided(not words, words or "both were taken", refused=bool(words))


def _guarantee(lab: Laboratory) -> Finding:
    def on_one_cpu(_: Options, cpus: EngineCpus) -> Iterable[Point]:
        limits = Limits(cpus=0.6, cpuset_cpus=f"{cpus.numbers[-1]}")
        spec = ContainerSpec(limits=limits, workload=Spin(threads=1))
        yield Point(id="0.6+0.6", axis="cpu", value="0.6+0.6", containers=(spec, spec))

    found = measure(lab, "cpu", "0.6", points_of=on_one_cpu)
    return against(found, law_alone(lab, found))


def _period_alone(lab: Laboratory) -> Finding:
    box = lab.create("spin", "0.5", "+", "sleep", "60", cpu_period=50_000).start()
    box.await_line("spun")
    held, counted = kernel.limits_of(box), kernel.counted(kernel.paths_of(box))
    quota_us, periods = held.cpu_quota_us, counted.nr_periods or 0
    return decided(
        quota_us != UNLIMITED or periods > 0,
        f"the kernel holds a quota of {quota_us} µs (-1 is none) for each {held.cpu_period_us} µs, "
        f"and counted {periods} periods while the container spun for 0.5 s",
        quota_us=quota_us, period_us=held.cpu_period_us, periods=periods,
    )  # fmt: skip


def _short_period(lab: Laboratory) -> Finding:
    tick_us = identity.facts().tick_ns / 1000
    if tick_us <= 2000:
        why = f"this kernel's tick is {tick_us:g} µs: it needs one longer than a period of 2000 µs"
        raise NotExercisableError(why)
    found = measure(lab, "period", "2000", options=Options(ratio=0.5))
    law = found.law("cpus")
    # Below a tick the law is a ceiling alone; the claim is that of any other period.
    return against(found, replace(law, value=0.5, low=-law.high, explanation=""))


def _not_below_the_limit(lab: Laboratory) -> Finding:
    # It wants 200 ms at once and nothing more: an eighth of the time, and it may have a fifth.
    box = lab.create("spin", "0.2", "+", "sleep", "60", nano_cpus=200_000_000)
    began = time.monotonic()
    box.start()
    box.await_line("spun")
    time.sleep(max(0.0, began + 1.6 - time.monotonic()))
    counted = kernel.counted(kernel.paths_of(box))
    mean = (counted.cpu_usage_ns or 0) / 1e9 / (time.monotonic() - began)
    stopped = counted.nr_throttled or 0
    if mean >= 0.2:
        return inconclusive(f"it used {mean:.3f} CPUs of 0.2: no less than its limit", cpus=mean)
    return decided(
        stopped == 0,
        f"it used {mean:.3f} CPUs of its 0.2 on average, and was stopped in {stopped} periods",
        cpus=mean, throttled=stopped,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="cpus-is-period-and-quota",
        topic=Topic.CPU,
        sentence="--cpus 0.5 is the same as --cpu-period 100000 with --cpu-quota 50000.",
        korean="--cpus 0.5는 --cpu-period 100000과 --cpu-quota 50000을 함께 준 것과 같다.",
        refuted_by="The kernel holds another quota or period for the one than for the other.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the engine makes a quota of it",
                "moby daemon/daemon_unix.go, getCPUResources; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name one --cpus 0.5 IMAGE sleep 60",
            "docker run -d --name two --cpu-period 100000 --cpu-quota 50000 IMAGE sleep 60",
            "docker exec one cat /sys/fs/cgroup/cpu.max   # v1: cpu/cpu.cfs_quota_us",
            "docker exec two cat /sys/fs/cgroup/cpu.max",
        ),
        story="The kernel knows no number of CPUs, only a quota of CPU time in each period. The "
        "engine makes 100000 µs and so many of them out of --cpus. docker inspect shows the two "
        "apart, as NanoCpus and as CpuQuota, and takes only one of them at a time.",
        experiment=_is_period_and_quota,
    ),
    Claim(
        id="cpus-is-an-amount",
        topic=Topic.CPU,
        sentence="--cpus 1.5 lets a container use one and a half CPUs.",
        korean="--cpus 1.5는 컨테이너가 CPU를 1.5개만큼 사용할 수 있게 한다.",
        refuted_by="Two threads that want all they can get use more or less than 1.5 CPUs.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "it is an amount of CPU time, and no CPU's number",
                f"{_BANDWIDTH}; measured on v1 and v2",
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cpus 1.5 IMAGE {_TWO_LOOPS}",
            "docker stats --no-stream one   # about 150 %",
        ),
        story="150 ms of CPU time in each 100 ms, on whichever CPUs are free: two threads run for "
        "75 ms each, and then both stand still. One thread alone has one CPU at the most. Which "
        "CPUs it may use is what --cpuset-cpus says.",
        experiment=_one_and_a_half,
    ),
    Claim(
        id="cpus-and-quota-combine",
        topic=Topic.CPU,
        sentence="--cpus and --cpu-quota can be given together.",
        korean="--cpus와 --cpu-quota는 함께 지정할 수 있다.",
        refuted_by="The engine refuses to make a container with both.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "both are the same quota, so the engine takes one of them",
                "moby daemon/daemon_unix.go; measured on 20.10 and Podman 4.3",
            ),
        ),
        by_hand=(
            "docker create --cpus 0.5 --cpu-quota 50000 IMAGE",
            "docker run -d --name one --cpus 0.5 IMAGE sleep 60",
            "docker update --cpu-quota 50000 one",
        ),
        story="They are two ways to say one thing, so the engine does not guess which is meant: "
        "conflicting options. Nor can a limit that was given in one way be changed in the other.",
        experiment=_combine,
    ),
    Claim(
        id="cpus-guarantees-cpu",
        topic=Topic.CPU,
        sentence="--cpus 0.6 guarantees a container 0.6 CPUs.",
        korean="--cpus 0.6은 컨테이너에 CPU 0.6개를 보장한다.",
        refuted_by="Of two such containers on one CPU each gets half of it.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a quota is a ceiling: who gets what below it is a matter of weights",
                f"{_BANDWIDTH}; measured",
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cpus 0.6 --cpuset-cpus 0 IMAGE {_LOOP}",
            f"docker run -d --name two --cpus 0.6 --cpuset-cpus 0 IMAGE {_LOOP}",
            "docker stats --no-stream one two   # about 50 % each",
        ),
        story="The engine adds nothing up: any number of containers may be given all CPUs. A quota "
        "only says when a container is stopped. Docker has no option that reserves CPU; what "
        "comes nearest is a larger share than the others have.",
        experiment=_guarantee,
    ),
    Claim(
        id="period-alone-limits",
        topic=Topic.CPU,
        sentence="--cpu-period 50000 limits a container to half a CPU.",
        korean="--cpu-period 50000은 컨테이너를 CPU 절반으로 제한한다.",
        refuted_by="The kernel holds no quota, and counts not one period in which a thread spins.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "without a quota there is nothing to be used up in a period",
                f"{_BANDWIDTH}; measured",
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cpu-period 50000 IMAGE {_LOOP}",
            "docker stats --no-stream one   # about 100 %",
        ),
        story="A period is how often the quota is filled up. Docker gives no quota by default, so "
        "the period alone changes nothing at all.",
        experiment=_period_alone,
    ),
    Claim(
        id="short-period-same-share",
        topic=Topic.CPU,
        sentence="A quota of half the period gives half a CPU, however short the period is.",
        korean="주기가 아무리 짧아도 할당량이 주기의 절반이면 CPU의 절반을 쓸 수 있다.",
        refuted_by="With 1000 µs of 2000 µs a thread uses less than half a CPU.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "run time is charged at the scheduler's tick, and part of the quota is lost below",
                "docs/decisions/003-tolerances.md: 0.405 of 0.5 at a tick of 4 ms; measured",
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cpu-period 100000 --cpu-quota 50000 IMAGE {_LOOP}",
            f"docker run -d --name two --cpu-period 2000 --cpu-quota 1000 IMAGE {_LOOP}",
            "docker stats --no-stream one two",
        ),
        story="The kernel takes periods from 1 ms, but charges run time at its tick, 4 ms on many "
        "distributions. A container that may run 1 ms has then run 4, and pays it back by whole "
        "periods in which it stands still, more than it owes. From a few ticks on, the share is "
        "what quota and period say.",
        experiment=_short_period,
    ),
    Claim(
        id="no-throttling-below-the-limit",
        topic=Topic.CPU,
        sentence="A container that uses less than its --cpus on average is never throttled.",
        korean="평균 CPU 사용량이 --cpus보다 적은 컨테이너는 스로틀링되지 않는다.",
        refuted_by="It is stopped in some periods while its mean use is below its limit.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the quota is for each period of 100 ms: a burst uses it up, whatever comes after",
                f"{_BANDWIDTH}; measured",
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cpus 0.5 IMAGE {_BURSTS}",
            "docker stats --no-stream one",
            "docker exec one cat /sys/fs/cgroup/cpu.stat   # nr_throttled; v1: cpu/cpu.stat",
        ),
        story="Dashboards show means over many seconds, the kernel counts in 100 ms. A request "
        "that needs 100 ms of CPU takes 150 ms at --cpus 0.5, though the container idles for the "
        "rest of the minute. nr_throttled tells it, the mean does not.",
        experiment=_not_below_the_limit,
    ),
)
