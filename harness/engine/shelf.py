"""The images of experiments: built, named, moved, removed, as Docker's verbs for them do it.

Each image that is made here bears the labels of its run from its first step on, intermediate ones
of a build and those that lost their name too: by these ``clear`` finds all of them at the end.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors

from harness.engine.boundary import LABEL
from harness.engine.refusals import engine_errors
from harness.errors import EngineRefusedError

_BUILD_MEMORY_BYTES = 128 << 20
_STEP = re.compile(r"step \d+/\d+ ?: (.*)", re.IGNORECASE)
"""``Step 1/3 : FROM …`` of Docker, ``STEP 1/3: FROM …`` of Podman."""
_CACHED = re.compile(r"-+> Using cache")
_FINISHED = re.compile(r"Successfully built ([0-9a-f]+)")
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")
_MOST_ROUNDS = 20
"""So often images are looked for that are left: a parent goes after its children only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image as the engine tells of it (``docker image inspect``)."""

    id: str
    tags: tuple[str, ...]
    """Its names, ``REPOSITORY:TAG``."""
    digests: tuple[str, ...]
    """``REPOSITORY@sha256:…``: of its manifest in a registry."""
    layers: tuple[str, ...]
    """The digest of each layer, the lowest first."""
    size_bytes: int
    architecture: str
    entrypoint: tuple[str, ...]
    environment: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a build as the builder reported it."""

    instruction: str
    cached: bool
    """Taken from the cache, not carried out."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a build came to."""

    id: str
    steps: tuple[Step, ...]

    def step(self, instruction: str) -> Step:
        """The first step that begins so."""
        return next(one for one in self.steps if one.instruction.startswith(instruction))


class Shelf:
    """The images of one run. ``labels`` are what all of them bear."""

    def __init__(self, api: docker.APIClient, labels: Mapping[str, str]) -> None:
        self._api, self.labels = api, dict(labels)

    def inspect(self, name: str) -> Image:
        """``docker image inspect``, by an id or a name."""
        with engine_errors("inspect an image"):
            told = self._api.inspect_image(name)
        config = told.get("Config") or {}
        return Image(
            id=told["Id"],
            tags=tuple(told.get("RepoTags") or ()),
            digests=tuple(told.get("RepoDigests") or ()),
            layers=tuple((told.get("RootFS") or {}).get("Layers") or ()),
            size_bytes=int(told["Size"]),
            architecture=told.get("Architecture", ""),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            environment=tuple(config.get("Env") or ()),
        )

    def there(self, name: str) -> bool:
        """Whether the engine has an image of that id or name."""
        with engine_errors("look for an image"):
            try:
                self._api.inspect_image(name)
            except docker.errors.ImageNotFound:
                return False
        return True

    def build(
        self,
        *instructions: str,
        files: Mapping[str, bytes] | None = None,
        tag: str = "",
        cached: bool = True,
        labels: Mapping[str, str] | None = None,
        arguments: Mapping[str, str] | None = None,
    ) -> Built:
        """``docker build``: the lines of a Dockerfile, with the files of its context.

        Sent to the engine's own builder, which every engine up to now has (``/build`` of its API);
        the docker command of today speaks to BuildKit instead. Labels come right after FROM, so
        that each intermediate image bears them too, and no cache of another run is met.
        """
        borne = {**self.labels, **(labels or {})}
        label = "LABEL " + " ".join(f"{json.dumps(k)}={json.dumps(v)}" for k, v in borne.items())
        lines: list[str] = []
        for line in instructions:
            lines += [line, label] if line.startswith("FROM ") else [line]
        context = {**(files or {}), "Dockerfile": "\n".join(lines).encode()}
        steps: list[Step] = []
        made = ""
        for told in self._told(
            "build an image",
            self._api.build,
            fileobj=io.BytesIO(_tar(context)),
            custom_context=True,
            tag=tag or None,
            nocache=not cached,
            rm=True,
            forcerm=True,
            network_mode="none",
            buildargs=dict(arguments or {}),
            container_limits={"memory": _BUILD_MEMORY_BYTES},
            decode=True,
        ):
            said = str(told.get("stream") or "").strip()
            if found := _STEP.match(said):
                steps.append(Step(found[1], cached=False))
            elif _CACHED.match(said) and steps:
                steps[-1] = Step(steps[-1].instruction, cached=True)
            elif found := _FINISHED.match(said):
                made = made or found[1]
            made = (told.get("aux") or {}).get("ID") or made
        ours = tuple(one for one in steps if one.instruction != label)
        return Built(self.inspect(made).id, ours)

    def history(self, name: str) -> list[tuple[str, int]]:
        """``docker history``, the newest first: what made a layer, how many bytes it added."""
        with engine_errors("tell the history of an image"):
            told = self._api.history(name)
        return [(one["CreatedBy"], int(one["Size"])) for one in told]

    def tag(self, name: str, new: str) -> None:
        """``docker tag``: ``new`` is ``REPOSITORY:TAG``."""
        repository, _, tag = new.rpartition(":")
        with engine_errors("tag an image"):
            self._api.tag(name, repository, tag, force=True)

    def remove(self, name: str, *, force: bool = False) -> tuple[int, int]:
        """``docker rmi``: how many names went, and how many images and layers of them."""
        with engine_errors("remove an image"):
            told = self._api.remove_image(name, force=force) or []
        return sum("Untagged" in one for one in told), sum("Deleted" in one for one in told)

    def prune(self, label: str, *, every: bool = False) -> None:
        """``docker image prune``, with ``every`` ``prune -a``, among those of one label alone."""
        with engine_errors("prune images"):
            self._api.prune_images(filters={"dangling": not every, "label": [label]})

    def save(self, name: str) -> bytes:
        """``docker save``: the archive."""
        with engine_errors("save an image"):
            return b"".join(self._api.get_image(name))

    def load(self, archive: bytes) -> None:
        """``docker load``."""
        for _ in self._told("load an image", self._api.load_image, archive):
            pass

    def export(self, container_id: str) -> bytes:
        """``docker export`` of a container: all its files, in one archive."""
        with engine_errors("export a container"):
            return b"".join(self._api.export(container_id))

    def import_(self, archive: bytes, new: str) -> str:
        """``docker import`` under that name; the id. Our labels are all that it is given."""
        changes = [f"LABEL {json.dumps(k)}={json.dumps(v)}" for k, v in self.labels.items()]
        with engine_errors("import an image"):
            told = self._api.import_image_from_data(archive, changes=changes)
        made = str(json.loads(told.strip().splitlines()[-1])["status"])
        # Named afterwards: Podman gives another name than it was told and looks for.
        self.tag(made, new)
        return self.inspect(made).id

    def push(self, name: str) -> str:
        """``docker push``; the digest that the registry has it by."""
        repository, _, tag = name.rpartition(":")
        digest = ""
        for told in self._told(
            "push an image", self._api.push, repository, tag,
            stream=True, decode=True, auth_config={},
        ):  # fmt: skip
            # Where containerd keeps the images, the line for people alone has it.
            said = _DIGEST.search(str(told.get("status")))
            digest = (told.get("aux") or {}).get("Digest") or (said[1] if said else digest)
        return digest

    def pull(self, name: str, *, every: bool = False, platform: str | None = None) -> None:
        """``docker pull``, of ``REPOSITORY:TAG`` or ``REPOSITORY@DIGEST``.

        With ``every``, ``docker pull -a`` of ``REPOSITORY``.
        """
        repository, at, tag = name.partition("@")
        if not at and not every:
            repository, _, tag = name.rpartition(":")
        for _ in self._told(
            "pull an image", self._api.pull, repository, tag or None, all_tags=every,
            platform=platform, stream=True, decode=True, auth_config={},
        ):  # fmt: skip
            pass

    def _told(self, doing: str, ask: Any, *words: Any, **options: Any) -> Iterable[dict[str, Any]]:
        """What the engine tells while it works. It has answered 200 by then: errors come within."""
        with engine_errors(doing):
            for told in ask(*words, **options):
                if "error" in told:
                    why = str(told["error"]).strip().rstrip(".")
                    raise EngineRefusedError(f"the engine refused to {doing}: {why}.")
                yield told


def clear(api: docker.APIClient, run: str) -> None:
    """Remove all images that bear the label of that run, named or not; containers being gone."""
    for _ in range(_MOST_ROUNDS):
        with engine_errors("remove images"):
            found = api.images(all=True, filters={"label": f"{LABEL}={run}"})
            if not found:
                return
            for one in found:
                try:
                    api.remove_image(one["Id"], force=True)
                except docker.errors.NotFound:
                    pass  # gone with another
                except docker.errors.APIError as error:
                    if error.status_code != 409:  # others are made of it yet
                        raise


def _tar(files: Mapping[str, bytes]) -> bytes:
    """A build's context. All may be executed, and no time differs: the cache looks at the rest."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o755, len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()
