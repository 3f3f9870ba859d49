"""Programs that are not the probe: what loads itself, what runs to its end, what serves.

A server has its load in a container of its own, beside it and never under its limits: the probe
that asks (``Ask``), or a program that does (``LoadProgram``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.model.needs import Asked, Place, Scratch
from harness.wording import counted

Protocol = Literal["http", "redis"]
Arrivals = Literal["fixed", "poisson"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramImage:
    """Where a program's image comes from: exactly one of ``pack``, ``reference``, ``archive``."""

    pack: str | None = None
    """A program of this host, packed with its libraries: on PATH, or a path whose ``*`` stands for
    a version."""
    package: str = ""
    also: tuple[str, ...] = ()
    """What else of this host is packed: programs, files, folders whole."""
    files: tuple[tuple[str, str], ...] = ()
    """(path in the image, text) of what comes with the program's file."""
    reference: str | None = None
    archive: str | None = None
    volume: str | None = None
    """Where each container has a new volume; None = it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramMetric:
    """A number in a program's output: the group of a pattern, or the key of a JSON line."""

    name: str
    unit: str = "1"
    pattern: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramDescription:
    """What a program's file says of it; see ``harness.plan.programs``."""

    image: ProgramImage
    command: tuple[str, ...]
    """``{threads}`` and ``{seconds}`` (its deadline) are filled in."""
    ready: str | None = None
    stop_signal: str = "SIGTERM"
    metrics: tuple[ProgramMetric, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(Asked):
    """A program that is not the probe, and knows nothing of limitbench."""

    has_clocks: ClassVar[bool] = False
    name: str
    """Of its file or folder, so it may be any."""
    threads: int = 1
    description: ProgramDescription
    place: Place = "volume"
    """Where its volume lies, where it has one: ``device`` in a sweep that limits a disk."""

    @property
    def scratch(self) -> Scratch | None:
        """Its volume."""
        at = self.description.image.volume
        return None if at is None else Scratch(type=self.place, folder=at)

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        return f"{self.name}, {counted(self.threads, 'thread')}"

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it is to end by itself after ``deadline_s``."""
        values = {"{threads}": str(self.threads), "{seconds}": str(round(deadline_s))}
        return filled_in(self.description.command, values)


def filled_in(command: tuple[str, ...], values: dict[str, str]) -> list[str]:
    """The words of a command with each name in braces replaced by its value."""
    out = []
    for word in command:
        for name, value in values.items():
            word = word.replace(name, value)  # noqa: PLW2901 - each name in turn
        out.append(word)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Program):
    """A program that runs to its end: how long that takes is what is asked."""

    saturates: ClassVar[bool] = False
    ends_by_itself: ClassVar[bool] = True
    timeout_s: float = 600.0
    """It is given so long."""

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        return f"{self.name} to its end, {counted(self.threads, 'thread')}"


# --- what serves -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """What a server is asked, how often."""

    protocol: Protocol = "http"
    path: str = "/"
    rate_hz: int | None = None
    """Requests that become due a second; None = each connection asks again once it is answered."""
    to_rate_hz: int | None = None
    """The rate at the window's end, where it is to change through the window."""
    arrivals: Arrivals = "poisson"
    connections: int = 64
    keys: int = 1000
    """Of redis: so many, at random."""
    value_bytes: int = 64
    writes_percent: int = 10
    """The share of SET among the requests."""

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        over = f"over {counted(self.connections, 'connection')}"
        if self.rate_hz is None:
            return f"asked without a pause {over}"
        rate = f"{self.rate_hz}" + (f" to {self.to_rate_hz}" if self.to_rate_hz else "")
        how = "at random" if self.arrivals == "poisson" else "evenly spaced"
        return f"asked {rate} times a second {how} {over}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyLog:
    """Where the output of a program that loads a server has its latencies: a line each."""

    pattern: str
    """Its group ``latency`` is the number, ``end_s`` and, where there is one, ``end_us`` the moment
    of the answer since the epoch."""
    unit_s: float = 1e-6
    """Of the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A program that loads a server, by a protocol that the probe does not speak."""

    description: ProgramDescription
    """Its command has ``{port}``, ``{rate}``, ``{connections}`` and ``{seconds}``, after which it
    is to end by itself."""
    latencies: LatencyLog
    rate_hz: int | None = None
    connections: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a server is known to be ready, and how it is loaded: by one of the two last."""

    port: int
    ready: str = "/"
    """``tcp``: it takes a connection; else the path that it answers by a status below 400 (of
    redis, it answers a PING)."""
    ready_s: int = 20
    """It is given so long, and more under a small quota."""
    start_cpu_s: float = 0.1
    """CPU time that its start takes: under a small quota it is given as much more time."""
    requests: Requests | None = None
    asker: Asker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Program):
    """A program that serves, and does nothing unasked."""

    saturates: ClassVar[bool] = False
    serving: Serving

    @property
    def load(self) -> Ask | LoadProgram:
        """What asks it."""
        if self.serving.asker is not None:
            return LoadProgram(
                name=f"{self.name}-load",
                threads=1,
                description=self.serving.asker.description,
                asker=self.serving.asker,
                port=self.serving.port,
            )
        return Ask(serving=self.serving)

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        return f"{self.name}, {counted(self.threads, 'thread')}, {self.load.words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Asked):
    """The probe's requests to a server in the same network namespace, each timed."""

    name: ClassVar[str] = "ask"
    threads: ClassVar[int] = 1
    wants_cpu: ClassVar[bool] = False
    saturates: ClassVar[bool] = False
    has_clocks: ClassVar[bool] = False
    serving: Serving
    ready_s: int | None = None
    """How long the server is given, by whoever knows its limits; None = as its file says."""

    @property
    def requests(self) -> Requests:
        """What it asks."""
        return self.serving.requests or Requests()

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        return self.requests.words

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it ends by itself after ``deadline_s``."""
        asked, serving = self.requests, self.serving
        words = ["--port", str(serving.port), "--protocol", asked.protocol, "--path", asked.path]
        words += ["--connections", str(asked.connections), "--arrivals", asked.arrivals]
        words += ["--ready-tcp"] if serving.ready == "tcp" else ["--ready-path", serving.ready]
        words += ["--ready-s", str(self.ready_s or serving.ready_s)]
        if asked.rate_hz is not None:
            words += ["--rate", str(asked.rate_hz)]
        if asked.to_rate_hz is not None:
            words += ["--to-rate", str(asked.to_rate_hz)]
        if asked.protocol == "redis":
            words += ["--keys", str(asked.keys), "--value-bytes", str(asked.value_bytes)]
            words += ["--writes", str(asked.writes_percent)]
        return [self.name, *words, "--deadline", str(round(deadline_s))]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgram(Program):
    """A program that loads a server; it begins when it likes and ends by itself."""

    wants_cpu: ClassVar[bool] = False
    saturates: ClassVar[bool] = False
    asker: Asker
    port: int
    seconds: int = 0
    """For so long it is to load; whoever plans its trial knows the window."""

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        rate = f" {self.asker.rate_hz} times a second" if self.asker.rate_hz else ""
        over = counted(self.asker.connections, "connection")
        return f"asked by {self.description.command[0]}{rate} over {over}"

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container."""
        return filled_in(
            self.description.command,
            {
                "{seconds}": str(self.seconds),
                "{deadline}": str(round(deadline_s)),
                "{port}": str(self.port),
                "{rate}": str(self.asker.rate_hz or 0),
                "{connections}": str(self.asker.connections),
            },
        )
