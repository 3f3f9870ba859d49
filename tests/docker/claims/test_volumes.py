"""Claims about volumes, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.claims import volumes
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Laboratory
from tests.docker.claims.trying import Break, as_expected, asked, bound, boxes, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", volumes.CLAIMS, ids=lambda claim: claim.id)
ANONYMOUS = {"Type": "volume", "Target": "/data"}


def _other_rm(box: Box, *, volumes: bool = False, force: bool = True) -> None:
    """-v left out where it is asked for, and added where it is not."""
    Box.remove(box, volumes=not volumes, force=force)


def _takes_named_ones(lab: Laboratory) -> None:
    """An rm that removes the named volumes too."""

    def remove(box: Box, *, volumes: bool = False, force: bool = True) -> None:
        names = [one["Name"] for one in box.inspect()["Mounts"]]
        Box.remove(box, volumes=volumes, force=force)
        for name in names:
            lab.remove_volume(name)

    boxes(remove=remove)(lab)


def _takes_those_in_use(lab: Laboratory) -> None:
    """A removal that ends the containers first, as podman volume rm --force does."""
    real = lab.remove_volume

    def remove_volume(name: str) -> None:
        lab.engine.remove_all(lab.run_name)
        real(name)

    lab.remove_volume = remove_volume  # type: ignore[method-assign]


def _adds_the_images_files(lab: Laboratory) -> None:
    """An engine that copies what the image has into whatever volume there is."""
    real = lab.create

    def create(*words: str, **options: Any) -> Box:
        box = real(*words, **options)
        if options.get("image"):
            box.put("/data", {"file": b"of the image"})
        return box

    lab.create = create  # type: ignore[method-assign]


BROKEN: dict[str, Break] = {
    "volume-survives-rm": _takes_named_ones,
    # A mount that ends with the container's processes.
    "volume-is-emptied-by-stop": asked(binds=None, tmpfs={"/data": ""}),
    "rm-takes-anonymous-volumes": boxes(remove=_other_rm),
    "rm-v-takes-anonymous-volumes": boxes(remove=_other_rm),
    # A volume for each container.
    "volume-is-shared-at-once": asked(binds=None, mounts=[ANONYMOUS]),
    "volume-in-use-stays": _takes_those_in_use,
    "volume-takes-image-folder": bound(lambda asked: f"{asked}:nocopy"),
    "used-volume-takes-image-folder": _adds_the_images_files,
    "nocopy-leaves-volume-empty": bound(lambda asked: asked.removesuffix(":nocopy")),
    # A copy that does nothing.
    "cp-writes-into-a-volume": boxes(put=lambda box, folder, files: None),
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
    assert {claim.id for claim in volumes.CLAIMS} == set(BROKEN)
