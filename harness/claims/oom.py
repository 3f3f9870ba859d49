"""Claims about what ends at the memory limit, by an OOM kill or not."""

from __future__ import annotations

import time
from typing import Any

from harness import units
from harness.claims import kernel
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.holding import MIB, told
from harness.engine.laboratory import Box, Laboratory
from harness.model import ClaimVerdict, Finding

_LIMIT = 16 * MIB
_TIGHT: dict[str, Any] = {"mem_limit": _LIMIT, "memswap_limit": _LIMIT}
"""No swap, so that it is memory that ends."""
_STANDS_S = 10.0
_V1 = "kernel Documentation/admin-guide/cgroup-v1/memory.rst"
_V2 = "kernel Documentation/admin-guide/cgroup-v2.rst"


def _page_cache(lab: Laboratory) -> Finding:
    size = 2 * _LIMIT
    box = lab.create(
        "fill", "/files/big", f"{size}", "+", "sleep", "60",
        user="0", binds=[f"{lab.volume()}:/files"], **_TIGHT,
    ).start()  # fmt: skip
    if not box.says("filled"):
        ended = box.wait()
        return decided(
            True,
            f"writing {units.size(size)} at --memory 16m ended with exit code {ended.exit_code}, "
            f"OOMKilled {ended.oom_killed}",
            exit_code=ended.exit_code,
        )
    held, written = kernel.memory_of(box), int(box.logs().split()[1])
    return decided(
        False,
        f"{units.size(written)} were written at --memory 16m, and it still runs, with "
        f"{told(held.usage_bytes)} charged to it",
        written_bytes=written, used_bytes=held.usage_bytes, oom_kills=held.oom_kills,
    )  # fmt: skip


def _tmpfs(lab: Laboratory) -> Finding:
    size = 2 * _LIMIT
    ended = lab.run(
        "fill", "/files/big", f"{size}", user="0", tmpfs={"/files": "size=64m"}, **_TIGHT
    )
    whole = ended.exit_code == 0 and ended.output.startswith(f"filled {size} ")
    what = "could be written" if whole else "could not be written"
    return decided(
        whole,
        f"{units.size(size)} {what} to a tmpfs of 64 MiB at --memory 16m: exit code "
        f"{ended.exit_code}, OOMKilled {ended.oom_killed}",
        exit_code=ended.exit_code, oom_killed=ended.oom_killed,
    )  # fmt: skip


def _137_means_oom(lab: Laboratory) -> Finding:
    killed = lab.create("sleep", "60").start()
    killed.kill()
    by_hand = killed.wait()
    by_oom = lab.run("take", f"{4 * _LIMIT}", **_TIGHT)
    return decided(
        by_hand.exit_code != 137 or by_hand.oom_killed,
        f"exit code {by_hand.exit_code} after docker kill (OOMKilled {by_hand.oom_killed}), "
        f"{by_oom.exit_code} after an OOM kill (OOMKilled {by_oom.oom_killed})",
        docker_kill=by_hand.exit_code, oom_kill=by_oom.exit_code,
    )  # fmt: skip


def _takes_all(lab: Laboratory) -> Finding:
    box = _child_killed(lab, lives_s=60)
    runs, kills = bool(box.state["Running"]), 1
    if runs:
        kills = kernel.memory_of(box).oom_kills or 0
    return decided(
        not runs,
        f"the kernel killed {kills} process of two, and the container "
        f"{'still runs' if runs else 'ended'}",
        oom_kills=kills, runs=runs,
    )  # fmt: skip


def _told_at_once(lab: Laboratory) -> Finding:
    box = _child_killed(lab, lives_s=60)
    kills, until = kernel.memory_of(box).oom_kills, time.monotonic() + 1
    while not (at_once := bool(box.state["OOMKilled"])) and time.monotonic() < until:
        time.sleep(0.05)
    box.kill()
    after = box.wait().oom_killed
    return decided(
        at_once,
        f"a second after the kernel's kill of a child OOMKilled is {at_once} while the container "
        f"runs, and {after} once it has ended",
        oom_kills=kills, while_it_runs=at_once, after_its_end=after,
    )  # fmt: skip


def _told_every(lab: Laboratory) -> Finding:
    ended = _child_killed(lab, lives_s=1).wait()
    return decided(
        ended.oom_killed,
        f"a child was OOM-killed, the first process then ended with exit code {ended.exit_code}: "
        f"OOMKilled is {ended.oom_killed}",
        exit_code=ended.exit_code, oom_killed=ended.oom_killed,
    )  # fmt: skip


def _kill_disabled(lab: Laboratory) -> Finding:
    box = lab.create(
        "take", f"{2 * _LIMIT}", "+", "sleep", "60", oom_kill_disable=True, **_TIGHT
    ).start()
    until = time.monotonic() + _STANDS_S
    said = "it neither went on nor ended"
    went_on = stands = False
    while time.monotonic() < until and not stands:
        if went_on := "took" in box.logs():
            said = f"it has {units.size(2 * _LIMIT)}"
            break
        if not box.state["Running"]:
            said = f"it ended with exit code {box.wait().exit_code}"
            break
        stands = _under_oom(box)
        said = "it stands still, waiting for memory (under_oom)" if stands else said
        time.sleep(0.02)
    if box.pid:
        box.kill()
    return decided(
        went_on,
        f"with --oom-kill-disable at --memory 16m {said}; after that OOMKilled is "
        f"{box.state['OOMKilled']}",
        went_on=went_on, under_oom=stands,
    )  # fmt: skip


def _under_oom(box: Box) -> bool:
    try:
        return bool(kernel.memory_of(box).under_oom)
    except NotExercisableError:  # it ends at this moment
        return False


def _child_killed(lab: Laboratory, lives_s: int) -> Box:
    """A container in which a child was OOM-killed, and whose first process lives so long after."""
    box = lab.create("child", f"{4 * _LIMIT}", "+", "sleep", f"{lives_s}", **_TIGHT).start()
    box.says("child ")
    if "child ended" in box.logs():
        raise NotExercisableError("memory is not limited here: a child had four times --memory")
    return box


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="page-cache-gets-a-container-killed",
        topic=Topic.MEMORY,
        sentence="A program that writes a file larger than --memory is OOM-killed.",
        korean="--memory보다 큰 파일을 쓰는 프로그램은 OOM으로 죽는다.",
        refuted_by="A file of twice the limit is written, and nothing is killed.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "page cache is written back and gives way",
                f"{_V1}; {_V2}; measured on v1 and v2",
            ),
        ),
        by_hand=(
            ("docker run --rm -m 16m --memory-swap 16m -v files:/files IMAGE "
            "dd if=/dev/zero of=/files/big bs=1M count=64"),
        ),
        story="What is written goes to the page cache first, which is charged to the container, so "
        "that its use soon stands at the limit. There the kernel writes pages out and drops them: "
        "it becomes slower, and nobody dies. Use at the limit is no alarm where it is cache.",
        experiment=_page_cache,
    ),
    Claim(
        id="tmpfs-is-free-of-the-memory-limit",
        topic=Topic.MEMORY,
        sentence="What is written to a tmpfs does not count towards --memory.",
        korean="tmpfs에 쓴 데이터는 --memory 제한에 포함되지 않는다.",
        refuted_by="Filling a tmpfs to above --memory ends in a kill or an error.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "its pages are shared memory, charged, and have no file",
                f"{_V1}; {_V2}, memory.stat shmem; measured on v1 and v2",
            ),
        ),
        by_hand=(
            ("docker run --rm -m 16m --memory-swap 16m --tmpfs /files:size=64m IMAGE "
            "dd if=/dev/zero of=/files/big bs=1M count=32; echo $?"),
        ),
        story="A tmpfs, /dev/shm too, is memory. Its pages cannot be dropped, since they are "
        "nowhere else; without swap the writer is killed at --memory, though the tmpfs itself has "
        "room. Where its own size is the smaller of the two, the writer gets ENOSPC.",
        experiment=_tmpfs,
    ),
    Claim(
        id="exit-137-means-oom",
        topic=Topic.MEMORY,
        sentence="Exit code 137 means that a container was OOM-killed.",
        korean="종료 코드 137은 컨테이너가 OOM으로 죽었다는 뜻이다.",
        refuted_by="A container that docker kill ended has exit code 137 too.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "137 is 128 + 9, SIGKILL, whoever sent it",
                "man 1 bash, exit status; measured on v1",
            ),
        ),
        by_hand=(
            "docker run -d --name box IMAGE sleep 60; docker kill box",
            "docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' box",
            "docker run --name other -m 16m --memory-swap 16m IMAGE tail /dev/zero",
            "docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' other",
        ),
        story="137 says that SIGKILL ended the first process. docker kill sends it, docker stop "
        "does after the grace time, and so does the OOM killer. OOMKilled of docker inspect, or "
        "the kernel's oom_kill counter, tells which it was.",
        experiment=_137_means_oom,
    ),
    Claim(
        id="oom-kill-ends-the-container",
        topic=Topic.MEMORY,
        sentence="An OOM kill ends the whole container.",
        korean="OOM kill이 일어나면 컨테이너 전체가 종료된다.",
        refuted_by="A child is OOM-killed, and the container still runs.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "one process is chosen, by its size",
                f"{_V1}, OOM control; {_V2}, memory.oom.group (0); measured on v1 and v2",
            ),
        ),
        by_hand=(
            ("docker run -d --name box -m 16m --memory-swap 16m IMAGE "
            "sh -c 'tail /dev/zero; echo tail ended with $?; sleep 60'"),
            "docker logs box; docker ps --filter name=box",
        ),
        story="The kernel kills the process of the cgroup that has the most memory. Where that is "
        "the first process, the container ends with 137. Where it is a worker, the container runs "
        "on with one less. Only memory.oom.group of v2, which Kubernetes sets and Docker does not, "
        "takes them all.",
        experiment=_takes_all,
    ),
    Claim(
        id="oomkilled-is-told-at-once",
        topic=Topic.MEMORY,
        sentence="docker inspect shows OOMKilled as soon as a process was OOM-killed.",
        korean="프로세스가 OOM으로 죽으면 docker inspect에 OOMKilled가 바로 나타난다.",
        refuted_by="OOMKilled is false while the container runs on without the killed process.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "it is set when the container ends",
                "moby daemon/monitor.go, handleContainerExit; measured on v1 and v2 with 20.10",
                When(engine="docker", before=(23,)),
            ),
            Expected(
                ClaimVerdict.HOLDS, "it is set when the event comes",
                "moby daemon/monitor.go, ProcessEvent (EventOOM)",
                When(engine="docker", since=(23,)),
            ),
        ),
        by_hand=(
            ("docker run -d --name box -m 16m --memory-swap 16m IMAGE "
            "sh -c 'tail /dev/zero; sleep 60'"),
            "docker inspect -f '{{.State.Running}} {{.State.OOMKilled}}' box",
            "docker kill box; docker inspect -f '{{.State.OOMKilled}}' box",
        ),
        story="Docker learns of the kill at once, and says so in docker events ('oom'). Up to "
        "22.06 it kept that for the moment when the container ends: a server that loses a worker "
        "an hour shows OOMKilled false for weeks. The kernel's oom_kill counter shows each.",
        experiment=_told_at_once,
    ),
    Claim(
        id="oomkilled-tells-a-childs-kill",
        topic=Topic.MEMORY,
        sentence="OOMKilled is true after every OOM kill, also that of a child.",
        korean="OOMKilled는 자식 프로세스를 포함한 모든 OOM kill 후에 true가 된다.",
        refuted_by="OOMKilled is false at the end of a container in which a child was killed.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS, "the engine hears of any kill in the cgroup",
                "measured on v1", When(cgroup=1),
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "containerd watches oom_kill of memory.events while the first process lives",
                "containerd#6323",
            ),
        ),
        by_hand=(
            ("docker run --name box -m 16m --memory-swap 16m IMAGE "
            "sh -c 'tail /dev/zero; sleep 1; exit 0'"),
            "docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' box",
        ),
        story="The flag is about the cgroup, and not about the first process: exit code 0 and "
        "OOMKilled true go together. On cgroup v2 the news is read from a file that goes with the "
        "last process, so that a kill which ends the container may be missed (seen: one of two). "
        "On v1 it is true without any kill as well, where --oom-kill-disable made tasks wait.",
        experiment=_told_every,
    ),
    Claim(
        id="oom-kill-disable-keeps-it-going",
        topic=Topic.MEMORY,
        sentence="With --oom-kill-disable a container goes on when it needs more than --memory.",
        korean="--oom-kill-disable을 쓰면 메모리가 --memory보다 더 필요해도 계속 실행된다.",
        refuted_by="At the limit it stands still, or is killed all the same.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "what needs memory then waits for it, for ever",
                f"{_V1}, OOM control; measured", When(cgroup=1),
            ),
            Expected(
                ClaimVerdict.REFUTED, "v2 has no such thing: the option is dropped with a warning",
                "moby daemon/daemon_unix.go, verifyPlatformContainerResources", When(cgroup=2),
            ),
        ),
        by_hand=(
            ("docker run -d --name box -m 16m --memory-swap 16m --oom-kill-disable IMAGE "
            "sh -c 'x=x; while :; do x=$x$x; done'"),
            "docker stats --no-stream box",
            "docker kill box",
        ),
        story="The option takes the killer away, and gives no memory. On cgroup v1 every process "
        "that touches a new page sleeps in the kernel until somebody frees some: the container is "
        "'running' and does nothing; docker exec and docker top hang with it. What a system call "
        "needs fails instead. Signals still end it; Docker then calls it OOMKilled, though nothing "
        "was. On v2 the option does nothing.",
        experiment=_kill_disabled,
    ),
)  # fmt: skip
