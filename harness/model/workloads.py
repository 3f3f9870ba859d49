"""What runs in a container.

Each workload is a type, and carries what others ask of it. Nobody compares names: a program
of the user's own may be called as it likes. What a name means is chosen in two places: of what a
user says in ``harness.plan.workloads``, of what is stored here, in ``StoredWorkload``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from harness import limits as rules
from harness.model.needs import OF_THE_IMAGE, SCRATCH, Asked, Place, Scratch
from harness.model.programs import (
    Ask,
    Batch,
    LoadProgram,
    Program,
    ProgramDescription,
    Server,
    Serving,
)
from harness.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Spin(Asked):
    """The probe's full load."""

    name: ClassVar[str] = "spin"
    threads: int = 1
    """That want CPU."""

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        return f"{counted(self.threads, 'thread')} at full load"

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it ends by itself after ``deadline_s``."""
        return [self.name, "--threads", str(self.threads), *_deadline(deadline_s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst(Asked):
    """The probe's pieces of work that become due at random times, whose responses are timed."""

    name: ClassVar[str] = "burst"
    saturates: ClassVar[bool] = False
    threads: int = 1
    cost_us: int = 20_000
    """CPU time of a piece."""
    rate_hz: int = 10
    """Pieces that become due a second. By default 0.2 CPUs on average, in pieces of a fifth of a
    period."""

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        bursts = f"bursts of {self.cost_us} µs {self.rate_hz} times a second"
        return f"{counted(self.threads, 'thread')}, {bursts}"

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it ends by itself after ``deadline_s``."""
        load = ["--cost-us", str(self.cost_us), "--rate", str(self.rate_hz)]
        random = ["--arrivals", "poisson"]
        threads = ["--threads", str(self.threads)]
        return [self.name, *threads, *load, *random, *_deadline(deadline_s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth(Asked):
    """The probe's growth in memory, until it is killed or has ``target_bytes``."""

    KINDS: ClassVar[Sequence[str]] = ("anon", "file", "tmpfs")
    name: ClassVar[str] = "memory"
    threads: ClassVar[int] = 1
    wants_cpu: ClassVar[bool] = False
    grows: ClassVar[bool] = True
    ends_by_itself: ClassVar[bool] = True
    has_clocks: ClassVar[bool] = False
    target_bytes: int = 0
    """Whoever plans it knows its limit, and so how much it is to want."""
    kind: str = "anon"
    """``anon``, ``file`` (page cache), ``tmpfs``, or ``mixed``: anon and page cache by turns."""
    victim: str = "child"
    """``child`` grows while its parent lives to report; ``self`` is PID 1, whose kill ends the
    container; ``rival`` is a child that the OOM killer is not told to take first."""
    after_s: float = 0.0
    """It begins so long after the others of its trial, who hold what they want by then."""
    may_stand: bool = False
    """Whether it may stand still at its limit for ever, neither done nor killed."""
    STANDS_S: ClassVar[float] = 3.0
    """What neither ends nor is done by then stands still, where it may."""

    @property
    def scratch(self) -> Scratch | None:
        """Where its pages come from a file, the file's system."""
        if self.kind in ("file", "mixed"):
            return Scratch(type="volume")
        if self.kind == "tmpfs":  # the memory limit is to be met first
            return Scratch(type="tmpfs", size_bytes=2 * self.target_bytes)
        return None

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        later = f", {self.after_s:g} s after the others" if self.after_s else ""
        return f"{self.kind} memory up to {self.target_bytes / 2**20:.10g}m{later}"

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it ends by itself after ``deadline_s``."""
        target = ["--target", str(self.target_bytes), "--kind", self.kind]
        path = ["--path", SCRATCH] if self.scratch else []
        return [self.name, *target, *path, "--victim", self.victim, *_deadline(deadline_s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Io(Asked):
    """The probe's reads or writes of one file, or the lives of many, each timed."""

    name: ClassVar[str] = "io"
    threads: ClassVar[int] = 1
    wants_cpu: ClassVar[bool] = False
    saturates: ClassVar[bool] = False
    has_clocks: ClassVar[bool] = False
    operation: Literal["write", "read", "files"] = "write"
    """``files``: each is made, renamed and removed, with nothing in it: what a folder is written
    for. With the way ``fsync``, the folder is fsynced after each of the three."""
    way: Literal["direct", "buffered", "fsync"] = "direct"
    """Past the page cache (O_DIRECT), through it, or through it with an fsync after each write."""
    order: Literal["sequential", "random"] = "sequential"
    block_bytes: int = 4096
    file_bytes: int = 16 << 20
    """Of the file, which is written once before the load begins."""
    depth: int = 1
    """So many are under way at once: threads with a synchronous call each."""
    rate_hz: int | None = None
    """I/Os that become due a second; None = the next one as soon as one is done."""
    place: Place = "volume"
    room_bytes: int | None = None
    """Of a tmpfs, or of /dev/shm; None = twice the file."""

    @property
    def where(self) -> str:
        """The folder of its file, in the container."""
        return {"layer": "/", "image": "/", "shm": "/dev/shm"}.get(self.place, SCRATCH)

    @property
    def scratch(self) -> Scratch:
        """Where its file lies."""
        in_memory = self.place in ("tmpfs", "shm")
        room = (self.room_bytes or 2 * self.file_bytes) if in_memory else None
        return Scratch(type=self.place, size_bytes=room, folder=self.where)

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        if self.operation == "files":
            kept = ", the folder fsynced after each" if self.way == "fsync" else ""
            return f"files made, renamed and removed{kept} ({self.place})"
        how = {"direct": "direct", "buffered": "buffered", "fsync": "fsynced"}[self.way]
        pace = f"{self.rate_hz} a second" if self.rate_hz else f"{self.depth} at once"
        size = rules.format_size
        return (
            f"{how} {self.order} {self.operation}s of {size(self.block_bytes)}, {pace}, in a file "
            f"of {size(self.file_bytes)} ({self.place})"
        )

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it ends by itself after ``deadline_s``."""
        kind = ["--operation", self.operation, "--way", self.way, "--order", self.order]
        sizes = ["--block", str(self.block_bytes), "--file", str(self.file_bytes)]
        if self.operation == "files":
            sizes = []
        rate = ["--rate", str(self.rate_hz)] if self.rate_hz else []
        there = ["--existing", OF_THE_IMAGE] if self.place == "image" else []
        load = [*kind, *sizes, "--depth", str(self.depth), *rate, "--path", self.where, *there]
        return [self.name, *load, *_deadline(deadline_s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Take(Asked):
    """The probe's taking of units of one kind, one after the other, until one is refused."""

    KINDS: ClassVar[Mapping[str, str]] = {
        "process": "processes",
        "thread": "threads",
        "descriptor": "descriptors",
        "lock": "bytes of locked memory",
        "stack": "bytes of stack",
        "file": "bytes of a file",
        "cpu": "ns of CPU time",
    }
    """Each with its unit."""
    name: ClassVar[str] = "take"
    threads: ClassVar[int] = 1
    wants_cpu: ClassVar[bool] = False
    ends_by_itself: ClassVar[bool] = True
    has_clocks: ClassVar[bool] = False
    kind: str = "process"
    most: int = 0
    """Where it is content. Whoever plans it knows what is to refuse it before."""
    path: str = ""
    """Of ``file``: the folder to write to."""

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        where = f" in {self.path}" if self.path else ""
        return f"takes up to {self.most} {self.KINDS[self.kind]}{where}"

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it ends by itself after ``deadline_s``."""
        path = ["--path", self.path] if self.path else []
        units = ["--kind", self.kind, "--most", str(self.most)]
        return [self.name, *units, *path, *_deadline(deadline_s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle(Asked):
    """What an engine does to a container from its creation to its removal, each step timed.

    The hand runs in it (workloads/hand), with one thread that wants CPU. Whoever stands beside it
    in a point is load on the host and no more.
    """

    name: ClassVar[str] = "lifecycle"
    threads: ClassVar[int] = 1
    has_clocks: ClassVar[bool] = False
    GRACE_S: ClassVar[int] = 1
    """That ``stop`` gives a program which does not heed SIGTERM."""
    UPDATED_CPUS: ClassVar[float] = 0.25
    """To which the CPU limit is changed while it runs."""

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        return "each of the engine's commands, once"

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it ends by itself after ``deadline_s``."""
        return ["say", "ready", "+", "spin", str(round(deadline_s))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Asked):
    """Looking for a file in a place, once the container that wrote it is removed."""

    name: ClassVar[str] = "kept"
    threads: ClassVar[int] = 1
    wants_cpu: ClassVar[bool] = False
    saturates: ClassVar[bool] = False
    has_clocks: ClassVar[bool] = False
    place: Place = "volume"

    @property
    def words(self) -> str:
        """What it is, for a plan in words."""
        return f"a file is written, its container removed, the file looked for ({self.place})"

    def command_line(self, deadline_s: float) -> list[str]:
        """What starts it in its container; it ends by itself after ``deadline_s``."""
        return ["sleep", str(round(deadline_s))]


OfProbe = Spin | Burst | Growth | Io | Take
"""What the probe does: a mode of it is a type here."""
Load = OfProbe | Program
"""What goes on by itself until it is told to stop, and is what a window is about."""
OfCommands = Lifecycle | Kept
"""What an engine's commands do to containers, each a trial of its own (``harness.measure``)."""
Loader = Ask | LoadProgram
"""What loads a server, in a container of its own."""
Workload = Load | OfCommands | Ask
PROBE: dict[str, type[OfProbe]] = {kind.name: kind for kind in get_args(OfProbe)}
"""The probe's workloads by name."""


def place_of(name: str | None) -> Place:
    """The place of that name; ValueError where there is none."""
    for place in get_args(Place):
        if place == name:
            found: Place = place
            return found
    raise ValueError(f"there is no place '{name}'")


def _deadline(deadline_s: float) -> list[str]:
    return ["--deadline", str(round(deadline_s))]


# --- stored ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWorkload:
    """A workload as runs and baselines hold it: one form for all, with the fields of each."""

    name: str = Spin.name
    threads: int = 1
    target_bytes: int | None = None
    kind: str = "anon"
    victim: str = "child"
    after_s: float = 0.0
    may_stand: bool = False
    cost_us: int | None = None
    rate_hz: int | None = None
    operation: str | None = None
    way: str | None = None
    order: str | None = None
    block_bytes: int | None = None
    file_bytes: int | None = None
    depth: int | None = None
    place: str | None = None
    room_bytes: int | None = None
    most: int | None = None
    path: str | None = None
    program: ProgramDescription | None = None
    serving: Serving | None = None
    timeout_s: float | None = None
    """Of a batch program, which has one."""

    def workload(self) -> Workload:
        """The workload that is meant; ValueError where no type here is."""
        if self.program is not None:
            told: Any = {
                "name": self.name, "threads": self.threads, "description": self.program,
                "place": self.place or "volume",
            }  # fmt: skip
            if self.serving is not None:
                return Server(**told, serving=self.serving)
            if self.timeout_s is not None:
                return Batch(**told, timeout_s=self.timeout_s)
            return Program(**told)
        if self.name == Lifecycle.name:
            return Lifecycle()
        if self.name == Kept.name:
            return Kept(place=place_of(self.place))
        if self.name not in PROBE:
            raise ValueError(f"there is no workload '{self.name}'")
        kind = PROBE[self.name]
        said = {one.name: getattr(self, one.name) for one in fields(kind)}
        return kind(**{name: value for name, value in said.items() if value is not None})

    @staticmethod
    def of(workload: Workload) -> StoredWorkload:
        """The form of a workload."""
        if isinstance(workload, Program):
            return StoredWorkload(
                name=workload.name,
                threads=workload.threads,
                program=workload.description,
                place=None if workload.place == "volume" else workload.place,
                serving=workload.serving if isinstance(workload, Server) else None,
                timeout_s=workload.timeout_s if isinstance(workload, Batch) else None,
            )
        said = {one.name: getattr(workload, one.name) for one in fields(workload)}
        return StoredWorkload(name=workload.name, **said)


class AsStored:
    """Beside a field's type: that it is read and written as a ``StoredWorkload``.

    Pydantic asks for it by that name, and takes its schema as a dict, so that it is not needed
    here: https://docs.pydantic.dev/latest/concepts/types/#handling-third-party-types.
    """

    def __get_pydantic_core_schema__(self, _source: object, handler: Any) -> dict[str, Any]:
        form = handler.generate_schema(StoredWorkload)
        return {
            "type": "function-after",
            "schema": form,
            "function": {"type": "no-info", "function": StoredWorkload.workload},
            "serialization": {
                "type": "function-plain",
                "function": StoredWorkload.of,
                "return_schema": form,
            },
        }
