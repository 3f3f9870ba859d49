"""Claims about read-only mounts."""

from __future__ import annotations

from harness.claims.claim import Claim, Expected, Topic, decided
from harness.claims.materials import EROFS, ROOT, folder
from harness.engine.laboratory import Laboratory
from harness.model import ClaimVerdict, Finding


def _read_only(lab: Laboratory) -> Finding:
    volume = lab.volume()
    found = lab.run("write", "/data/file", "text", binds=[f"{volume}:/data:ro"], user=ROOT)
    refused = EROFS in found.errors
    return decided(
        refused,
        f"root's write to the volume ended with exit code {found.exit_code}, "
        f"{'EROFS' if refused else 'not EROFS'}",
        exit_code=found.exit_code, erofs=refused,
    )  # fmt: skip


def _read_only_root(lab: Laboratory) -> Finding:
    volume = lab.volume()
    box = lab.create(
        "sleep", "60", read_only=True, binds=[f"{volume}:/data"], tmpfs={"/memory": ""}, user=ROOT
    ).start()
    places = ("/file", "/data/file", "/memory/file")
    took = [one for one in places if not box.execute("write", one, "text", user=ROOT).exit_code]
    return decided(
        not took,
        f"of its root, a volume and a tmpfs it can write to {len(took)}: {', '.join(took) or '-'}",
        writable=len(took), writable_root="/file" in took,
    )  # fmt: skip


def _read_only_is_still(lab: Laboratory) -> Finding:
    shared = folder(lab)
    (shared / "file").write_text("before")
    box = lab.create("sleep", "60", binds=[f"{shared}:/data:ro"]).start()
    first = box.execute("read", "/data/file").output
    (shared / "file").write_text("after")
    second = box.execute("read", "/data/file").output
    return decided(
        first == second == "before",
        f"a file in a folder mounted with :ro reads {first!r}, and {second!r} once the host has "
        "written to it",
        first=first, second=second,
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="read-only-volume-binds-root",
        topic=Topic.VOLUME,
        sentence="Not even root can write to a volume that is mounted with :ro.",
        korean=":ro로 마운트한 볼륨에는 컨테이너의 root도 쓸 수 없다.",
        refuted_by="root's write succeeds, or fails by another error than EROFS.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "read-only is a flag of the mount, before any permission is looked at",
                "kernel fs/namespace.c, mnt_want_write; man 2 mount, MS_RDONLY; measured",
            ),
        ),
        by_hand=("docker run --rm -v data:/data:ro IMAGE touch /data/file; docker volume rm data",),
        story="The kernel refuses writes through a read-only mount to everybody (EROFS, error 30). "
        "The flag is of this mount alone: another container may have the same volume with rw.",
        experiment=_read_only,
    ),
    Claim(
        id="read-only-root-writes-nowhere",
        topic=Topic.VOLUME,
        sentence="A container with --read-only can write nowhere.",
        korean="--read-only로 실행한 컨테이너는 어디에도 쓸 수 없다.",
        refuted_by="It can write to a volume or to a tmpfs.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "only its root is read-only; volumes and tmpfs are mounts of their own",
                "docker run --help; runc libcontainer/rootfs_linux.go, setReadonly; measured",
            ),
        ),
        by_hand=(
            "TRY='touch /file; touch /data/file && touch /memory/file && echo both'",
            'docker run --rm --read-only -v data:/data --tmpfs /memory IMAGE sh -c "$TRY"',
            "docker volume rm data",
        ),
        story="--read-only is the flag of the root's mount. What is mounted into it keeps its own: "
        "this is how one runs a program on a read-only root and gives it the places that it "
        "needs. /dev/shm stays writable as well.",
        experiment=_read_only_root,
    ),
    Claim(
        id="read-only-mount-is-still",
        topic=Topic.BIND,
        sentence="What is mounted with :ro does not change while the container runs.",
        korean=":ro로 마운트한 내용은 컨테이너가 실행되는 동안 바뀌지 않는다.",
        refuted_by="The container reads another content after the host has written to the file.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "read-only is what this container may do, no snapshot",
                "man 2 mount, MS_RDONLY, MS_BIND; measured",
            ),
        ),
        by_hand=(
            "mkdir shared; echo before > shared/file",
            'docker run -d --name box -v "$PWD/shared":/data:ro IMAGE sleep 60',
            "echo after > shared/file; docker exec box cat /data/file",
        ),
        story="The flag keeps this container from writing. The host, and every container that has "
        "the same place with rw, go on writing, and all see it at once.",
        experiment=_read_only_is_still,
    ),
)
