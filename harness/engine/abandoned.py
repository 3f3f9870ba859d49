"""What the claims of a bench which died have left on an engine, but for containers.

Its containers are ``DockerEngine.left_behind``'s, and must be gone before: they hold both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import docker
import docker.errors

from harness.engine import leftovers
from harness.engine.boundary import LABEL
from harness.engine.connect import Connection
from harness.engine.laboratory import REPOSITORY
from harness.engine.refusals import engine_errors


def remove_abandoned(connection: Connection, *, unknown: bool = False) -> tuple[int, int]:
    """Remove them; how many (image names and images without one, volumes) these were.

    With ``unknown`` those too of whose bench nothing is known: it may run on another host.
    """
    wanted = {"died", "unknown"} if unknown else {"died"}
    api = connection.api
    with engine_errors("list images and volumes"):
        images = [name for name in _names(api) if leftovers.bench_of_tag(name) in wanted]
        found = api.volumes(filters={"label": LABEL}).get("Volumes") or []
        volumes = [one["Name"] for one in found if leftovers.bench_of_lasting(one) in wanted]
        built = [one["Id"] for one in _built(api) if leftovers.bench_of_lasting(one) in wanted]
    return (
        sum(_gone(api.remove_image, name) for name in (*images, *built)),
        sum(_gone(api.remove_volume, name) for name in volumes),
    )


def _gone(remove: Callable[..., object], name: str) -> bool:
    """Removed; not so where a container of somebody else holds it by now."""
    with engine_errors("remove what was left behind"), contextlib.suppress(docker.errors.APIError):
        remove(name, force=True)
        return True
    return False


def _built(api: docker.APIClient) -> list[dict[str, Any]]:
    """What experiments have built, intermediate images too, and nobody has named since.

    The newest comes first, so that what was made of another goes before it.
    """
    found = api.images(all=True, filters={"label": LABEL})
    return [one for one in found if all(map(_is_ours, one.get("RepoTags") or []))]


def _names(api: docker.APIClient) -> list[str]:
    """Of all images that experiments have named, here or for a registry."""
    named = [name for one in api.images() for name in one.get("RepoTags") or []]
    return [name for name in named if name.rpartition("/")[2].startswith(f"{REPOSITORY}:")]


def _is_ours(name: str) -> bool:
    """``limitbench-claims`` and what begins so; ``<none>:<none>`` is no name."""
    return name == "<none>:<none>" or name.rpartition("/")[2].startswith(REPOSITORY)
