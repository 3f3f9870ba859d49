"""Claims about bind mounts."""

from __future__ import annotations

from typing import Any

from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.claims.materials import bind, folder, image_with
from harness.engine.laboratory import Box, Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding


def _survives_rm(lab: Laboratory) -> Finding:
    shared = folder(lab)
    box = lab.create("write", "/data/file", "kept", binds=[f"{shared}:/data"])
    ended = box.start().wait()
    box.remove(volumes=True)
    file = shared / "file"
    kept = file.is_file() and file.read_text() == "kept"
    return decided(
        ended.exit_code == 0 and kept,
        f"after docker rm -v the file is {'still' if kept else 'not'} in the host's folder",
        kept=kept,
    )


def _owner_of_the_folder(lab: Laboratory) -> Finding:
    shared = folder(lab)
    box = lab.create("write", "/data/file", "text", "+", "see", binds=[f"{shared}:/data"])
    said = box.start().wait().output
    inside = int(said.partition("uid ")[2].split()[0])
    theirs, owner = (shared / "file").stat().st_uid, shared.stat().st_uid
    return decided(
        theirs == owner,
        f"the file belongs to uid {theirs}, its folder to uid {owner}; the program ran as uid "
        f"{inside}",
        file_uid=theirs, folder_uid=owner, process_uid=inside,
    )  # fmt: skip


def _taken(lab: Laboratory, **asked: Any) -> Box | None:
    """The container, where the engine makes it."""
    try:
        return lab.create("exit", "0", **asked)
    except EngineRefusedError:
        return None


def _needs_an_absolute_path(lab: Laboratory) -> Finding:
    shared = folder(lab)
    relative = "./."  # which is there wherever an engine that takes it may stand
    took = [
        name
        for name, asked in (
            (f"-v {relative}", {"binds": [f"{relative}:/data"]}),
            (f"--mount source={relative}", {"mounts": [bind(relative, "/data")]}),
        )
        if _taken(lab, **asked)
    ]
    if _taken(lab, binds=[f"{shared}:/data"]) is None:
        return decided(False, "the absolute path is refused as well", relative_taken=len(took))
    return decided(
        not took,
        f"the absolute path is taken, of 2 ways to give a relative one {len(took)}"
        + "".join(f", {one}" for one in took),
        relative_taken=len(took),
    )


def _word_is_a_folder(lab: Laboratory) -> Finding:
    box = lab.create("exit", "0", binds=[f"{lab.volume()}:/data"])
    (mount,) = box.inspect()["Mounts"]
    return decided(
        mount["Type"] == "bind",
        f"-v WORD:/data mounts a {mount['Type']} that lies in {mount['Source']}",
        type=mount["Type"],
    )


def _seen_at_once(lab: Laboratory) -> Finding:
    shared = folder(lab)
    box = lab.create("sleep", "60", binds=[f"{shared}:/data"]).start()
    (shared / "file").write_text("new")
    seen = box.execute("read", "/data/file").output == "new"
    return decided(
        seen,
        f"a file that the host makes is {'there' if seen else 'not there'} for the next read in "
        "the running container",
        seen=seen,
    )


def _file_follows_its_name(lab: Laboratory) -> Finding:
    shared = folder(lab)
    (shared / "file").write_text("old")
    box = lab.create("sleep", "60", binds=[f"{shared}/file:/data/file"]).start()
    (shared / "next").write_text("new")
    (shared / "next").replace(shared / "file")
    seen = box.execute("read", "/data/file").output
    box.restart()
    later = box.execute("read", "/data/file").output
    return decided(
        seen == "new",
        f"after the host has put a new file in its place, the container reads the {seen} one, and "
        f"the {later} one after a restart",
        seen=seen, after_restart=later,
    )  # fmt: skip


def _mount_refuses_a_missing_source(lab: Laboratory) -> Finding:
    missing = folder(lab) / "missing"
    box = _taken(lab, mounts=[bind(missing, "/data")])
    if box:
        try:
            box.start().wait()
        except EngineRefusedError:
            box = None
    return decided(
        box is None and not missing.exists(),
        f"--mount with a source that is not there is {'taken' if box else 'refused'}, and the "
        f"folder is {'made' if missing.exists() else 'not made'}",
        taken=box is not None, made=missing.exists(),
    )  # fmt: skip


def _v_makes_a_missing_source(lab: Laboratory) -> Finding:
    missing = folder(lab) / "missing"
    box = _taken(lab, binds=[f"{missing}:/data"])
    if box:
        box.start().wait()
    made = missing.is_dir()
    owner = missing.stat().st_uid if made else None
    return decided(
        made,
        f"-v with a source that is not there makes {'a folder of uid' if made else 'nothing'}"
        f"{f' {owner}' if made else ''}",
        made=made, uid=owner,
    )  # fmt: skip


def _blanks(lab: Laboratory) -> Finding:
    shared = folder(lab)
    parts = ["type=bind", f"source={shared}", "target=/data"]
    labels = [f"--label={name}={value}" for name, value in lab.labels.items()]
    create = ["create", "--network=none", *labels, "--mount"]
    try:
        right = lab.command_line(*create, ",".join(parts), lab.hand, "exit", "0")
        wrong = lab.command_line(*create, *parts, lab.hand, "exit", "0")
    except FileNotFoundError:
        raise NotExercisableError("there is no docker command on PATH to read the words") from None
    if right.exit_code:
        said = (right.errors.strip().splitlines() or ["nothing"])[0]
        raise NotExercisableError(f"the docker command does not reach this engine: {said}")
    said = (wrong.errors.strip().splitlines() or ["nothing"])[0]
    return decided(
        wrong.exit_code == 0,
        f"with commas it is taken, with blanks the command ends with {wrong.exit_code}: {said}",
        exit_code=wrong.exit_code,
    )


def _filled_from_image(lab: Laboratory) -> Finding:
    shared = folder(lab)
    chosen = image_with(lab, "/data/file", "of the image")
    found = lab.run("list", "/data", image=chosen, binds=[f"{shared}:/data"])
    files = found.output.split()
    return decided(
        found.exit_code == 0 and files == ["file"],
        f"a bind mount of an empty folder over a folder of the image with 1 file shows "
        f"{len(files)}",
        files=len(files),
    )


CLAIMS = (
    Claim(
        id="bind-survives-rm",
        topic=Topic.BIND,
        sentence="What a container writes to a bind mount stays on the host after docker rm -v.",
        korean="바인드 마운트에 쓴 파일은 docker rm -v로 컨테이너를 지워도 호스트에 남는다.",
        refuted_by="The file is not in the host's folder once the container is removed.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the folder is the host's; the engine never made it and never removes it",
                "man 2 mount, MS_BIND; moby daemon/mounts.go; measured",
            ),
        ),
        by_hand=(
            'docker run --name box -v "$PWD":/data IMAGE touch /data/file',
            "docker rm -v box; ls -l file",
        ),
        story="A bind mount shows a folder of the host at a place in the container: the same "
        "files, no copy. Removing the container takes the mount away, not what it showed.",
        experiment=_survives_rm,
    ),
    Claim(
        id="bind-files-get-folder-owner",
        topic=Topic.BIND,
        sentence="Files made through a bind mount belong to the owner of the host's folder.",
        korean="바인드 마운트로 만든 파일은 호스트 폴더의 소유자 것이 된다.",
        refuted_by="The host sees the file with another owner than the folder's.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a new file gets the uid of the process that makes it",
                "man 2 open, O_CREAT; measured",
            ),
        ),
        by_hand=(
            "mkdir shared; chmod 777 shared",
            'docker run --rm --user 65534 -v "$PWD/shared":/data IMAGE touch /data/file',
            "ls -ln shared",
        ),
        story="The container's users are numbers of the host's kernel: a program that runs as root "
        "leaves files of root in one's folder, one that runs as 65534 files of 65534. With user "
        "namespaces, as rootless engines have them, the number is mapped to another one first. "
        '--user "$(id -u):$(id -g)" is what gives files of one\'s own.',
        experiment=_owner_of_the_folder,
    ),
    Claim(
        id="bind-needs-absolute-path",
        topic=Topic.BIND,
        sentence="A bind mount needs the absolute path of the host's folder.",
        korean="바인드 마운트에는 호스트 폴더의 절대 경로가 필요하다.",
        refuted_by="The engine takes ./FOLDER, or does not take the absolute path.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "Podman's service takes it, as seen from the folder where the service stands",
                "measured with 4.3",
                When(engine="podman"),
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "the engine does not know in which folder its client stands",
                "moby volume/mounts/linux_parser.go; measured",
            ),
        ),
        by_hand=(
            'ASKED=\'{"Image": "IMAGE", "HostConfig": {"Binds": ["./shared:/data"]}}\'',
            'curl --unix-socket /var/run/docker.sock --json "$ASKED" http://docker/containers/create',
            "docker run --rm -v ./shared:/data IMAGE ls /data  # newer clients: taken",
        ),
        story="The engine refuses it. Since 23.0 the docker command itself makes ./x and ../x "
        "absolute before it asks, as Compose does, so there it works; x alone stays the name of "
        "a volume.",
        experiment=_needs_an_absolute_path,
    ),
    Claim(
        id="bind-word-is-a-folder",
        topic=Topic.BIND,
        sentence="-v data:/data mounts the folder data of the directory where one stands.",
        korean="-v data:/data는 현재 디렉터리의 data 폴더를 마운트한다.",
        refuted_by="What is mounted is a volume.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a word without a / is the name of a volume, made where there is none",
                "moby volume/mounts/linux_parser.go; docs.docker.com/engine/storage; measured",
            ),
        ),
        by_hand=(
            "mkdir data; touch data/file",
            "docker run --rm -v data:/data IMAGE ls /data; docker volume ls",
        ),
        story="The / decides: data is a volume's name, /data and, for newer clients, ./data are "
        "folders. The folder looks empty in the container, and a volume named data is left.",
        experiment=_word_is_a_folder,
    ),
    Claim(
        id="bind-change-is-seen-at-once",
        topic=Topic.BIND,
        sentence="What the host changes in a bind mount is seen in the running container at once.",
        korean="바인드 마운트한 폴더를 호스트에서 바꾸면 실행 중인 컨테이너에 바로 보인다.",
        refuted_by="A file that the host makes is not there for the next read in the container.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "both look at the same folder of the same file system",
                "man 2 mount, MS_BIND; measured",
            ),
        ),
        by_hand=(
            'docker run -d --name box -v "$PWD":/data IMAGE sleep 60',
            "touch new; docker exec box ls -l /data/new",
        ),
        story="Nothing is copied or synchronised on Linux. With Docker Desktop a virtual machine "
        "lies between, whose shared file system may lag.",
        experiment=_seen_at_once,
    ),
    Claim(
        id="bind-file-follows-its-name",
        topic=Topic.BIND,
        sentence="A single file that is bind mounted shows what the host has under that name.",
        korean="파일 하나를 바인드 마운트하면 호스트의 그 이름에 있는 내용이 항상 보인다.",
        refuted_by="The container still reads the old file after the host has renamed a new one "
        "into its place.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the mount holds the file, its inode, and not its name",
                "man 2 mount, MS_BIND; moby issue 6011; measured",
            ),
        ),
        by_hand=(
            'echo old > file; docker run -d --name box -v "$PWD/file":/file IMAGE sleep 60',
            "echo new > next; mv next file",
            "docker exec box cat /file; docker restart -t 0 box; docker exec box cat /file",
        ),
        story="Many editors, sed -i and git write a new file and rename it into place. The mount "
        "goes on showing the old one until the container is started again. A folder that is "
        "mounted shows the new file at once.",
        experiment=_file_follows_its_name,
    ),
    Claim(
        id="mount-refuses-missing-source",
        topic=Topic.BIND,
        sentence="--mount type=bind refuses a source that is not there.",
        korean="--mount type=bind는 호스트에 없는 경로를 거부한다.",
        refuted_by="The container is made and starts, or the folder is made.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "Podman's service makes the folder, as for -v; the command podman refuses",
                "measured with 4.3",
                When(engine="podman"),
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "a mount is validated: the bind source path does not exist",
                "moby volume/mounts/linux_parser.go, validateMountConfigImpl; measured",
            ),
        ),
        by_hand=("docker run --rm --mount type=bind,source=/missing,target=/data IMAGE ls /data",),
        story="--mount was made later than -v and made strict: a path with a typing error is an "
        "error. Newer engines take CreateMountpoint from who wants the folder made.",
        experiment=_mount_refuses_a_missing_source,
    ),
    Claim(
        id="v-makes-missing-source",
        topic=Topic.BIND,
        sentence="-v makes the host's folder where it is not there.",
        korean="-v는 호스트에 폴더가 없으면 새로 만든다.",
        refuted_by="After the start there is no such folder on the host.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "kept as it was for compatibility",
                "moby volume/mounts/mounts.go, Setup; measured, with Podman 4.3 too",
            ),
        ),
        by_hand=('docker run --rm -v "$PWD/missing":/data IMAGE ls /data; ls -ld missing',),
        story="The engine makes it, as root: so a typing error becomes an empty folder that only "
        "root can fill, and a file that was meant to be mounted becomes a folder. The command "
        "podman refuses instead; Podman's service does as Docker.",
        experiment=_v_makes_a_missing_source,
    ),
    Claim(
        id="mount-takes-blanks",
        topic=Topic.BIND,
        sentence="docker run --mount type=bind source=… target=… mounts a folder.",
        korean="docker run --mount type=bind source=… target=… 형태로 폴더를 마운트한다.",
        refuted_by="The docker command takes the same words with commas, and not with blanks.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "--mount takes one word, whose parts are separated by commas",
                "docker/cli opts/mount.go; measured with the command 28.2",
            ),
        ),
        by_hand=(
            'docker run --rm --mount type=bind source="$PWD" target=/data IMAGE ls /data',
            'docker run --rm --mount type=bind,source="$PWD",target=/data IMAGE ls /data',
        ),
        story="The shell makes three words of it: --mount gets type=bind alone, which names no "
        "target and is refused; the rest would be taken for the image. Nothing of it comes to "
        "the engine.",
        experiment=_blanks,
    ),
    Claim(
        id="bind-takes-image-folder",
        topic=Topic.BIND,
        sentence="A bind mount of an empty folder is filled with what the image has there.",
        korean="빈 폴더를 바인드 마운트하면 이미지의 해당 폴더 내용이 복사된다.",
        refuted_by="The image's file is not seen in the mounted folder.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "only volumes are filled; a bind mount hides what the image has there",
                "moby daemon/create_unix.go, populateVolumes; measured",
            ),
        ),
        by_hand=('mkdir empty; docker run --rm -v "$PWD/empty":/etc IMAGE ls /etc',),
        story="The engine writes nothing into folders of the host. What lies beneath is hidden as "
        "long as the mount is there, and unchanged: this is where the program's own files go "
        "when one mounts the source tree over them.",
        experiment=_filled_from_image,
    ),
)
