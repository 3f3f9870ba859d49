"""Which container a user means: by its name, its id, or the beginning of one. Loads no docker."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UsageError

Listed = tuple[str, list[str], str]
"""A container's id, names and state."""


def choose_container(name: str, listed: Sequence[Listed]) -> str:
    """The id of the container that a user means by a name, an id, or the beginning of one."""
    wanted = name.lstrip("/")
    exact = [id_ for id_, names, _ in listed if wanted in names or wanted == id_]
    if exact:
        return exact[0]
    begin = [
        (id_, names[0] if names else id_[:12])
        for id_, names, _ in listed
        if id_.startswith(wanted) or any(one.startswith(wanted) for one in names)
    ]
    if len(begin) == 1:
        return begin[0][0]
    running = sorted(names[0] if names else id_[:12] for id_, names, state in listed
                     if state in ("running", "paused"))  # fmt: skip
    if begin:
        raise UsageError(f"'{name}' can be: {', '.join(sorted(n for _, n in begin)[:8])}.",
                         "Write more of it.")  # fmt: skip
    hint = f"Running: {', '.join(running[:8])}." if running else "No container runs on it."
    raise UsageError(f"no container '{name}' on this engine.", hint)
