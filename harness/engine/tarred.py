"""Tar files in memory: how the engine takes files, or gives them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


def tar_of(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    """A tar file, as the engine takes it to copy files or to build of: name → content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = mode, len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def first_file(content: bytes) -> bytes:
    """The content of the first file in it; empty where there is none."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = next((tar.extractfile(one) for one in tar if one.isfile()), None)
        return found.read() if found else b""
