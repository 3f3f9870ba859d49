"""Claims about --memory, --memory-reservation, --kernel-memory.

What ends at the limit, by a kill or not, is in ``oom``; what is swapped, in ``swap``; what becomes
of a limit later, in ``update``.
"""

from __future__ import annotations

from functools import partial

from harness import units
from harness.claims import kernel
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided, holds
from harness.claims.holding import MIB, holding, told
from harness.engine.laboratory import Laboratory, refusal
from harness.engine.stats import memory_bytes
from harness.model import ClaimVerdict, Finding

_PAGE_BYTES = 4096
_CHECKS = "moby daemon/daemon_unix.go, verifyPlatformContainerResources"
_V1 = "kernel Documentation/admin-guide/cgroup-v1/memory.rst"
_V2 = "kernel Documentation/admin-guide/cgroup-v2.rst"
_DOCKER = When(engine="docker")


def _least(lab: Laboratory) -> Finding:
    sizes = (4 * MIB - _PAGE_BYTES, 4 * MIB, 6 * MIB - _PAGE_BYTES, 6 * MIB)
    said = [refusal(partial(lab.create, "exit", "0", mem_limit=size)) for size in sizes]
    taken = [size for size, words in zip(sizes, said, strict=True) if not words]
    if not taken:
        return decided(False, f"6 MiB is refused too: {said[-1]}")
    least = min(taken)
    below = "less was not tried" if least == sizes[0] else "a page less than that is refused"
    if least == sizes[2]:
        below = "4 MiB is refused"
    return decided(
        least == 4 * MIB,
        f"the least of those tried that is taken is {least} bytes ({units.size(least)}); {below}",
        least_taken_bytes=least,
    )


def _shows_the_limit(lab: Laboratory) -> Finding:
    """MemTotal is where free has its total from (procps, busybox)."""
    limit = 32 * MIB
    ended = lab.run("read", "/proc/meminfo", mem_limit=limit)
    words = ended.output.split()
    shown = int(words[words.index("MemTotal:") + 1]) * 1024
    return decided(
        shown <= limit,
        f"/proc/meminfo inside says {units.size(shown)} in all where --memory is "
        f"{units.size(limit)}",
        shown_bytes=shown, limit_bytes=limit,
    )  # fmt: skip


def _reservation_caps(lab: Laboratory) -> Finding:
    reserved, wanted = 16 * MIB, 48 * MIB
    box = holding(lab, wanted, mem_limit=64 * MIB, mem_reservation=reserved)
    if box is None:
        return decided(True, f"it was killed before it had {units.size(wanted)}")
    used = kernel.memory_of(box).usage_bytes or 0
    return decided(
        used <= reserved,
        f"it holds {units.size(used)} with --memory-reservation {units.size(reserved)}",
        used_bytes=used, reserved_bytes=reserved,
    )  # fmt: skip


def _reservation_above(lab: Laboratory) -> Finding:
    words = refusal(lambda: lab.create("exit", "0", mem_limit=32 * MIB, mem_reservation=64 * MIB))
    return decided(
        bool(words), words or "64 MiB of --memory-reservation are taken with --memory 32m"
    )


def _kernel_memory(lab: Laboratory) -> Finding:
    """Each process costs stacks, page tables and more of the kernel: 70 KiB on x86_64."""
    limit, processes = 16 * MIB, 300
    box = lab.create(
        "fork", f"{processes}", "+", "sleep", "60",
        mem_limit=64 * MIB, kernel_memory=limit, pids_limit=2 * processes,
    ).start()  # fmt: skip
    if not box.says("forked"):
        return holds(f"it was killed before it had {processes} processes")
    sample = kernel.sample_of(box)
    if None in (sample.memory_bytes, sample.anon_bytes, sample.file_bytes):
        raise NotExercisableError("the container's memory is not counted by its kinds here")
    used = (sample.memory_bytes or 0) - (sample.anon_bytes or 0) - (sample.file_bytes or 0)
    held = kernel.limits_of(box).kernel_memory_bytes
    file = "no such file" if held is None else "no limit" if held < 0 else units.size(held)
    return decided(
        used <= limit,
        f"{box.logs().split()[1]} processes cost {units.size(used)} of kernel memory with "
        f"--kernel-memory {units.size(limit)}; the kernel's own word for that limit: {file}",
        used_bytes=used, limit_bytes=limit, held_bytes=held,
    )  # fmt: skip


def _stats(lab: Laboratory) -> Finding:
    box = lab.create(
        "fill", "/files/big", f"{16 * MIB}", "+", "take", f"{8 * MIB}", "+", "sleep", "60",
        user="0", mem_limit=64 * MIB, binds=[f"{lab.volume()}:/files"],
    ).start()  # fmt: skip
    box.await_line("took")
    before = kernel.sample_of(box)
    shown = memory_bytes(box.stats())
    after = kernel.sample_of(box)
    if shown is None or before.memory_bytes is None or after.memory_bytes is None:
        raise NotExercisableError("the engine's stats, or the kernel, do not tell its memory")
    low, high = sorted((before.memory_bytes, after.memory_bytes))
    return decided(
        low <= shown <= high,
        f"docker stats shows {units.size(shown)} where the kernel charges {units.size(high)}, "
        f"{units.size(after.inactive_file_bytes or 0)} of it inactive page cache",
        shown_bytes=shown, charged_bytes=high, inactive_file_bytes=after.inactive_file_bytes,
    )  # fmt: skip


def _pause_frees(lab: Laboratory) -> Finding:
    taken = 32 * MIB
    box = holding(lab, taken, mem_limit=64 * MIB)
    if box is None:
        raise NotExercisableError("32 MiB were not to be had with --memory 64m")
    before = kernel.memory_of(box).usage_bytes
    box.pause()
    after = kernel.memory_of(box).usage_bytes if box.pid else 0
    if box.pid:
        box.unpause()
    return decided(
        (after or 0) < taken,
        f"{told(before)} are charged before the pause, {told(after)} in it",
        before_bytes=before, paused_bytes=after,
    )  # fmt: skip


def _each_reader(lab: Laboratory) -> Finding:
    size, binds = 4 * MIB, [f"{lab.volume()}:/files"]
    box = lab.create(
        "fill", "/files/big", f"{size}", "+", "sleep", "60",
        user="0", mem_limit=32 * MIB, binds=binds,
    ).start()  # fmt: skip
    box.await_line("filled")
    other = lab.create("sleep", "60", mem_limit=32 * MIB, binds=binds).start()
    before = kernel.memory_of(other).file_bytes
    read = len(other.execute("read", "/files/big", user="0").output)
    first, after = kernel.memory_of(box).file_bytes, kernel.memory_of(other).file_bytes
    if first is None or before is None or after is None or first < size or read < size:
        raise NotExercisableError("the file did not stay in the page cache of who wrote it")
    return decided(
        after - before >= size,
        f"a file of {units.size(size)}: {units.size(first)} of page cache are charged to who wrote "
        f"it, and {units.size(after - before)} more to who then read {units.size(read)} of it",
        first_bytes=first, reader_bytes=after - before, read_bytes=read,
    )  # fmt: skip


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="memory-least-is-4m",
        topic=Topic.MEMORY,
        sentence="The least --memory is 4 MB.",
        korean="--memory의 최솟값은 4MB이다.",
        refuted_by="4 MiB are refused, or less than 4 MiB is taken.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS, "it was the least up to 19.03",
                f"{_CHECKS} (linuxMinMemory)", When(engine="docker", before=(20, 10)),
            ),
            Expected(
                ClaimVerdict.REFUTED, "6 MiB since 20.10, as runc itself needs more than 4",
                f"{_CHECKS} (linuxMinMemory); measured on 20.10", _DOCKER,
            ),
            Expected(
                ClaimVerdict.REFUTED, "it has no least of its own",
                "podman pkg/specgen/generate/validate_linux.go",
            ),
        ),
        by_hand=(
            "docker create -m 4m IMAGE",
            "docker create -m 6m IMAGE",
        ),
        story="The kernel takes a limit of one page. It is Docker that refuses small ones, since "
        "the runtime would find no room to start the program. That was 4 MiB for years, and is in "
        "most notes; since 20.10 it is 6 MiB, and on cgroup v2 even 6 MiB do not always start.",
        experiment=_least,
    ),
    Claim(
        id="free-shows-the-memory-limit",
        topic=Topic.MEMORY,
        sentence="free and /proc/meminfo inside a container show its memory limit.",
        korean="컨테이너 안에서 free와 /proc/meminfo는 컨테이너의 메모리 제한을 보여 준다.",
        refuted_by="MemTotal inside is larger than --memory.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "/proc/meminfo is in no namespace: it is the host's",
                "kernel fs/proc/meminfo.c; measured on v1",
            ),
        ),
        by_hand=("docker run --rm -m 32m IMAGE free -m",),
        story="A cgroup limits, and hides nothing. /proc/meminfo, sysinfo(2) and so free and top "
        "tell what the host has. A program that sizes its heap by them asks for more than it may "
        "have. Runtimes that know cgroups read memory.max or memory.limit_in_bytes instead; lxcfs "
        "mounts another /proc/meminfo over it.",
        experiment=_shows_the_limit,
    ),
    Claim(
        id="memory-reservation-caps",
        topic=Topic.MEMORY,
        sentence="--memory-reservation limits how much memory a container may use.",
        korean="--memory-reservation은 컨테이너가 사용할 수 있는 메모리 양을 제한한다.",
        refuted_by="A container uses more than its reservation while the host has room.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "it spares what is below it when others are reclaimed, and caps nothing",
                f"{_V1}, soft limits; {_V2}, memory.low; measured on v1 and v2",
            ),
        ),
        by_hand=(
            ("docker run -d --name box -m 64m --memory-reservation 16m IMAGE "
            "sh -c 'head -c 40m /dev/zero >/dev/shm/x; sleep 60'"),
            "docker stats --no-stream box",
        ),
        story="The reservation is the soft limit of cgroup v1 and memory.low of v2. As long as the "
        "host has memory, nothing happens at it. When the host runs short, the kernel takes first "
        "from those that are above theirs.",
        experiment=_reservation_caps,
    ),
    Claim(
        id="memory-reservation-not-above-memory",
        topic=Topic.MEMORY,
        sentence="--memory-reservation must not be larger than --memory.",
        korean="--memory-reservation은 --memory보다 클 수 없다.",
        refuted_by="A reservation of twice the limit is taken.",
        expected=(
            Expected(ClaimVerdict.HOLDS, "it is refused", f"{_CHECKS}; measured", _DOCKER),
            Expected(
                ClaimVerdict.HOLDS, "it is refused",
                "podman pkg/specgen/generate/validate_linux.go",
                When(engine="podman", cgroup=1),
            ),
        ),
        by_hand=("docker create -m 32m --memory-reservation 64m IMAGE",),
        story="What a container can never have cannot be kept for it. It is Docker that checks "
        "this, at create and at update; the kernel would take both numbers. Podman checks it on "
        "cgroup v1 alone.",
        experiment=_reservation_above,
    ),
    Claim(
        id="kernel-memory-limits",
        topic=Topic.KERNEL_MEMORY,
        sentence="--kernel-memory limits how much kernel memory a container may use.",
        korean="--kernel-memory는 컨테이너가 사용할 수 있는 커널 메모리 양을 제한한다.",
        refuted_by="Hundreds of processes cost more kernel memory than the limit allows.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "runc before 1.0 wrote memory.kmem.limit_in_bytes (kernels before 5.16)",
                "runc 1.0.0-rc94, release notes", When(engine="docker", cgroup=1, before=(20, 10)),
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "runc has ignored it since 1.0, kernels since 5.16, and v2 never had it",
                "runc libcontainer/cgroups/fs/memory.go; kernel 58056f77502f; measured on v1",
            ),
        ),
        by_hand=(
            "docker run -d --name box --kernel-memory 16m IMAGE sleep 60",
            "docker exec box cat /sys/fs/cgroup/memory/memory.kmem.limit_in_bytes",
        ),
        story="Stacks of processes, page tables, sockets and inodes are kernel memory. They are "
        "charged to the container, but to --memory, along with all the rest. The limit of its own "
        "was broken in old kernels and is gone: Docker 20.10 warns and stores the number, newer "
        "engines have no such option.",
        experiment=_kernel_memory,
    ),
    Claim(
        id="stats-memory-is-what-is-charged",
        topic=Topic.MEMORY,
        sentence="MEM USAGE of docker stats is the memory that the kernel charges.",
        korean="docker stats의 MEM USAGE는 커널이 컨테이너에 계산한 메모리이다.",
        refuted_by="docker stats shows less than memory.usage_in_bytes or memory.current.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS, "it gives no detail that could be subtracted",
                "measured on Podman 4.3", When(engine="podman"),
            ),
            Expected(
                ClaimVerdict.REFUTED, "inactive page cache is left out",
                "docker cli cli/command/container/stats_helpers.go, "
                "calculateMemUsageUnixNoCache; measured on v1",
            ),
        ),
        by_hand=(
            "docker run -d --name box IMAGE sh -c 'head -c 16m /dev/zero >/big; sleep 60'",
            "docker stats --no-stream box",
            "docker exec box sh -c 'cd /sys/fs/cgroup; cat memory.current memory/memory.usage*'",
        ),
        story="The CLI takes total_inactive_file (v1) or inactive_file (v2) off what the kernel "
        "charges, because that cache gives way at once. Up to 19.03 it took off all page cache. So "
        "the number says how much is hard to get back, and not what counts towards the limit.",
        experiment=_stats,
    ),
    Claim(
        id="pause-frees-memory",
        topic=Topic.MEMORY,
        sentence="docker pause frees the memory of a container.",
        korean="docker pause는 컨테이너의 메모리를 비워 준다.",
        refuted_by="The memory that it holds is charged to it while it is paused.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "the freezer stops tasks and takes nothing from them",
                "kernel Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, "
                "cgroup.freeze; measured on v1",
            ),
        ),
        by_hand=(
            ("docker run -d --name box -m 64m IMAGE "
            "sh -c 'head -c 24m /dev/zero >/dev/shm/x; sleep 60'"),
            "docker pause box; docker stats --no-stream box; docker unpause box",
        ),
        story="A paused container costs no CPU and all of its memory. Nothing is written to disk. "
        "Only where the host runs short its pages are swapped out, as those of anybody who does "
        "not touch them.",
        experiment=_pause_frees,
    ),
    Claim(
        id="page-cache-is-charged-to-each-reader",
        topic=Topic.MEMORY,
        sentence="A file in the page cache counts in each container that reads it.",
        korean="페이지 캐시에 있는 파일은 그 파일을 읽는 모든 컨테이너의 메모리로 계산된다.",
        refuted_by="Who reads a file that is cached already is charged nothing for it.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED, "a page is charged once, to who touched it first",
                f"{_V1}, 2.3 shared page accounting; {_V2}, memory ownership; measured on v1",
            ),
        ),
        by_hand=(
            ("docker run -d --name one -v files:/f IMAGE "
            "sh -c 'head -c 16m /dev/zero >/f/big; sleep 60'"),
            "docker run -d --name two -v files:/f IMAGE sh -c 'cat /f/big >/dev/null; sleep 60'",
            "docker exec two sh -c 'cd /sys/fs/cgroup; grep -E \"^(cache|file) \" m*t m*/m*t'",
        ),
        story="The page cache is the host's, and a page has one owner: the cgroup that brought it "
        "in. Others read it for nothing until it is dropped. So two runs of the same container can "
        "be charged differently, and the sum over containers is what the host has given.",
        experiment=_each_reader,
    ),
)  # fmt: skip
