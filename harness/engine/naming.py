"""What images of ours are called: after their content, or after what they were chosen for.

A name and not a label, since a label is part of an image's id, and baselines hold that
(docs/decisions/031-images.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from harness.engine import image
from harness.model import ProgramImage

OURS = "limitbench/"
_CHOSEN = re.compile(r":(source|packed|archive|referred)-[0-9a-f]+$")
_BY = "-by-"


def chosen_for_source(program: str, architecture: str, *, root: Path | None = None) -> str:
    """The name of the image of a program of ours that was chosen for the source that is here.

    By it is known without a compiler which image is made of that source.
    """
    digest = image.source_digest(program, architecture, root=root)
    return f"{OURS}{program}:source-{digest[:16]}"


def chosen_for_program(source: ProgramImage) -> str:
    """The same of a program of others: by what its file asks for."""
    if source.pack is not None:
        asked, kind = source.pack, "packed"
    elif source.archive is not None:
        asked, kind = Path(source.archive).name, "archive"
    else:
        asked, kind = str(source.reference), "referred"
    repository = re.sub(r"[^a-z0-9]+", "-", Path(asked).name.lower()).strip("-")[:64]
    besides = [*source.also, *(word for file in source.files for word in file)]
    besides += [source.volume] if source.pack is not None and source.volume else []
    digest = hashlib.sha256("\0".join((asked, *besides)).encode()).hexdigest()
    return f"{OURS}{repository or 'program'}:{kind}-{digest[:12]}"


def tagged(reference: str) -> str | None:
    """A reference with its tag; None of one by digest, which ``docker load`` gives no image."""
    if "@" in reference:
        return None
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def is_chosen(name: str) -> bool:
    """Whether a name is of those two."""
    return _CHOSEN.search(name) is not None


def compiled_by(binary: image.ProbeBinary) -> str:
    """A name of a binary's image that says what compiled it, as far as a name can."""
    said = re.sub(r"[^A-Za-z0-9_.]+", "-", binary.compiler).strip("-.")[:96]
    return f"{OURS}{binary.program}:{binary.sha256[:12]}{_BY}{said}"


def compiler_of(names: Iterable[str]) -> str:
    """What compiled the program of an image with these names; empty where none says."""
    return next((name.partition(_BY)[2] for name in names if _BY in name), "")


def plain(name: str) -> str:
    """A name as Docker has it: Podman puts a registry before it."""
    for registry in ("docker.io/", "localhost/"):
        if name.startswith(f"{registry}{OURS}"):
            return name.removeprefix(registry)
    return name
