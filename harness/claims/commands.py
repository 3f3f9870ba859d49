"""Claims about what docker's commands do to a container."""

from __future__ import annotations

from typing import Any

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
from harness.claims.typed import complaint, options, typed
from harness.engine.laboratory import Box, Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding

MIB = 1 << 20
ROOT = "0:0"
_DOCKER = When(engine="docker")
_STEPS = ("create", "start", "die")


def _steps(lab: Laboratory, name: str) -> list[str]:
    """What the engine says that it did to that container, in its order."""
    return [one["Action"] for one in lab.named(name).events() if one.get("Action") in _STEPS]


def _run_is_two(lab: Laboratory) -> Finding:
    whole, parts = lab.name(), lab.name()
    typed(lab, "run", *options(lab, whole), lab.hand, "say", "x")
    typed(lab, "create", *options(lab, parts), lab.hand, "say", "x")
    typed(lab, "start", "--attach", parts)
    one, two = _steps(lab, whole), _steps(lab, parts)
    if not two:
        raise NotExercisableError("the engine tells no events of its containers")
    return decided(
        one == two and one == list(_STEPS),
        f"docker run: {', '.join(one)}; docker create and docker start: {', '.join(two)}",
        run=", ".join(one), create_and_start=", ".join(two),
    )  # fmt: skip


def _run_pulls(lab: Laboratory) -> Finding:
    """The image has a name that no registry knows: what pulls first cannot run it."""
    name = lab.tag()
    with lab.asking("tag an image") as api:
        api.tag(lab.hand, *name.split(":"))
    ended = typed(lab, "run", *options(lab, lab.name()), name, "say", "x")
    ran, here = ended.exit_code == 0, "an image that is here, and in no registry"
    return decided(
        not ran,
        f"docker run started {here}" if ran else f"it failed over {here}: {complaint(ended)}",
        exit_code=ended.exit_code,
    )


def _options_after_the_name(lab: Laboratory) -> Finding:
    name = lab.name()
    ended = typed(lab, "run", *options(lab, name), lab.hand, "say", "x", "-v", "/data")
    box = lab.named(name)
    mounts = len(box.inspect()["Mounts"])
    box.remove(volumes=True)
    said = ended.output.strip()
    return decided(
        mounts == 1,
        f"the container has {mounts or 'no'} mount, and its program was told '{said}'",
        mounts=mounts, program_was_told=said,
    )  # fmt: skip


def _cp_needs_it_running(lab: Laboratory) -> Finding:
    box = lab.create("exit", "0")
    try:
        box.put("/", {"new": b"new"})
        box.start().wait()
        box.put("/", {"ended": b"ended"})
        read = box.get("/new") + box.get("/ended")
    except EngineRefusedError as error:
        return decided(True, f"docker cp was refused: {error.message}")
    return decided(
        read != b"newended",
        f"of 8 bytes that were copied into it before its start and after its end, {len(read)} "
        "were copied out again",
        bytes_back=len(read),
    )  # fmt: skip


def _commit_takes_volumes(lab: Laboratory) -> Finding:
    words = ("write", "/data/volume", "x")
    box = lab.create(*words, user=ROOT, working_dir="/data", binds=[f"{lab.volume()}:/data"])
    box.put("/", {"layer": b"x"})
    wrote = box.start().wait()
    if wrote.exit_code:
        return inconclusive(f"the container could not write: {wrote.errors.strip()}")
    image = lab.tag()
    box.commit(image)
    codes = [
        lab.run("read", path, image=image, user=ROOT).exit_code
        for path in ("/layer", "/data/volume")
    ]
    layer, volume = (code == 0 for code in codes)
    return decided(
        layer and volume,
        f"in the image, the file of the layer is {'there' if layer else 'missing'}, "
        f"that of the volume is {'there' if volume else 'missing'}",
        layer=layer, volume=volume,
    )  # fmt: skip


def _named_and_limited(box: Box) -> dict[str, Any]:
    told = box.inspect()
    return {
        "id": told["Id"],
        "process": told["State"]["Pid"],
        "memory limit": told["HostConfig"]["Memory"],
        "volume": [one.get("Name") for one in told["Mounts"]],
    }


def _rename_keeps(lab: Laboratory) -> Finding:
    binds = [f"{lab.volume()}:/data"]
    box = lab.create("sleep", "60", mem_limit=64 * MIB, binds=binds).start()
    was, name = box.name, lab.name()
    before = _named_and_limited(box)
    box.rename(name)
    after = _named_and_limited(lab.named(name))
    same = [what for what in before if before[what] == after[what]]
    try:
        lab.named(was)
        gone = False
    except EngineRefusedError:
        gone = True
    return decided(
        gone and len(same) == len(before),
        f"the old name is {'gone' if gone else 'still there'}; the same under the new one: "
        f"{', '.join(same) or 'nothing'}",
        old_name_gone=gone, kept=", ".join(same),
    )  # fmt: skip


def _restart_keeps(lab: Laboratory) -> Finding:
    box = lab.create("sleep", "60", mem_limit=64 * MIB).start()
    pid, held = box.pid, kernel.limits_of(box).memory_bytes
    box.restart()
    pid_after, held_after = box.pid, kernel.limits_of(box).memory_bytes
    return decided(
        pid_after not in (0, pid) and held == held_after == 64 * MIB,
        f"process {pid_after} where it was {pid}; the kernel holds {held_after} bytes of memory "
        f"where it held {held}",
        pid_before=pid, pid_after=pid_after, held_before=held, held_after=held_after,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="run-is-create-and-start",
        topic=Topic.CONTAINER,
        sentence="docker run is docker create and docker start in one.",
        korean="docker run은 docker create와 docker start를 합친 것이다.",
        refuted_by="The engine's events of a run are others than those of a create and a start.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the docker command asks the engine for just these two",
                "docker/cli cli/command/container/run.go; measured",
                _DOCKER,
            ),
        ),
        by_hand=(
            "docker run --name one busybox true",
            "docker create --name two busybox true; docker start -a two",
            "sleep 1; docker events --since 1m --until $(date +%s)",
        ),
        story="The engine knows no run. The docker command asks it to create a container, attaches "
        "to it unless -d is given, and asks it to start it. A container that was created and "
        "not started has its name and layer already, and no process.",
        experiment=_run_is_two,
    ),
    Claim(
        id="run-pulls-first",
        topic=Topic.CONTAINER,
        sentence="docker run is docker pull, docker create and docker start.",
        korean="docker run은 항상 docker pull, create, start를 차례로 수행한다.",
        refuted_by="An image that is on the host, and in no registry, is run.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "it pulls only what is not there (--pull missing)",
                "docs.docker.com, docker run --pull; docker/cli cli/command/container/create.go; "
                "measured",
            ),
        ),
        by_hand=(
            "docker tag busybox nowhere/here-only",
            "docker run --rm nowhere/here-only echo ran",
        ),
        story="An image that is here is used as it is, however old: latest is not looked up again. "
        "--pull always asks the registry each time, --pull never not even for a missing one.",
        experiment=_run_pulls,
    ),
    Claim(
        id="options-may-follow-the-image",
        topic=Topic.CONTAINER,
        sentence="Options of docker run may stand behind the image: docker run IMAGE -v /data.",
        korean="docker run -d 이미지이름 -v /data처럼 옵션을 이미지 이름 뒤에 써도 된다.",
        refuted_by="The container has no mount, and its program is given -v /data as its words.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "what stands behind the image is the program's command",
                "docs.docker.com, docker run [OPTIONS] IMAGE [COMMAND] [ARG...]; measured",
            ),
        ),
        by_hand=(
            "docker run busybox echo x -v /data",
            "docker run -v /data busybox ls -d /data",
        ),
        story="The docker command reads options up to the image's name. All after it goes to the "
        "container: it replaces the image's CMD, or is added to its ENTRYPOINT. Nothing warns; "
        "the volume or the limit is just not there.",
        experiment=_options_after_the_name,
    ),
    Claim(
        id="cp-needs-a-running-container",
        topic=Topic.CONTAINER,
        sentence="docker cp works with a running container only.",
        korean="docker cp는 실행 중인 컨테이너에서만 사용할 수 있다.",
        refuted_by="Files are copied into one that was never started and out of one that ended.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the engine mounts the container's files itself",
                "moby daemon/archive.go; docs.docker.com, docker cp; measured",
            ),
        ),
        by_hand=(
            "docker create --name box busybox true",
            "echo x >f; docker cp f box:/f",
            "docker cp box:/f -",
        ),
        story="No program in the container takes part: its layers are files of the host. So cp is "
        "the way to the data of a container that fails to start.",
        experiment=_cp_needs_it_running,
    ),
    Claim(
        id="commit-takes-volumes",
        topic=Topic.CONTAINER,
        sentence="docker commit saves all data of a container, those in its volumes too.",
        korean="docker commit은 볼륨의 데이터까지 포함해 컨테이너의 모든 데이터를 저장한다.",
        refuted_by="A file in the layer is in the image, and one in a volume is not.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "it makes a layer of the writable layer, and of nothing else",
                "docs.docker.com, docker commit; moby daemon/commit.go; measured",
            ),
        ),
        by_hand=(
            "docker run --name box -v vol:/data busybox sh -c 'touch /layer /data/volume'",
            "docker commit box saved; docker run --rm saved ls /layer /data/volume",
        ),
        story="What was written to the container's own layer becomes a layer of a new image. A "
        "volume is another file system that is only mounted there: a committed database "
        "container has no data.",
        experiment=_commit_takes_volumes,
    ),
    Claim(
        id="rename-changes-only-the-name",
        topic=Topic.CONTAINER,
        sentence="docker rename changes the name: id, process, limits and volumes stay.",
        korean="docker rename은 이름만 바꾸며 ID, 프로세스, 제한, 볼륨은 그대로이다.",
        refuted_by="One of them is another under the new name, or the old name is still there.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "a name points to the id, under which all else is kept",
                "moby daemon/rename.go",
            ),
        ),
        by_hand=(
            "docker run -d --name one -m 64m -v vol:/data busybox sleep 60; docker rename one two",
            "docker inspect -f '{{.Id}} {{.State.Pid}} {{.HostConfig.Memory}}' two",
        ),
        story="The engine knows a container by its id; the name is for people. A running container "
        "can be renamed, and its program notices nothing.",
        experiment=_rename_keeps,
    ),
    Claim(
        id="restart-keeps-limits",
        topic=Topic.CONTAINER,
        sentence="docker restart gives a container a new process, under the same limits.",
        korean="docker restart를 하면 프로세스(PID)는 바뀌지만 제한은 그대로 유지된다.",
        refuted_by="The process is the same or gone, or the kernel holds another memory limit.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "a new cgroup is made, with what the container's settings say",
                "moby daemon/restart.go; runc libcontainer/cgroups; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name box -m 64m busybox sleep 60",
            "docker inspect -f '{{.State.Pid}} {{.HostConfig.Memory}}' box; docker restart box",
            "docker inspect -f '{{.State.Pid}} {{.HostConfig.Memory}}' box",
        ),
        story="Process and cgroup end with the stop and are made anew from the container's "
        "settings, those of update among them. The counters of the cgroup begin with 0 again.",
        experiment=_restart_keeps,
    ),
)
