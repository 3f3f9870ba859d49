"""An image of a program that is installed on this host: the program and its libraries, no more.

For hosts that reach no registry. The libraries are those that the dynamic loader names; what a
program opens later (plugins, data) is not packed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from harness.engine.image import ImageArchive, archive_of_files
from harness.errors import UsageError


def pack(program: str, architecture: str, *, package: str = "") -> ImageArchive:
    """The image of a program on PATH, at the path that it has here.

    ``architecture`` is the engine's: it must be this host's. UsageError where the program is not
    installed, with the package that brings it.
    """
    found = shutil.which(program)
    if found is None:
        remedy = f"apt-get install {package}" if package else "Install it, or name its path."
        raise UsageError(f"{program} is not installed on this host.", remedy)
    path = Path(found).resolve()
    files = {found: path.read_bytes()}
    for library in _libraries(path):
        files[library] = Path(library).resolve().read_bytes()
    digest = hashlib.sha256(b"".join(files[name] for name in sorted(files))).hexdigest()
    tag = f"limitbench/{path.name}:{digest[:12]}"
    return archive_of_files(files, architecture, tag=tag, settings={})


def _libraries(program: Path) -> list[str]:
    """The absolute paths that ldd(1) names: libraries and the loader; none of a static program."""
    try:
        done = subprocess.run(
            ["ldd", program], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"cannot tell the libraries of {program}: {error}.", "Install libc-bin."
        ) from None
    # A line names what is asked for, and after an arrow the path at which it is found; the
    # loader's line has its path alone.
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return list(dict.fromkeys(word for word in words if word.startswith("/")))
