"""Claims about --memory-swap, which is memory with swap.

What an option comes to is read back from the kernel, on any host; what a program then has needs
swap on the host.
"""

from __future__ import annotations

from harness import units
from harness.claims import kernel
from harness.claims.claim import (
    Claim,
    Expected,
    NotExercisableError,
    Topic,
    When,
    decided,
    inconclusive,
)
from harness.claims.holding import MIB, holding, told
from harness.engine.laboratory import Box, Laboratory, refusal
from harness.host import identity
from harness.model import ClaimVerdict, Finding

_MEMORY = 32 * MIB
_UNLIMITED = -1
_CHECKS = "moby daemon/daemon_unix.go, verifyPlatformContainerResources"
_ADAPTS = "moby daemon/daemon_unix.go, adaptContainerSettings"
_V1 = "kernel Documentation/admin-guide/cgroup-v1/memory.rst"
_V2 = "kernel Documentation/admin-guide/cgroup-v2.rst"
_DOCKER = When(engine="docker")
_PODMAN = When(engine="podman")
_READ = "docker exec box sh -c 'cd /sys/fs/cgroup; cat memory.swap.max memory/memory.memsw.limit*'"


def _total(box: Box) -> int:
    """Memory and swap together, as the kernel holds it."""
    held = kernel.limits_of(box).memory_swap_bytes
    if held is None:
        raise NotExercisableError(
            "this kernel does not account for swap (v1: boot option swapaccount=1)"
        )
    return held


def _asked(lab: Laboratory, swap: int | None) -> tuple[int, str]:
    """The total that comes of --memory 32m and that --memory-swap, and the same in words."""
    box = lab.create("sleep", "60", mem_limit=_MEMORY, memswap_limit=swap).start()
    total = _total(box)
    option = "no --memory-swap" if swap is None else f"--memory-swap {_option(swap)}"
    what = "no limit" if total < 0 else f"{units.size(total)} in all"
    if total >= 0:
        what += f", which is {units.size(max(0, total - _MEMORY))} of swap"
    return total, f"--memory 32m and {option}: the kernel holds {what}"


def _option(value: int) -> str:
    return f"{value}" if value <= 0 else f"{value // MIB}m"


def _zero(lab: Laboratory) -> Finding:
    total, said = _asked(lab, 0)
    return decided(total == _MEMORY, said, total_bytes=total)


def _equal(lab: Laboratory) -> Finding:
    total, said = _asked(lab, _MEMORY)
    return decided(total == _MEMORY, said, total_bytes=total)


def _minus_one(lab: Laboratory) -> Finding:
    total, said = _asked(lab, _UNLIMITED)
    return decided(total == _UNLIMITED, said, total_bytes=total)


def _unset(lab: Laboratory) -> Finding:
    total, said = _asked(lab, None)
    return decided(total == 2 * _MEMORY, said, total_bytes=total)


def _amount(lab: Laboratory) -> Finding:
    swap = 48 * MIB
    total, said = _asked(lab, swap)
    return decided(total == _MEMORY + swap, said, total_bytes=total)


def _without_memory(lab: Laboratory) -> Finding:
    words = refusal(lambda: lab.create("exit", "0", memswap_limit=2 * _MEMORY))
    return decided(not words, words or "--memory-swap 64m is taken without --memory")


def _below_memory(lab: Laboratory) -> Finding:
    words = refusal(lambda: lab.create("exit", "0", mem_limit=_MEMORY, memswap_limit=_MEMORY // 2))
    return decided(not words, words or "--memory 32m with --memory-swap 16m is taken")


def _lifted(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", mem_limit=_MEMORY).start()
    before = _total(box)
    words = refusal(lambda: box.update(memswap_limit=_UNLIMITED))
    after, says = _total(box), int(box.host_config["MemorySwap"])
    return decided(
        after == _UNLIMITED,
        f"docker update --memory-swap -1 was {'refused' if words else 'not refused'}: the kernel "
        f"held {told(before)} and holds {told(after)}, docker inspect says {told(says)}",
        before_bytes=before, after_bytes=after, engine_bytes=says, refused=bool(words),
    )  # fmt: skip


def _adds_up(lab: Laboratory) -> Finding:
    swap, wanted, fits = 48 * MIB, 64 * MIB, 40 * MIB
    _needs_swap(wanted)
    if holding(lab, fits, mem_limit=_MEMORY, memswap_limit=swap) is None:
        return inconclusive("not even 40 MiB were to be had with --memory 32m --memory-swap 48m")
    box = holding(lab, wanted, mem_limit=_MEMORY, memswap_limit=swap)
    return decided(
        box is not None,
        "with --memory 32m --memory-swap 48m a program has 40 MiB, and one that wants 64 MiB "
        f"{'has them too' if box else 'is killed'}",
        wanted_bytes=wanted, killed=box is None,
    )  # fmt: skip


def _killed_at_memory(lab: Laboratory) -> Finding:
    wanted = 48 * MIB
    _needs_swap(wanted)
    box = holding(lab, wanted, mem_limit=_MEMORY)
    if box is None:
        return decided(True, "48 MiB at --memory 32m, with swap on the host: killed")
    held = kernel.memory_of(box)
    return decided(
        False,
        f"it holds 48 MiB at --memory 32m: {told(held.usage_bytes)} are charged as memory, "
        f"{told(held.swap_bytes)} are in swap",
        used_bytes=held.usage_bytes, swap_bytes=held.swap_bytes,
    )  # fmt: skip


def _swappiness_zero(lab: Laboratory) -> Finding:
    wanted = 48 * MIB
    _needs_swap(wanted)
    box = holding(lab, wanted, mem_limit=_MEMORY, memswap_limit=96 * MIB, mem_swappiness=0)
    what = "is killed" if box is None else "lives"
    swapped = None if box is None else kernel.memory_of(box).swap_bytes
    return decided(
        box is None,
        f"with --memory-swappiness 0, --memory 32m and --memory-swap 96m a program of 48 MiB "
        f"{what}" + ("" if box is None else f", {told(swapped)} of it in swap"),
        killed=box is None, swap_bytes=swapped,
    )  # fmt: skip


def _needs_swap(wanted: int) -> None:
    free = identity.conditions().swap_free_bytes
    if free < wanted:
        raise NotExercisableError(
            f"this host has {units.size(free)} of free swap, and {units.size(wanted)} are needed "
            "(man swapon)"
        )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="memory-swap-0-switches-swap-off",
        topic=Topic.SWAP,
        sentence="--memory-swap 0 switches swap off.",
        korean="--memory-swap 0은 스왑을 사용하지 않게 한다.",
        refuted_by="The kernel allows memory and swap together more than --memory.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "0 means 'not set', and that is twice the memory",
                f"{_ADAPTS}; measured on v1",
            ),
        ),
        by_hand=("docker run -d --name box -m 32m --memory-swap 0 IMAGE sleep 60", _READ),
        story="0 is what Docker has for 'the option was not given', and then the total is made "
        "twice --memory: as much swap as memory. Swap is off where both numbers are equal.",
        experiment=_zero,
    ),
    Claim(
        id="memory-swap-equal-switches-swap-off",
        topic=Topic.SWAP,
        sentence="--memory-swap equal to --memory switches swap off.",
        korean="--memory-swap을 --memory와 같게 하면 스왑을 사용하지 않는다.",
        refuted_by="The kernel allows memory and swap together more than --memory.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS, "a total of the memory leaves nothing for swap",
                f"{_V1}, memsw; {_V2}, memory.swap.max; measured on v1 and v2",
            ),
        ),
        by_hand=("docker run -d --name box -m 32m --memory-swap 32m IMAGE sleep 60", _READ),
        story="On v1 memory.memsw.limit_in_bytes, which counts both, is the same as the limit of "
        "memory; on v2 memory.swap.max is 0. At the limit, anonymous memory then ends in a kill.",
        experiment=_equal,
    ),
    Claim(
        id="memory-swap-minus-1-is-unlimited",
        topic=Topic.SWAP,
        sentence="--memory-swap -1 lets a container use as much swap as the host has.",
        korean="--memory-swap -1이면 컨테이너는 호스트의 스왑을 제한 없이 사용할 수 있다.",
        refuted_by="The kernel holds a limit of swap.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "its Docker-compatible API takes only what is positive",
                "measured on Podman 4.3", _PODMAN,
            ),
            Expected(
                ClaimVerdict.HOLDS, "it is written as no limit",
                "runc libcontainer/cgroups/fs/memory.go; measured on v1 and v2",
            ),
        ),
        by_hand=("docker run -d --name box -m 32m --memory-swap -1 IMAGE sleep 60", _READ),
        story="Memory stays limited; what does not fit goes to swap until the host has none left. "
        "Such a container is not killed but slow, and makes others slow who need the same disk.",
        experiment=_minus_one,
    ),
    Claim(
        id="memory-swap-unset-is-twice-memory",
        topic=Topic.SWAP,
        sentence="Without --memory-swap memory and swap together may be twice --memory.",
        korean="--memory-swap을 지정하지 않으면 메모리와 스왑의 합은 --memory의 두 배까지이다.",
        refuted_by="The kernel holds another total than twice --memory.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS, "the engine sets it so where it was not given",
                f"{_ADAPTS}; measured on v1 and v2",
            ),
        ),
        by_hand=("docker run -d --name box -m 32m IMAGE sleep 60", _READ),
        story="A plain -m 32m is 32 MiB of memory and 32 MiB of swap, where the host has swap. The "
        "kill that one expects at 32 MiB then comes at 64 MiB, after much swapping.",
        experiment=_unset,
    ),
    Claim(
        id="memory-swap-is-the-amount-of-swap",
        topic=Topic.SWAP,
        sentence="--memory-swap is how much swap a container may use.",
        korean="--memory-swap은 컨테이너가 사용할 수 있는 스왑의 양이다.",
        refuted_by="The kernel's total is --memory-swap itself, and not the sum of both options.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "it is the total of memory and swap",
                f"{_CHECKS}; {_V1}, memsw; measured on v1 and v2",
            ),
        ),
        by_hand=("docker run -d --name box -m 32m --memory-swap 48m IMAGE sleep 60", _READ),
        story="--memory 32m --memory-swap 48m is 32 MiB of memory and 16 MiB of swap. cgroup v1 "
        "has a limit of the total, which the option is named after; v2 limits swap for itself, and "
        "the runtime writes the difference to memory.swap.max.",
        experiment=_amount,
    ),
    Claim(
        id="memory-and-memory-swap-add-up",
        topic=Topic.SWAP,
        sentence="With --memory 32m --memory-swap 48m a program can have 80 MiB.",
        korean="--memory 32m --memory-swap 48m이면 프로그램은 80MiB를 사용할 수 있다.",
        refuted_by="A program that wants 64 MiB is killed, though one of 40 MiB is not.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "48 MiB is all there is",
                f"{_V1}, memsw; {_V2}, memory.swap.max; measured on v1",
            ),
        ),
        by_hand=(
            ("docker run --rm -m 32m --memory-swap 48m IMAGE "
            "sh -c 'head -c 64m /dev/zero | tail | wc -c'"),
            ("docker run --rm -m 32m --memory-swap 96m IMAGE "
            "sh -c 'head -c 64m /dev/zero | tail | wc -c'"),
        ),
        story="The same by what happens: with swap on the host, a program of 40 MiB is partly "
        "swapped out and lives, and one of 64 MiB is killed at 48 MiB.",
        experiment=_adds_up,
    ),
    Claim(
        id="memory-swap-needs-no-memory",
        topic=Topic.SWAP,
        sentence="--memory-swap can be set without --memory.",
        korean="--memory 없이 --memory-swap만 지정할 수 있다.",
        refuted_by="The container is refused.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "a total without its part is refused",
                f"{_CHECKS}; measured on 20.10", _DOCKER,
            ),
            Expected(
                ClaimVerdict.REFUTED, "it is refused",
                "podman pkg/specgen/generate/validate_linux.go",
                When(engine="podman", cgroup=1),
            ),
        ),
        by_hand=("docker create --memory-swap 64m IMAGE",),
        story="Since --memory-swap is the total, it says nothing about swap as long as memory has "
        "no limit: Docker refuses it. Limiting swap alone, as memory.swap.max of v2 could, has no "
        "option.",
        experiment=_without_memory,
    ),
    Claim(
        id="memory-swap-may-be-below-memory",
        topic=Topic.SWAP,
        sentence="--memory-swap may be smaller than --memory.",
        korean="--memory-swap은 --memory보다 작아도 된다.",
        refuted_by="The container is refused.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "a total cannot be smaller than its part",
                f"{_CHECKS}; measured on 20.10", _DOCKER,
            ),
            Expected(
                ClaimVerdict.REFUTED, "it is refused",
                "podman pkg/specgen/generate/validate_linux.go",
                When(engine="podman", cgroup=1),
            ),
        ),
        by_hand=("docker create -m 32m --memory-swap 16m IMAGE",),
        story="Who takes the option for the amount of swap writes --memory 1g --memory-swap 512m, "
        "and meets 'Minimum memoryswap limit should be larger than memory limit'. For 512 MiB of "
        "swap it is --memory-swap 1536m.",
        experiment=_below_memory,
    ),
    Claim(
        id="update-memory-swap-minus-1-lifts",
        topic=Topic.SWAP,
        sentence="docker update --memory-swap -1 lifts the limit of swap of a running container.",
        korean="docker update --memory-swap -1은 실행 중인 컨테이너의 스왑 제한을 없앤다.",
        refuted_by="The kernel still holds the old total.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "only what is positive is handed on to the runtime",
                "moby daemon/update_linux.go, toContainerdResources; measured on 20.10", _DOCKER,
            ),
        ),
        by_hand=(
            "docker run -d --name box -m 32m IMAGE sleep 60",
            "docker update --memory-swap -1 box",
            "docker inspect -f '{{.HostConfig.MemorySwap}}' box",
            _READ,
        ),
        story="The update is accepted, docker inspect shows -1, and the kernel holds what it held. "
        "The new value counts at the next start. A number larger than the host's swap does what "
        "was meant at once.",
        experiment=_lifted,
    ),
    Claim(
        id="above-memory-is-killed-despite-swap",
        topic=Topic.SWAP,
        sentence="A program that needs more than --memory is killed, with swap on the host too.",
        korean="호스트에 스왑이 있어도 --memory보다 많이 쓰는 프로그램은 죽는다.",
        refuted_by="A program of one and a half times --memory lives, partly in swap.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "without --memory-swap there is as much swap as memory",
                f"{_ADAPTS}; measured on v1",
            ),
        ),
        by_hand=(
            "docker run --rm -m 32m IMAGE sh -c 'head -c 40m /dev/zero | tail | wc -c'",
            ("docker run --rm -m 32m --memory-swap 32m IMAGE "
            "sh -c 'head -c 40m /dev/zero | tail | wc -c'"),
        ),
        story="--memory bounds what is in memory. What was not touched for long is swapped out at "
        "the limit, as far as --memory-swap and the host have room. So the same container is "
        "killed on a host without swap, and lives slowly on one with it.",
        experiment=_killed_at_memory,
    ),
    Claim(
        id="swappiness-0-switches-swap-off",
        topic=Topic.SWAP,
        sentence="--memory-swappiness 0 switches swap off for a container.",
        korean="--memory-swappiness 0은 컨테이너의 스왑 사용을 막는다.",
        refuted_by="A program larger than --memory lives, partly in swap.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "at a cgroup's limit 0 keeps the kernel from swapping; for the host's it does not",
                f"{_V1}, 5.3 swappiness; measured on v1", When(cgroup=1),
            ),
            Expected(
                ClaimVerdict.REFUTED, "v2 has no such file: the option is dropped with a warning",
                _CHECKS, When(cgroup=2),
            ),
        ),
        by_hand=(
            ("docker run --rm -m 32m --memory-swap 96m --memory-swappiness 0 IMAGE "
            "sh -c 'head -c 40m /dev/zero | tail | wc -c'"),
        ),
        story="memory.swappiness of cgroup v1 weighs page cache against anonymous memory when some "
        "must go; 0 spares anonymous memory altogether at the container's own limit, so that a "
        "kill comes instead. cgroup v2 has no such file, and Docker says that it drops the option.",
        experiment=_swappiness_zero,
    ),
)  # fmt: skip
