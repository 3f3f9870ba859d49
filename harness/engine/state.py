"""What a container's ``State`` means, as the engine tells it.

Whether anything of the container runs, and if not, why.

A word for each state of moby's container/state.go (``StateString``). ``Running`` alone does not
tell: it is true of a container that waits in the pause between two restarts, whose ``Pid`` is 0.
"""

from __future__ import annotations

from typing import Any

from harness.engine.boundary import Exit
from harness.errors import MeasurementError
from harness.wording import counted


def exit_of(state: dict[str, Any], *, tells_oom_kills: bool) -> Exit:
    """How a container ended by its ``State``, whose ``OOMKilled: false`` may mean nothing."""
    killed = bool(state["OOMKilled"])
    return Exit(int(state["ExitCode"]), killed if killed or tells_oom_kills else None)


def is_running(state: dict[str, Any]) -> bool:
    """Whether it has a process at this moment, paused or not."""
    return bool(state["Running"]) and not state.get("Restarting") and bool(state.get("Pid", 1))


def why_not(told: dict[str, Any]) -> MeasurementError:
    """Why nothing of a container can be measured, by its whole description.

    ``RestartCount`` counts what the restart policy did since the last start by hand.
    """
    state, name = told["State"], told["Name"].lstrip("/")
    status = _status(state)
    killed = ", OOM-killed" if state["OOMKilled"] else ""
    ended = f"exit code {state['ExitCode']}{killed}"
    if status == "restarting":
        again = int(told.get("RestartCount") or 0)
        times = counted(again, "time")
        return MeasurementError(
            f"{name} is restarting: it ended with {ended}, was started again {times} so far, and "
            "waits for the next start.",
            f"See why it ends: docker logs {name}."
            + (" It needs more --memory." if state["OOMKilled"] else ""),
        )
    if status == "created":
        reason = f" ({state['Error']})" if state.get("Error") else ""
        return MeasurementError(
            f"{name} was created and never started{reason}.", f"docker start {name}."
        )
    if status in ("removing", "dead"):
        what = "is being removed" if status == "removing" else "is dead: its removal failed"
        return MeasurementError(f"{name} {what}; {ended}.", f"docker rm -f {name} tries it again.")
    return MeasurementError(f"{name} is not running: {status}, {ended}.", "Start it first.")


def _status(state: dict[str, Any]) -> str:
    """Its state in the engine's word; a process that is just gone is an end like any other."""
    if state.get("Restarting"):
        return "restarting"
    said = str(state.get("Status") or "stopped")
    return "exited" if said == "running" else said
