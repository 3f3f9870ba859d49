"""Images from one engine to another, by way of a file, as ``bench image`` saves them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from harness.engine import archive, image, saved
from harness.engine.archive import Content, Described, Progress
from harness.engine.images import EngineImages, Ready
from harness.engine.naming import OURS
from harness.errors import EngineError, ResultsError, UsageError
from harness.units import size
from harness.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Who hears of what takes long: a line before each step, and how far it is."""

    say: Callable[[str], object]
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of an image of an archive."""

    image: Described
    was_there: bool
    engine_id: str
    """What the engine calls it: the archive's id, unless it numbers images otherwise."""


def save(
    images: EngineImages,
    wanted: Mapping[str, Ready],
    path: Path,
    tell: Tell,
    *,
    force: bool = False,
) -> tuple[int, list[Described]]:
    """Write the images of workloads (their names → what they run) to a file; its size, what is in.

    Each image once, whichever workloads run it. Errors as of ``archive.write``; nothing half
    written stays.
    """
    archive.refuse_target(path, force=force)
    users: dict[str, list[str]] = {}
    ready: dict[str, Ready] = {}
    for workload, one in wanted.items():
        ready.setdefault(one.id, one)
        users.setdefault(one.id, []).append(workload)
    told = {one: images.inspect(one) or {} for one in ready}
    needed = sum(int(one.get("Size") or 0) for one in told.values())
    with contextlib.ExitStack() as spools:
        try:
            # What the engine gives is put down first, beside the file and without a name: sizes
            # and digests come before the content.
            archive.refuse_room(path, 2 * needed)
            found = [
                _content(
                    images, one, workloads=users[one.id], say=tell.say,
                    spool=spools.enter_context(tempfile.TemporaryFile(dir=path.resolve().parent)),
                )
                for one in ready.values()
            ]  # fmt: skip
        except OSError as error:
            raise ResultsError(
                f"cannot write {path}: {error.strerror}.", "Choose another place for it."
            ) from error
        described = [one.described for one in found]
        total = size(archive.total_bytes(described))
        tell.say(f"Writing {counted(len(found), 'image')}, {total}, to {path}.")
        return archive.write(path, found, force=force, progress=tell.progress), described


def _content(
    images: EngineImages,
    one: Ready,
    *,
    workloads: Sequence[str],
    spool: BinaryIO,
    say: Callable[[str], object],
) -> Content:
    told = images.inspect(one.id) or {}
    say(f"Asking the engine for {one.names[0]}, {size(int(told.get('Size') or 0))}.")
    spool.writelines(images.save(one.id))
    spool.flush()
    try:
        found = saved.unpack(spool)
        config = json.loads(found.config)
        architecture = str(config["architecture"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"cannot save {one.names[0]}: {error}.", "See `bench doctor`.") from error
    # Not the engine's word but the content's digest: what every engine of Docker's format says.
    id_ = f"sha256:{hashlib.sha256(found.config).hexdigest()}"
    if id_ != one.id:
        say(f"{one.names[0]} is {one.id} here, and {id_} for an engine that loads it.")
    return Content(
        described=Described(
            id=id_,
            names=tuple(dict.fromkeys(one.names)),
            architecture=architecture,
            layers=found.digests,
            layer_bytes=found.lengths,
            config_bytes=len(found.config),
            compiler=one.compiler,
            binary_sha256=one.binary_sha256,
            workloads=tuple(workloads),
        ),
        config=found.config,
        layers=found.layers,
    )


def refuse_architecture(images: EngineImages, found: archive.Archive) -> None:
    """UsageError where the engine runs no programs of an image's architecture."""
    engine = image.of_images(images.architecture())
    others = sorted({one.architecture for one in found.images} - {engine})
    if others:
        raise UsageError(
            f"the archive's images are for {', '.join(others)}, and this engine runs {engine}.",
            "Save them on a host of its kind.",
        )


def load(
    images: EngineImages,
    found: archive.Archive,
    tell: Tell,
    *,
    force: bool = False,
) -> list[Loaded]:
    """Give the engine the images of an archive that was verified, and verify what it holds then.

    A name of somebody else's that names another image there is not taken away from that without
    ``force``: UsageError. EngineError where the engine holds something else afterwards.
    """
    refuse_architecture(images, found)
    if not force:
        for one in found.images:
            for name in one.names:
                _refuse_taken(images, name, one)
    loaded = []
    for one in found.images:
        was_there = images.inspect(one.id) is not None
        if was_there:
            tell.say(f"The engine has {one.names[0]} already.")
        else:
            tell.say(f"Loading {one.names[0]}, {size(one.size_bytes)}.")
            images.load(found.stream(one, tell.progress))
        loaded.append(_verified(images, found, one, was_there=was_there))
    return loaded


def _refuse_taken(images: EngineImages, name: str, one: Described) -> None:
    if name.startswith(OURS):
        return
    there = images.inspect(name)
    if there is not None and there["Id"] != one.id:
        raise UsageError(
            f"the engine's {name} is another image ({_short(there['Id'])}, the archive's is "
            f"{_short(one.id)}).", "--force gives the name to the archive's.",
        )  # fmt: skip


def _verified(
    images: EngineImages, found: archive.Archive, one: Described, *, was_there: bool
) -> Loaded:
    there = images.inspect(one.id)
    engine_id = one.id
    if there is None:
        there = images.inspect(one.names[0]) or {}
        engine_id = str(there.get("Id") or "nothing")
        if _layers(there) != json.loads(found.config(one))["rootfs"]["diff_ids"]:
            raise EngineError(
                f"the engine holds {engine_id} as {one.names[0]}, and not {one.id}.",
                "Load it again; see `bench engine status`.",
            )
    images.name(Ready(id=engine_id, names=one.names))
    return Loaded(image=one, was_there=was_there, engine_id=engine_id)


def _layers(told: Mapping[str, Any]) -> list[str]:
    return list((told.get("RootFS") or {}).get("Layers") or ())


def _short(id_: str) -> str:
    return id_.removeprefix("sha256:")[:12]
