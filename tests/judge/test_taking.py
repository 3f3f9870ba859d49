"""What limits promise that refuse, and what is made of a report of taking."""

from __future__ import annotations

import errno
import signal
from dataclasses import replace
from typing import Any

import pytest

from harness import units
from harness.judge import laws, taking
from harness.judge.laws import Circumstances
from harness.judge.metrics import METRICS
from harness.model import (
    ContainerRecord,
    ContainerSpec,
    EffectiveLimits,
    Expectation,
    Limits,
    MemoryCounters,
    Point,
    Sample,
    Take,
    TakeReport,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS

MIB = 1 << 20
GIVEN = Circumstances(engine=ENGINE_FACTS, host=replace(HOST_FACTS, swap_bytes=0))
KILLED = -int(signal.SIGKILL)


def promised(
    limits: Limits, take: Take, given: Circumstances = GIVEN, containers: int = 1
) -> dict[str, Expectation]:
    spec = ContainerSpec(limits=limits, workload=take)
    point = Point(id="p", axis="pids", value="v", containers=(spec,) * containers)
    return {law.metric: law for law in laws.expectations(point, given)}


def test_whole_pages_are_those_of_the_host() -> None:
    large = replace(GIVEN, host=replace(GIVEN.host, page_bytes=64 << 10))
    for limits, take, bytes_ in (
        (Limits(ulimit_memlock="200000"), Take(kind="lock", most=MIB), 3 * (64 << 10)),
        (Limits(ulimit_stack="300000"), Take(kind="stack", most=MIB), 4 * (64 << 10)),
        (Limits(shm_size_bytes=MIB + 1), Take(kind="file", most=2 * MIB, path="/dev/shm"),
         17 * (64 << 10)),
    ):  # fmt: skip
        assert promised(limits, take, large)["taken_bytes"].value == bytes_


@pytest.mark.parametrize(
    ("limits", "take", "metric", "value", "refusal"),
    [
        (Limits(pids_limit=16), Take(most=24), "taken", 16, errno.EAGAIN),
        (Limits(pids_limit=16), Take(kind="thread", most=24), "taken", 16, errno.EAGAIN),
        (Limits(pids_limit=16), Take(most=8), "taken", 8, 0),
        (Limits(pids_limit=0), Take(most=1200), "taken", 1200, 0),
        (Limits(pids_limit=-1), Take(most=1200), "taken", 1200, 0),
        (Limits(), Take(most=1200), "taken", 1100, errno.EAGAIN),  # every container of ours
        (Limits(pids_limit=16, ulimit_nproc="8"), Take(most=24), "taken", 8, errno.EAGAIN),
        (Limits(ulimit_nofile="64:128"), Take(kind="descriptor", most=96), "taken", 64,
         errno.EMFILE),
        (Limits(ulimit_memlock="70000"), Take(kind="lock", most=MIB), "taken_bytes", 69_632,
         errno.ENOMEM),
        (Limits(ulimit_memlock="0"), Take(kind="lock", most=MIB), "taken_bytes", 0, errno.EPERM),
        (Limits(ulimit_stack="300000"), Take(kind="stack", most=MIB), "taken_bytes", 299_008,
         -signal.SIGSEGV),
        (Limits(ulimit_fsize="65537"), Take(kind="file", most=MIB, path="/dev/shm"),
         "taken_bytes", 65_537, -signal.SIGXFSZ),
        (Limits(shm_size_bytes=MIB), Take(kind="file", most=2 * MIB, path="/dev/shm"),
         "taken_bytes", MIB, errno.ENOSPC),
        (Limits(shm_size_bytes=MIB + 1), Take(kind="file", most=2 * MIB, path="/dev/shm"),
         "taken_bytes", MIB + 4096, errno.ENOSPC),
        (Limits(tmpfs="/scratch:size=2m"), Take(kind="file", most=4 * MIB, path="/scratch"),
         "taken_bytes", 2 * MIB, errno.ENOSPC),
        (Limits(ulimit_cpu="1"), Take(kind="cpu", most=2 * 10**9), "taken_cpu_s", 1, KILLED),
        (Limits(ulimit_cpu="1:2"), Take(kind="cpu", most=2 * 10**9), "taken_cpu_s", 1,
         -signal.SIGXCPU),
    ],
)  # fmt: skip
def test_so_many_and_then(
    limits: Limits, take: Take, metric: str, value: float, refusal: int
) -> None:
    found = promised(limits, take)
    assert found[metric].value == value
    assert found["refusal"].value == refusal
    assert next(iter(found)) == metric


def test_the_memory_limit_may_come_first_and_then_it_kills() -> None:
    limits = Limits(shm_size_bytes=64 * MIB, memory_bytes=16 * MIB, memory_swap_bytes=16 * MIB)
    found = promised(limits, Take(kind="file", most=96 * MIB, path="/dev/shm"))
    assert 15 * MIB < found["taken_bytes"].value < 16 * MIB
    assert found["refusal"].value == KILLED
    assert "charged_bytes" not in found  # who is killed gives back what it had
    above = replace(GIVEN, effective=(EffectiveLimits(memory_bytes=8 * MIB, memory_at="/pods"),))
    found = promised(limits, Take(kind="file", most=96 * MIB, path="/dev/shm"), above)
    assert found["taken_bytes"].bound == "/pods"


def test_a_limit_on_tasks_above_the_container_binds_and_counts_elsewhere() -> None:
    above = replace(GIVEN, effective=(EffectiveLimits(pids=12, pids_at="/pods"),))
    found = promised(Limits(pids_limit=16), Take(most=24), above)
    assert (found["taken"].value, found["taken"].bound) == (12, "/pods")
    assert "tasks_refused" not in found


def test_what_nobody_asked_for_is_nobodys_promise() -> None:
    assert promised(Limits(), Take(kind="descriptor", most=96)) == {}
    assert promised(Limits(), Take(kind="cpu", most=10**9)) == {}
    assert promised(Limits(), Take(kind="file", most=MIB, path="/data")) == {}


def test_tasks_of_one_user_are_counted_over_containers() -> None:
    found = promised(Limits(ulimit_nproc="64"), Take(most=96), containers=2)
    assert found["taken_together"].value == 64
    tighter = Limits(ulimit_nproc="64", pids_limit=16)
    assert promised(tighter, Take(most=96), containers=2) == {}


def report(**changes: Any) -> ContainerRecord:
    took = TakeReport(
        kind="process", t_start_ns=1, t_end_ns=2, most=24, taken=16, errno=errno.EAGAIN, signal=0
    )
    return ContainerRecord(requested=Limits(), take=replace(took, **changes))


def test_what_a_report_comes_to() -> None:
    assert taking.taken(report()) == 16
    assert taking.taken_bytes(report()) is None
    assert taking.taken_bytes(report(kind="stack", taken=4096)) == 4096
    assert taking.taken_cpu_s(report(kind="cpu", taken=10**9)) == 1
    assert taking.refusal(report()) == errno.EAGAIN
    assert taking.refusal(report(errno=0, signal=25)) == -25
    assert taking.taken(report(t_start_ns=None)) is None  # it never began
    assert taking.refusal(ContainerRecord(requested=Limits())) is None
    last = Sample(t_mono_ns=5, tasks_refused=1)
    assert taking.tasks_refused(replace(report(), last=last)) == 1
    assert taking.tasks_refused(report()) is None


def test_a_kill_that_was_not_for_memory_is_nobodys_promise() -> None:
    none = MemoryCounters(oom_kills=0)
    killed = replace(report(kind="file", errno=0, signal=9), memory_first=none, memory_last=none)
    assert "not for this container's memory" in taking.killed_for_other_reasons(killed)
    for_memory = replace(killed, memory_last=MemoryCounters(oom_kills=1))
    assert not taking.killed_for_other_reasons(for_memory)
    of_cpu = replace(report(kind="cpu", errno=0, signal=9), memory_first=none, memory_last=none)
    assert not taking.killed_for_other_reasons(of_cpu)
    assert taking.killed_for_other_reasons(ContainerRecord(requested=Limits()))


def test_a_refusal_is_told_by_its_name() -> None:
    unit = units.of(METRICS["refusal"].unit)
    assert [unit.text(code) for code in (0, 11, 28, -9, -25)] == [
        "nothing", "EAGAIN", "ENOSPC", "SIGKILL", "SIGXFSZ",
    ]  # fmt: skip
    assert unit.number(11) == "EAGAIN"
    assert unit.text(11.5) == "not one thing"
    assert (unit.difference(0), unit.difference(13)) == ("the same", "another")
