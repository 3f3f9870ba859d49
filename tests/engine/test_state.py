"""What is said of a container of which nothing runs: each state of the engine has its own word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.engine.state import is_running, why_not

RECORDED = json.loads(
    (Path(__file__).parents[1] / "data" / "cases" / "C01-restarting" / "state.json").read_text()
)
"""Of somebody else's host: Running is true, Restarting too, and Pid is 0."""


def told(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    gone = {"Running": False, "Restarting": False, "Pid": 0}
    return {"Name": "/web", "State": RECORDED | gone | state, **more}


def test_in_the_pause_between_two_restarts_nothing_runs() -> None:
    assert RECORDED["Running"]
    assert not is_running(RECORDED)
    said = why_not({"Name": "/web", "State": RECORDED | {"ExitCode": 3}, "RestartCount": 5})
    assert "is restarting" in said.message
    assert "exit code 3" in said.message
    assert "started again 5 times" in said.message
    assert said.exit_code == 4
    assert "docker logs web" in said.remedy


def test_a_kill_for_memory_is_named_with_its_remedy() -> None:
    state = RECORDED | {"ExitCode": 137, "OOMKilled": True}
    said = why_not({"Name": "/web", "State": state, "RestartCount": 1})
    assert "exit code 137, OOM-killed" in said.message
    assert "1 time " in said.message
    assert "--memory" in said.remedy


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"Status": "created"}, "was created and never started"),
        ({"Status": "created", "Error": "no such file"}, "(no such file)"),
        ({"Status": "exited", "ExitCode": 1}, "is not running: exited, exit code 1"),
        ({"Status": "dead", "Dead": True}, "is dead: its removal failed"),
        ({"Status": "removing"}, "is being removed"),
        ({"Status": "running", "Running": True}, "is not running: exited"),  # its process just went
    ],
)
def test_each_state_has_its_own_word(state: dict[str, Any], word: str) -> None:
    assert not is_running(told(state)["State"])
    assert word in why_not(told(state)).message


@pytest.mark.parametrize("more", [{"Status": "running"}, {"Status": "paused", "Paused": True}])
def test_what_has_a_process_runs_paused_or_not(more: dict[str, Any]) -> None:
    assert is_running(RECORDED | {"Restarting": False, "Pid": 4711} | more)
