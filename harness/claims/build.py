"""Claims about docker build: its layers, its cache, what stays in the image."""

from __future__ import annotations

import random

from harness.claims.claim import Claim, Expected, Topic, When, decided
from harness.engine.laboratory import Laboratory
from harness.model import ClaimVerdict, Finding

_FILES = {"one": b"1", "two": b"2", "three": b"3"}
_BIG = 4 << 20


def _every_instruction_is_a_layer(lab: Laboratory) -> Finding:
    instructions = ("COPY one /one", "ENV COLOUR=blue", "LABEL a=b", "EXPOSE 80", 'CMD ["/one"]')
    built = lab.images.build("FROM scratch", *instructions, files=_FILES)
    layers = len(lab.images.inspect(built.id).layers)
    return decided(
        layers >= len(instructions),
        f"{len(instructions)} instructions, one of which adds a file, made {layers} "
        f"{'layer' if layers == 1 else 'layers'}",
        instructions=len(instructions), layers=layers,
    )  # fmt: skip


def _each_change_is_a_layer(lab: Laboratory) -> Finding:
    built = lab.images.build(
        "FROM scratch", *(f"COPY {name} /{name}" for name in _FILES), files=_FILES
    )
    layers = len(lab.images.inspect(built.id).layers)
    return decided(
        layers == len(_FILES),
        f"{len(_FILES)} instructions that each add a file made {layers} layers",
        instructions=len(_FILES), layers=layers,
    )  # fmt: skip


def _unchanged_is_cached(lab: Laboratory) -> Finding:
    steps = ("FROM scratch", f"ENV MADE_FOR={lab.name()}", "COPY one /one", "COPY two /two")
    first, second = (lab.images.build(*steps, files=_FILES) for _ in range(2))
    before = sum(step.cached for step in first.steps)
    cached = sum(step.cached for step in second.steps)
    # The first step, FROM, only names what is there.
    return decided(
        cached == len(steps) - 1 and second.id == first.id,
        f"of {len(steps) - 1} steps after FROM the first build took {before} from the cache, the "
        f"second {cached}, and made {'the same' if first.id == second.id else 'another'} image id",
        cached_first=before, cached_second=cached, same_id=first.id == second.id,
    )  # fmt: skip


def _change_invalidates_what_follows(lab: Laboratory) -> Finding:
    steps = (
        "FROM scratch", f"ENV MADE_FOR={lab.name()}", "COPY one /one", "COPY two /two",
        "COPY three /three",
    )  # fmt: skip
    lab.images.build(*steps, files=_FILES)
    second = lab.images.build(*steps, files=_FILES | {"two": b"changed"})
    cached = {name: second.step(f"COPY {name}").cached for name in _FILES}
    return decided(
        cached == {"one": True, "two": False, "three": False},
        "after a change of the second of three files, "
        + ", ".join(
            f"COPY {name} {'came from the cache' if was else 'was carried out'}"
            for name, was in cached.items()
        ),
        **{f"{name}_cached": was for name, was in cached.items()},
    )


def _deleting_makes_smaller(lab: Laboratory) -> Finding:
    steps = (f"FROM {lab.hand}", "USER 0", "COPY big /big")
    # Random, so that no engine which counts compressed bytes counts less.
    files = {"big": random.Random(0).randbytes(_BIG)}
    with_it = lab.images.build(*steps, files=files)
    removed = lab.images.build(*steps, 'RUN ["/hand", "remove", "/big"]', files=files)
    sizes = [lab.images.inspect(one.id).size_bytes for one in (with_it, removed)]
    gone = "big" not in lab.run("list", "/", image=removed.id).output.split()
    return decided(
        gone and sizes[1] < sizes[0],
        f"with a file of {_BIG} bytes the image has {sizes[0]} bytes; a step that removes it "
        f"leaves {sizes[1]}, and a container {'does not see it' if gone else 'still sees it'}",
        with_file_bytes=sizes[0], removed_bytes=sizes[1], hidden=gone,
    )  # fmt: skip


def _engine_heeds_dockerignore(lab: Laboratory) -> Finding:
    built = lab.images.build(
        f"FROM {lab.hand}", "COPY . /context/",
        files={"wanted": b"1", "secret": b"2", ".dockerignore": b"secret\n"},
    )  # fmt: skip
    names = lab.run("list", "/context", image=built.id).output.split()
    return decided(
        "wanted" in names and "secret" not in names,
        "sent a context with a file that its .dockerignore names, the engine copied "
        + ", ".join(name for name in names if name != "Dockerfile"),
        ignored_file_copied="secret" in names,
    )


def _argument_is_forgotten(lab: Laboratory) -> Finding:
    built = lab.images.build(
        f"FROM {lab.hand}", "ARG TOKEN", 'RUN ["/hand", "say", "built"]',
        arguments={"TOKEN": "hunter2"},
    )  # fmt: skip
    rows = [row for row, _ in lab.images.history(built.id) if "hunter2" in row]
    kept = any("hunter2" in one for one in lab.images.inspect(built.id).environment)
    return decided(
        not rows and not kept,
        f"the value of --build-arg stands in {len(rows)} "
        f"{'line' if len(rows) == 1 else 'lines'} of docker history, and "
        f"{'also' if kept else 'not'} in the image's environment",
        history_lines=len(rows), in_environment=kept,
    )  # fmt: skip


_CACHE = "docs.docker.com/build/cache/invalidation; moby builder/dockerfile/imageprobe.go"
_LAYERS = "docs.docker.com/build/building/best-practices; moby builder/dockerfile/internals.go"

CLAIMS = (
    Claim(
        id="build-every-instruction-a-layer",
        topic=Topic.BUILD,
        sentence="Every instruction of a Dockerfile makes a layer of the image.",
        korean="Dockerfile의 모든 명령어는 이미지 레이어를 하나씩 만든다.",
        refuted_by="An image has fewer layers than instructions after FROM.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "ENV, LABEL, EXPOSE, CMD and their like change the configuration alone",
                f"{_LAYERS}; OCI image-spec config.md, empty_layer",
            ),
        ),
        by_hand=(
            "echo 1 > one; printf 'FROM scratch\\nCOPY one /\\nENV A=1\\nCMD x\\n' > Dockerfile",
            "docker build -t layers . && docker inspect -f '{{len .RootFS.Layers}}' layers",
            "docker history layers",
        ),
        story="Layers hold files. An instruction that only sets something is written into the "
        "image's configuration, and history shows it with 0 bytes. The older builder does make an "
        "intermediate image of each step, which is where the sentence comes from.",
        experiment=_every_instruction_is_a_layer,
    ),
    Claim(
        id="build-each-change-a-layer",
        topic=Topic.BUILD,
        sentence="Each instruction that changes files (RUN, COPY, ADD) makes one layer.",
        korean="파일을 변경하는 명령어(RUN, COPY, ADD)는 각각 레이어를 하나씩 만든다.",
        refuted_by="Three COPY of a file each do not make three layers.",
        expected=(Expected(ClaimVerdict.HOLDS, "each step is kept as what it changed", _LAYERS),),
        by_hand=(
            "touch a b; printf 'FROM scratch\\nCOPY a /\\nCOPY b /\\n' > Dockerfile",
            "docker build -t layers . && docker inspect -f '{{len .RootFS.Layers}}' layers",
        ),
        story="That is what makes a cache by steps possible, and why commands that belong "
        "together are joined by && in one RUN: what one step leaves behind, no later one can take "
        "out of the image again.",
        experiment=_each_change_is_a_layer,
    ),
    Claim(
        id="build-unchanged-is-cached",
        topic=Topic.BUILD,
        sentence="Steps that did not change come from the cache, and the image is the same.",
        korean="변경되지 않은 빌드 단계는 캐시에서 가져오며 결과 이미지도 같다.",
        refuted_by="A second build of the same files carries a step out, or makes another id.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "the step before, the instruction and the files' checksums decide",
                _CACHE,
            ),
        ),
        by_hand=(
            "printf 'FROM busybox\\nRUN date > made\\n' > Dockerfile",
            "docker build -t again .",
            "docker build -t again .   # CACHED, or Using cache",
            "docker run --rm again cat made",
        ),
        story="For COPY and ADD the content of the files counts and not their times; for RUN the "
        "text of the command alone: RUN apt-get update comes from the cache for months. "
        "--no-cache carries out all.",
        experiment=_unchanged_is_cached,
    ),
    Claim(
        id="build-change-invalidates-rest",
        topic=Topic.BUILD,
        sentence="A changed file makes its step and all that follow be built anew, and none "
        "before it.",
        korean="파일이 바뀌면 그 단계와 이후의 모든 단계만 다시 빌드되고 이전 단계는 캐시를 쓴다.",
        refuted_by="A step before it is carried out again, or one after it comes from the cache.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "what is looked up is the step upon the image before it",
                _CACHE,
            ),
        ),
        by_hand=(
            "touch a b c; printf 'FROM scratch\\nCOPY a /\\nCOPY b /\\nCOPY c /\\n' > Dockerfile",
            "docker build -t order .; echo changed > b; docker build -t order .",
        ),
        story="So what changes seldom is written first: dependencies before source code. A "
        "Dockerfile that begins with COPY . . has no use of the cache after any change.",
        experiment=_change_invalidates_what_follows,
    ),
    Claim(
        id="build-deleting-makes-smaller",
        topic=Topic.BUILD,
        sentence="A later RUN rm makes the image smaller.",
        korean="나중 단계에서 RUN rm으로 파일을 지우면 이미지 크기가 줄어든다.",
        refuted_by="The image with that step is as large as the one without.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the later layer holds a whiteout that hides the file; the layer that has it stays",
                "OCI image-spec layer.md, whiteouts; measured",
            ),
        ),
        by_hand=(
            "head -c 4M /dev/urandom > big",
            "printf 'FROM busybox\\nCOPY big /\\nRUN rm /big\\n' > Dockerfile",
            "docker build -t deleted . && docker history deleted",
        ),
        story="Layers are only ever added. The file is hidden from containers, but it is in the "
        "image, is pushed and pulled with it, and who has the image can read it: docker save and "
        "tar suffice. A secret that was deleted in a later step is not deleted.",
        experiment=_deleting_makes_smaller,
    ),
    Claim(
        id="build-engine-heeds-dockerignore",
        topic=Topic.BUILD,
        sentence="The engine leaves out of a build whatever .dockerignore names.",
        korean="도커 엔진은 .dockerignore에 적힌 파일을 빌드에서 제외한다.",
        refuted_by="A file that is named there, and is in the context that the engine was sent, is "
        "copied into the image.",
        expected=(
            Expected(
                ClaimVerdict.HOLDS,
                "Podman's builder reads the file on its own side",
                "buildah pkg/parse, ContainerIgnoreFile",
                When(engine="podman"),
            ),
            Expected(
                ClaimVerdict.REFUTED,
                "the client does it: docker build sends no such file, and what is sent is copied",
                "docs.docker.com/build/concepts/context; moby builder/remotecontext/detect.go; "
                "measured",
            ),
        ),
        by_hand=(
            "touch wanted secret; echo secret > .dockerignore",
            "printf 'FROM busybox\\nCOPY . /context/\\nRUN ls /context\\n' > Dockerfile",
            "DOCKER_BUILDKIT=0 docker build -t ignored --no-cache .",
            "tar -c . | DOCKER_BUILDKIT=0 docker build -t ignored --no-cache -",
        ),
        story="docker build keeps the promise on the client's side, before anything is sent. A "
        "context that comes another way (a tar file on standard input, a tool that speaks to the "
        "API) is taken as it is. With BuildKit the engine asks the client for files by the same "
        "rules, and a tar file is still taken whole by many versions: do not let a secret lie in "
        "the context on the strength of .dockerignore alone.",
        experiment=_engine_heeds_dockerignore,
    ),
    Claim(
        id="build-argument-is-forgotten",
        topic=Topic.BUILD,
        sentence="A secret that is given by --build-arg does not stay in the image.",
        korean="--build-arg로 전달한 비밀 값은 이미지에 남지 않는다.",
        refuted_by="docker history shows the value.",
        expected=(
            Expected(
                ClaimVerdict.REFUTED,
                "the history of each RUN that could see it has the value in clear",
                "docs.docker.com/reference/dockerfile, ARG; "
                "docs.docker.com/build/building/secrets; measured",
            ),
        ),
        by_hand=(
            "printf 'FROM busybox\\nARG TOKEN\\nRUN true\\n' > Dockerfile",
            "docker build --build-arg TOKEN=hunter2 -t told .",
            "docker history --no-trunc told | grep hunter2",
        ),
        story="An ARG is no environment variable of the image, which is why it seems to be gone. "
        "But its value is part of what the cache looks at, so each RUN after it is recorded with "
        "it. RUN --mount=type=secret is what leaves no trace.",
        experiment=_argument_is_forgotten,
    ),
)
