"""Claims about registries, by one of our own on loopback."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, decided
from harness.engine import image
from harness.engine.laboratory import REPOSITORY, Laboratory
from harness.engine.registry import PACKAGE, Registry, installed, registry
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding

_BIG = 256 << 10


@contextlib.contextmanager
def _reached(lab: Laboratory) -> Iterator[Registry]:
    """A registry that the engine was seen to reach: it may run elsewhere, or insist on TLS."""
    if not installed():
        raise NotExercisableError(f"there is no registry to run here: apt-get install {PACKAGE}")
    with registry() as found:
        try:
            lab.images.pull(f"{found.address}/{REPOSITORY}:nothing")
        except EngineRefusedError as error:
            if not found.asked():
                raise NotExercisableError(
                    f"the engine does not reach a registry at 127.0.0.1 of this process, without "
                    f"TLS: {error.message}"
                ) from None
        yield found


def _push_keeps_the_digest(lab: Laboratory) -> Finding:
    with _reached(lab) as there:
        name = f"{there.address}/{REPOSITORY}:1"
        built = lab.images.build(f"FROM {lab.hand}", f"ENV MADE_FOR={name}", tag=name)
        pushed = lab.images.push(name)
        lab.images.remove(name)
        gone = not lab.images.there(built.id)
        lab.images.pull(name)
        back = lab.images.inspect(name)
    same = any(one.endswith(f"@{pushed}") for one in back.digests)
    return decided(
        gone and same and back.id == built.id,
        f"pushed as {pushed[:19]}…, {'removed' if gone else 'not removed'} and pulled, it has "
        f"{'the same' if same else 'another'} digest and "
        f"{'the same' if back.id == built.id else 'another'} id",
        same_digest=same, same_id=back.id == built.id,
    )  # fmt: skip


def _pull_gives_the_same(lab: Laboratory) -> Finding:
    with _reached(lab) as there:
        repository = f"{there.address}/{REPOSITORY}"
        name, digests = f"{repository}:1", []
        for word in (b"first", b"second"):
            lab.images.build(f"FROM {lab.hand}", "COPY word /word", tag=name, files={"word": word})
            digests.append(lab.images.push(name))
        lab.images.remove(name)
        lab.images.pull(name)
        by_tag = lab.run("read", "/word", image=name).output
        pinned = f"{repository}@{digests[0]}"
        lab.images.pull(pinned)
        by_digest = lab.run("read", "/word", image=pinned).output
    return decided(
        by_tag == "first",
        f"after a second push of the same tag, a pull of the tag gives '{by_tag}', one of the "
        f"first push's digest '{by_digest}'",
        by_tag=by_tag, by_digest=by_digest,
    )  # fmt: skip


def _all_tags_come(lab: Laboratory) -> Finding:
    with _reached(lab) as there:
        repository = f"{there.address}/{REPOSITORY}"
        names = [f"{repository}:{number}" for number in (1, 2, 3)]
        built = lab.images.build(f"FROM {lab.hand}", f"ENV MADE_FOR={repository}")
        for name in names:
            lab.images.tag(built.id, name)
            lab.images.push(name)
        for name in names:
            lab.images.remove(name)
        before = sum(lab.images.there(name) for name in names)
        lab.images.pull(repository, every=True)
        after = sum(lab.images.there(name) for name in names)
    return decided(
        before == 0 and after == len(names),
        f"of {len(names)} tags in the registry {before} were here before pull -a, {after} after",
        tags=len(names), here_before=before, here_after=after,
    )  # fmt: skip


def _only_missing_layers_come(lab: Laboratory) -> Finding:
    with _reached(lab) as there:
        names = {tag: f"{there.address}/{REPOSITORY}:{tag}" for tag in ("1", "2")}
        # Named for this registry, so that no other image here has the layer already.
        shared = {"shared": there.address.encode() + bytes(_BIG)}
        layers = {}
        for tag, name in names.items():
            lab.images.build(
                f"FROM {lab.hand}", "COPY shared /shared", "COPY own /own", tag=name,
                files=shared | {"own": name.encode()},
            )  # fmt: skip
            lab.images.push(name)
            layers[tag] = there.layers(REPOSITORY, tag)
        for name in names.values():
            lab.images.remove(name)
        common, own = layers["1"][-2], layers["2"][-1]
        lab.images.pull(names["1"])
        first = there.fetched()
        lab.images.pull(names["2"])
        second = there.fetched()[len(first) :]
    return decided(
        common in first and common not in second and own in second,
        f"by the registry's own log the layer that both images have was fetched "
        f"{first.count(common)} times in the first pull and {second.count(common)} times in the "
        f"second, the second image's own layer {second.count(own)} times",
        shared_fetched_first=first.count(common), shared_fetched_again=second.count(common),
        own_fetched=second.count(own),
    )  # fmt: skip


def _platform_chooses(lab: Laboratory) -> Finding:
    architectures = {"amd64": "x86_64", "arm64": "aarch64"}
    with _reached(lab) as there:
        repository = f"{there.address}/{REPOSITORY}"
        for theirs, ours in architectures.items():
            made = image.archive_of_files(
                {"/word": theirs.encode()}, ours, tag=f"{repository}:{theirs}",
                settings={"Labels": lab.labels},
            )  # fmt: skip
            lab.images.load(made.archive)
            lab.images.push(made.tag)
            lab.images.remove(made.tag)
        there.combine(REPOSITORY, "any", {one: one for one in architectures})
        came = {}
        for theirs in (*architectures, ""):
            platform = f"linux/{theirs}" if theirs else None
            lab.images.pull(f"{repository}:any", platform=platform)
            came[theirs] = lab.images.inspect(f"{repository}:any").architecture
            lab.images.remove(f"{repository}:any")
    return decided(
        all(came[theirs] == theirs for theirs in architectures),
        "of one tag, "
        + ", ".join(
            f"{f'--platform linux/{asked}' if asked else 'no --platform'} brought {got}"
            for asked, got in came.items()
        ),
        **{f"asked_{asked or 'nothing'}": got for asked, got in came.items()},
    )


def _pull_needs_none(lab: Laboratory) -> Finding:
    with socket.socket() as taken:  # bound, and not listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        name = f"127.0.0.1:{taken.getsockname()[1]}/{REPOSITORY}:1"
        lab.images.build(f"FROM {lab.hand}", f"ENV MADE_FOR={name}", tag=name)
        try:
            lab.images.pull(name)
            said = ""
        except EngineRefusedError as error:
            said = error.message.rstrip(".")
    there = lab.images.there(name)
    return decided(
        not said,
        f"with no registry at its address, pull of an image that is here "
        f"{'fails' if said else 'succeeds'}, and the image is {'still there' if there else 'gone'}"
        + (f" ({said})" if said else ""),
        pulled=not said, still_there=there,
    )  # fmt: skip


def _image_comes_first(lab: Laboratory) -> Finding:
    try:
        ended = lab.command_line(lab.name().lower(), "pull")
    except FileNotFoundError:
        why = "there is no docker command here: apt-get install docker-cli"
        raise NotExercisableError(why) from None
    said = (ended.errors or ended.output).strip().splitlines() or ["nothing"]
    return decided(
        ended.exit_code == 0,
        f"docker IMAGE pull ends with exit code {ended.exit_code} and says: {said[0]}",
        exit_code=ended.exit_code,
    )


# Debian's own configuration asks for a password.
_STARTED = (
    "echo '{version: 0.1, http: {addr: \"127.0.0.1:5000\"},' > r.yml",
    "echo 'storage: {filesystem: {rootdirectory: /tmp/r}}}' >> r.yml",
    "docker-registry serve r.yml > r.log 2>&1 &",
)
_PULL = "docs.docker.com/reference/cli/docker/image/pull"

CLAIMS = (
    Claim(
        id="registry-push-keeps-digest",
        topic=Topic.REGISTRY,
        sentence="An image that is pushed and pulled again is the same, by digest and by id.",
        korean="레지스트리에 push했다가 다시 pull한 이미지는 다이제스트와 ID가 그대로이다.",
        refuted_by="After push, removal and pull its id, or the digest that push told, is another.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the registry keeps manifest, configuration and layers by their digests",
                "OCI distribution-spec, pushing and pulling manifests; measured",
            ),
        ),
        by_hand=(
            *_STARTED,
            "docker tag IMAGE localhost:5000/image:1 && docker push localhost:5000/image:1",
            "docker rmi localhost:5000/image:1 IMAGE",
            "docker pull localhost:5000/image:1; docker images --digests --no-trunc",
        ),
        story="An image is named in three ways: by a tag, which somebody chose; by its id, the "
        "digest of its configuration; and by the digest of its manifest, which lists the "
        "compressed layers. The last comes into being at the push, and is what to write where an "
        "image must not change: name@sha256:… and no tag.",
        experiment=_push_keeps_the_digest,
    ),
    Claim(
        id="registry-tag-stays",
        topic=Topic.REGISTRY,
        sentence="Pulling the same tag again gives the same image.",
        korean="같은 태그를 다시 pull하면 항상 같은 이미지를 받는다.",
        refuted_by="After another push of the tag a pull gives the new content, while a pull by "
        "the first digest gives the old.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "a registry moves a tag to what was pushed last; a digest names the content",
                "OCI distribution-spec, definitions of tag and digest; measured",
            ),
        ),
        by_hand=(
            *_STARTED,
            "docker tag IMAGE localhost:5000/image:1 && docker push localhost:5000/image:1",
            "docker inspect -f '{{.RepoDigests}}' IMAGE",
            "docker tag OTHER localhost:5000/image:1 && docker push localhost:5000/image:1",
            "docker pull localhost:5000/image:1; docker pull localhost:5000/image@FIRST_DIGEST",
        ),
        story="A tag on a registry is a name that its owner may move at any time, and most do at "
        "each release. The manifest that it left stays, and can be pulled by its digest, until the "
        "registry's owner deletes it.",
        experiment=_pull_gives_the_same,
    ),
    Claim(
        id="registry-pull-all-tags",
        topic=Topic.REGISTRY,
        sentence="docker pull -a brings every tag of an image.",
        korean="docker pull -a는 이미지의 모든 태그를 내려받는다.",
        refuted_by="A tag that was pushed is not there after pull -a.",
        expected=(
            Expected(ClaimVerdict.HOLDS, "it asks the registry for its list of tags", _PULL),
        ),
        by_hand=(
            *_STARTED,
            "for t in 1 2 3; do docker tag IMAGE localhost:5000/image:$t; done",
            "docker push -a localhost:5000/image",
            "for t in 1 2 3; do docker rmi localhost:5000/image:$t; done",
            "docker pull -a localhost:5000/image; docker images localhost:5000/image",
        ),
        story="Without -a and without a tag, the docker command asks for latest alone. With -a it "
        "gives the engine no tag, and the engine pulls one after the other all that the registry "
        "lists: for a popular image that is many gigabytes.",
        experiment=_all_tags_come,
    ),
    Claim(
        id="registry-pulls-missing-layers",
        topic=Topic.REGISTRY,
        sentence="A pull brings only the layers that are not here yet.",
        korean="pull은 아직 로컬에 없는 레이어만 내려받는다.",
        refuted_by="The registry's log shows a layer that is here already fetched again.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the manifest lists layers by digest, and what is known by it is not fetched",
                "docs.docker.com/engine/storage/drivers; moby distribution/xfer/download.go; "
                "measured",
            ),
        ),
        by_hand=(
            *_STARTED,
            "printf 'FROM IMAGE\\nRUN echo 1 > own\\n' | docker build -t localhost:5000/more -",
            "docker tag IMAGE localhost:5000/less; docker push localhost:5000/less",
            "docker push localhost:5000/more; docker rmi localhost:5000/less localhost:5000/more",
            "docker pull localhost:5000/less",
            "docker pull localhost:5000/more   # 'Already exists': shared layers",
        ),
        story="Images that begin with the same FROM share its layers, here and in the registry. "
        "That is why the tenth image of a team pulls in seconds, and why a change of the base "
        "image makes all hosts fetch it anew.",
        experiment=_only_missing_layers_come,
    ),
    Claim(
        id="registry-platform-chooses",
        topic=Topic.REGISTRY,
        sentence="docker pull --platform chooses for which architecture the image comes.",
        korean="docker pull --platform으로 받을 이미지의 아키텍처를 고를 수 있다.",
        refuted_by="What comes is of another architecture than the one that was asked for.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the tag names a list of manifests, one a platform",
                f"{_PULL}; OCI image-spec image-index.md; measured",
            ),
        ),
        by_hand=(
            "docker pull --platform linux/arm64 IMAGE",
            "docker inspect -f '{{.Os}}/{{.Architecture}}' IMAGE",
        ),
        story="One tag can stand for images of several architectures. Without --platform the "
        "engine takes its host's own. A foreign one is pulled without complaint, but runs only "
        "where the kernel has an emulator for it (binfmt_misc); else: 'exec format error'.",
        experiment=_platform_chooses,
    ),
    Claim(
        id="registry-pull-needs-none",
        topic=Topic.REGISTRY,
        sentence="Where the image is here already, docker pull needs no registry.",
        korean="이미지가 이미 로컬에 있으면 docker pull은 레지스트리에 접속하지 않아도 된다.",
        refuted_by="With nothing listening at the registry's address, pull fails.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "pull asks the registry each time what the tag names now; run and create do not "
                "where the image is here",
                "moby distribution/pull_v2.go; measured",
            ),
        ),
        by_hand=(
            "docker tag IMAGE 127.0.0.1:9/image:1",
            "docker pull 127.0.0.1:9/image:1",
            "docker run --rm 127.0.0.1:9/image:1 true",
        ),
        story="A tag may have moved, so pull has to ask. The failure is one line, 'connection "
        "refused', and the image that is here stays. On a host without a registry use run, whose "
        "--pull=missing is the default.",
        experiment=_pull_needs_none,
    ),
    Claim(
        id="registry-image-before-pull",
        topic=Topic.REGISTRY,
        sentence="docker IMAGE pull fetches an image.",
        korean="docker 이미지명 pull 명령으로 이미지를 내려받는다.",
        refuted_by="The docker command ends with an error, without asking the engine.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the command comes first: docker pull IMAGE",
                f"{_PULL}; measured",
            ),
        ),
        by_hand=("docker hello-world pull", "docker pull hello-world"),
        story="The first word after docker is a command. Notes that put the image's name first "
        "are in error: the client takes it for a command that it does not know, or looks for a "
        "plugin of that name.",
        experiment=_image_comes_first,
    ),
)
