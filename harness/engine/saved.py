"""What an engine's ``docker save`` wrote of one image, taken apart."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from harness.engine.archive import CHUNK_BYTES, CONFIG_BYTES, MOST_LAYER_BYTES
from harness.units import size


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What ``docker save`` gave of one image: its configuration, its layers' digests and bytes."""

    config: bytes
    digests: tuple[str, ...]
    lengths: tuple[int, ...]
    layers: tuple[Callable[[], Iterator[bytes]], ...]


def unpack(saved: BinaryIO) -> Unpacked:
    """Find an image in what an engine's ``docker save`` wrote; ValueError where there is none.

    A layer may be a link to another one within the file, as Docker 20.10 writes those that are
    equal (image/tarexport/save.go).
    """
    saved.seek(0)
    try:
        tar = tarfile.open(fileobj=saved, mode="r:")  # noqa: SIM115 - read later, by the layers
        (manifest,) = json.loads(_whole(tar, "manifest.json"))
        config = _whole(tar, manifest["Config"])
        names = [str(name) for name in manifest["Layers"]]
        found = [_digest(_layer(tar, name)) for name in names]
    except (tarfile.TarError, KeyError, TypeError) as error:
        raise ValueError(f"the engine gave no image ({error})") from error
    if not found:
        raise ValueError("it has no layers")
    if any(length > MOST_LAYER_BYTES for _, length in found):
        raise ValueError(f"a layer has more than {size(MOST_LAYER_BYTES)}")
    return Unpacked(
        config=config,
        digests=tuple(digest for digest, _ in found),
        lengths=tuple(length for _, length in found),
        layers=tuple(lambda name=name: _layer(tar, name) for name in names),  # type: ignore[misc]
    )


def _whole(tar: tarfile.TarFile, name: str) -> bytes:
    content = b"".join(_layer(tar, name, CONFIG_BYTES))
    if len(content) > CONFIG_BYTES:
        raise ValueError(f"{name} has more than {size(CONFIG_BYTES)}")
    return content


def _layer(tar: tarfile.TarFile, name: str, most_bytes: int | None = None) -> Iterator[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(name)
    seen = 0
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
        seen += len(chunk)
        if most_bytes is not None and seen > most_bytes:
            return


def _digest(chunks: Iterator[bytes]) -> tuple[str, int]:
    digest, length = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        length += len(chunk)
    return digest.hexdigest(), length
