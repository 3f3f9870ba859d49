"""Claims about removing images."""

from __future__ import annotations

from harness.claims.claim import Claim, Expected, NotExercisableError, Topic, When, decided
from harness.engine.laboratory import Box, Laboratory
from harness.errors import EngineRefusedError
from harness.model import ClaimVerdict, Finding

_PRUNED = "org.limitbench.pruned"
"""Bears a value of one experiment: what is pruned there is nobody else's."""


def _used(lab: Laboratory, *, running: bool) -> tuple[str, str, Box]:
    """An image with its name and a container of it."""
    name = lab.tag()
    built = lab.images.build(f"FROM {lab.hand}", f"ENV MADE_FOR={name}", tag=name)
    box = lab.create("sleep", "60", image=name)
    return name, built.id, box.start() if running else box


def _refused(lab: Laboratory, name: str, *, force: bool = False) -> bool:
    try:
        lab.images.remove(name, force=force)
    except EngineRefusedError:
        return True
    return False


def _in_use_is_kept(lab: Laboratory) -> Finding:
    refused: dict[str, bool] = {}
    for state in ("running", "stopped"):
        name, image_id, _ = _used(lab, running=state == "running")
        refused[state] = _refused(lab, name) and lab.images.there(image_id)
    return decided(
        all(refused.values()),
        "without force, removing it is "
        + " and ".join(
            f"{'refused' if kept else 'not refused'} while its container is {state}"
            for state, kept in refused.items()
        ),
        refused_running=refused["running"], refused_stopped=refused["stopped"],
    )  # fmt: skip


def _force_removes_used(lab: Laboratory) -> Finding:
    name, image_id, _ = _used(lab, running=True)
    by_id = _refused(lab, image_id, force=True)
    by_name = lab.images.there(name) and _refused(lab, name, force=True)
    still, named = lab.images.there(image_id), lab.images.there(name)
    return decided(
        not still,
        f"with force, by its id it is {'refused' if by_id else 'not refused'}, by its name "
        f"{'refused' if by_name else 'not refused'}; then the image is "
        f"{'still there' if still else 'gone'}, and its name {'still there' if named else 'gone'}",
        refused_by_id=by_id, refused_by_name=by_name, image_is_there=still, name_is_there=named,
    )  # fmt: skip


def _needs_its_image(lab: Laboratory) -> Finding:
    name, image_id, box = _used(lab, running=False)
    lab.images.remove(name, force=True)
    # Where containerd keeps the images, the one of a container loses its name first, and no more.
    if lab.images.there(image_id) and _refused(lab, image_id, force=True):
        raise NotExercisableError("no force removes an image that a stopped container uses here")
    gone = not lab.images.there(image_id)
    try:
        starts = bool(box.start().state["Running"])
    except EngineRefusedError:
        starts = False
    return decided(
        gone and not starts,
        f"its image was {'removed' if gone else 'not removed'} by force, and the stopped "
        f"container {'starts all the same' if starts else 'does not start'}",
        image_is_gone=gone, starts=starts,
    )  # fmt: skip


def _rmi_deletes(lab: Laboratory) -> Finding:
    first, second = lab.tag(), lab.tag()
    built = lab.images.build(f"FROM {lab.hand}", f"ENV MADE_FOR={first}", tag=first)
    lab.images.tag(first, second)
    lab.images.remove(first)
    after_first = lab.images.there(built.id)
    if after_first:
        lab.images.remove(second)
    after_both = lab.images.there(built.id)
    return decided(
        not after_first,
        f"of an image with two names, removing one leaves the image "
        f"{'there' if after_first else 'gone'}, removing the other as well leaves it "
        f"{'there' if after_both else 'gone'}",
        there_after_one=after_first, there_after_both=after_both,
    )  # fmt: skip


def _pruned(lab: Laboratory, *, every: bool) -> dict[str, bool]:
    """Which of three images are there after prune: without a name, named, used by a container."""
    only = lab.name()
    made = {
        kind: lab.images.build(
            f"FROM {lab.hand}", f"ENV KIND={kind}", labels={_PRUNED: only},
            tag="" if kind == "nameless" else lab.tag(),
        ).id
        for kind in ("nameless", "named", "used")
    }  # fmt: skip
    lab.create("sleep", "60", image=made["used"])
    lab.images.prune(f"{_PRUNED}={only}", every=every)
    return {kind: lab.images.there(image_id) for kind, image_id in made.items()}


def _told(left: dict[str, bool]) -> str:
    words = {
        "nameless": "the one without a name",
        "named": "the one with a name that nothing uses",
        "used": "the one of a stopped container",
    }
    return "afterwards " + ", ".join(
        f"{words[kind]} is {'there' if there else 'gone'}" for kind, there in left.items()
    )


def _prune_takes_nameless(lab: Laboratory) -> Finding:
    left = _pruned(lab, every=False)
    return decided(left == {"nameless": False, "named": True, "used": True}, _told(left), **left)


def _prune_takes_unused(lab: Laboratory) -> Finding:
    try:
        left = _pruned(lab, every=True)
    except EngineRefusedError as error:  # Podman 4.3 knows no prune -a by Docker's API
        raise NotExercisableError(f"prune -a is not to be had here: {error.message}") from None
    return decided(left == {"nameless": False, "named": False, "used": True}, _told(left), **left)


_DELETE = "moby daemon/images/image_delete.go"
_TRIED = (
    "printf 'FROM busybox\\nLABEL tried=1\\nENV A=1\\n' | docker build -",
    "printf 'FROM busybox\\nLABEL tried=1\\nENV A=2\\n' | docker build -t named -",
    "printf 'FROM busybox\\nLABEL tried=1\\nENV A=3\\n' | docker build -t used -",
    "docker create --name c1 used",
)

CLAIMS = (
    Claim(
        id="image-in-use-is-kept",
        topic=Topic.IMAGE,
        sentence="An image that a container uses, running or stopped, cannot be removed without "
        "force.",
        korean="컨테이너가 쓰는 이미지는 실행 중이든 정지 상태든 강제 옵션 없이는 지울 수 없다.",
        refuted_by="docker rmi removes it, or its name, though a container of it is there.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS, "the engine answers 409, conflict", f"{_DELETE}; measured"
            ),
        ),
        by_hand=(
            "docker create --name c1 IMAGE sleep 60",
            "docker rmi IMAGE",
            "docker start c1; docker rmi IMAGE",
        ),
        story="A container stands upon the layers of its image, so the engine keeps these as long "
        "as there is one, stopped ones included. A name goes all the same where the image has "
        "another. docker ps -a --filter ancestor=IMAGE tells which containers.",
        experiment=_in_use_is_kept,
    ),
    Claim(
        id="image-force-removes-used",
        topic=Topic.IMAGE,
        sentence="docker rmi -f removes an image even while a container runs from it.",
        korean="docker rmi -f를 쓰면 실행 중인 컨테이너가 사용하는 이미지도 삭제된다.",
        refuted_by="After rmi -f, by id and by name, the image is still there.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "Podman removes the containers of the image with it",
                "man podman-rmi, --force",
                When(engine="podman"),
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "a running container is a conflict that cannot be forced; by name, the name goes "
                "and the image stays",
                f"{_DELETE}, conflictRunningContainer; measured",
            ),
        ),
        by_hand=(
            "docker run -d --name c1 IMAGE sleep 60",
            "docker rmi -f $(docker inspect -f '{{.Image}}' c1)",
            "docker rmi -f IMAGE; docker images -a --no-trunc",
        ),
        story="Force goes as far as the image's names, and images of stopped containers. By its "
        "id the image of a running container is refused: 'cannot be forced'. By its name only the "
        "name goes, and rmi answers 'Untagged' with success, so that it looks removed; the image "
        "is there, listed as <none>. Podman differs: there -f ends and removes the containers.",
        experiment=_force_removes_used,
    ),
    Claim(
        id="container-needs-its-image",
        topic=Topic.IMAGE,
        sentence="A stopped container cannot be started any more once its image was removed by "
        "force.",
        korean="이미지를 강제로 삭제하면 그 이미지로 만든 정지된 컨테이너는 다시 시작할 수 없다.",
        refuted_by="The image is gone by its id, and the container starts.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "Podman removes the containers of the image with it",
                "man podman-rmi, --force",
                When(engine="podman"),
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "the container holds the layers, and its configuration was copied at create",
                "moby layer/layer_store.go, references of a layer; measured",
            ),
        ),
        by_hand=(
            "docker create --name c1 IMAGE sleep 60",
            "docker rmi -f IMAGE; docker images",
            "docker start c1",
        ),
        story="What rmi -f removes is the image's entry: its names and its configuration. The "
        "layers are counted, and the container's own lies upon them, so they stay until the "
        "container goes. The disk space comes back only then.",
        experiment=_needs_its_image,
    ),
    Claim(
        id="image-rmi-deletes",
        topic=Topic.IMAGE,
        sentence="docker rmi NAME deletes the image of that name.",
        korean="docker rmi 이름은 그 이름의 이미지를 삭제한다.",
        refuted_by="The image has a second name, and is there by its id after the first was "
        "removed.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "rmi removes a name; the image goes with its last one",
                f"docs.docker.com/reference/cli/docker/image/rm; {_DELETE}",
            ),
        ),
        by_hand=(
            "docker tag IMAGE again:1",
            "docker rmi again:1",
            "docker images --no-trunc",
        ),
        story="'Untagged' and 'Deleted' in what rmi prints are two things. A name is removed "
        "first; image and layers go only where no other name, container or image needs them.",
        experiment=_rmi_deletes,
    ),
    Claim(
        id="image-prune-takes-nameless",
        topic=Topic.IMAGE,
        sentence="docker image prune removes only images that have no name.",
        korean="docker image prune은 이름 없는(dangling) 이미지만 삭제한다.",
        refuted_by="An image with a name is gone, or one without a name that nothing uses is not.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "without -a the filter is dangling=true",
                "docs.docker.com/reference/cli/docker/image/prune; "
                "moby daemon/images/image_prune.go",
            ),
        ),
        by_hand=(
            *_TRIED,
            "docker image prune --force --filter label=tried=1",
            "docker images --filter label=tried=1",
        ),
        story="A dangling image has lost its name, mostly to a newer build. Named images stay, "
        "used or not: prune alone frees little where every build gets a tag of its own.",
        experiment=_prune_takes_nameless,
    ),
    Claim(
        id="image-prune-all-takes-unused",
        topic=Topic.IMAGE,
        sentence="docker image prune -a removes every image that no container uses.",
        korean="docker image prune -a는 컨테이너가 사용하지 않는 모든 이미지를 삭제한다.",
        refuted_by="An unused image is left, or that of a stopped container is gone.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "with -a all images without a container are taken; a stopped one counts",
                "docs.docker.com/reference/cli/docker/image/prune; "
                "moby daemon/images/image_prune.go",
            ),
        ),
        by_hand=(
            *_TRIED,
            "docker image prune -a --force --filter label=tried=1",
            "docker images --filter label=tried=1",
        ),
        story="-a takes images that have a name too, so the next docker run pulls them again, or "
        "fails where there is no registry. A stopped container protects its image; after docker "
        "container prune it does so no more, which is why system prune -a empties a host.",
        experiment=_prune_takes_unused,
    ),
)
