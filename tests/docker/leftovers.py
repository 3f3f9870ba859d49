"""What a command, or an engine of its own, may have left behind."""

from __future__ import annotations

from pathlib import Path

from harness.engine.boundary import LABEL
from harness.engine.connect import Connection


def ours(connection: Connection) -> list[str]:
    found = connection.api.containers(all=True, filters={"label": LABEL})
    return [container["Id"] for container in found]


def left_of(folder: Path) -> list[str]:
    """Command lines and mounts, here and in every process's namespace, that name the folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                line = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
                mounts = (process / "mounts").read_text().splitlines()
            except OSError:
                continue
            found += [text for text in (line, *mounts) if f"{folder}/" in text]
    return found
