"""A probe that runs as a plain process, and the other end of the conversation with it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MS = 1_000_000


class Running:
    """A probe that was started. ``before`` is a command that starts it in its own place."""

    def __init__(self, probe: Path, *arguments: str, before: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*before, str(probe), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Its exit code and what it wrote to stderr; its standard input is closed first."""
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors

    def clear_away(self) -> None:
        """Leave neither process nor pipe, whatever state they are in."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def running(probe: Path, *arguments: str, before: Sequence[str] = ()) -> Iterator[Running]:
    """A probe that is cleared away at the end."""
    started = Running(probe, *arguments, before=before)
    try:
        yield started
    finally:
        started.clear_away()
