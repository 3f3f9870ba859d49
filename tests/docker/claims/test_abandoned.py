"""What a bench that was killed amid an experiment left on the engine, and who removes it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace

import pytest

from harness.engine import shelf
from harness.engine.abandoned import remove_abandoned
from harness.engine.boundary import LABEL
from harness.engine.connect import Connection
from harness.engine.leftovers import PROCESS_LABEL
from harness.engine.shelf import Shelf
from harness.store import writer

pytestmark = [pytest.mark.engine, pytest.mark.beside]

RUN = "tried-abandoned"


def test_images_without_a_name_go_and_those_that_somebody_named_stay(
    engine_connection: Connection,
) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    dead = replace(writer.own(), pid=ended.pid)
    api = engine_connection.api
    images = Shelf(api, {LABEL: RUN, PROCESS_LABEL: json.dumps(asdict(dead))})
    living = Shelf(api, {LABEL: RUN, PROCESS_LABEL: json.dumps(asdict(writer.own()))})
    try:
        left = images.build("FROM scratch", "ENV A=1", "ENV B=2").id
        named = images.build("FROM scratch", "ENV A=3", tag="somebody/else:tried").id
        used = living.build("FROM scratch", "ENV A=1").id
        removed, _ = remove_abandoned(engine_connection)
        assert removed >= 1
        assert [images.there(one) for one in (left, named, used)] == [False, True, True]
    finally:
        shelf.clear(api, RUN)
