"""Claims about images, and about removing them, on a real engine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from harness.claims import images, removal
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Laboratory
from harness.engine.shelf import Built
from harness.errors import EngineRefusedError
from tests.docker.claims.trying import Break, as_expected, boxes, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
ALL = (*images.CLAIMS, *removal.CLAIMS)
CLAIMS = pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.id)


def _copies_up(lab: Laboratory) -> None:
    """An engine whose containers have a file of their own: the kernel copies it at this change."""
    real = lab.create

    def create(*words: str, **options: Any) -> Box:
        if words[0] == "stat":
            words = ("append", words[1], "x", "+", *words)
        return real(*words, **options)

    lab.create = create  # type: ignore[method-assign]


def _forgets_a_step(lab: Laboratory) -> None:
    real = lab.images.history
    lab.images.history = lambda name: [  # type: ignore[method-assign]
        row for row in real(name) if "ENV" not in row[0]
    ]


def _copies(lab: Laboratory) -> None:
    """A tag that makes an image of its own."""

    def tag(name: str, new: str) -> None:
        lab.images.build(f"FROM {name}", f"ENV COPIED_TO={new}", tag=new)

    lab.images.tag = tag  # type: ignore[method-assign]


def _build(change: Callable[[Laboratory, Built, str], None]) -> Break:
    """A builder that does something to the names of what it made."""

    def broken(lab: Laboratory) -> None:
        real = lab.images.build

        def build(*instructions: str, tag: str = "", **options: Any) -> Built:
            built = real(*instructions, **options)
            change(lab, built, tag)
            return built

        lab.images.build = build  # type: ignore[method-assign]

    return broken


def _keeps_tags(lab: Laboratory, built: Built, tag: str) -> None:
    if not lab.images.there(tag):
        lab.images.tag(built.id, tag)


def _moves_latest(lab: Laboratory, built: Built, tag: str) -> None:
    lab.images.tag(built.id, tag)
    lab.images.tag(built.id, f"{tag.rpartition(':')[0]}:latest")


def _saves_another_configuration(lab: Laboratory) -> None:
    real = lab.images.save

    def save(name: str) -> bytes:
        out = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(real(name))) as there,
            tarfile.open(fileobj=out, mode="w") as made,
        ):
            for member in there:
                found = there.extractfile(member)
                content = found.read() if found else b""
                content = content.replace(b"COLOUR=green", b"COLOUR=brown")
                made.addfile(member, io.BytesIO(content))
        return out.getvalue()

    lab.images.save = save  # type: ignore[method-assign]


def _loads_nothing(lab: Laboratory) -> None:
    lab.images.load = lambda archive: None  # type: ignore[method-assign]


def _imports_all(lab: Laboratory) -> None:
    """An export of the whole image, which import takes as load does."""

    def export(container_id: str) -> bytes:
        with lab.asking("inspect a container") as api:
            exported.append(api.inspect_container(container_id)["Image"])
        return b""

    def import_(archive: bytes, new: str) -> str:
        lab.images.tag(exported[-1], new)
        return new

    exported: list[str] = []
    lab.images.export = export  # type: ignore[method-assign]
    lab.images.import_ = import_  # type: ignore[method-assign]


def _always_forces(lab: Laboratory) -> None:
    real = lab.images.remove
    lab.images.remove = lambda name, **_: real(name, force=True)  # type: ignore[method-assign]


def _ends_containers(lab: Laboratory) -> None:
    """An engine that, asked with force, removes the containers first, as Podman does."""
    real = lab.images.remove

    def remove(name: str, *, force: bool = False) -> tuple[int, int]:
        if force:
            lab.engine.remove_all(lab.run_name)
        return real(name, force=force)

    lab.images.remove = remove  # type: ignore[method-assign]


def _cannot_start(box: Box) -> Box:
    raise EngineRefusedError("no such image.")


def _removes_all_names(lab: Laboratory) -> None:
    real = lab.images.remove
    lab.images.remove = lambda name, **_: real(  # type: ignore[method-assign]
        lab.images.inspect(name).id, force=True
    )


def _prunes(*, every: bool) -> Break:
    def broken(lab: Laboratory) -> None:
        real = lab.images.prune
        lab.images.prune = lambda label, **_: real(label, every=every)  # type: ignore[method-assign]

    return broken


BROKEN: dict[str, Break] = {
    "image-layers-are-copied": _copies_up,
    "image-history-tells-steps": _forgets_a_step,
    "image-tag-copies": _copies,
    "image-tag-is-fixed": _build(_keeps_tags),
    "image-latest-is-newest": _build(_moves_latest),
    "image-id-is-a-digest": _saves_another_configuration,
    "image-save-keeps-the-id": _loads_nothing,
    "image-export-keeps-all": _imports_all,
    "image-in-use-is-kept": _always_forces,
    "image-force-removes-used": _ends_containers,
    "container-needs-its-image": boxes(start=_cannot_start),
    "image-rmi-deletes": _removes_all_names,
    "image-prune-takes-nameless": _prunes(every=True),
    "image-prune-all-takes-unused": _prunes(every=False),
}


@CLAIMS
def test_it_is_as_expected(claim: Claim, engine_connection: Connection) -> None:
    with laboratory(engine_connection) as lab:
        as_expected(claim, lab)


@CLAIMS
def test_it_turns_on_a_broken_engine(claim: Claim, engine_connection: Connection) -> None:
    with laboratory(engine_connection) as lab:
        turned(claim, lab, BROKEN)


def test_every_claim_can_be_broken() -> None:
    assert {claim.id for claim in ALL} == set(BROKEN)
