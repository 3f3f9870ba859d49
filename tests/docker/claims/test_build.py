"""Claims about docker build, on a real engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.claims import build
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Laboratory
from harness.engine.shelf import Built, Image
from tests.docker.claims.trying import Break, as_expected, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", build.CLAIMS, ids=lambda claim: claim.id)


def _built(**changed: Any) -> Break:
    """A builder that is asked for something else."""

    def broken(lab: Laboratory) -> None:
        real = lab.images.build
        lab.images.build = lambda *lines, **options: real(  # type: ignore[method-assign]
            *lines, **(options | changed)
        )

    return broken


def _layers(count: Callable[[Laboratory, Image], int]) -> Break:
    """An engine that tells of other layers than there are."""

    def broken(lab: Laboratory) -> None:
        real = lab.images.inspect

        def inspect(name: str) -> Image:
            told = real(name)
            return replace(told, layers=("sha256:0",) * count(lab, told))

        lab.images.inspect = inspect  # type: ignore[method-assign]

    return broken


def _squashes(lab: Laboratory) -> None:
    """A builder that makes one layer of all, so that what was removed is in none."""
    real = lab.images.build

    def squash(*lines: str, **options: Any) -> Built:
        built = real(*lines, **options)
        box = lab.create("say", "x", image=built.id)
        name = lab.tag()
        flat = lab.images.import_(lab.images.export(box.id), name)
        again = real(f"FROM {flat}", 'ENTRYPOINT ["/hand"]')
        return replace(built, id=again.id)

    lab.images.build = squash  # type: ignore[method-assign]


def _heeds_dockerignore(lab: Laboratory) -> None:
    """The client's part: what is named there is not sent."""
    real = lab.images.build

    def send(*lines: str, files: dict[str, bytes], **options: Any) -> Built:
        ignored = files[".dockerignore"].decode().split()
        kept = {name: content for name, content in files.items() if name not in ignored}
        return real(*lines, files=kept, **options)

    lab.images.build = send  # type: ignore[assignment, method-assign]


BROKEN: dict[str, Break] = {
    "build-every-instruction-a-layer": _layers(lambda lab, told: len(lab.images.history(told.id))),
    "build-each-change-a-layer": _layers(lambda lab, told: 1),
    "build-unchanged-is-cached": _built(cached=False),
    "build-change-invalidates-rest": _built(cached=False),
    "build-deleting-makes-smaller": _squashes,
    "build-engine-heeds-dockerignore": _heeds_dockerignore,
    "build-argument-is-forgotten": _built(arguments={}),
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
    assert {claim.id for claim in build.CLAIMS} == set(BROKEN)
