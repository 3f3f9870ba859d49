"""What a reader types: the docker command itself, for claims about its words."""

from __future__ import annotations

import subprocess

from harness.claims.claim import NotExercisableError
from harness.engine.laboratory import PIDS, Ended, Laboratory

_UNFIT = ("API version", "Cannot connect", "error during connect", "is not a docker command")
"""What a command says that is too old or too new for the engine, or does not come to it."""


def typed(lab: Laboratory, *words: str) -> Ended:
    """How the docker command with these words ends; not exercisable without a fitting command."""
    try:
        ended = lab.command_line(*words)
    except (FileNotFoundError, PermissionError):
        raise NotExercisableError(
            "there is no docker command on PATH, and the claim is about its words"
        ) from None
    except subprocess.TimeoutExpired:
        raise NotExercisableError("the docker command did not end in time") from None
    if any(sign in ended.errors for sign in _UNFIT):
        raise NotExercisableError(
            f"the docker command does not speak with this engine: {complaint(ended)}"
        )
    return ended


def complaint(ended: Ended) -> str:
    """What the docker command said went wrong, without its advice; empty where it said nothing."""
    lines = [line for line in ended.errors.splitlines() if line.strip()]
    return next((line for line in lines if "rror" in line), lines[0] if lines else "")


def options(lab: Laboratory, name: str) -> list[str]:
    """What goes before the image for a container of ours: its name, labels and confinement."""
    labels = [word for key, value in lab.labels.items() for word in ("--label", f"{key}={value}")]
    confined = ["--network", "none", "--cap-drop", "ALL", "--pids-limit", f"{PIDS}"]
    return ["--name", name, *labels, *confined, "--log-driver", "json-file"]
