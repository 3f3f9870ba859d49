"""Workloads of the user's own: a TOML file names an image, a command, and what its output says.

command = ["stress-ng", "--cpu", "{threads}", "--timeout", "{seconds}s"]
ready = "dispatching hogs"        # a pattern in its output; without it, running is ready
stop-signal = "SIGINT"
[image]                           # one of three
pack = "stress-ng"                # a program of this host, packed with its libraries
package = "stress-ng"             # what brings it, for the message where it is missing
reference = "alpine:3.20"         # an image that the engine has
archive = "image.tar"             # a file for `docker load`, beside this one
[[metric]]
name = "bogo_ops_rate"
unit = "ops/s"
pattern = "cpu +[0-9]+ .* ([0-9.]+)$"   # the last match counts, its first group is the number
key = "rate"                      # or: a key of a JSON line
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import PlanError
from harness.model import Program, ProgramImage, ProgramMetric


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"'{pattern}' is no pattern: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )


class _ImageTable(_Table):
    pack: str | None = None
    package: str = ""
    reference: str | None = None
    archive: str | None = None

    @model_validator(mode="after")
    def _one(self) -> _ImageTable:
        if sum(one is not None for one in (self.pack, self.reference, self.archive)) != 1:
            raise ValueError("give one of pack, reference and archive")
        return self


class _MetricTable(_Table):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    unit: str = "1"
    pattern: Pattern | None = None
    key: str | None = None

    @model_validator(mode="after")
    def _one(self) -> _MetricTable:
        if (self.pattern is None) == (self.key is None):
            raise ValueError("give a pattern or a key")
        if self.pattern is not None and re.compile(self.pattern).groups < 1:
            raise ValueError("the pattern needs a group: (…) around the number")
        return self


class _ProgramTable(_Table):
    command: list[str] = Field(min_length=1)
    ready: Pattern | None = None
    stop_signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGKILL"] = "SIGTERM"
    image: _ImageTable
    metric: list[_MetricTable] = Field(default_factory=list)


def find(name: str, workloads: Path) -> Program:
    """The program of that name in the folder ``workloads``, or of that file.

    PlanError where there is none, or its file says something that is not known.
    """
    path = Path(name) if name.endswith(".toml") else workloads / name / "workload.toml"
    try:
        table = _ProgramTable.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        known = sorted(found.parent.name for found in workloads.glob("*/workload.toml"))
        raise PlanError(
            f"there is no workload '{name}' ({error.strerror}).",
            f"Known: spin, burst, memory, {', '.join(known)}, or a file FILE.toml.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} is no TOML: {error}.", "See workloads/README.md.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise PlanError(f"{path}: {place}: {first['msg']}.", "See workloads/README.md.") from None
    image = table.image
    archive = None if image.archive is None else str((path.parent / image.archive).resolve())
    return Program(
        image=ProgramImage(
            pack=image.pack, package=image.package, reference=image.reference, archive=archive
        ),
        command=tuple(table.command),
        ready=table.ready,
        stop_signal=table.stop_signal,
        metrics=tuple(
            ProgramMetric(name=one.name, unit=one.unit, pattern=one.pattern, key=one.key)
            for one in table.metric
        ),
    )
