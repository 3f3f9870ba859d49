"""`bench` as its users begin it: a program of its own, in a folder, on one engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harness.engine.connect import Connection
from harness.errors import MeasurementError

BENCH = str(Path(sys.executable).with_name("bench"))
CHECK_CODES = {0: "green", 1: "red", 3: "open", 4: "refused"}
"""Exit code of `bench check` → how it ended."""
_ENDS_S = 60.0
"""A bench that is interrupted is given so long to remove what it made."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What it printed; what it complained of where it printed nothing."""
        return self.out or self.err

    @property
    def first(self) -> str:
        """The first line of that."""
        return next((line for line in self.said.splitlines() if line.strip()), "")


@dataclass(frozen=True, slots=True)
class Commands:
    """Begins them in a folder, which they take as theirs for results and baselines."""

    connection: Connection
    folder: Path

    def run(self, *asked: str, codes: Collection[int] = (0,)) -> Ended:
        """Waits for its end. MeasurementError where it ended by another code."""
        with subprocess.Popen(
            [BENCH, *asked], cwd=self.folder, text=True,
            env={**os.environ, "BENCH_ENGINE_HOST": self.connection.host},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate()
            except KeyboardInterrupt:
                process.terminate()  # it removes its containers
                process.wait(timeout=_ENDS_S)
                raise
        if process.returncode not in codes:
            raise MeasurementError(f"`bench {' '.join(asked)}`: {err.strip()[-300:]}")
        return Ended(process.returncode, out, err)
