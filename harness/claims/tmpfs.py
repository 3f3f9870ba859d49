"""Claims about tmpfs mounts."""

from __future__ import annotations

from typing import Any

from harness.claims import kernel
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.materials import ROOT
from harness.engine.laboratory import Box, Laboratory
from harness.host import identity
from harness.model import ClaimVerdict, Finding

MIB = 1 << 20
ENOSPC = 28
LAYER: dict[str, Any] = {"user": ROOT, "cap_drop": None}
"""Who may write to the root of a container: with Podman that takes root's capabilities."""


def _with_a_file(lab: Laboratory) -> Box:
    """A running container with a file in its tmpfs, and one in its writable layer."""
    box = lab.create("sleep", "60", tmpfs={"/memory": "mode=1777"}, **LAYER).start()
    for path in ("/memory/file", "/file"):
        box.execute("write", path, "kept", user=ROOT)
    return box


def _still_there(box: Box, how: str) -> Finding:
    there = [
        path for path in ("/memory/file", "/file") if box.execute("read", path).output == "kept"
    ]
    kept = "/memory/file" in there
    return decided(
        kept,
        f"after {how} the file in the tmpfs is {'still there' if kept else 'gone'}, the one in "
        f"the writable layer is {'still there' if '/file' in there else 'gone'}",
        tmpfs_kept=kept, layer_kept="/file" in there,
    )  # fmt: skip


def _survives_stop(lab: Laboratory) -> Finding:
    box = _with_a_file(lab)
    box.stop(0)
    return _still_there(box.start(), "stop and start")


def _survives_restart(lab: Laboratory) -> Finding:
    box = _with_a_file(lab)
    box.restart()
    return _still_there(box, "docker restart")


def _is_shared(lab: Laboratory) -> Finding:
    one, two = _with_a_file(lab), lab.create("sleep", "60", tmpfs={"/memory": ""}).start()
    seen = two.execute("list", "/memory").output.split()
    mine = one.execute("list", "/memory").output.split()
    return decided(
        seen == mine,
        f"with a tmpfs at the same place, one container has {len(mine)} file in it and the other "
        f"sees {len(seen)}",
        own_files=len(mine), seen_files=len(seen),
    )  # fmt: skip


def _never_swapped(lab: Laboratory) -> Finding:
    if lab.engine.elsewhere() is not None:
        raise NotExercisableError("the engine's host is another one, whose swap is not seen here")
    if (free := identity.conditions().swap_free_bytes) < 32 * MIB:
        raise NotExercisableError(f"the host has {free / MIB:.0f} MiB of free swap, not 32")
    box = lab.create(
        "fill", "/memory/file", str(32 * MIB), "+", "sleep", "60",
        mem_limit=16 * MIB, memswap_limit=64 * MIB, user=ROOT,
        tmpfs={"/memory": f"size={64 * MIB}"},
    ).start()  # fmt: skip
    try:
        box.await_line("filled")
    except TimeoutError:
        raise NotExercisableError("32 MiB find no place in memory and swap together") from None
    swapped = kernel.memory_of(box).swap_bytes
    if swapped is None:
        raise NotExercisableError("the kernel does not count a container's swap")
    # Of the 32 MiB 16 have no place in memory; less than that is the program's own.
    return decided(
        swapped < 16 * MIB,
        f"with 32 MiB in a tmpfs under --memory 16m, {swapped / MIB:.1f} MiB of the container are "
        "in swap",
        swap_bytes=swapped,
    )


def _no_space(lab: Laboratory, path: str, wanted: int, most: int) -> Finding:
    """Whether a file grows to just so many bytes, and then meets ENOSPC."""
    ended = lab.run("fill", path, str(wanted), tmpfs={"/memory": f"size={MIB},mode=1777"})
    if not ended.output.startswith("filled"):
        return decided(False, f"the program ended with exit code {ended.exit_code} meanwhile")
    taken, number = (int(ended.output.split()[at]) for at in (1, 3))
    return decided(
        (taken, number) == (most, ENOSPC),
        f"{path} took {taken / MIB:.2f} MiB of {wanted / MIB:.0f}, then "
        f"{'ENOSPC' if number == ENOSPC else f'error {number}'}; exit code {ended.exit_code}",
        taken_bytes=taken, errno=number, exit_code=ended.exit_code,
    )  # fmt: skip


def _size_binds(lab: Laboratory) -> Finding:
    return _no_space(lab, "/memory/file", 2 * MIB, MIB)


def _shm_is_64_mib(lab: Laboratory) -> Finding:
    return _no_space(lab, "/dev/shm/file", 65 * MIB, 64 * MIB)


CLAIMS = (
    Claim(
        id="tmpfs-survives-stop",
        topic=Topic.TMPFS,
        sentence="A tmpfs keeps its files until the container is removed.",
        korean="tmpfs의 파일은 컨테이너를 삭제할 때까지 유지된다.",
        refuted_by="After stop and start of the same container the file is gone.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "its mount ends with the last process, and with it its memory",
                "man 7 mount_namespaces; man 5 tmpfs; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name box --tmpfs /memory IMAGE sleep 600",
            "docker exec box touch /memory/file /file; docker stop -t 0 box; docker start box",
            "docker exec box ls /memory/file /file",
        ),
        story="A tmpfs belongs to the mount namespace of the running program. When that ends, by "
        "stop, by kill or by itself, the kernel frees its memory; the next start mounts an empty "
        "one. The writable layer stays until rm, a volume longer than that.",
        experiment=_survives_stop,
    ),
    Claim(
        id="tmpfs-survives-restart",
        topic=Topic.TMPFS,
        sentence="A tmpfs keeps its files over docker restart.",
        korean="docker restart 후에도 tmpfs의 파일은 남아 있다.",
        refuted_by="After docker restart the file is gone.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "restart is stop and start: a new process with new mounts",
                "moby daemon/restart.go; man 7 mount_namespaces; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name box --tmpfs /memory IMAGE sleep 600",
            "docker exec box touch /memory/file; docker restart -t 0 box",
            "docker exec box ls /memory",
        ),
        story="The container has the same id and the same writable layer afterwards, and yet an "
        "empty tmpfs. docker pause keeps it, since the process lives on.",
        experiment=_survives_restart,
    ),
    Claim(
        id="tmpfs-is-shared",
        topic=Topic.TMPFS,
        sentence="Containers with the same --tmpfs share its files.",
        korean="같은 --tmpfs를 쓰는 컨테이너들은 파일을 공유한다.",
        refuted_by="One container does not see the file that the other one has in its tmpfs.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "each mount of a tmpfs is an instance of its own",
                "docs.docker.com/engine/storage/tmpfs; man 5 tmpfs; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name one --tmpfs /memory IMAGE sleep 60",
            "docker run -d --name two --tmpfs /memory IMAGE sleep 60",
            "docker exec one touch /memory/file; docker exec two ls /memory",
        ),
        story="There is no name by which two containers could mean the same tmpfs. To share memory "
        "there is --ipc container:NAME for /dev/shm, or a volume whose driver mounts a tmpfs.",
        experiment=_is_shared,
    ),
    Claim(
        id="tmpfs-is-never-swapped",
        topic=Topic.TMPFS,
        sentence="A tmpfs lies in memory only: it is never written to the disk.",
        korean="tmpfs는 메모리에만 저장되며 디스크에는 절대 쓰이지 않는다.",
        refuted_by="A part of it is in swap, as the kernel counts the container's.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "its pages are swapped out as anonymous memory is",
                "kernel Documentation/filesystems/tmpfs.rst; measured",
            ),
        ),
        by_hand=(
            "swapon --show; LIMIT='--memory 16m --memory-swap 64m'",
            "docker run -d --name box $LIMIT --tmpfs /memory:size=64m IMAGE sleep 600",
            "docker exec box dd if=/dev/zero of=/memory/file bs=1M count=32",
            "docker exec box grep -w swap /sys/fs/cgroup/memory/memory.stat  # cgroup v1",
            "docker exec box cat /sys/fs/cgroup/memory.swap.current  # cgroup v2",
        ),
        story="Where the host has swap and the container may use it, a tmpfs goes there as any "
        "memory does. A secret that must not come to a disk needs swap off, or encrypted; noswap "
        "is an option of tmpfs since kernel 6.4, which the engine does not pass on.",
        experiment=_never_swapped,
    ),
    Claim(
        id="tmpfs-size-is-enospc",
        topic=Topic.TMPFS,
        sentence="A tmpfs with a size ends a write beyond it by 'no space left', not by a kill.",
        korean="크기를 정한 tmpfs가 가득 차면 프로세스가 죽지 않고 '공간 부족' 오류가 난다.",
        refuted_by="A file grows beyond the size, does not reach it, or its program is ended.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the size is a limit of the file system, which answers ENOSPC",
                "kernel Documentation/filesystems/tmpfs.rst, size; measured",
            ),
        ),
        by_hand=(
            "WRITE='dd if=/dev/zero of=/memory/file bs=64k count=32'",
            "docker run --rm --tmpfs /memory:size=1m IMAGE $WRITE",
        ),
        story="Two limits meet a tmpfs: its size, at which write fails (ENOSPC, error 28), and the "
        "container's memory, at which something is killed. Without a size it may take half of "
        "the host's memory, so that only the second one is left.",
        experiment=_size_binds,
    ),
    Claim(
        id="shm-is-64-mib",
        topic=Topic.TMPFS,
        sentence="/dev/shm of a container has 64 MiB unless --shm-size says otherwise.",
        korean="컨테이너의 /dev/shm은 --shm-size를 지정하지 않으면 64 MiB이다.",
        refuted_by="A file in it does not grow to 64 MiB exactly before ENOSPC.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "Podman's default is 65536k, with a k of 1000",
                "containers.conf, shm_size; measured with 4.3: 62.5 MiB",
                When(engine="podman"),
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "the engine's default, whatever memory the host has",
                "moby daemon/config, DefaultShmSize; measured",
            ),
        ),
        by_hand=(
            "docker run --rm IMAGE df -k /dev/shm",
            "docker run --rm --shm-size 256m IMAGE df -k /dev/shm",
        ),
        story="Databases and browsers that share much memory between processes fail at it, with "
        "'no space left' or a bus error, while memory is free. It is a tmpfs, so what lies "
        "there is charged to the container as well.",
        experiment=_shm_is_64_mib,
    ),
)
