"""Claims about what a container is."""

from __future__ import annotations

import time
from pathlib import Path

from harness.claims import kernel
from harness.claims.claim import Claim, Expected, Topic, When, decided
from harness.engine.laboratory import WAIT_S, Box, Laboratory
from harness.model import ClaimVerdict, Finding
from harness.wording import counted

ROOT = "0:0"
"""Without capabilities root may write what is its own, as a folder of the engine's making."""
FOLDER = "/kept"
"""As working folder of a container it is made where the image has none."""


def _is_a_process(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60").start()
    pid = box.pid
    seen, inside = kernel.runs(box, "/hand"), box.execute("see").output
    in_cgroup = box.id in kernel.proc(box, "cgroup")
    own = Path("/proc", str(pid), "ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()
    return decided(
        seen and in_cgroup and own,
        f"its program is process {pid} of the host, {'with' if in_cgroup else 'without'} a cgroup "
        f"of its own and {'with' if own else 'without'} a pid namespace of its own",
        pid=pid, seen_by_the_host=seen, own_cgroup=in_cgroup, own_pid_namespace=own,
        lines_seen_inside=len(inside.splitlines()),
    )  # fmt: skip


def _own_kernel(lab: Laboratory) -> Finding:
    ids = {lab.run("read", "/proc/sys/kernel/random/boot_id").output.strip() for _ in range(2)}
    return decided(
        len(ids) == 2,
        f"two containers tell {counted(len(ids), 'boot id')} of their kernel",
        kernels=len(ids),
    )  # fmt: skip


def _root_is_not_root(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", user=ROOT).start()
    kernel.paths_of(box)  # which tells where the process is not one of this host
    inside = dict(line.split(" ", 1) for line in box.execute("see").output.splitlines())["uid"]
    status = dict(line.split(":", 1) for line in kernel.proc(box, "status").splitlines())
    outside = status["Uid"].split()[0]
    return decided(
        inside == "0" and outside != "0",
        f"uid {inside} in the container is uid {outside} on the host",
        inside=int(inside), outside=int(outside),
    )  # fmt: skip


def _is_pid_1(lab: Laboratory) -> Finding:
    seen = lab.run("see", "+", "list", "/proc").output.splitlines()
    pid = seen[0].removeprefix("pid ")
    processes = [line for line in seen if line.isdecimal()]
    return decided(
        pid == "1" and processes == ["1"],
        f"it is PID {pid} there, and sees {len(processes)} process"
        + "es" * (len(processes) != 1),
        pid=int(pid), processes_seen=len(processes),
    )  # fmt: skip


def _named_by_its_id(lab: Laboratory) -> Finding:
    box = lab.create("see")
    seen = box.start().wait().output.splitlines()
    host = next(line for line in seen if line.startswith("host ")).removeprefix("host ")
    return decided(
        host == box.id[:12],
        f"its host name is {host}, its id begins with {box.id[:12]}", host_name=host,
    )  # fmt: skip


def _starts(box: Box, count: int) -> None:
    """Until the program has come so far in each of its starts."""
    deadline = time.monotonic() + WAIT_S
    while box.logs().count("written") < count:
        if time.monotonic() >= deadline:
            raise TimeoutError(f"the container did not start {count} times")
        time.sleep(0.02)


def _stop_loses_it(lab: Laboratory) -> Finding:
    """Each start of the program adds an x to a file."""
    words = ("append", f"{FOLDER}/file", "x", "+", "say", "written", "+", "sleep", "60")
    box = lab.create(*words, user=ROOT, working_dir=FOLDER).start()
    _starts(box, 1)
    box.pause()
    box.unpause()
    box.stop(0)
    box.start()
    _starts(box, 2)
    box.restart()
    _starts(box, 3)
    kept = len(box.execute("read", f"{FOLDER}/file").output)
    return decided(
        kept < 3,
        f"after pause, stop and restart, {kept} of what 3 starts had written is there",
        kept=kept, written=3,
    )  # fmt: skip


def _rm_takes_it(lab: Laboratory) -> Finding:
    """Each start of the program adds an x to a file, and says all that is in it."""
    words = ("append", f"{FOLDER}/file", "x", "+", "read", f"{FOLDER}/file")
    box = lab.create(*words, user=ROOT, working_dir=FOLDER)
    box.start().wait()
    before = box.start().wait().output.removeprefix("x")
    box.remove()
    after = lab.run(*words, user=ROOT, working_dir=FOLDER).output
    return decided(
        before == "xx" and after == "x",
        f"before docker rm a second start finds {len(before) - 1} byte of the first; after it a "
        f"new container of the image finds {len(after) - 1 or 'none'}",
        before_bytes=len(before) - 1, after_bytes=len(after) - 1,
    )  # fmt: skip


def _share_files(lab: Laboratory) -> Finding:
    boxes = [lab.create("sleep", "60", user=ROOT, working_dir=FOLDER).start() for _ in range(2)]
    boxes[0].execute("write", f"{FOLDER}/file", "x")
    seen = [len(box.execute("list", FOLDER).output.splitlines()) for box in boxes]
    return decided(
        seen[1] > 0,
        f"of a file that one container wrote it sees {seen[0]}, the other {seen[1]}",
        seen_by_writer=seen[0], seen_by_other=seen[1],
    )  # fmt: skip


def _pause_freezes(lab: Laboratory) -> Finding:
    box = lab.create("spin", "60").start()
    time.sleep(0.2)
    box.pause()
    before = kernel.cpu_ns(box)
    time.sleep(1.0)
    used = kernel.cpu_ns(box) - before
    box.unpause()
    time.sleep(0.2)
    after = kernel.cpu_ns(box) - before - used
    if after == 0:
        return decided(False, "it used no CPU after unpause either", after_ns=after)
    return decided(
        used == 0,
        f"{used} ns of CPU in 1 s while paused, {after / 1e6:.0f} ms in the 0.2 s after unpause",
        paused_ns=used, after_ns=after,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="container-is-a-process",
        topic=Topic.CONTAINER,
        sentence="A container is a process of the host, with a cgroup and namespaces of its own.",
        korean="컨테이너는 자신의 cgroup과 네임스페이스를 가진 호스트의 프로세스이다.",
        refuted_by="The engine's pid of it is no process in the host's /proc, or that process has "
        "no cgroup or pid namespace of its own.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "Linux has no containers, only processes in namespaces and cgroups",
                "man 7 namespaces; man 7 cgroups; runc libcontainer/process_linux.go",
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sleep 60",
            "cat /proc/$(docker inspect -f '{{.State.Pid}}' box)/cgroup",
            "ls -l /proc/$(docker inspect -f '{{.State.Pid}}' box)/ns/pid /proc/self/ns/pid",
        ),
        story="What runs in a container is a process as any other: the host's ps shows it, its "
        "scheduler schedules it. The runtime gives it namespaces, so that it sees a part of "
        "the host only, and a cgroup, in which its use is counted and limited.",
        experiment=_is_a_process,
    ),
    Claim(
        id="container-has-a-kernel",
        topic=Topic.CONTAINER,
        sentence="A container is a small virtual machine with a kernel of its own.",
        korean="컨테이너는 자체 커널을 가진 가벼운 가상 머신이다.",
        refuted_by="Two containers read the same boot id of one kernel.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "all containers of a host run on its one kernel",
                "man 7 namespaces; proc(5), random/boot_id; measured",
            ),
        ),
        by_hand=(
            "cat /proc/sys/kernel/random/boot_id",
            "docker run --rm busybox cat /proc/sys/kernel/random/boot_id",
        ),
        story="The boot id is made when a kernel starts. Every container and the host read the "
        "same one: system calls of all go to one kernel, and a hole in it is a hole for all. "
        "Runtimes that start a virtual machine a container (Kata) differ here.",
        experiment=_own_kernel,
    ),
    Claim(
        id="root-inside-is-not-root-outside",
        topic=Topic.CONTAINER,
        sentence="root in a container is not root on the host: containers are isolated.",
        korean="컨테이너는 격리되어 있으므로 컨테이너 안의 root는 호스트의 root가 아니다.",
        refuted_by="The host's /proc shows uid 0 for a process that is uid 0 inside.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "a rootless engine is in a user namespace itself",
                "man 7 user_namespaces; docs.docker.com, rootless mode",
                When(rootless=True),
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "the host's user namespace is shared unless userns-remap is set",
                "docs.docker.com, userns-remap; measured on 20.10",
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sleep 60",
            "grep Uid /proc/$(docker inspect -f '{{.State.Pid}}' box)/status",
        ),
        story="By default no user namespace is made, so uid 0 inside is uid 0 outside: what keeps "
        "it in is a short list of capabilities, seccomp and the mounts. A host folder mounted into "
        "the container is written as root. userns-remap or a rootless engine map it elsewhere.",
        experiment=_root_is_not_root,
    ),
    Claim(
        id="program-is-pid-1",
        topic=Topic.CONTAINER,
        sentence="The program of a container is PID 1 there, and sees no process of others.",
        korean="컨테이너의 프로그램은 그 안에서 PID 1이며 다른 프로세스를 볼 수 없다.",
        refuted_by="It has another number, or other processes stand in its /proc.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "it is the first of a pid namespace of its own",
                "man 7 pid_namespaces",
            ),
        ),
        by_hand=("docker run --rm busybox ps", "docker run --rm --pid host busybox ps"),
        story="In its namespace the program is the first process, with what comes with that: it "
        "is protected from signals that it does not handle, inherits orphans, and when it ends, "
        "all others of the container are killed.",
        experiment=_is_pid_1,
    ),
    Claim(
        id="host-name-is-the-id",
        topic=Topic.CONTAINER,
        sentence="The host name of a container is the short form of its id.",
        korean="컨테이너의 호스트 이름은 컨테이너 ID의 앞 12자리이다.",
        refuted_by="The program reads another host name than the first 12 characters of the id.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the engine's default, in a uts namespace of its own",
                "moby daemon/create.go, container.Config.Hostname; man 7 uts_namespaces; measured",
            ),
        ),
        by_hand=("docker run --name box busybox hostname", "docker ps -aq --filter name=box"),
        story="Unless --hostname says otherwise, the engine takes the first 12 characters of the "
        "id. --name does not change it, and rename neither.",
        experiment=_named_by_its_id,
    ),
    Claim(
        id="stop-loses-what-was-written",
        topic=Topic.CONTAINER,
        sentence="What a program wrote in its container is lost when the container stops.",
        korean="컨테이너가 멈추면 컨테이너 안에 쓴 데이터는 사라진다.",
        refuted_by="Files are there after pause, stop and start, and restart.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the writable layer belongs to the container, not to its process",
                "docs.docker.com, storage drivers; moby layer/layer_store.go; measured",
            ),
        ),
        by_hand=(
            "docker run --name box busybox sh -c 'echo x >>/file; cat /file'",
            "docker start -a box; docker start -a box",
        ),
        story="A stopped container keeps its writable layer on the disk, as long as the container "
        "is there. What is lost at stop is memory, and a tmpfs. It is docker rm, or --rm, that "
        "takes the layer.",
        experiment=_stop_loses_it,
    ),
    Claim(
        id="rm-takes-what-was-written",
        topic=Topic.CONTAINER,
        sentence="docker rm takes what was written in the container with it.",
        korean="docker rm으로 컨테이너를 삭제하면 그 안에 쓴 데이터도 사라진다.",
        refuted_by="A new container of the same image finds the file.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the writable layer goes with its container",
                "docs.docker.com, storage drivers; moby daemon/delete.go",
            ),
        ),
        by_hand=(
            "docker run --name box busybox touch /file; docker rm box",
            "docker run --rm busybox ls /file",
        ),
        story="The layer has no name and no life of its own. What is to outlive the container "
        "goes into a volume or a bind mount, or by commit into an image.",
        experiment=_rm_takes_it,
    ),
    Claim(
        id="containers-of-an-image-share-files",
        topic=Topic.CONTAINER,
        sentence="Containers of the same image see each other's changes of files.",
        korean="같은 이미지로 만든 컨테이너끼리는 서로의 파일 변경을 볼 수 있다.",
        refuted_by="A file that one container wrote is not there in the other.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "each has a writable layer of its own above the shared ones",
                "docs.docker.com, storage drivers; kernel Documentation/filesystems/overlayfs.rst",
            ),
        ),
        by_hand=(
            "docker run -d --name one busybox sleep 60; docker run -d --name two busybox sleep 60",
            "docker exec one touch /file; docker exec two ls /file",
        ),
        story="What the image holds is shared and read-only. The first change copies a file up "
        "into the container's own layer, which nobody else sees.",
        experiment=_share_files,
    ),
    Claim(
        id="pause-freezes",
        topic=Topic.CONTAINER,
        sentence="docker pause stops the CPU use of a container entirely.",
        korean="docker pause는 컨테이너의 CPU 사용을 완전히 멈춘다.",
        refuted_by="The CPU time of the paused container's cgroup grows by as little as 1 ns.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the freezer lets no task of the cgroup run",
                "kernel Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, "
                "cgroup.freeze; measured on both",
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sh -c 'while :; do :; done'",
            "docker pause box; docker stats --no-stream box; docker unpause box",
        ),
        story="Pause is the freezer of the kernel: no task of the cgroup is scheduled until it is "
        "thawed. Memory stays charged, connections stay open, and time goes on outside.",
        experiment=_pause_freezes,
    ),
)
