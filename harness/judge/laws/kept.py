"""What is left of a file when its container is removed."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model import Expectation, Kept, Place, Scale

_STORAGE = "docs.docker.com/engine/storage; moby daemon/delete.go, cleanupContainer"
_SHM = "moby daemon/container_operations_unix.go, setupIPCDirs: a tmpfs of the container's own"
STAYS: Mapping[Place, tuple[bool, str, str]] = {
    "layer": (False, "the writable layer goes with its container", _STORAGE),
    "volume": (True, "a named volume is an object of its own, and stays", _STORAGE),
    "bind": (True, "a folder of the host is the host's, and stays", _STORAGE),
    "tmpfs": (False, "a tmpfs is memory, which its container gives back", _STORAGE),
    "shm": (False, "/dev/shm is memory, which its container gives back", _SHM),
}
"""Of each place whether what lies there outlives its container, why, and who says so."""


def expectation(kept: Kept) -> Expectation:
    """Whether another container finds the file, in the same place."""
    stays, why, source = STAYS[kept.place]
    return Expectation(
        metric="file_kept", value=float(stays), low=0.0, high=0.0, scale=Scale.ABSOLUTE,
        law="kept-by-rm", text=f"after docker rm the file is {'there' if stays else 'gone'}: {why}",
        source=source, bound=kept.place,
    )  # fmt: skip
