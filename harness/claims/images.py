"""Claims about what an image is."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

from harness.claims.claim import Claim, Expected, Topic, When, decided
from harness.engine.laboratory import Box, Laboratory
from harness.model import ClaimVerdict, Finding

_BIG = 4 << 20


def _layers_are_copied(lab: Laboratory) -> Finding:
    built = lab.images.build(
        f"FROM {lab.hand}", "USER 0", "COPY big /big", files={"big": bytes(_BIG)}
    )
    boxes = [lab.create("stat", "/big", image=built.id) for _ in range(2)]
    inodes = [box.start().wait().output.split()[-1] for box in boxes]
    own = max(_own_bytes(lab, box) for box in boxes)
    same = inodes[0] == inodes[1]
    return decided(
        not same or own >= _BIG,
        f"two containers of an image with a file of {_BIG} bytes have {own} bytes of their own, "
        f"and see that file as {'one and the same inode' if same else 'two inodes'}",
        own_bytes=own, file_bytes=_BIG, same_inode=same,
    )  # fmt: skip


def _own_bytes(lab: Laboratory, box: Box) -> int:
    """Of a container's writable layer; the engine leaves out what is 0."""
    with lab.asking("tell the size of a container") as api:
        (told,) = api.containers(all=True, size=True, filters={"id": box.id})
    return int(told.get("SizeRw") or 0)


def _history_tells(lab: Laboratory) -> Finding:
    sizes = {"small": 100_000, "large": 200_000}
    built = lab.images.build(
        f"FROM {lab.hand}", "COPY small /small", "ENV COLOUR=blue", "COPY large /large",
        files={name: bytes(size) for name, size in sizes.items()},
    )  # fmt: skip
    # The newest is told first.
    rows = [row for row in lab.images.history(built.id) if "COPY" in row[0] or "COLOUR" in row[0]]
    added = [size for _, size in rows]
    right = (
        len(rows) == 3
        and added[0] >= sizes["large"]
        and "COLOUR=blue" in rows[1][0]
        and added[1] == 0
        and sizes["small"] <= added[2] < added[0]
    )
    return decided(
        right,
        f"of COPY {sizes['small']} bytes, ENV, COPY {sizes['large']} bytes it tells, the newest "
        f"first, {len(rows)} steps of {', '.join(str(size) for size in added)} bytes",
        steps=len(rows), told_bytes=sum(added),
    )  # fmt: skip


def _tag_copies(lab: Laboratory) -> Finding:
    first, second = lab.tag(), lab.tag()
    built = lab.images.build(f"FROM {lab.hand}", f"ENV MADE_FOR={first}", tag=first)
    lab.images.tag(first, second)
    found = lab.images.inspect(second)
    names = len(lab.images.inspect(built.id).tags)
    return decided(
        found.id != built.id,
        f"the second name names {'the same' if found.id == built.id else 'another'} image id, "
        f"of {found.size_bytes} bytes, which now has {names} names",
        same_id=found.id == built.id, names=names,
    )  # fmt: skip


def _tag_is_fixed(lab: Laboratory) -> Finding:
    name = lab.tag()
    first, second = (
        lab.images.build(f"FROM {lab.hand}", "COPY word /word", tag=name, files={"word": word})
        for word in (b"first", b"second")
    )
    now = lab.images.inspect(name).id
    by_name = lab.run("read", "/word", image=name).output
    by_id = lab.run("read", "/word", image=first.id).output
    return decided(
        now == first.id != second.id,
        f"after a second build with the same tag, a container of the tag reads '{by_name}', one "
        f"of the first id still '{by_id}'",
        tag_moved=now != first.id, by_tag=by_name, by_id=by_id,
    )  # fmt: skip


def _latest_is_newest(lab: Laboratory) -> Finding:
    repository = lab.name().lower()
    older, newer = (
        lab.images.build(f"FROM {lab.hand}", f"ENV MADE_AS={tag}", tag=f"{repository}:{tag}")
        for tag in ("latest", "2")
    )
    named = lab.images.inspect(f"{repository}:latest").id
    return decided(
        named == newer.id,
        f"'latest' names the {'newer' if named == newer.id else 'older'} of two images, of which "
        "the newer was built as '2'",
        names_the_older=named == older.id,
    )


def _id_is_a_digest(lab: Laboratory) -> Finding:
    built = lab.images.build(f"FROM {lab.hand}", "ENV COLOUR=green")
    with tarfile.open(fileobj=io.BytesIO(lab.images.save(built.id))) as tar:
        manifest = json.loads(_member(tar, "manifest.json"))
        configuration = _member(tar, manifest[0]["Config"])
    digest = f"sha256:{hashlib.sha256(configuration).hexdigest()}"
    return decided(
        digest == built.id,
        f"the configuration in its archive, {len(configuration)} bytes, has the digest "
        f"{digest[:19]}…, the image the id {built.id[:19]}…",
        configuration_bytes=len(configuration),
    )


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    found = tar.extractfile(name)
    return found.read() if found else b""


def _save_keeps_the_id(lab: Laboratory) -> Finding:
    name = lab.tag()
    built = lab.images.build(
        f"FROM {lab.hand}", "COPY word /word", tag=name, files={"word": b"moved"}
    )
    archive = lab.images.save(name)
    lab.images.remove(name)
    gone = not lab.images.there(built.id)
    lab.images.load(archive)
    back = lab.images.there(name) and lab.images.inspect(name).id == built.id
    read = lab.run("read", "/word", image=name).output if back else ""
    return decided(
        gone and back and read == "moved",
        f"saved in {len(archive)} bytes, {'removed' if gone else 'not removed'} and loaded, it is "
        f"{'there with its name and id' if back else 'not there by its name and id'}"
        + (f", and its container reads '{read}'" if back else ""),
        archive_bytes=len(archive), same_id=back,
    )  # fmt: skip


def _export_keeps_all(lab: Laboratory) -> Finding:
    built = lab.images.build(
        f"FROM {lab.hand}", "COPY word /word", "ENV COLOUR=red", files={"word": b"moved"}
    )
    before = lab.images.inspect(built.id)
    archive = lab.images.export(lab.create("say", "x", image=built.id).id)
    after = lab.images.inspect(lab.images.import_(archive, lab.tag()))
    steps = [len(lab.images.history(one.id)) for one in (before, after)]
    environment = "COLOUR=red" in after.environment
    whole = (
        before.layers == after.layers
        and before.entrypoint == after.entrypoint
        and environment
        and steps[0] == steps[1]
    )
    return decided(
        whole,
        f"of {len(before.layers)} layers {len(after.layers)} came back, of {steps[0]} steps of "
        f"history {steps[1]}; the entrypoint is {'kept' if after.entrypoint else 'lost'}, the "
        f"environment {'kept' if environment else 'lost'}",
        layers_before=len(before.layers), layers_after=len(after.layers),
        history_before=steps[0], history_after=steps[1],
        entrypoint_kept=bool(after.entrypoint),
    )  # fmt: skip


CLAIMS = (
    Claim(
        id="image-layers-are-copied",
        topic=Topic.IMAGE,
        sentence="Each container gets its own copy of the layers of its image.",
        korean="컨테이너를 만들 때마다 이미지의 읽기 전용 레이어가 컨테이너로 복사된다.",
        refuted_by="Two containers of an image see a file of it as the same inode, and neither has "
        "bytes of its own.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "containers lie upon the same read-only layers, each with a thin one of its own "
                "(the storage driver vfs alone copies)",
                "docs.docker.com/engine/storage/drivers: container and layers; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name c1 IMAGE sleep 60; docker run -d --name c2 IMAGE sleep 60",
            "docker inspect -f '{{.GraphDriver.Data.LowerDir}}' c1 c2",
            "docker ps --size",
        ),
        story="An image's layers are read-only and lie on the disk once. A container is given an "
        "empty layer of its own above them, and the kernel's overlay shows all as one tree. Only a "
        "file that the container changes is copied, at its first change: ten containers of an "
        "image of 1 GB take 1 GB, not ten. The first inspect shows lower folders that differ in "
        "the container's own first one alone.",
        experiment=_layers_are_copied,
    ),
    Claim(
        id="image-history-tells-steps",
        topic=Topic.IMAGE,
        sentence="docker history shows the instructions of an image, and what each added in size.",
        korean="docker history는 이미지를 만든 명령들과 각 명령이 늘린 크기를 보여 준다.",
        refuted_by="An instruction is missing, its size is less than that of its file, or an "
        "instruction that adds no file has a size.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the builder writes each step into the image's configuration",
                "OCI image-spec config.md, history; moby daemon/images/image_history.go",
            ),
        ),
        by_hand=("docker history --no-trunc IMAGE",),
        story="The configuration of an image has an entry for each step of its build, and says of "
        "each whether it made a layer. The engine adds the layers' sizes. What was flattened or "
        "imported has one step only, and what is written there is the builder's word: it is no "
        "proof of what the layer holds.",
        experiment=_history_tells,
    ),
    Claim(
        id="image-tag-copies",
        topic=Topic.IMAGE,
        sentence="docker tag makes a copy of the image under a new name.",
        korean="docker tag는 이미지를 새 이름으로 복사한다.",
        refuted_by="The new name names the same image id.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a name is an entry that points to an id, and an id may have many",
                "docs.docker.com/reference/cli/docker/image/tag; moby reference/store.go",
            ),
        ),
        by_hand=("docker tag IMAGE again:1", "docker inspect -f '{{.Id}} {{.RepoTags}}' again:1"),
        story="A tag is a name for an image id, as a hard link is for an inode. It takes no room, "
        "though docker images lists the image twice, each time with its full size.",
        experiment=_tag_copies,
    ),
    Claim(
        id="image-tag-is-fixed",
        topic=Topic.IMAGE,
        sentence="A tag always names the same image.",
        korean="태그는 항상 같은 이미지를 가리킨다.",
        refuted_by="A second build with the same tag moves it to another image, while the first "
        "one's id still gives the first content.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a tag moves to whatever was built, tagged or pulled under it last; a digest is "
                "computed from the content and cannot move",
                "OCI distribution-spec, definitions of tag and digest; measured",
            ),
        ),
        by_hand=(
            "echo first > word; printf 'FROM busybox\\nCOPY word /\\n' > Dockerfile",
            "docker build -t moving . && FIRST=$(docker inspect -f '{{.Id}}' moving)",
            "echo second > word; docker build -t moving .",
            "docker run --rm moving cat /word; docker run --rm $FIRST cat /word",
        ),
        story="Who writes FROM python:3.12 gets another image next month. What must stay the same "
        "is named by its digest: name@sha256:… The image that lost its name is not gone; it is "
        "listed as <none> until it is pruned.",
        experiment=_tag_is_fixed,
    ),
    Claim(
        id="image-latest-is-newest",
        topic=Topic.IMAGE,
        sentence="The tag latest names the newest version of an image.",
        korean="latest 태그는 항상 가장 최신 버전의 이미지를 가리킨다.",
        refuted_by="A newer image was built under another tag, and latest still names the older.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "latest is the tag that is taken where none is given, and nothing else",
                "github.com/distribution/reference normalize.go, TagNameOnly; measured",
            ),
        ),
        by_hand=(
            "printf 'FROM busybox\\nENV A=1\\n' | docker build -t app -",
            "printf 'FROM busybox\\nENV A=2\\n' | docker build -t app:2 -",
            "docker images --no-trunc app",
        ),
        story="No engine and no registry sets latest by itself. It moves when somebody builds or "
        "pushes without a tag, which may be years ago.",
        experiment=_latest_is_newest,
    ),
    Claim(
        id="image-id-is-a-digest",
        topic=Topic.IMAGE,
        sentence="The id of an image is the SHA-256 digest of its configuration.",
        korean="이미지 ID는 이미지 설정(config) JSON의 SHA-256 다이제스트이다.",
        refuted_by="The configuration in the archive of docker save has another digest.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "where containerd keeps the images, as in new installations since 29, the id is "
                "the digest of the manifest or index",
                "docs.docker.com/engine/storage/containerd; measured on 28.5",
                When(engine="docker", storage="overlayfs"),
            ),
            Expected(
                ClaimVerdict.HOLDS,
                "so the configuration, which lists the layers' digests, vouches for all of them",
                "moby image/spec/v1.2.md, image id; OCI image-spec config.md, ImageID",
            ),
        ),
        by_hand=(
            "docker save -o image.tar IMAGE && tar -xf image.tar",
            'sed \'s/.*"Config":"\\([^"]*\\)".*/\\1/\' manifest.json | xargs sha256sum',
            "docker images --no-trunc IMAGE",
        ),
        story="The id is computed from the content: the same build steps with the same files and "
        "times give the same id on any host, and a changed byte gives another. It is not the "
        "digest by which a registry knows the image, which is that of its manifest. Engines that "
        "keep images in containerd show the latter as the id.",
        experiment=_id_is_a_digest,
    ),
    Claim(
        id="image-save-keeps-the-id",
        topic=Topic.IMAGE,
        sentence="An image moves to a host without a registry by docker save and docker load.",
        korean="save와 load로 레지스트리가 없는 폐쇄망 호스트에 이미지를 옮길 수 있다.",
        refuted_by="After save, removal and load the image is not there with its name and id, or "
        "its container does not read its file.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the archive holds configuration, layers and names as they are",
                "moby image/spec/v1.2.md, combined image JSON + filesystem changeset format",
            ),
        ),
        by_hand=(
            "docker save -o image.tar IMAGE && docker rmi IMAGE",
            "docker load -i image.tar",
            "docker images --no-trunc IMAGE",
        ),
        story="save writes an image with all its layers, its configuration and the names by which "
        "it was asked for; load puts it back with the same id. An image that was saved by id comes "
        "back without a name. Layers that the other host has already are in the archive too.",
        experiment=_save_keeps_the_id,
    ),
    Claim(
        id="image-export-keeps-all",
        topic=Topic.IMAGE,
        sentence="docker export and docker import move an image as save and load do.",
        korean="docker export와 import는 save와 load처럼 이미지를 그대로 옮긴다.",
        refuted_by="The imported image has fewer layers, less history, or lost its entrypoint.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "export is the files of a container, and import makes one layer of files",
                "docs.docker.com/reference/cli/docker/container/export and image/import",
            ),
        ),
        by_hand=(
            "docker create --name c1 IMAGE && docker export c1 | docker import - flat",
            "docker history flat",
            "docker inspect -f '{{json .Config.Entrypoint}} {{json .Config.Env}}' IMAGE flat",
        ),
        story="export takes a container and not an image: the files that it sees, its own changes "
        "included, volumes not. import makes an image with one layer of them. Entrypoint, "
        "command, environment, user and history are gone; --change gives them again.",
        experiment=_export_keeps_all,
    ),
)
