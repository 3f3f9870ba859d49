"""The threads in a container's cgroup."""

from __future__ import annotations

import os
from pathlib import Path

from harness.cgroup.parsing import read_text
from harness.cgroup.paths import CgroupPaths


def thread_ids(paths: CgroupPaths) -> list[int] | None:
    """Those in its CPU cgroup or below it, where a container has cgroups of its own; None without.

    By our own PID namespace. A thread that has come or gone meanwhile may be missing.
    """
    folder = paths.folder("cpu")
    if folder is None:
        return None
    texts = [read_text(Path(at), paths.files.threads_file) for at, _, _ in os.walk(folder)]
    return [int(one) for text in texts if text for one in text.split()]
