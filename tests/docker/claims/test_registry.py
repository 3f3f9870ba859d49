"""Claims about registries, on a real engine and with a real registry where one is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.claims import registry
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Ended, Laboratory
from harness.engine.shelf import Shelf
from tests.docker.claims.trying import Break, as_expected, laboratory, turned

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", registry.CLAIMS, ids=lambda claim: claim.id)

Pull = Callable[..., None]


def _pulls(change: Callable[[Shelf, Pull, str, dict[str, Any]], None]) -> Break:
    """An engine that pulls otherwise; what the experiments look for first stays as it is."""

    def broken(lab: Laboratory) -> None:
        real = lab.images.pull

        def pull(name: str, **options: Any) -> None:
            if name.endswith(":nothing"):
                real(name, **options)
            else:
                change(lab.images, real, name, options)

        lab.images.pull = pull  # type: ignore[method-assign]

    return broken


def _another(images: Shelf, _: Pull, name: str, __: dict[str, Any]) -> None:
    """What comes is not what was pushed."""
    images.build("FROM scratch", "ENV NOT=pushed", tag=name)


def _one_tag(_: Shelf, real: Pull, name: str, __: dict[str, Any]) -> None:
    real(f"{name}:1")


def _all_layers(images: Shelf, real: Pull, name: str, _: dict[str, Any]) -> None:
    """As if nothing were here: what is, goes first."""
    other = name[:-1] + ("1" if name.endswith("2") else "2")
    if images.there(other):
        images.remove(other)
    real(name)


def _any_platform(_: Shelf, real: Pull, name: str, __: dict[str, Any]) -> None:
    real(name)


def _from_here(_: Shelf, __: Pull, ___: str, ____: dict[str, Any]) -> None:
    """The image is here, so nobody is asked."""


def _keeps_the_first(lab: Laboratory) -> None:
    """A registry that lets no tag be moved."""
    real, pushed = lab.images.push, dict[str, str]()

    def push(name: str) -> str:
        if name not in pushed:
            pushed[name] = real(name)
        return pushed[name]

    lab.images.push = push  # type: ignore[method-assign]


def _takes_any_order(lab: Laboratory) -> None:
    """A command that understands what notes write."""
    lab.command_line = lambda *_: Ended(0, "pulled", "")  # type: ignore[method-assign]


BROKEN: dict[str, Break] = {
    "registry-push-keeps-digest": _pulls(_another),
    "registry-tag-stays": _keeps_the_first,
    "registry-pull-all-tags": _pulls(_one_tag),
    "registry-pulls-missing-layers": _pulls(_all_layers),
    "registry-platform-chooses": _pulls(_any_platform),
    "registry-pull-needs-none": _pulls(_from_here),
    "registry-image-before-pull": _takes_any_order,
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
    assert {claim.id for claim in registry.CLAIMS} == set(BROKEN)
