"""``bench inspect --all`` as its user reads it, without an engine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.cli import together
from harness.inspection.inspection import Inspection, inspect
from harness.inspection.use import Observation
from tests.command import ran, spoken
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule

CALM = observation(schedule(quota_ms=50, threads=1, busy_ms=10))
HELD = observation(schedule(quota_ms=50, threads=1))
ENDED = replace(CALM, ended=f"it is restarting: {'it ended again and ' * 9}waits")


def told(seen: Observation, name: str) -> Inspection:
    named = replace(seen, container=replace(seen.container, name=name))
    return inspect(named, ENGINE_FACTS, HOST_FACTS)


EVERY = [told(CALM, "db"), told(HELD, "web"), told(ENDED, "job")]


def test_a_container_is_a_line_of_80_columns_the_worst_first() -> None:
    said = spoken(lambda: together.show(lambda: EVERY, by=None, as_json=False))
    head, *lines = said.splitlines()
    assert max(len(line) for line in (head, *lines)) <= 80
    assert [line[head.index("container") :] for line in lines[:3]] == ["job", "web", "db"]
    assert lines[0].startswith("it is restarting: it ended again and it ended")
    assert lines[1].split()[:3] == ["0.500", "100%", "100%"]
    assert lines[3] == "3 containers, 1 of them with BAD findings."
    assert "bench inspect CONTAINER" in lines[4]


def test_sorted_by_a_measure() -> None:
    said = spoken(lambda: together.show(lambda: EVERY, by="cpu", as_json=False)).splitlines()
    assert said[1].endswith("web")


def test_no_container_is_one_line() -> None:
    said = spoken(lambda: together.show(list, by=None, as_json=False))
    assert said == "No container runs on this engine.\n"
    assert json.loads(spoken(lambda: together.show(list, by=None, as_json=True))) == {
        "containers": []
    }


def test_json_has_all_that_one_container_has_in_the_same_order() -> None:
    said = json.loads(spoken(lambda: together.show(lambda: EVERY, by=None, as_json=True)))
    assert [one["container"]["name"] for one in said["containers"]] == ["job", "web", "db"]
    assert said["containers"][0]["findings"][0]["id"] == "container-ended"


@pytest.mark.parametrize("as_json", [False, True])
def test_watched_through_a_pipe_it_is_a_block_a_window(as_json: bool) -> None:
    windows = iter([EVERY, EVERY[:1]])

    def look() -> list[Inspection]:
        if (found := next(windows, None)) is None:
            raise KeyboardInterrupt
        return found

    said = ran(lambda: together.watch(look, by=None, as_json=as_json)).stdout
    if as_json:
        assert [len(json.loads(line)["containers"]) for line in said.splitlines()] == [3, 1]
    else:
        first, second = said.split("\n\n")[:2]
        assert first.splitlines()[0] == second.splitlines()[0]
        assert second.splitlines()[-1] == "1 container, none with BAD findings."
        assert "\x1b" not in said
