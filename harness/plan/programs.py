"""Workloads of the user's own, each a TOML file.

The file names an image, a command, and what its output says.

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

With ``[batch]`` it runs to its end; with ``[server]`` it serves, and ``[server.load]`` says what it
is asked, or which program asks it. workloads/README.md has all of their keys.
"""

from __future__ import annotations

import re
import tomllib
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness import files
from harness.errors import PlanError
from harness.model import (
    PROBE,
    Asker,
    Batch,
    LatencyLog,
    Program,
    ProgramDescription,
    ProgramImage,
    ProgramMetric,
    Requests,
    Server,
    Serving,
)

_MOST_FILE_CHARACTERS = 64 << 10
"""Of a file that goes into an image: it is kept with every run."""
_RATE = Field(default=None, ge=1, le=100_000)


def _compiles(pattern: str) -> str:
    try:
        with warnings.catch_warnings():  # of a set that a later Python may read otherwise
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
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
    also: list[str] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)
    reference: str | None = None
    archive: str | None = None
    volume: str | None = Field(default=None, pattern=r"^/[^:]{1,200}$")

    @model_validator(mode="after")
    def _one(self) -> _ImageTable:
        if sum(one is not None for one in (self.pack, self.reference, self.archive)) != 1:
            raise ValueError("give one of pack, reference and archive")
        if self.pack is None and (self.also or self.files):
            raise ValueError("also and files are for what is packed")
        if wrong := [path for path in self.files if not path.startswith("/")]:
            raise ValueError(f"'{wrong[0]}' is no path from the root of the image")
        # What another person's file names is read, and kept with the run: nothing of this host.
        if wrong := [name for name in self.files.values() if Path(name).name != name]:
            raise ValueError(f"'{wrong[0]}' is no file beside this one")
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


class _LatencyTable(_Table):
    pattern: Pattern
    unit: Literal["s", "ms", "us", "ns"] = "us"

    @model_validator(mode="after")
    def _groups(self) -> _LatencyTable:
        groups = re.compile(self.pattern).groupindex
        if missing := {"latency", "end_s"} - groups.keys():
            raise ValueError(f"the pattern needs the group (?P<{min(missing)}>…)")
        return self


class _LoadTable(_Table):
    """What the probe asks, or with a command, which program does."""

    protocol: Literal["http", "redis"] = "http"
    path: str = Field(default="/", pattern=r"^/[!-~]{0,2000}$")
    rate: int | None = _RATE
    to_rate: int | None = _RATE
    arrivals: Literal["fixed", "poisson"] = "poisson"
    connections: int | None = Field(default=None, ge=1, le=1024)
    keys: int = Field(default=1000, ge=1, le=1 << 31)
    value_bytes: int = Field(default=64, ge=1, le=4096)
    writes: int = Field(default=10, ge=0, le=100)
    command: list[str] | None = Field(default=None, min_length=1)
    image: _ImageTable | None = None
    ready: Pattern | None = None
    latency: _LatencyTable | None = None

    @model_validator(mode="after")
    def _one(self) -> _LoadTable:
        if self.to_rate is not None and self.rate is None:
            raise ValueError("to-rate needs rate")
        of_program = {"image": self.image, "latency": self.latency, "ready": self.ready}
        if self.command is None:
            if given := [name for name, one in of_program.items() if one is not None]:
                raise ValueError(f"{given[0]} is of a load that has a command")
            return self
        if self.latency is None:
            raise ValueError("a load that has a command needs latency: where its output has them")
        asked = {"protocol", "path", "to_rate", "arrivals", "keys", "value_bytes", "writes"}
        if given := sorted(asked & self.model_fields_set):
            raise ValueError(f"{given[0]} is of a load without a command")
        return self


class _ServerTable(_Table):
    port: int = Field(ge=1024, le=65535)
    ready: str = Field(default="/", pattern=r"^(tcp|/[!-~]{0,2000})$")
    ready_s: int = Field(default=20, ge=1, le=3600)
    start_cpu_s: float = Field(default=0.1, ge=0, le=3600)
    load: _LoadTable = Field(default_factory=_LoadTable)


class _BatchTable(_Table):
    timeout_s: float = Field(default=600.0, gt=0, le=86400)


class _ProgramTable(_Table):
    command: list[str] = Field(min_length=1)
    ready: Pattern | None = None
    stop_signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGKILL"] = "SIGTERM"
    image: _ImageTable
    metric: list[_MetricTable] = Field(default_factory=list)
    server: _ServerTable | None = None
    batch: _BatchTable | None = None

    @model_validator(mode="after")
    def _one(self) -> _ProgramTable:
        if self.server is not None and self.batch is not None:
            raise ValueError("a program is a [server] or a [batch], not both")
        if self.batch is not None and self.ready is not None:
            raise ValueError("a batch program is measured from its first instruction: no ready")
        return self


def find(name: str, workloads: Path) -> Program:
    """The program of that name in the folder ``workloads``, or of that file.

    PlanError where there is none, or its file says something that is not known.
    """
    path = Path(name) if name.endswith(".toml") else workloads / name / "workload.toml"
    try:
        table = _ProgramTable.model_validate(tomllib.loads(files.read_text(path)))
    except OSError as error:
        raise PlanError(
            f"there is no workload '{name}' ({error.strerror}).",
            f"Known: {', '.join([*PROBE, *names(workloads)])}, or a file FILE.toml.",
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise PlanError(f"{path}: {place}: {first['msg']}.", "See workloads/README.md.") from None
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} is no TOML: {error}.", "See workloads/README.md.") from None
    description = ProgramDescription(
        image=_image(table.image, path),
        command=tuple(table.command),
        ready=table.ready,
        stop_signal=table.stop_signal,
        metrics=tuple(
            ProgramMetric(name=one.name, unit=one.unit, pattern=one.pattern, key=one.key)
            for one in table.metric
        ),
    )
    called = Path(name).stem
    if table.server is not None:
        serving = _serving(table.server, description.image, path)
        return Server(name=called, description=description, serving=serving)
    if table.batch is not None:
        return Batch(name=called, description=description, timeout_s=table.batch.timeout_s)
    return Program(name=called, description=description)


def _image(table: _ImageTable, path: Path) -> ProgramImage:
    archive = None if table.archive is None else str((path.parent / table.archive).resolve())
    return ProgramImage(
        pack=table.pack,
        package=table.package,
        also=tuple(table.also),
        files=tuple((at, _text(path.parent / name)) for at, name in sorted(table.files.items())),
        reference=table.reference,
        archive=archive,
        volume=table.volume,
    )


def _text(path: Path) -> str:
    try:
        text = files.read_text(path)
    except (OSError, ValueError) as error:
        raise PlanError(f"cannot read {path}, which is to be in the image: {error}.", "") from None
    if len(text) > _MOST_FILE_CHARACTERS:
        raise PlanError(
            f"{path} is too large to be kept with every run.",
            "Build an image with it, and name that as reference.",
        )
    return text


def _serving(table: _ServerTable, image: ProgramImage, path: Path) -> Serving:
    """``image`` is the server's: a program that asks it is usually in there too."""
    load = table.load
    told: Any = {
        "port": table.port, "ready": table.ready, "ready_s": table.ready_s,
        "start_cpu_s": table.start_cpu_s,
    }  # fmt: skip
    many: Any = {} if load.connections is None else {"connections": load.connections}
    if load.command is not None and load.latency is not None:
        description = ProgramDescription(
            image=image if load.image is None else _image(load.image, path),
            command=tuple(load.command),
            ready=load.ready,
        )
        unit_s = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[load.latency.unit]
        asker = Asker(
            description=description,
            latencies=LatencyLog(pattern=load.latency.pattern, unit_s=unit_s),
            rate_hz=load.rate,
            **many,
        )
        return Serving(**told, asker=asker)
    requests = Requests(
        protocol=load.protocol,
        path=load.path,
        rate_hz=load.rate,
        to_rate_hz=load.to_rate,
        arrivals=load.arrivals,
        **many,
        keys=load.keys,
        value_bytes=load.value_bytes,
        writes_percent=load.writes,
    )
    return Serving(**told, requests=requests)


def names(workloads: Path) -> list[str]:
    """The programs that have a folder in ``workloads``."""
    return sorted(found.parent.name for found in workloads.glob("*/workload.toml"))
