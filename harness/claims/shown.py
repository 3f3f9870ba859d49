"""Claims about what docker's commands show of a container."""

from __future__ import annotations

from harness import cgroup
from harness.claims import kernel
from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.typed import typed
from harness.engine.laboratory import Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding

_DOCKER = When(engine="docker")


def _top_is_the_hosts(lab: Laboratory) -> Finding:
    box = lab.create("fork", "2", "+", "sleep", "60").start()
    box.await_line("forked")
    there = cgroup.thread_ids(kernel.paths_of(box))  # none of them has a second thread
    if there is None:
        raise NotExercisableError("the tasks of its cgroup are not visible")
    shown = [int(row["PID"]) for row in box.top()]
    return decided(
        sorted(shown) == sorted(there) and len(shown) == 3,
        f"{len(set(shown) & set(there))} of {len(shown)} numbers that it shows stand among the "
        f"{len(there)} of its cgroup on the host",
        shown=len(shown), in_cgroup=len(there),
    )  # fmt: skip


def _stats_are_the_cgroups(lab: Laboratory) -> Finding:
    box = lab.create("fork", "2", "+", "spin", "0.3", "+", "sleep", "60").start()
    box.await_line("spun")
    first = kernel.cpu_ns(box)
    told = box.stats()
    last = kernel.cpu_ns(box)
    there = cgroup.thread_ids(kernel.paths_of(box)) or []
    used, tasks = int(told["cpu_stats"]["cpu_usage"]["total_usage"]), told["pids_stats"]
    if "current" not in tasks:
        raise NotExercisableError("the pids controller is not there")
    return decided(
        first <= used <= last and tasks["current"] == len(there),
        f"{used} ns of CPU where its cgroup counted {first} ns before and {last} ns after; "
        f"{tasks['current']} tasks where it has {len(there)}",
        told_ns=used, before_ns=first, after_ns=last, told_tasks=tasks["current"],
    )  # fmt: skip


def _logs_go(lab: Laboratory) -> Finding:
    box = lab.create("say", "one", "+", "complain", "two", "+", "exit", "3")
    try:
        box.start().wait()
        said = [box.logs().strip(), box.logs(errors=True).strip()]
    except EngineRefusedError as error:
        return decided(True, f"docker logs was refused: {error.message}")
    return decided(
        said != ["one", "two"],
        f"of a container that ended with 3, it still shows '{said[0]}' and '{said[1]}'",
        output=said[0], errors=said[1],
    )  # fmt: skip


def _t_is_tail(lab: Laboratory) -> Finding:
    box = lab.create("say", "one", "+", "say", "two", "+", "say", "three")
    box.start().wait()
    lines = typed(lab, "logs", "-t", box.id).output.splitlines()
    stamped = sum(line[:4].isdecimal() and "T" in line.split(" ")[0] for line in lines)
    return decided(
        len(lines) < 3,
        f"docker logs -t shows {len(lines)} of 3 lines, {stamped} of them with the time",
        lines=len(lines), with_time=stamped,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="top-shows-host-pids",
        topic=Topic.CONTAINER,
        sentence="docker top shows the processes of a container by their numbers on the host.",
        korean="docker top은 컨테이너 프로세스를 호스트의 PID로 보여 준다.",
        refuted_by="Its numbers are others than those in the container's cgroup on the host.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the engine runs the host's ps for what is in the container",
                "moby daemon/top_unix.go; measured",
                _DOCKER,
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sleep 60",
            "docker top box; docker exec box ps",
            "ps -p $(docker inspect -f '{{.State.Pid}}' box)",
        ),
        story="A process has a number in each pid namespace that it is seen in. top shows the "
        "host's, by which one can look into /proc or attach a debugger; ps in the container "
        "shows those of inside, from 1 on.",
        experiment=_top_is_the_hosts,
    ),
    Claim(
        id="stats-are-the-cgroups",
        topic=Topic.CONTAINER,
        sentence="docker stats takes its CPU time and number of tasks from the cgroup.",
        korean="docker stats의 CPU 시간과 태스크 수는 cgroup의 값과 같다.",
        refuted_by="What it tells lies outside what the cgroup counted before and after.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the engine reads the same files, once a second",
                "moby daemon/stats_unix.go; measured on 20.10, and on Podman 4.3",
            ),
        ),
        by_hand=(
            "docker run -d --name box busybox sleep 60",
            "docker stats --no-stream box",
            "ID=$(docker inspect -f '{{.Id}}' box)",
            "cat /sys/fs/cgroup/cpuacct/docker/$ID/cpuacct.usage  # cgroup v1",
            "cat /sys/fs/cgroup/system.slice/docker-$ID.scope/cpu.stat  # cgroup v2",
        ),
        story="The raw numbers are the kernel's. What the docker command makes of them is another "
        "matter: its percentages come from differences between two readings a second apart, and "
        "its memory leaves out page cache.",
        experiment=_stats_are_the_cgroups,
    ),
    Claim(
        id="logs-go-with-the-process",
        topic=Topic.CONTAINER,
        sentence="The logs of a container can be read only while it runs.",
        korean="컨테이너의 로그는 실행 중일 때만 볼 수 있다.",
        refuted_by="docker logs shows what a container had said before it ended.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the engine keeps them in a file that goes with docker rm",
                "docs.docker.com, json-file logging driver; measured",
            ),
        ),
        by_hand=("docker run --name box busybox sh -c 'echo one; exit 3'", "docker logs box"),
        story="The engine writes standard output and error of PID 1 into a file of the container, "
        "all starts one after the other, and keeps it until rm. It is the first place to look "
        "where a container ends at once. With --log-driver none there is nothing.",
        experiment=_logs_go,
    ),
    Claim(
        id="logs-t-is-tail",
        topic=Topic.CONTAINER,
        sentence="docker logs -t shows the logs' last lines: t is for tail.",
        korean="docker logs -t는 로그의 마지막 줄까지(tail) 보여 주는 옵션이다.",
        refuted_by="All lines are shown, each with its time.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "-t is --timestamps; --tail is -n",
                "docs.docker.com, docker logs; docker/cli cli/command/container/logs.go; measured",
            ),
        ),
        by_hand=(
            "docker run --name box busybox sh -c 'echo one; echo two'",
            "docker logs -t box",
            "docker logs --tail 1 box",
        ),
        story="-t puts before each line when the engine got it, in UTC. --tail N (-n N) shows the "
        "last N lines, -f goes on showing what comes.",
        experiment=_t_is_tail,
    ),
)
