"""The images of an engine: which one a workload runs, where it comes from, what is there of ours.

An image that somebody *chose*, by ``bench image build`` or ``load``, is used until it is removed or
chosen anew, with no compiler and whatever is installed here by now. It is known by a name that is
moved to it and says what it was made of: ``limitbench/probe:source-…``,
``limitbench/stress-ng:packed-…``. Names leave an image's id as it is, and every engine keeps them
through save and load. Where none was chosen, it is made here for each command: same content, same
id.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import docker
import docker.errors

from harness import files
from harness.engine import image, naming, packing
from harness.engine.naming import OURS
from harness.engine.refusals import engine_errors
from harness.errors import EngineError, EngineRefusedError, UsageError
from harness.model import ProgramImage

_log = logging.getLogger(__name__)

_BINARY_LABEL = re.compile(r"org\.limitbench\.[a-z0-9-]+\.sha256")
_MOST_FILE_BYTES = 1 << 40
_TRANSFER_TIMEOUT_S = 1800.0
"""Between two words of an engine that loads or gives an image: Podman says none until its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An image that the engine holds."""

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    """In registries, as the engine tells them."""
    architecture: str
    size_bytes: int
    compiler: str
    """Of an image of one static program: what made it. Empty where none of its names says."""
    binary_sha256: str

    @property
    def our_names(self) -> tuple[str, ...]:
        """Those that limitbench gave it: a person may have given it others."""
        return tuple(name for name in self.names if name.startswith(OURS))

    @property
    def chosen(self) -> bool:
        """Whether somebody chose it, for this source or for another."""
        return any(map(naming.is_chosen, self.our_names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The image that a workload runs here, which the engine holds now."""

    id: str
    names: tuple[str, ...]
    """By which it is found on an engine that it was carried to."""
    compiler: str = ""
    binary_sha256: str = ""


class EngineImages:
    """The images of one engine."""

    def __init__(self, api: docker.APIClient) -> None:
        self._api = api
        self._architecture = ""

    def architecture(self) -> str:
        """The engine's, as ``docker info`` names it; asked once."""
        if not self._architecture:
            with engine_errors("tell its architecture"):
                self._architecture = str(self._api.info().get("Architecture") or "unknown")
        return self._architecture

    # --- which one a workload runs ---

    def own(self, program: str, *, anew: bool = False) -> Ready:
        """The image of a program of ours: the one chosen for this source, else made here.

        ``anew``: made here in any case, and chosen from now on.
        """
        if not anew and (chosen := self._chosen_own(program)) is not None:
            return _ready(chosen)
        binary = image.own_binary(program, self.architecture())
        built = image.build_image(binary)
        chosen_name = naming.chosen_for_source(program, self.architecture())
        ready = Ready(
            id=self.put(built),
            names=(built.tag, chosen_name, naming.compiled_by(binary)),
            compiler=binary.compiler,
            binary_sha256=binary.sha256,
        )
        if anew:
            self.name(ready)
        return ready

    def program(self, source: ProgramImage, *, anew: bool = False) -> Ready:
        """A program's image: chosen, packed, loaded from its file, or found by its reference.

        Nothing is pulled: what is not here is told.
        """
        chosen_name = naming.chosen_for_program(source)
        if source.reference is not None:
            found = self.inspect(source.reference) or self.inspect(chosen_name)
            id_ = str(found["Id"]) if found else self._referred(source.reference)
            names = (naming.tagged(source.reference), chosen_name)
            return Ready(id=id_, names=tuple(filter(None, names)))
        # A file says by itself which image is meant, so it wins over one that was loaded before.
        from_file = source.archive is not None and Path(source.archive).exists()
        if not anew and not from_file and (chosen := self._chosen(chosen_name)) is not None:
            return _ready(chosen)
        if source.pack is not None:
            packed = packing.pack(source, self.architecture())
            ready = Ready(id=self.put(packed), names=(packed.tag, chosen_name))
        else:
            ready = Ready(id=self._load_file(Path(str(source.archive))), names=(chosen_name,))
        if anew:
            self.name(ready)
        return ready

    def expected_own(self, program: str) -> str | None:
        """The id of the image that ``own`` would give, with nothing loaded or fetched.

        None where nothing here tells.
        """
        if (chosen := self._chosen_own(program)) is not None:
            return chosen.id
        with contextlib.suppress(EngineError):
            binary = image.own_binary(program, self.architecture(), fetch=False)
            return image.build_image(binary).id
        return None

    def expected(self, source: ProgramImage) -> str | None:
        """The same of ``program``."""
        found = self.inspect(source.reference) if source.reference is not None else None
        if found is not None:
            return str(found["Id"])
        if (chosen := self._chosen(naming.chosen_for_program(source))) is not None:
            return chosen.id
        if source.pack is not None:
            with contextlib.suppress(UsageError):
                return packing.pack(source, self.architecture()).id
        return None

    def _chosen_own(self, program: str) -> Held | None:
        chosen = self._chosen(naming.chosen_for_source(program, self.architecture()))
        if chosen is not None and not chosen.binary_sha256:
            _log.warning("%s is named as one of ours, and is none: not used", chosen.id)
            return None
        return chosen

    def _chosen(self, name: str) -> Held | None:
        found = self.inspect(name)
        if found is None:
            return None
        held = _held(found)
        if held.architecture != image.of_images(self.architecture()):
            _log.warning("%s is for %s: not used", name, held.architecture)
            return None
        _log.info("%s: %s was chosen", name, held.id)
        return held

    def _referred(self, reference: str) -> str:
        found = self.inspect(reference)
        if found is None:
            raise UsageError(
                f"the engine has no image {reference}.",
                "`bench image pull` gets it from a registry; without one, `bench image load` what "
                "was saved elsewhere.",
            )
        return str(found["Id"])

    # --- what the engine holds ---

    def inspect(self, name: str) -> dict[str, Any] | None:
        """What the engine says of an image; None where it holds none of that name or id."""
        with engine_errors("look for an image"):
            try:
                return dict(self._api.inspect_image(name))
            except docker.errors.NotFound:
                return None

    def held(self, also: Iterable[str] = ()) -> list[Held]:
        """The images that limitbench made, by their names; and those of these ids."""
        wanted = set(also)
        with engine_errors("list its images"):
            listed = self._api.images()
        found = {
            str(one["Id"])
            for one in listed
            if str(one["Id"]) in wanted
            or any(naming.plain(name).startswith(OURS) for name in one.get("RepoTags") or ())
            or any(_BINARY_LABEL.fullmatch(label) for label in one.get("Labels") or ())
        }
        told = [self.inspect(one) for one in found]
        return sorted((_held(one) for one in told if one), key=lambda one: (one.names, one.id))

    def users(self, image_id: str) -> list[str]:
        """The names of the containers that are made of an image, running or not."""
        wanted = image_id.removeprefix("sha256:")
        with engine_errors("list its containers"):
            return sorted(
                (one["Names"] or [one["Id"][:12]])[0].lstrip("/")
                for one in self._api.containers(all=True)
                if str(one.get("ImageID")).removeprefix("sha256:") == wanted
            )

    # --- what changes them ---

    def put(self, made: image.ImageArchive) -> str:
        """Have the engine hold an image that was made here; its id there.

        The id follows from the content, so an image that is there needs no second look. An engine
        that numbers images otherwise (containerd's store, by manifest) has it under its name.
        """
        if self.inspect(made.id) is not None:
            return made.id
        self.load(made.archive)
        if self.inspect(made.id) is not None:
            return made.id
        return self._referred(made.tag)

    def load(self, data: bytes | Iterator[bytes] | BinaryIO) -> str:
        """Give the engine what ``docker load`` takes; what it said."""
        with engine_errors("load an image"), self._patient():
            said = list(self._api.load_image(data))
        for line in said:
            # An engine that fails half-way has already answered 200; the SDK passes over both.
            if trouble := line.get("error") or line.get("message"):
                raise EngineRefusedError(f"the engine could not load an image: {trouble}.",
                                         "See `bench doctor`.")  # fmt: skip
        return "".join(str(line.get("stream", "")) for line in said)

    def save(self, image_id: str) -> Iterator[bytes]:
        """What ``docker save`` writes of an image, piece by piece."""
        with engine_errors("save an image"), self._patient():
            yield from self._api.get_image(image_id)

    def name(self, ready: Ready) -> None:
        """Give an image its names, which others lose."""
        with engine_errors("name an image"):
            for name in ready.names:
                repository, _, tag = name.rpartition(":")
                self._api.tag(ready.id, repository, tag)

    def pull(self, reference: str, said: Callable[[Mapping[str, Any]], object]) -> str:
        """Pull an image from its registry; its id. ``said`` gets what the engine tells."""
        try:
            with engine_errors(f"pull {reference}"):
                for line in self._api.pull(reference, stream=True, decode=True):
                    if trouble := line.get("error") or line.get("message"):
                        raise EngineRefusedError(f"cannot pull {reference}: {trouble}.")
                    said(line)
        except EngineRefusedError as refused:
            refused.remedy = ("Is its registry reached from the engine? Elsewhere: "
                              "`bench image save` there, `bench image load` here.")  # fmt: skip
            raise
        return self._referred(reference)

    def remove(self, held: Held) -> None:
        """Take our names from an image, and with its last name the image itself."""
        with engine_errors("remove an image"):
            for name in held.our_names or [held.id]:
                with contextlib.suppress(docker.errors.NotFound):
                    self._api.remove_image(name)

    def _load_file(self, path: Path) -> str:
        try:
            with files.opened(path, _MOST_FILE_BYTES, links=True) as file:
                said = self.load(file)
        except OSError as error:
            raise UsageError(f"cannot read the image {path}: {error.strerror}.", "") from None
        match = re.search(r"Loaded image(?: ID)?: (\S+)", said)
        if match is None:
            raise UsageError(f"{path} holds no image.", "Make one with docker save.")
        return self._referred(match[1])

    @contextlib.contextmanager
    def _patient(self) -> Iterator[None]:
        usual, self._api.timeout = self._api.timeout, _TRANSFER_TIMEOUT_S
        try:
            yield
        finally:
            self._api.timeout = usual


def choose(wanted: str, among: Sequence[Held]) -> Held:
    """The image of that name or id, or the only one whose name or id begins so.

    UsageError where there is none or there are several.
    """
    hexadecimal = wanted.removeprefix("sha256:")
    exact = [one for one in among if wanted in one.names or one.id == f"sha256:{hexadecimal}"]
    begun = [
        one
        for one in among
        if one.id.removeprefix("sha256:").startswith(hexadecimal)
        or any(name.removeprefix(OURS).startswith(wanted.removeprefix(OURS)) for name in one.names)
    ]
    found = exact or begun
    if len(found) == 1 and wanted:
        return found[0]
    if not found or not wanted:
        raise UsageError(f"limitbench has no image '{wanted}' there.", "See `bench image list`.")
    raise UsageError(
        f"'{wanted}' may be any of {', '.join(one.names[0] for one in found if one.names)}.",
        "Name one of them.",
    )


def _ready(chosen: Held) -> Ready:
    return Ready(
        id=chosen.id,
        names=chosen.our_names,
        compiler=chosen.compiler,
        binary_sha256=chosen.binary_sha256,
    )


def _held(told: Mapping[str, Any]) -> Held:
    names = sorted(
        {naming.plain(name) for name in told.get("RepoTags") or () if "<none>" not in name}
    )
    labels = (told.get("Config") or {}).get("Labels") or {}
    return Held(
        id=str(told["Id"]),
        names=tuple(names),
        digests=tuple(told.get("RepoDigests") or ()),
        architecture=str(told.get("Architecture") or ""),
        size_bytes=int(told.get("Size") or 0),
        compiler=naming.compiler_of(names),
        binary_sha256=next(
            (str(one) for label, one in labels.items() if _BINARY_LABEL.fullmatch(label)), ""
        ),
    )
