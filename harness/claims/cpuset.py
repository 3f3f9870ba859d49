"""Claims about --cpuset-cpus."""

from __future__ import annotations

import time

from harness.claims import kernel
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.measured import needs_cpus
from harness.engine.laboratory import Laboratory
from harness.errors import EngineRefusedError
from harness.limits import format_cpu_list
from harness.model import ClaimVerdict, Finding

_CPUSETS = "kernel Documentation/admin-guide/cgroup-v1/cpusets.rst"
_DOCKER = When(engine="docker")
_SOON_S = 3.0
"""More than the scheduler takes to move a thread to an idle CPU."""


def _begin_with_0(lab: Laboratory) -> Finding:
    count, numbers = needs_cpus(lab, 2), lab.facts.cpus_to_give.numbers
    asked = f"0-{min(3, count - 1) - 1}".removesuffix("-0")
    first = frozenset(range(min(3, count - 1)))
    if not first <= set(numbers) or max(numbers) != count - 1:
        listed = format_cpu_list(frozenset(numbers))
        raise NotExercisableError(f"the engine's CPUs are {listed}, and not the first {count}")
    given = kernel.cpus_allowed(lab.create("sleep", "60", cpuset_cpus=asked).start())
    refused = False
    try:
        lab.create("sleep", "60", cpuset_cpus=f"{count}").start()
    except EngineRefusedError:
        refused = True
    return decided(
        given == first and refused,
        f"--cpuset-cpus {asked} gave CPUs {format_cpu_list(given)} of 0-{count - 1}; "
        f"number {count} was {'refused' if refused else 'taken'}",
        asked=asked, given=format_cpu_list(given), engine_cpus=count, one_more_refused=refused,
    )  # fmt: skip


def _reserves(lab: Laboratory) -> Finding:
    needs_cpus(lab, 2)
    own = lab.facts.cpus_to_give.numbers[0]
    lab.create("sleep", "60", cpuset_cpus=f"{own}").start()
    # Twice as many threads as CPUs, that none is left free of them.
    threads = min(32, 2 * lab.facts.cpus_to_give.count)
    other = lab.create("spin", "60", f"{threads}").start()
    seen: set[int] = set()
    deadline = time.monotonic() + _SOON_S
    while own not in seen and time.monotonic() < deadline:
        seen |= kernel.cpus_last_used(other)
        time.sleep(0.01)
    text = format_cpu_list(frozenset(seen))
    return decided(
        own not in seen,
        f"one container was given CPU {own}, and another without a cpuset ran on CPUs {text}",
        reserved=own, others_ran_on=text,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="cpuset-numbers-begin-with-0",
        topic=Topic.CPUSET,
        sentence="--cpuset-cpus 0-2 means the first, the second and the third CPU.",
        korean="--cpuset-cpus 0-2는 첫 번째, 두 번째, 세 번째 CPU를 뜻한다.",
        refuted_by="The kernel lets the container run on other CPUs than the first ones, or the "
        "engine takes a number as large as the count of its CPUs.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "CPUs are numbered from 0, and a range names both of its ends",
                f"{_CPUSETS}; moby daemon/daemon_unix.go refuses a CPU that is not there; measured",
                _DOCKER,
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "CPUs are numbered from 0, and the kernel refuses one that is not there",
                f"{_CPUSETS}; measured on Podman 4.3",
                When(engine="podman", cgroup=1),
            ),
        ),
        by_hand=(
            "docker run --rm --cpuset-cpus 0 IMAGE grep Cpus_allowed_list /proc/self/status",
            "docker run --rm --cpuset-cpus 0-2 IMAGE nproc   # 3, where there are as many",
            "docker run --rm --cpuset-cpus $(nproc) IMAGE true   # refused: the last is one less",
        ),
        story="It is a list of numbers, not an amount: 0-2 are the CPUs 0, 1 and 2, and 2 alone is "
        "the third. The experiment asks for as many of the first three as leave one over. The "
        "engine refuses a number that its host does not have.",
        experiment=_begin_with_0,
    ),
    Claim(
        id="cpuset-reserves-its-cpus",
        topic=Topic.CPUSET,
        sentence="The CPUs of --cpuset-cpus belong to that container alone.",
        korean="--cpuset-cpus로 지정한 CPU는 그 컨테이너만 사용한다.",
        refuted_by="A thread of another container is seen on that CPU.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a cpuset says where a container may run, and keeps nobody else away",
                f"{_CPUSETS}; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name one --cpuset-cpus 0 IMAGE sleep 60",
            "docker run -d --name two IMAGE sh -c 'yes >/dev/null & yes >/dev/null'   # one a CPU",
            "ps -eLo psr,comm | grep yes   # all CPUs, number 0 too",
        ),
        story="A cpuset narrows the container that has it, nobody else. Whoever has none runs on "
        "these CPUs too, and so do two containers with the same set. To have CPUs to itself, "
        "every other container and the host's services need a cpuset without them.",
        experiment=_reserves,
    ),
)
