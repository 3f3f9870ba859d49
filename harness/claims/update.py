"""Claims about what becomes of a memory limit: docker update, restart."""

from __future__ import annotations

import time

from harness.claims import kernel
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.holding import MIB, holding, told
from harness.engine.laboratory import Laboratory, refusal
from harness.model import ClaimVerdict, Finding

_UPDATES = "moby container/container_unix.go, UpdateContainer"
_DOCKER = When(engine="docker")
_READ = (
    "docker exec box sh -c 'cd /sys/fs/cgroup; cat memory.max || cat memory/memory.limit_in_bytes'"
)


def _update_takes(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", mem_limit=32 * MIB, memswap_limit=32 * MIB).start()
    pid, asked = box.pid, 24 * MIB
    words = refusal(lambda: box.update(mem_limit=asked, memswap_limit=asked))
    held, same = kernel.limits_of(box).memory_bytes, box.pid == pid
    return decided(
        held == asked and same,
        f"after the update from 32 MiB to 24 MiB the kernel holds {told(held)}, and "
        f"{'the same process runs' if same else 'another process runs'}"
        + (f"; {words}" if words else ""),
        asked_bytes=asked, held_bytes=held,
    )  # fmt: skip


def _update_zero(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", mem_limit=32 * MIB).start()
    words = refusal(lambda: box.update(mem_limit=0))
    held = kernel.limits_of(box).memory_bytes
    return decided(
        held == -1,
        f"after docker update --memory 0, which was {'refused' if words else 'not refused'}, the "
        f"kernel holds {told(held)}; before it was 32 MiB",
        held_bytes=held, refused=bool(words),
    )  # fmt: skip


def _update_below(lab: Laboratory) -> Finding:
    box = holding(lab, 48 * MIB, mem_limit=64 * MIB, memswap_limit=64 * MIB)
    if box is None:
        raise NotExercisableError("48 MiB were not to be had with --memory 64m")
    words = refusal(lambda: box.update(mem_limit=60 * MIB, memswap_limit=60 * MIB))
    if words:
        raise NotExercisableError(f"an update that suits is refused too: {words}")
    words = refusal(lambda: box.update(mem_limit=16 * MIB, memswap_limit=16 * MIB))
    until = time.monotonic() + (0 if words else 3)
    while (runs := bool(box.state["Running"])) and time.monotonic() < until:
        time.sleep(0.02)
    answer = "refused" if words else "taken"
    if not runs:
        return decided(
            True, f"the update from 60 MiB to 16 MiB with 48 MiB in use was {answer}, and it ended"
        )
    held, used = kernel.limits_of(box).memory_bytes, kernel.memory_of(box).usage_bytes
    return decided(
        False,
        f"the update to 16 MiB was {answer}; it still runs with {told(used)} in use, and the "
        f"kernel holds {told(held)}",
        held_bytes=held, used_bytes=used, refused=bool(words),
    )  # fmt: skip


def _update_raises(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", mem_limit=16 * MIB).start()
    words = refusal(lambda: box.update(mem_limit=48 * MIB))
    held = kernel.limits_of(box).memory_bytes
    said = words.replace(box.id, box.name) or "taken"
    return decided(
        held == 48 * MIB,
        f"docker update --memory 48m of a container with --memory 16m: {said}; the kernel holds "
        f"{told(held)}",
        held_bytes=held, refused=bool(words),
    )  # fmt: skip


def _survives_restart(lab: Laboratory) -> Finding:
    limit = 32 * MIB
    box = lab.create("sleep", "60", mem_limit=limit).start()
    held = [kernel.limits_of(box).memory_bytes]
    box.restart()
    held.append(kernel.limits_of(box).memory_bytes)
    box.stop(0)
    box.start()
    held.append(kernel.limits_of(box).memory_bytes)
    return decided(
        held == [limit] * 3,
        f"--memory 32m: the kernel holds {told(held[0])}, after restart {told(held[1])}, after "
        f"stop and start {told(held[2])}",
        first_bytes=held[0], restarted_bytes=held[1], started_bytes=held[2],
    )  # fmt: skip


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="memory-update-takes",
        topic=Topic.MEMORY,
        sentence="docker update --memory changes the limit of a running container at once.",
        korean="docker update --memory는 실행 중인 컨테이너의 제한을 즉시 바꾼다.",
        refuted_by="The kernel's file holds the old limit, or the program was started again.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the runtime writes the kernel's file of the live cgroup",
                "runc update.go; measured on v1 and v2",
                _DOCKER,
            ),
        ),
        by_hand=(
            "docker run -d --name box -m 32m --memory-swap 32m IMAGE sleep 60",
            "docker update -m 24m --memory-swap 24m box",
            _READ,
        ),
        story="A limit is a number in a file of the container's cgroup. Update writes another one, "
        "and the next charge is held against it. The program is told nothing: a heap that was "
        "sized at its start stays as it is.",
        experiment=_update_takes,
    ),
    Claim(
        id="memory-update-0-lifts-the-limit",
        topic=Topic.MEMORY,
        sentence="docker update --memory 0 removes the memory limit.",
        korean="docker update --memory 0은 메모리 제한을 없앤다.",
        refuted_by="The kernel still holds the old limit.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "0 means 'not given', and nothing is changed or said",
                f"{_UPDATES}; moby#41946; measured on 20.10",
                _DOCKER,
            ),
        ),
        by_hand=(
            "docker run -d --name box -m 32m IMAGE sleep 60",
            "docker update -m 0 box",
            "docker inspect -f '{{.HostConfig.Memory}}' box",
        ),
        story="At create, 0 is no limit. In an update it is what stands there when the option was "
        "not given at all, so that it changes nothing, without a word. What comes nearest is a "
        "limit as large as the host.",
        experiment=_update_zero,
    ),
    Claim(
        id="memory-update-below-use-kills",
        topic=Topic.MEMORY,
        sentence="docker update --memory to less than is in use kills the container.",
        korean="사용 중인 양보다 작게 docker update --memory를 하면 컨테이너가 죽는다.",
        refuted_by="The update is refused, or taken, and the container still runs.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the kernel refuses a limit that it cannot reclaim down to",
                "kernel mm/memcontrol-v1.c, mem_cgroup_resize_max (EBUSY); measured on v1",
                When(engine="docker", cgroup=1),
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "memory.max is set first, then reclaimed, then killed for",
                "kernel mm/memcontrol.c, memory_max_write",
                When(engine="docker", cgroup=2),
            ),
        ),
        by_hand=(
            (
                "docker run -d --name box -m 64m --memory-swap 64m IMAGE "
                "sh -c 'head -c 24m /dev/zero >/dev/shm/x; sleep 60'"
            ),
            "docker update -m 16m --memory-swap 16m box",
            "docker ps -a --filter name=box",
        ),
        story="On cgroup v1 the kernel tries to reclaim, fails, answers EBUSY and keeps the old "
        "limit: Docker says 'unable to set memory limit' with what is in use. On v2 the new limit "
        "stands from the first moment, and if reclaim does not get there the OOM killer does.",
        experiment=_update_below,
    ),
    Claim(
        id="memory-update-raises-alone",
        topic=Topic.MEMORY,
        sentence="docker update --memory alone can raise the limit as far as one likes.",
        korean="docker update --memory만으로 제한을 얼마든지 올릴 수 있다.",
        refuted_by="A limit above the old --memory-swap is refused.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "it must stay below the --memory-swap that is already set",
                f"{_UPDATES}; measured on 20.10",
                _DOCKER,
            ),
        ),
        by_hand=(
            "docker run -d --name box -m 16m IMAGE sleep 60",
            "docker update -m 48m box",
            "docker update -m 48m --memory-swap 96m box",
        ),
        story="Who sets only --memory has got a --memory-swap of twice that. It is the total of "
        "both, so that --memory can be no larger: from 16 MiB one comes to 32 MiB by itself, and "
        "further only with --memory-swap in the same command.",
        experiment=_update_raises,
    ),
    Claim(
        id="memory-limit-survives-restart",
        topic=Topic.MEMORY,
        sentence="A container keeps its memory limit over restart, stop and start.",
        korean="컨테이너의 메모리 제한은 restart, stop, start 후에도 유지된다.",
        refuted_by="The kernel holds another limit after restart, or after stop and start.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the cgroup is made anew at each start, from what the engine keeps",
                "moby daemon/oci_linux.go, WithResources; measured on v1",
            ),
        ),
        by_hand=(
            "docker run -d --name box -m 32m IMAGE sleep 60",
            "docker restart -t 0 box",
            _READ,
        ),
        story="The cgroup goes with the last process. The limit is part of the container's "
        "configuration, which the engine keeps on disk, and every start writes it again. What "
        "somebody wrote into the kernel's files by hand is lost, what docker update set is not.",
        experiment=_survives_restart,
    ),
)
