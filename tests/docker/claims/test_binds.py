"""Claims about bind mounts, on a real engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.claims import binds
from harness.claims.claim import Claim
from harness.engine.connect import Connection
from harness.engine.laboratory import Box, Ended, Laboratory
from tests.docker.claims.trying import (
    Break,
    as_expected,
    asked,
    asked_by,
    bound,
    laboratory,
    turned,
)

pytestmark = [pytest.mark.engine, pytest.mark.beside]
CLAIMS = pytest.mark.parametrize("claim", binds.CLAIMS, ids=lambda claim: claim.id)
VOLUME = [{"Type": "volume", "Target": "/data"}]


def _follows_the_name(asked: str) -> str:
    """Of a file the folder that it lies in: there its name is looked up each time."""
    source, _, target = asked.partition(":")
    return f"{Path(source).parent}:{Path(target).parent}"


def _absolute(options: dict[str, Any]) -> dict[str, Any]:
    """Relative paths made absolute, as newer commands do before they ask the engine."""
    mounts = [
        one | {"Source": str(Path(one["Source"]).resolve())} for one in options.get("mounts") or []
    ]
    paths = [str(Path(one).resolve()) for one in options.get("binds") or []]
    return options | {"mounts": mounts, "binds": paths}


def _makes_it(options: dict[str, Any]) -> dict[str, Any]:
    """--mount taken for -v; what is there already is mounted as it is asked."""
    mounts = options.get("mounts") or []
    missing = [one for one in mounts if not Path(one["Source"]).exists()]
    return options | {
        "mounts": [one for one in mounts if one not in missing],
        "binds": [f"{one['Source']}:{one['Target']}" for one in missing],
    }


def _commas(lab: Laboratory) -> None:
    """A docker command that puts the commas itself."""
    real = lab.command_line

    def command_line(*words: str) -> Ended:
        return real(*" ".join(words).replace("bind source", "bind,source")
                    .replace(" target=", ",target=").split())  # fmt: skip

    lab.command_line = command_line  # type: ignore[method-assign]


def _shows_the_images_files(lab: Laboratory) -> None:
    """An engine that copies what the image has into folders of the host as well."""
    real = lab.create

    def create(*words: str, **options: Any) -> Box:
        box = real(*words, **options)
        if options.get("image"):
            box.put("/data", {"file": b"of the image"})
        return box

    lab.create = create  # type: ignore[method-assign]


def _a_folder(lab: Laboratory) -> None:
    """An engine for which a word is a folder, as a path is."""
    shared = lab.folder()
    bound(lambda _: f"{shared}:/data")(lab)


BROKEN: dict[str, Break] = {
    "bind-survives-rm": asked(binds=None, tmpfs={"/data": ""}),
    # A program that runs as the folder's owner, as Docker Desktop has it look.
    "bind-files-get-folder-owner": asked(user=f"{os.getuid()}:{os.getgid()}"),
    "bind-needs-absolute-path": asked_by(_absolute),
    "bind-word-is-a-folder": _a_folder,
    # A copy of the folder as it was.
    "bind-change-is-seen-at-once": asked_by(
        lambda options: options | ({"mounts": VOLUME, "binds": None} if "binds" in options else {})
    ),
    "bind-file-follows-its-name": bound(_follows_the_name),
    "mount-refuses-missing-source": asked_by(_makes_it),
    # As strict as --mount.
    "v-makes-missing-source": asked_by(
        lambda options: (
            options
            | (
                {
                    "mounts": [{"Type": "bind", "Source": "/missing", "Target": "/data"}],
                    "binds": None,
                }
                if "binds" in options
                else {}
            )
        )
    ),
    "mount-takes-blanks": _commas,
    "bind-takes-image-folder": _shows_the_images_files,
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
    assert {claim.id for claim in binds.CLAIMS} == set(BROKEN)
