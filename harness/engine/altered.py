"""Images that are another one with a file more, made for one container.

They are gone with it. Committed and not built: so they need neither compiler nor registry, whatever
the image was made of.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

from harness.engine.laboratory import Laboratory
from harness.errors import EngineRefusedError
from harness.interrupts import held_back
from harness.model import OF_THE_IMAGE

_PROBE = "limitbench-probe"
PROBE_FIRST = [f"/{_PROBE}"]
"""The entrypoint of a container whose image is ``with_probe``."""


def with_file(lab: Laboratory, made: contextlib.ExitStack, image: str, size_bytes: int) -> str:
    """An image with a file of that size besides: its id; removed by ``made``."""
    content = random.Random(size_bytes).randbytes(size_bytes)
    return _with(lab, made, image, {OF_THE_IMAGE: content}, 0o644)


def with_probe(lab: Laboratory, made: contextlib.ExitStack, image: str, probe_image: str) -> str:
    """An image that has the probe too, which starts a program and is there at its end.

    With the last process of a container its cgroup goes, and every counter in it. The probe's mode
    ``run`` stays behind, so that what a program used can be read, however it ended.
    """
    with held_back():
        box = lab.create("--version", image=probe_image)
        try:
            binary = box.get("/probe")
        finally:
            box.remove()
    return _with(lab, made, image, {_PROBE: binary}, 0o755)


def run_by_probe(told: Mapping[str, Any], command: Sequence[str], deadline_s: float) -> list[str]:
    """What the probe is to run: as the engine would, behind the entrypoint of the image."""
    entrypoint = (told.get("Config") or {}).get("Entrypoint") or []
    return ["run", "--deadline", str(round(deadline_s)), "--", *entrypoint, *command]


def _with(
    lab: Laboratory, made: contextlib.ExitStack, image: str, files: Mapping[str, bytes], mode: int
) -> str:
    name = lab.tag()
    with held_back():
        box = lab.create("none", image=image)
        try:
            box.put("/", files, mode)
            committed = box.commit(name)
            made.callback(_forget, lab, committed)
            return committed
        finally:
            box.remove()


def _forget(lab: Laboratory, image: str) -> None:
    with contextlib.suppress(EngineRefusedError):  # gone already is well
        lab.images.remove(image, force=True)
