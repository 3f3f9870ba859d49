"""Claims about volumes, named or anonymous."""

from __future__ import annotations

from typing import Any

from harness.claims.claim import Claim, Expected, Topic, decided
from harness.claims.materials import ROOT, image_with
from harness.engine.laboratory import Box, Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding


def _kept(lab: Laboratory, volume: str) -> bool:
    """Whether the file that was written to a volume is there for a new container."""
    return lab.run("read", "/data/file", binds=[f"{volume}:/data"]).output == "kept"


def _survives_rm(lab: Laboratory) -> Finding:
    volume = lab.volume()
    for options in ({}, {"volumes": True}):
        box = lab.create("write", "/data/file", "kept", binds=[f"{volume}:/data"], user=ROOT)
        box.start().wait()
        box.remove(**options)
        if volume not in lab.volume_names():
            how = "docker rm -v" if options else "docker rm"
            return decided(False, f"after {how} the named volume is gone", kept=False)
    kept = _kept(lab, volume)
    return decided(
        kept,
        f"after docker rm and docker rm -v a new container {'reads' if kept else 'does not find'} "
        "what the first one wrote",
        kept=kept,
    )


def _not_kept_by_stop(lab: Laboratory) -> Finding:
    volume = lab.volume()
    box = lab.create("append", "/data/file", "kept", "+", "read", "/data/file",
                     binds=[f"{volume}:/data"], user=ROOT)  # fmt: skip
    first = box.start().wait().output
    both = box.start().wait().output.removeprefix(first)
    return decided(
        both == "kept",
        f"a container that adds 4 bytes to a file in its volume reads {len(first)} bytes at its "
        f"first start and {len(both)} at its second",
        first_bytes=len(first), second_bytes=len(both),
    )  # fmt: skip


def _anonymous(lab: Laboratory, **options: Any) -> tuple[bool, bool]:
    """Whether the anonymous volume of a container was there before, and after its removal."""
    # By a mount and not by -v, which can give no label; it is the same to the engine otherwise.
    mount = {"Type": "volume", "Target": "/data", "VolumeOptions": {"Labels": lab.labels}}
    box = lab.create("exit", "0", mounts=[mount])
    (name,) = [one["Name"] for one in box.inspect()["Mounts"]]
    before = name in lab.volume_names()
    box.remove(**options)
    after = name in lab.volume_names()
    if after:
        lab.remove_volume(name)
    return before, after


def _anonymous_goes_with_rm(lab: Laboratory) -> Finding:
    before, after = _anonymous(lab)
    return decided(
        before and not after,
        f"its anonymous volume is {'still there' if after else 'gone'} after docker rm",
        there_before=before, there_after=after,
    )  # fmt: skip


def _anonymous_goes_with_rm_v(lab: Laboratory) -> Finding:
    before, after = _anonymous(lab, volumes=True)
    return decided(
        before and not after,
        f"its anonymous volume is {'still there' if after else 'gone'} after docker rm -v",
        there_before=before, there_after=after,
    )  # fmt: skip


def _shared_at_once(lab: Laboratory) -> Finding:
    volume = lab.volume()
    options: dict[str, Any] = {"binds": [f"{volume}:/data"], "user": ROOT}
    one, two = (lab.create("sleep", "60", **options).start() for _ in range(2))
    one.execute("write", "/data/one", "of one", user=ROOT)
    two.execute("write", "/data/two", "of two", user=ROOT)
    seen = (two.execute("read", "/data/one").output, one.execute("read", "/data/two").output)
    count = sum(text.startswith("of") for text in seen)
    return decided(
        seen == ("of one", "of two"),
        f"of 2 containers that run with the volume, {count} read what the other one wrote",
        readers=count,
    )


def _in_use_stays(lab: Laboratory) -> Finding:
    volume = lab.volume()
    box = lab.create("sleep", "60", binds=[f"{volume}:/data"]).start()
    for how in ("runs", "is stopped"):
        try:
            lab.remove_volume(volume)
        except EngineRefusedError:
            pass
        else:
            return decided(False, f"the volume is removed while its container {how}", stays=False)
        if how == "runs":
            box.stop(0)
    stays = volume in lab.volume_names()
    return decided(
        stays,
        "docker volume rm is refused while its container runs, and while it is stopped",
        stays=stays,
    )


def _copied_from_image(lab: Laboratory) -> Finding:
    chosen, volume = image_with(lab, "/data/file", "of the image"), lab.volume()
    found = lab.run("list", "/data", image=chosen, binds=[f"{volume}:/data"]).output.split()
    return decided(
        found == ["file"],
        f"a new volume over a folder of the image with 1 file holds {len(found)}",
        files=len(found),
    )


def _filled_up_from_image(lab: Laboratory) -> Finding:
    chosen, volume = image_with(lab, "/data/file", "of the image"), lab.volume()
    lab.run("write", "/data/own", "of the volume", binds=[f"{volume}:/data"], user=ROOT)
    found = lab.run("list", "/data", image=chosen, binds=[f"{volume}:/data"]).output.split()
    return decided(
        "file" in found,
        f"a volume with 1 file over a folder of the image with 1 other shows {len(found)}: "
        f"{', '.join(found)}",
        files=len(found), of_the_image="file" in found,
    )  # fmt: skip


def _nocopy(lab: Laboratory) -> Finding:
    chosen, volume = image_with(lab, "/data/file", "of the image"), lab.volume()
    found = lab.run("list", "/data", image=chosen, binds=[f"{volume}:/data:nocopy"])
    files = found.output.split()
    return decided(
        found.exit_code == 0 and not files,
        f"with nocopy a new volume over a folder of the image with 1 file holds {len(files)}",
        files=len(files),
    )


def _copied_into(lab: Laboratory) -> Finding:
    volume = lab.volume()
    box: Box = lab.create("exit", "0", binds=[f"{volume}:/data"])
    box.put("/data", {"file": b"kept"})
    box.remove()
    kept = _kept(lab, volume)
    return decided(
        kept,
        f"another container {'reads' if kept else 'does not find'} in the volume what docker cp "
        "put into a container that was never started",
        kept=kept,
    )


CLAIMS = (
    Claim(
        id="volume-survives-rm",
        topic=Topic.VOLUME,
        sentence="A named volume survives docker rm, and docker rm -v too.",
        korean="이름 있는 볼륨은 docker rm은 물론 docker rm -v 후에도 남는다.",
        refuted_by="After either command the volume is gone, or a new container does not find in "
        "it what the removed one wrote.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "a named volume is an object of its own, which docker volume rm alone removes",
                "moby daemon/mounts.go, removeMountPoints: named ones are skipped; measured",
            ),
        ),
        by_hand=(
            "docker run --name box -v data:/data IMAGE sh -c 'echo kept > /data/file'",
            "docker rm -v box",
            "docker run --rm -v data:/data IMAGE cat /data/file; docker volume rm data",
        ),
        story="A volume is a folder that the engine keeps beside the containers and mounts into "
        "them. What goes with a container is its writable layer; -v adds the volumes that the "
        "engine made for it without a name. One with a name stays until docker volume rm.",
        experiment=_survives_rm,
    ),
    Claim(
        id="volume-is-emptied-by-stop",
        topic=Topic.VOLUME,
        sentence="The data in a volume is not kept once its container has stopped.",
        korean="컨테이너가 종료되면 볼륨에 있는 데이터는 보존되지 않는다.",
        refuted_by="At its second start the container reads what it wrote at its first.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "stop unmounts the volume and leaves its files",
                "docs.docker.com/engine/storage/volumes; measured",
            ),
        ),
        by_hand=(
            "docker run --name box -v data:/data IMAGE sh -c 'echo line >> /data/f; wc -l /data/f'",
            "docker start -a box",
            "docker rm box; docker volume rm data",
        ),
        story="Nothing of a volume is lost by stop, restart or rm. What stop takes is the memory "
        "of the processes and what lies in a tmpfs; the writable layer stays until rm.",
        experiment=_not_kept_by_stop,
    ),
    Claim(
        id="rm-takes-anonymous-volumes",
        topic=Topic.VOLUME,
        sentence="docker rm removes the anonymous volumes of a container with it.",
        korean="docker rm은 컨테이너의 익명 볼륨도 함께 삭제한다.",
        refuted_by="The volume that the engine made for the container is still listed after rm.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "only with -v, or where the container was run with --rm",
                "moby daemon/mounts.go, removeMountPoints; docker rm --help; measured",
            ),
        ),
        by_hand=(
            "docker create --name box -v /data IMAGE; docker volume ls",
            "docker rm box; docker volume ls --filter dangling=true",
        ),
        story="An image's VOLUME line or -v with a path alone makes a volume whose name is 64 "
        "hexadecimal digits. Plain rm leaves it behind, where nobody finds it again: a disk fills "
        "with them. rm -v and run --rm take it; docker volume prune takes what is left.",
        experiment=_anonymous_goes_with_rm,
    ),
    Claim(
        id="rm-v-takes-anonymous-volumes",
        topic=Topic.VOLUME,
        sentence="docker rm -v removes the anonymous volumes of a container with it.",
        korean="docker rm -v는 컨테이너의 익명 볼륨까지 함께 삭제한다.",
        refuted_by="The volume that the engine made for the container is still listed after rm -v.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "-v is for the volumes without a name that no other container uses",
                "moby daemon/mounts.go, removeMountPoints; measured",
            ),
        ),
        by_hand=(
            "docker create --name box -v /data IMAGE; docker volume ls",
            "docker rm -v box; docker volume ls",
        ),
        story="-v says: the volumes that were made for this container, too. It spares those with a "
        "name, and those that another container has mounted as well.",
        experiment=_anonymous_goes_with_rm_v,
    ),
    Claim(
        id="volume-is-shared-at-once",
        topic=Topic.VOLUME,
        sentence="Several containers can use one volume at once, all reading and writing.",
        korean="하나의 볼륨을 여러 컨테이너가 동시에 읽고 쓸 수 있다.",
        refuted_by="A running container does not read what another running one wrote.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "it is one folder, mounted into each of them",
                "docs.docker.com/engine/storage/volumes; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name one -v data:/data IMAGE sleep 60",
            "docker run -d --name two -v data:/data IMAGE sleep 60",
            "docker exec one sh -c 'echo hello > /data/file'; docker exec two cat /data/file",
        ),
        story="All see the same files at once, as programs of one host do. Nothing keeps them from "
        "writing to the same file: locks are the programs' own business.",
        experiment=_shared_at_once,
    ),
    Claim(
        id="volume-in-use-stays",
        topic=Topic.VOLUME,
        sentence="A volume that a container uses, running or stopped, cannot be removed.",
        korean="컨테이너가 사용 중인 볼륨은 그 컨테이너가 정지 상태여도 삭제할 수 없다.",
        refuted_by="docker volume rm takes it while a container that has it is there.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "every container that is there counts as a user, until docker rm",
                "moby volume/service/errors.go, errVolumeInUse; measured",
            ),
        ),
        by_hand=(
            "docker create --name box -v data:/data IMAGE",
            "docker volume rm data",
            "docker rm box; docker volume rm data",
        ),
        story="The engine counts who refers to a volume, and a stopped container does: it may be "
        "started again. The refusal names the container. -f helps only against a volume that is "
        "gone already.",
        experiment=_in_use_stays,
    ),
    Claim(
        id="volume-takes-image-folder",
        topic=Topic.VOLUME,
        sentence="A new volume is filled with what the image has in that folder.",
        korean="새 볼륨에는 이미지의 해당 폴더에 있던 내용이 복사된다.",
        refuted_by="A new volume over a folder with a file in it does not hold that file.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "an empty volume gets a copy, when the container is made",
                "moby daemon/create_unix.go, populateVolumes; measured",
            ),
        ),
        by_hand=(
            "docker run --rm -v data:/etc IMAGE ls /etc",
            "docker run --rm -v data:/other IMAGE ls /other; docker volume rm data",
        ),
        story="So a database's image can ship a data folder. It is a copy of the first moment: "
        "a newer image does not bring its files into a volume that has some.",
        experiment=_copied_from_image,
    ),
    Claim(
        id="used-volume-takes-image-folder",
        topic=Topic.VOLUME,
        sentence="A volume that holds files already gets the image's files added.",
        korean="이미 파일이 있는 볼륨에도 이미지 폴더의 파일이 추가된다.",
        refuted_by="A volume with a file of its own does not show the image's file.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "only an empty volume gets a copy; another one hides the folder",
                "moby container/container_unix.go, copyExistingContents; measured",
            ),
        ),
        by_hand=(
            "docker run --rm -v data:/data IMAGE touch /data/own",
            "docker run --rm -v data:/etc IMAGE ls /etc; docker volume rm data",
        ),
        story="A mount covers what lies under it. The copy into a new volume is the engine's "
        "courtesy, made once, while it is empty: this is why an upgraded image still shows the "
        "old files of its volume.",
        experiment=_filled_up_from_image,
    ),
    Claim(
        id="nocopy-leaves-volume-empty",
        topic=Topic.VOLUME,
        sentence="With nocopy a new volume stays empty.",
        korean="nocopy를 쓰면 새 볼륨은 비어 있는 상태로 시작한다.",
        refuted_by="A new volume that is mounted with nocopy holds the image's file.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "it switches the copy off",
                "moby volume/mounts/volume_copy.go; measured",
            ),
        ),
        by_hand=("docker run --rm -v data:/etc:nocopy IMAGE ls /etc; docker volume rm data",),
        story="nocopy is a word of -v and a key of --mount (volume-nocopy). The image's folder is "
        "hidden then, as under a bind mount.",
        experiment=_nocopy,
    ),
    Claim(
        id="cp-writes-into-a-volume",
        topic=Topic.VOLUME,
        sentence="docker cp can put a file into a volume, through a container that never ran.",
        korean="docker cp로 한 번도 실행하지 않은 컨테이너를 통해 볼륨에 파일을 넣을 수 있다.",
        refuted_by="Another container does not find in the volume what was copied.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "cp mounts the container's volumes for the copy",
                "moby daemon/archive.go, containerExtractToDir; measured",
            ),
        ),
        by_hand=(
            "docker create --name box -v data:/data IMAGE",
            "echo kept > file; docker cp file box:/data/; docker rm box",
            "docker run --rm -v data:/data IMAGE ls /data; docker volume rm data",
        ),
        story="cp works on the file tree that the container would see, its volumes included, so "
        "a container that is only created is enough to fill or to read a volume.",
        experiment=_copied_into,
    ),
)
