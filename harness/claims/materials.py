"""What experiments about mounts are made of: folders of this host, images with a file in them."""

from __future__ import annotations

from pathlib import Path

from harness.claims.claim import NotExercisableError
from harness.engine import image
from harness.engine.laboratory import Laboratory
from harness.errors import EngineRefusedError

ROOT = "0:0"
"""A new volume belongs to root, and without capabilities its owner alone may write to it."""
EROFS = "[errno 30]"
"""What the hand says where it may not write: a read-only file system."""


def folder(lab: Laboratory) -> Path:
    """An empty folder of this host that the engine can mount; not exercisable where it cannot.

    An engine may share this host's kernel and yet see other files, as where we are in a container
    that has been given its socket: so it is asked to show one.
    """
    elsewhere = "the engine does not see the files of this host: ask it on the host that it runs on"
    if lab.engine.elsewhere() is not None:
        raise NotExercisableError(elsewhere)
    made = lab.folder()
    shown = made / "shown"
    shown.write_text("shown")
    try:
        box = lab.create("exit", "0", mounts=[bind(made, "/shown")])
        seen = box.get("/shown/shown")
        box.remove()
    except EngineRefusedError:
        raise NotExercisableError(elsewhere) from None
    if seen != b"shown":
        raise NotExercisableError(elsewhere)
    shown.unlink()
    return made


def bind(source: Path | str, target: str) -> dict[str, str]:
    """What ``--mount type=bind,source=…,target=…`` asks the engine for."""
    return {"Type": "bind", "Source": str(source), "Target": target}


def image_with(lab: Laboratory, path: str, content: str) -> str:
    """The id of an image of the hand that has such a file too. It goes with the laboratory."""
    # Out of its image, which may have been loaded: here may be no compiler.
    box = lab.create("exit", "0")
    files = {"/hand": box.get("/hand"), path: content.encode()}
    box.remove()
    tag = lab.tag()
    # The tag is in the image too: with an id of another run's image it would not be loaded again.
    settings = {"Entrypoint": ["/hand"], "Labels": {**lab.labels, "tag": tag}}
    return lab.engine.images.put(
        image.archive_of_files(files, lab.facts.architecture, tag=tag, settings=settings)
    )
