"""Claims about the CPU limits of a container that runs: update, what binds, what is seen."""

from __future__ import annotations

import math
import time

from harness.cgroup import CgroupPaths
from harness.claims import kernel
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.measured import needs_cpus
from harness.engine.laboratory import Box, Laboratory, refusal
from harness.engine.stats import cpu_percent, seconds_between
from harness.model import UNLIMITED, ClaimVerdict, Finding

_BANDWIDTH = "kernel Documentation/scheduler/sched-bwc.rst"
_DOCKER = When(engine="docker")
_LOOP = "sh -c 'while :; do :; done'"
_HALF = 500_000_000
_SOON_S = 3.0
"""Within so much an effect shows that comes once in a period of 100 ms."""
_READINGS = ("cpu_stats", "precpu_stats")


def _quota_of(box: Box) -> tuple[int | None, str]:
    """The quota that the kernel holds for it, in µs and in words."""
    held = kernel.limits_of(box).cpu_quota_us
    return held, "no quota" if held == UNLIMITED else f"a quota of {held} µs"


def _update(box: Box, **limits: int) -> str:
    """``docker update``; the refusal, empty where it was taken.

    Podman 4.3 has no such verb in its service, as a 404 of its router tells.
    """
    words = refusal(lambda: box.update(**limits))
    if words.endswith(": Not Found."):
        raise NotExercisableError("this engine's API has no docker update")
    return words


def _stopped_from_now(paths: CgroupPaths) -> str:
    """How soon a cgroup in which something spins is stopped in two periods; empty for not soon."""
    began, before = time.monotonic(), kernel.throttled(paths)
    while (took_s := time.monotonic() - began) < _SOON_S:
        if kernel.throttled(paths) >= before + 2:
            return f"was stopped in 2 periods within {took_s * 1e3:.0f} ms"
        time.sleep(0.02)
    return ""


def _update_takes_effect(lab: Laboratory) -> Finding:
    box = lab.create("spin", "60").start()
    paths = kernel.paths_of(box)
    time.sleep(0.3)
    before = kernel.throttled(paths)
    words = _update(box, nano_cpus=100_000_000)
    if words:
        return decided(False, f"docker update --cpus 0.1 of a running container: {words}")
    stopped = _stopped_from_now(paths)
    held, words = _quota_of(box)
    return decided(
        bool(stopped) and not before,
        f"it was stopped in {before} periods before docker update --cpus 0.1, and after it "
        f"{stopped or f'in none within {_SOON_S:g} s'}; the kernel holds {words} of 100000 µs",
        throttled_before=before, throttled_after=bool(stopped), held_us=held,
    )  # fmt: skip


def _update_to_zero(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", nano_cpus=_HALF).start()
    refused = _update(box, nano_cpus=0)
    held, words = _quota_of(box)
    return decided(
        held == UNLIMITED,
        f"docker update --cpus 0 was {'refused' if refused else 'taken'}; the kernel held a quota "
        f"of 50000 µs, and holds {words}",
        held_us=held,
    )


def _update_cannot_remove(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", nano_cpus=_HALF).start()
    refused = _update(box, cpu_quota=UNLIMITED)
    said = f"was refused ({refused})" if refused else "was taken"
    held, words = _quota_of(box)
    told = (box.host_config.get("NanoCpus") or 0) / 1e9
    return decided(
        held != UNLIMITED,
        f"docker update --cpu-quota -1 {said}; the kernel held a quota of 50000 µs, and holds "
        f"{words}, while docker inspect tells {told:g} CPUs",
        held_us=held, inspect_cpus=told,
    )  # fmt: skip


def _seen_inside(lab: Laboratory) -> Finding:
    count = needs_cpus(lab, 2)
    output = lab.run("see", nano_cpus=_HALF).output
    told = dict(line.split(" ", 1) for line in output.splitlines())
    affinity, online = int(told["affinity"]), int(told["online"])
    return decided(
        affinity == 1,
        f"with --cpus 0.5 a program inside may run on {affinity} CPUs, and sees {online} online; "
        f"the engine has {count}",
        affinity_cpus=affinity, online_cpus=online, engine_cpus=count,
    )  # fmt: skip


def _parent_binds(lab: Laboratory) -> Finding:
    parent = lab.cgroup_parent()
    box = lab.create("spin", "60", cgroup_parent=parent).start()
    above = next(iter(kernel.paths_of(box).above()), None)
    if above is None or not above.at.endswith(parent):
        at = above.at if above else "nothing that is visible here"
        return decided(False, f"it asked to be below {parent}, and is below {at}")
    kernel.set_quota(above, 10_000)
    stopped = _stopped_from_now(above)
    own, words = _quota_of(box)
    return decided(
        bool(stopped),
        f"{above.at} has 10000 µs of each 100000 µs, and the container below it, with {words} of "
        f"its own, {stopped or f'was not stopped within {_SOON_S:g} s'}",
        throttled_above=bool(stopped), own_quota_us=own,
    )  # fmt: skip


def _percent_of_the_host(lab: Laboratory) -> Finding:
    count = needs_cpus(lab, 2)
    frame = lab.create("spin", "60").start().stats()
    percent = cpu_percent(frame)
    try:
        cpu, before = (frame[key]["cpu_usage"]["total_usage"] for key in _READINGS)
        span_s = seconds_between(frame["preread"], frame["read"])
    except (KeyError, TypeError, ValueError):
        cpu = before = span_s = 0
    # Podman's single frame has none before it, or one of a millisecond ago.
    if not percent or cpu <= before or not 0.1 <= span_s <= 60:
        raise NotExercisableError("one frame of docker stats has none before it on this engine")
    used = (cpu - before) / 1e9 / span_s
    # Which of two it is, and not how right: a frame may be off by some per cent (bench audit).
    of_host, of_one = (abs(math.log(percent / (100 * used / n))) for n in (count, 1))
    return decided(
        of_host < of_one,
        f"docker stats says {percent:.1f} % where the cgroup's counter makes {used:.3f} CPUs, "
        f"which are {100 * used:.1f} % of one CPU and {100 * used / count:.1f} % of all {count}",
        stats_percent=percent, cpus=used, engine_cpus=count,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="update-cpus-takes-effect",
        topic=Topic.CPU,
        sentence="docker update --cpus changes the limit of a running container at once.",
        korean="docker update --cpus는 실행 중인 컨테이너의 CPU 제한을 바로 바꾼다.",
        refuted_by="After it, a container that wants a whole CPU is not stopped in its periods.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the runtime writes the kernel's file, and the next period has the new quota",
                f"{_BANDWIDTH}; measured",
                _DOCKER,
            ),
        ),
        by_hand=(
            f"docker run -d --name one IMAGE {_LOOP}",
            "docker stats --no-stream one   # about 100 %",
            "docker update --cpus 0.1 one",
            "docker stats --no-stream one   # about 10 %",
        ),
        story="No restart is needed: the quota is a number in a file of the cgroup, and holds from "
        "the next period on. The program is not told. A runtime that made as many threads as it "
        "saw CPUs at its start keeps them.",
        experiment=_update_takes_effect,
    ),
    Claim(
        id="update-cpus-0-removes-the-limit",
        topic=Topic.CPU,
        sentence="docker update --cpus 0 takes the CPU limit of a container away.",
        korean="docker update --cpus 0은 컨테이너의 CPU 제한을 없앤다.",
        refuted_by="The kernel holds the same quota as before.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "0 means that nothing was asked for, and nothing is done, without a word",
                "moby container/container_unix.go, UpdateContainer; measured on 20.10",
                _DOCKER,
            ),
        ),
        by_hand=(
            "docker run -d --name one --cpus 0.5 IMAGE sleep 60",
            "docker update --cpus 0 one && docker inspect -f '{{.HostConfig.NanoCpus}}' one",
        ),
        story="The engine's API cannot tell 0 from not given, so an update to 0 is taken and does "
        "nothing. The same holds for --cpu-shares 0, --memory 0 and --cpuset-cpus ''. What does "
        "take the limit away is --cpus with as many as the host has, or --cpu-quota -1.",
        experiment=_update_to_zero,
    ),
    Claim(
        id="update-cannot-remove-a-cpu-limit",
        topic=Topic.CPU,
        sentence="docker update can change a CPU limit, but can never take it away.",
        korean="docker update로는 CPU 제한을 바꿀 수만 있고 없앨 수는 없다.",
        refuted_by="After docker update --cpu-quota -1 the kernel holds no quota.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "-1 is no quota, and it is taken of a container that was made with --cpus too",
                "moby container/container_unix.go, UpdateContainer, refuses a quota > 0 alone; "
                "measured on 20.10",
                _DOCKER,
            ),
        ),
        by_hand=(
            "docker run -d --name one --cpus 0.5 IMAGE sleep 60",
            "docker update --cpu-quota -1 one",
            "docker exec one cat /sys/fs/cgroup/cpu.max   # v1: cpu/cpu.cfs_quota_us",
            "docker inspect -f '{{.HostConfig.NanoCpus}} {{.HostConfig.CpuQuota}}' one",
        ),
        story="--cpu-quota -1 removes the quota, also of a container that was made with --cpus, "
        "though any other --cpu-quota is refused there. docker inspect then goes on telling the "
        "old NanoCpus beside CpuQuota -1: what is in force, only the kernel's file tells.",
        experiment=_update_cannot_remove,
    ),
    Claim(
        id="nproc-shows-the-quota",
        topic=Topic.CPU,
        sentence="In a container with --cpus 0.5, nproc shows 1.",
        korean="--cpus 0.5로 만든 컨테이너 안에서 nproc은 1을 보여 준다.",
        refuted_by="A program inside may run on as many CPUs as the engine has, and sees them all.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "nproc asks for the affinity, which a quota does not change",
                "man 2 sched_getaffinity; measured on v1 and v2",
            ),
        ),
        by_hand=(
            "docker run --rm --cpus 0.5 IMAGE nproc",
            "docker run --rm --cpuset-cpus 0 IMAGE nproc   # 1",
        ),
        story="A quota is CPU time, and no number of CPUs: the container may use them all, for a "
        "short while each. Programs that start a thread for each CPU that they see start too "
        "many, spend the quota at once and then stand still together. Only a cpuset is seen by "
        "nproc (coreutils 9.8 and later look into cgroup v2's cpu.max as well).",
        experiment=_seen_inside,
    ),
    Claim(
        id="parent-cgroup-binds",
        topic=Topic.CPU,
        sentence="A CPU limit on the parent cgroup binds a container that has none of its own.",
        korean="상위 cgroup의 CPU 제한은 자체 제한이 없는 하위 컨테이너에도 적용된다.",
        refuted_by="The parent has a quota, and is never stopped while the container spins.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "time is taken from every cgroup up to the root, and the tightest binds",
                f"{_BANDWIDTH}, Hierarchical considerations; measured",
            ),
        ),
        by_hand=(
            f"docker run -d --name one --cgroup-parent /mine IMAGE {_LOOP}",
            "echo 10000 100000 > /sys/fs/cgroup/mine/cpu.max   # v1: cpu/mine/cpu.cfs_quota_us",
            "docker stats --no-stream one   # about 10 %",
            "docker inspect -f '{{.HostConfig.NanoCpus}} {{.HostConfig.CpuQuota}}' one   # 0 0",
        ),
        story="What a container uses is charged to its cgroup and to all above: a slice, a pod, a "
        "CI job that runs Docker inside. When the parent's quota is used up, all below stand "
        "still, and neither docker inspect nor the container's own counters show why.",
        experiment=_parent_binds,
    ),
    Claim(
        id="stats-percent-is-of-the-host",
        topic=Topic.CPU,
        sentence="100 % of CPU in docker stats means that every CPU of the host is busy.",
        korean="docker stats의 CPU 100 %는 호스트의 모든 CPU를 다 쓰고 있다는 뜻이다.",
        refuted_by="One busy thread is told as nearer to 100 % than to its share of the host.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "100 % is one CPU: two busy ones are 200 %",
                "docker/cli cli/command/container/stats_helpers.go; bench audit",
            ),
        ),
        by_hand=(
            f"docker run -d --name one IMAGE {_LOOP}",
            "docker stats --no-stream one   # about 100 %, however many CPUs there are",
        ),
        story="The command multiplies the share of the host's CPU time by the number of its CPUs. "
        "So 100 % is one CPU, and --cpus 0.5 shows as 50 %. The number of CPUs is the engine's "
        "own affinity, and the host's time leaves out what a hypervisor stole.",
        experiment=_percent_of_the_host,
    ),
)
