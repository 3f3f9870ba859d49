"""An image of a program that is installed on this host, with its libraries, no more.

For hosts that reach no registry. The libraries are those that the dynamic loader names; what a
program opens later (plugins, data) is packed where its file asks for it.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness import files as of_others
from harness.engine.image import ImageArchive, archive_of_files
from harness.errors import UsageError
from harness.model import ProgramImage
from harness.units import MIB

_MOST_BYTES = 1024 * MIB
"""Of an image that is packed."""
_USUAL_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""What an engine gives a container whose image names none (moby, ``DefaultPathEnvUnix``)."""
_ELF = b"\x7fELF"
_LEFT_OUT = {"__pycache__", "test", "tests"}
"""Folders of no use to a program that runs."""
_LEFT_OUT_ENDS = (".a", ".o", ".pyc")


def pack(source: ProgramImage, architecture: str) -> ImageArchive:
    """The image of a program on PATH, and of what it needs besides, at the paths they have here.

    ``architecture`` is the engine's: it must be this host's. UsageError where the program, or what
    it needs, is not installed, with the package that brings it.
    """
    found = _found(str(source.pack), source.package)
    files = {found: _content(Path(found))}
    for other in source.also:
        for one in _everything(_found(other, source.package)):
            files[one] = _content(Path(one))
    for library in _libraries([one for one in files if files[one].startswith(_ELF)]):
        files.setdefault(library, _content(Path(library)))
    files |= {at: text.encode() for at, text in source.files}
    told = [files[name] for name in sorted(files)]
    if source.also or source.files:
        told += [name.encode() for name in sorted(files)]
    digest = hashlib.sha256(b"".join(told)).hexdigest()
    return archive_of_files(
        files,
        architecture,
        tag=f"limitbench/{Path(found).resolve().name.lower()}:{digest[:12]}",
        settings=_settings(found),
        folders=[source.volume] if source.volume else [],
    )


def _found(name: str, package: str) -> str:
    """A program, a file or a folder of this host, by its name on PATH or its path."""
    found = max(glob.glob(name), default=None) if "/" in name else shutil.which(name)  # noqa: PTH207 - an absolute pattern
    if found is None:
        remedy = f"apt-get install {package}" if package else "Install it, or name its path."
        raise UsageError(f"{name} is not installed on this host.", remedy)
    return found


def _settings(found: str) -> Mapping[str, object]:
    """So that its name alone starts it, wherever it lies here."""
    folder = str(Path(found).parent)
    if folder in _USUAL_PATH:
        return {}
    return {"Env": [f"PATH={':'.join((folder, *_USUAL_PATH))}"]}


def _everything(path: str) -> Iterator[str]:
    """A file, or the files below a folder."""
    if not Path(path).is_dir():
        yield path
        return
    for folder, inner, names in os.walk(path):
        inner[:] = sorted(set(inner) - _LEFT_OUT)
        kept = (name for name in sorted(names) if not name.endswith(_LEFT_OUT_ENDS))
        yield from (f"{folder}/{name}" for name in kept if Path(folder, name).is_file())


def _content(path: Path) -> bytes:
    try:
        return of_others.read(path.resolve(), _MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be packed: {error.strerror}.", "") from None


def _libraries(programs: Sequence[str]) -> list[str]:
    """The absolute paths that ldd(1) names: libraries and the loader; none of a static program."""
    if not programs:
        return []
    try:
        done = subprocess.run(
            ["ldd", *(str(Path(one).resolve()) for one in programs)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"cannot tell the libraries of {programs[0]}: {error}.", "Install libc-bin."
        ) from None
    # A line names what is asked for, and after an arrow the path at which it is found; the
    # loader's line has its path alone. Of several programs each one's lines are headed by "path:".
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return list(dict.fromkeys(one for one in words if one.startswith("/") and one[-1] != ":"))
