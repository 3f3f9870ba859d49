"""Images as one file for a host without a registry: what ``bench image save`` writes.

It is a tar file that ``docker load`` reads too, and nothing but what ``write`` makes of its index,
which comes first and bears its own digest in its name::

    limitbench-SHA256.json   names, ids, digests and sizes of all that follows
    manifest.json            the same for ``docker load`` (Docker's image/spec/v1.2)
    SHA256.json              a configuration; ``sha256:`` and its digest are the image's id
    SHA256/layer.tar         a layer, once for all images that have it

So a reader parses no foreign tar: the index says which bytes each header must have, and how long
the file must be, before any of it is read. Nothing in it is ever a path on this host.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from harness import files
from harness.errors import ResultsError, UsageError
from harness.units import MIB, size

_FORMAT = 1
_BLOCK = 512
_END = bytes(2 * _BLOCK)
CHUNK_BYTES = MIB
_MOST_ARCHIVE_BYTES = 1 << 40
MOST_LAYER_BYTES = (1 << 33) - 1
"""11 octal digits, which is what a USTAR header has for a size."""
CONFIG_BYTES = MIB
_INDEX_NAME = re.compile(r"limitbench-([0-9a-f]{64})\.json")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._/:-]{0,200}:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

Progress = Callable[[int, int], object]
"""Called with the bytes that are done, and all of them."""


def _silent(_done: int, _all: int) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """An image as the index tells it. Digests are hexadecimal."""

    id: str
    """``sha256:`` and the digest of its configuration."""
    names: tuple[str, ...]
    architecture: str
    """As an image has it, which is Go's name."""
    layers: tuple[str, ...]
    layer_bytes: tuple[int, ...]
    config_bytes: int
    compiler: str = ""
    """Of an image of one static program of ours: what made it. Empty where that is not known."""
    binary_sha256: str = ""
    workloads: tuple[str, ...] = ()
    """That it was saved for."""

    @property
    def size_bytes(self) -> int:
        """All its layers."""
        return sum(self.layer_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """An image that is to be written: its description, and where its bytes come from."""

    described: Described
    config: bytes
    layers: tuple[Callable[[], Iterator[bytes]], ...]


# --- writing -----------------------------------------------------------------------------------


def total_bytes(images: Sequence[Described]) -> int:
    """How long the archive of these images is."""
    return sum(_BLOCK + _padded(length) for _, length in _members(images)) + len(_END)


def write(
    path: Path, images: Sequence[Content], *, force: bool = False, progress: Progress = _silent
) -> int:
    """Write the archive whole or not at all; how many bytes it has.

    UsageError where a file is there and ``force`` is not given; ResultsError where there is no room
    or it cannot be written.
    """
    described = [one.described for one in images]
    total = total_bytes(described)
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        refuse_target(path, force=force)
        refuse_room(path, total)
        try:
            with temporary.open("xb") as out:
                done = 0
                for piece in _pieces(images):
                    out.write(piece)
                    done += len(piece)
                    progress(done, total)
                out.flush()
                os.fsync(out.fileno())  # it is about to be carried away on a stick
            refuse_target(path, force=force)
            temporary.replace(target)
            _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"cannot write {path}: {error.strerror}.", "Choose another place for it."
        ) from error
    return total


def refuse_target(path: Path, *, force: bool) -> None:
    """UsageError where something is at that place that is not to be replaced."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_file():
        raise UsageError(f"{path} is no file.", "Name another.")
    if not force:
        raise UsageError(f"{path} is there already.", "Name another, or replace it with --force.")


def refuse_room(path: Path, needed_bytes: int) -> None:
    """ResultsError where the disk has less room than that; OSError where there is no folder."""
    told = os.statvfs(path.resolve().parent)
    free = told.f_bavail * told.f_frsize
    if free < needed_bytes:
        raise ResultsError(
            f"writing {path} takes {size(needed_bytes)}, and its disk has {size(free)} free.",
            "Make room, or choose another place for it.",
        )


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _pieces(images: Sequence[Content]) -> Iterator[bytes]:
    described = [one.described for one in images]
    index = _index(described)
    small = {
        _index_name(index): index,
        "manifest.json": _manifest(described),
        **{f"{_hex(one.described.id)}.json": one.config for one in images},
    }
    layers = {
        f"{digest}/layer.tar": (digest, chunks)
        for one in images
        for digest, chunks in zip(one.described.layers, one.layers, strict=True)
    }
    for name, length in _members(described):
        yield _header(name, length)
        if name in small:
            yield small[name]
        else:
            yield from _as_described(*layers[name], length)
        yield bytes(_padded(length) - length)
    yield _END


def _as_described(
    digest: str, chunks: Callable[[], Iterator[bytes]], length: int
) -> Iterator[bytes]:
    """A layer's bytes, which must still be those that the index tells."""
    found, seen = hashlib.sha256(), 0
    for chunk in chunks():
        found.update(chunk)
        seen += len(chunk)
        yield chunk
    if seen != length or found.hexdigest() != digest:
        raise OSError(errno.EIO, "a layer changed while it was written")


# --- the form ----------------------------------------------------------------------------------


def _members(images: Sequence[Described]) -> list[tuple[str, int]]:
    """Each member's name and length, in their order."""
    index = _index(images)
    found = {_index_name(index): len(index), "manifest.json": len(_manifest(images))}
    found |= {f"{_hex(one.id)}.json": one.config_bytes for one in images}
    for one in images:
        for digest, length in zip(one.layers, one.layer_bytes, strict=True):
            found[f"{digest}/layer.tar"] = length
    return list(found.items())


def _index(images: Sequence[Described]) -> bytes:
    return _json({"limitbench-images": _FORMAT, "images": [asdict(one) for one in images]})


def _index_name(index: bytes) -> str:
    return f"limitbench-{hashlib.sha256(index).hexdigest()}.json"


def _manifest(images: Sequence[Described]) -> bytes:
    return _json(
        [
            {
                "Config": f"{_hex(one.id)}.json",
                "Layers": [f"{digest}/layer.tar" for digest in one.layers],
                "RepoTags": list(one.names),
            }
            for one in images
        ]
    )


def _header(name: str, length: int) -> bytes:
    """A member's header. Time, owner and mode are constants; so is every bit of it."""
    member = tarfile.TarInfo(name)
    member.mode, member.size = 0o644, length
    return member.tobuf(tarfile.USTAR_FORMAT)


def _padded(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _hex(id_: str) -> str:
    return id_.removeprefix("sha256:")


# --- reading -----------------------------------------------------------------------------------


class Archive:
    """An archive that is open. Its index was read; ``verify`` and ``stream`` read the rest."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self.size_bytes = os.fstat(file.fileno()).st_size
        self.images = self._read_index()
        self._offsets: dict[str, tuple[int, int]] = {}
        at = 0
        for name, length in _members(self.images):
            self._offsets[name] = (at + _BLOCK, length)
            at += _BLOCK + _padded(length)
        expected = at + len(_END)
        if self.size_bytes < expected:
            raise self._damaged(f"it ends after {self.size_bytes} of {expected} bytes")
        if self.size_bytes > expected:
            raise self._damaged(f"something follows its end at {expected} bytes")

    def verify(self, progress: Progress = _silent) -> None:
        """Read all of it: every header, every digest. UsageError where a bit is not as it was."""
        small = {"manifest.json": _manifest(self.images)}
        self._file.seek(0)
        for name, (begin, length) in self._offsets.items():
            if self._file.read(_BLOCK) != _header(name, length):
                raise self._damaged(f"the header of {name} is another")
            digest = hashlib.sha256()
            for chunk in self._chunks(begin, length):
                digest.update(chunk)
                progress(self._file.tell(), self.size_bytes)
            wanted = _SHA256.search(name)
            expected = wanted[0] if wanted else hashlib.sha256(small[name]).hexdigest()
            if digest.hexdigest() != expected:
                raise self._damaged(f"the content of {name} is another")
            padding = _padded(length) - length
            if self._file.read(padding) != bytes(padding):
                raise self._damaged(f"something follows {name}")
        if self._file.read(len(_END) + 1) != _END:
            raise self._damaged("its end is another")
        for one in self.images:
            self._verify_config(one)

    def config(self, image: Described) -> bytes:
        """The configuration of one of its images."""
        return b"".join(self._chunks(*self._offsets[f"{_hex(image.id)}.json"]))

    def stream(self, image: Described, progress: Progress = _silent) -> Iterator[bytes]:
        """One of its images for ``docker load``: headers made here, the bytes from the file."""
        config, manifest = f"{_hex(image.id)}.json", _manifest([image])
        yield _header("manifest.json", len(manifest))
        yield manifest + bytes(_padded(len(manifest)) - len(manifest))
        done, total = 0, image.config_bytes + image.size_bytes
        for name in dict.fromkeys([config, *(f"{digest}/layer.tar" for digest in image.layers)]):
            begin, length = self._offsets[name]
            yield _header(name, length)
            for chunk in self._chunks(begin, length):
                yield chunk
                done += len(chunk)
                progress(done, total)
            yield bytes(_padded(length) - length)
        yield _END

    def _chunks(self, begin: int, length: int) -> Iterator[bytes]:
        self._file.seek(begin)
        left = length
        while left:
            chunk = self._file.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise self._damaged("it became shorter while it was read")
            left -= len(chunk)
            yield chunk

    def _read_index(self) -> tuple[Described, ...]:
        header = self._file.read(_BLOCK)
        name, length = _told_by(header)
        wanted = _INDEX_NAME.fullmatch(name)
        known = wanted is not None and 0 < length <= files.TEXT_BYTES
        if wanted is None or not known or header != _header(name, length):
            raise UsageError(
                f"{self._path} was not written by `bench image save`.",
                "`docker load` takes what `docker save` wrote.",
            )
        index = self._file.read(length)
        if hashlib.sha256(index).hexdigest() != wanted[1]:
            raise self._damaged("its index is not what its name says")
        try:
            images = _described(json.loads(index))
            if _index(images) != index:
                raise ValueError("its form is another")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UsageError(
                f"{self._path} has an index that is not understood ({error}).",
                "Save it again with the limitbench that is to load it.",
            ) from None
        return images

    def _verify_config(self, one: Described) -> None:
        try:
            config = json.loads(self.config(one))
            architecture = config["architecture"]
            diff_ids = config["rootfs"]["diff_ids"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._damaged(f"the configuration of {one.names[0]} is none") from None
        if architecture != one.architecture or len(diff_ids) != len(one.layers):
            raise self._damaged(f"the configuration of {one.names[0]} is of another image")

    def _damaged(self, why: str) -> UsageError:
        return UsageError(f"{self._path} is damaged: {why}.", "Copy or save it again.")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive that ``write`` made; UsageError where it is another file, or none.

    A link is not followed: who may choose the file's name may not choose what is read.
    """
    try:
        file = files.opened(path, _MOST_ARCHIVE_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.", "") from None
    with file:
        try:
            yield Archive(path, file)
        except OSError as error:
            if error.filename is not None or error.errno != errno.EIO:
                raise
            raise UsageError(f"cannot read {path}: {error.strerror}.", "") from None


def _told_by(header: bytes) -> tuple[str, int]:
    """Name and length in a tar header, as far as one can be told."""
    try:
        return header[:100].rstrip(b"\0").decode("ascii"), int(header[124:135], 8)
    except ValueError:
        return "", 0


def _described(told: Mapping[str, Any]) -> tuple[Described, ...]:
    """The images of an index; ValueError, TypeError or KeyError where it is none that we write."""
    if told["limitbench-images"] != _FORMAT:
        raise ValueError(f"its version is {told['limitbench-images']!r:.20}, not {_FORMAT}")
    images = tuple(Described(**_fields(one)) for one in told["images"])
    lengths: dict[str, int] = {}
    for one in images:
        _refuse_odd(one)
        for digest, length in zip(one.layers, one.layer_bytes, strict=True):
            if lengths.setdefault(digest, length) != length:
                raise ValueError("a layer of two sizes")
    names = [name for one in images for name in one.names]
    if not images or len({one.id for one in images}) != len(images):
        raise ValueError("no image, or one twice")
    if len(set(names)) != len(names):
        raise ValueError("one name for two images")
    return images


def _fields(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(one) if isinstance(one, list) else one for name, one in told.items()}


def _refuse_odd(one: Described) -> None:
    """ValueError where a field has not the form that it must have."""
    texts: tuple[object, ...] = (one.id, one.architecture, one.compiler, one.binary_sha256)
    lists: tuple[tuple[object, ...], ...] = (one.names, one.layers, one.workloads)
    if not all(isinstance(part, str) and len(part) <= 256 for part in texts):
        raise ValueError("a field is no text")
    if not all(isinstance(found, tuple) for found in (*lists, one.layer_bytes)):
        raise ValueError("a field is no list")
    if not all(isinstance(part, str) and len(part) <= 4096 for found in lists for part in found):
        raise ValueError("a list of other things than texts")
    if not (one.names and all(_NAME.fullmatch(name) for name in one.names)):
        raise ValueError("a name is none")
    if not _SHA256.fullmatch(_hex(one.id)) or not one.id.startswith("sha256:"):
        raise ValueError("an id is none")
    if not (one.layers and all(_SHA256.fullmatch(digest) for digest in one.layers)):
        raise ValueError("a digest is none")
    lengths = (one.config_bytes, *one.layer_bytes)
    if not all(type(length) is int and 0 <= length <= MOST_LAYER_BYTES for length in lengths):
        raise ValueError("a size is none")
    if one.config_bytes > CONFIG_BYTES:
        raise ValueError("a configuration of many megabytes")
