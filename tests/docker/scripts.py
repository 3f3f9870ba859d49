"""Programs of the user's own, packed into images from what is installed on this host."""

from __future__ import annotations

import shutil

import pytest

from harness.model import Program, ProgramDescription, ProgramImage, ProgramMetric


def needs(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here: apt-get install {package}")


def shell(script: str, *, ready: str | None = None, signal: str = "SIGTERM") -> Program:
    """A script for busybox's shell, which links statically in Debian's busybox-static."""
    description = ProgramDescription(
        image=ProgramImage(pack="busybox"),
        command=("busybox", "sh", "-c", script),
        ready=ready,
        stop_signal=signal,
        metrics=(ProgramMetric(name="loops", unit="loops", key="loops"),),
    )
    return Program(name="mine", description=description)
