"""What a row of the table says of a limit, from the command line down to the kernel's file.

A limit is a field of ``Limits`` with its row beside it; what the kernel holds is a field of
``KernelLimits`` likewise. Options, TOML keys, what the engine is told and asked, what is read from
the kernel, read-backs, the table of ``bench inspect`` and docs/limits.md follow from the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol

from harness.errors import PlanError
from harness.limits.forms import UNLIMITED, Form, parse_int

NOT_READ = "not read"
NOT_SET = "not set"
_ROW = "limit"


class Engine(Protocol):
    """What a limit needs to know of an engine; ``model.EngineFacts`` tells it."""

    @property
    def name(self) -> str:
        """``Docker`` or ``Podman``."""
        ...

    @property
    def version(self) -> str:
        """Its own."""
        ...

    @property
    def cgroup_version(self) -> int:
        """1 or 2."""
        ...

    @property
    def cgroup_driver(self) -> str:
        """``cgroupfs``, ``systemd`` or ``none``."""
        ...

    @property
    def runtime(self) -> str:
        """``runc``, ``crun`` or another."""
        ...

    @property
    def runtime_version(self) -> str:
        """The runtime's own."""
        ...

    @property
    def limits_by(self) -> tuple[str, str]:
        """The program that writes the kernel's files (``runc``, ``crun``), and its version."""
        ...


# --- the kernel's side ---------------------------------------------------------------------------

File = tuple[str, str]
"""(controller, name). The controller ``process`` stands for /proc/PID of the first process."""
Text = Callable[[File], bytes | None]
"""A file's text in one cgroup; None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one value is read on one cgroup version."""

    files: tuple[File, ...]
    """Those that it may need; the first that is there is what the docs name."""
    value: Callable[[Sequence[Text]], Any]
    """From the texts of the container's own cgroup, and then of the scope around it (crun, v2)."""


def of_own(
    controller: str, *names: str, parse: Callable[[bytes | None], Any] = parse_int
) -> Reading:
    """The value in the container's own cgroup, in the first of these files that tells one."""
    files = tuple((controller, name) for name in names)

    def value(texts: Sequence[Text]) -> Any:
        told = (parse(texts[0](file)) for file in files)
        return next((one for one in told if one is not None), None)

    return Reading(files, value)


def of_outermost(controller: str, name: str) -> Reading:
    """The value in the scope around the container where there is one: its siblings are others'."""
    file = (controller, name)
    return Reading((file,), lambda texts: parse_int(texts[-1](file)))


def tightest_of(controller: str, name: str) -> Reading:
    """The smallest limit of the container's own cgroup and of the scope around it."""
    file = (controller, name)
    return Reading((file,), lambda texts: tightest([parse_int(text(file)) for text in texts]))


def tightest(held: Sequence[int | None]) -> int | None:
    """The smallest limit; UNLIMITED where none is, None where nothing was read."""
    known = [value for value in held if value is not None]
    limited = [value for value in known if value != UNLIMITED]
    return min(limited) if limited else (UNLIMITED if known else None)


Levels = Sequence[tuple[str, Any]]
"""(cgroup, what is held there) of a container's own first, whose name is empty, and of those above
it, the nearest first."""
Chosen = tuple[Any, str]
"""(what is in force, the cgroup above the container that sets it or nothing)"""
_NO_CAP: tuple[Any, ...] = (None, UNLIMITED, ())


def smallest(levels: Levels) -> Chosen | None:
    """The tightest cap, the lowest cgroup's on a tie; None where nothing caps."""
    known = [(value, at) for at, value in levels if value not in _NO_CAP]
    return min(known, key=lambda one: one[0], default=None)


def nearest(levels: Levels) -> Chosen | None:
    """What the lowest cgroup sets that sets anything; None where none does."""
    return next(((value, at) for at, value in levels if value), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A limit that no option of an engine sets: whoever wrote the kernel's file did."""

    name: str
    """The file's, which is what it is called."""
    words: Callable[[Any], str]
    """A value as people read it."""
    in_force: Callable[[Any], str]
    """What a value does, in words."""
    of: Callable[[Levels], Chosen | None] = smallest
    """What is in force of the values from the container up to the root; None = nothing is set."""
    asked: str = NOT_SET
    """What is said of the engine's side."""
    rule: str
    """What it does, for the docs: one sentence."""
    source: str


@dataclass(frozen=True, slots=True)
class Held:
    """What the kernel holds, on each version; None = that version has no such file."""

    v1: Reading | None = None
    v2: Reading | None = None
    caps: str = ""
    """Of which counters of all below a cgroup it is a cap: ``cpu``, ``memory``, ``pids``."""
    written: Written | None = None
    """Its line where ``bench inspect`` tells it by itself; None where an option's row does."""

    def on(self, version: int) -> Reading | None:
        """The reading of that version."""
        return self.v1 if version == 1 else self.v2


def held(
    v1: Reading | None = None,
    v2: Reading | None = None,
    *,
    caps: str = "",
    written: Written | None = None,
) -> Any:
    """A field of ``KernelLimits``, with how it is read."""
    return field(default=None, metadata={_ROW: Held(v1, v2, caps, written)})


# --- side by side --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """One limit of one container side by side, in words."""

    option: str
    container: int = 0
    requested: str
    engine: str
    kernel: str
    agrees: bool | None
    """Whether what is held is what was asked for. None where neither could be read back, which is
    no mismatch, and where the limit is one that does nothing here, which is told."""
    effective: str = ""
    """What is in force, limits above the container included; empty where nobody asked."""
    at: str = ""
    """The cgroup above the container that sets it; empty where it is its own."""

    @property
    def text(self) -> str:
        """The mismatch in words."""
        told = [
            f"the {who} holds {what}"
            for who, what in (("engine", self.engine), ("kernel", self.kernel))
            if what not in (self.requested, NOT_READ)
        ]
        return f"{self.option}: requested {self.requested}, {' and '.join(told)}"


def all_known(*answers: bool | None) -> bool | None:
    """False where one is; None where nothing is known."""
    known = [answer for answer in answers if answer is not None]
    return all(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A limit as all who hold it said: what a row makes a read-back of."""

    asked: Any
    """``Limits``."""
    engine: Any
    """``Limits`` as the engine reads them back; None where it was not asked."""
    kernel: Any
    """``KernelLimits`` at first; None where the cgroup could not be read."""
    kernel_after: Any
    """The same after the window."""
    of: Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a container has around it: the tightest limits up to the root, and its host."""

    effective: Any
    """``EffectiveLimits``."""
    cpus: int
    memory_bytes: int
    swap_bytes: int
    above: Levels = ()
    """What the cgroups above it hold, ``KernelLimits`` each."""


def levels(name: str, kernel: Any, room: Room | None) -> Levels:
    """One field of ``KernelLimits`` as the container holds it, and the cgroups above it do."""
    every = (("", kernel), *(room.above if room is not None else ()))
    return [(at, getattr(one, name)) for at, one in every if one is not None]


Force = tuple[str, str]
"""``Chosen``, in words."""
Inspected = Literal["always", "where it is asked for", "where it is held"]


def just(words: str) -> Callable[[Any, Room], Force]:
    """In force whatever is held, in these words."""
    return lambda _kernel, _room: (words, "")


def _words_of_one(row: Limit, kernel: Any) -> str:
    value = getattr(kernel, row.kernel) if row.kernel and kernel is not None else None
    return NOT_READ if value is None else row.form.words(value)


def _as_it_is(value: Any, _engine: Engine) -> Sequence[Any]:
    return (value,)


def _never(_value: Any, _engine: Engine) -> str:
    return ""


Compare = Callable[["Limit", Sides], ReadBack | None]


# --- a limit -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """All that is known of one limit but its law."""

    option: str
    form: Form
    help: str
    """For ``--help``, after "Fixed in every container: "."""
    field: str = ""
    """Of ``Limits``; set by the table."""
    create: str
    """The keyword of docker-py's ``create_host_config``."""
    inspect: str
    """The key in ``HostConfig`` of the engine's ``inspect``."""
    update: str | None
    """The option of ``docker update``; None where a live container keeps what it has."""
    to_engine: Callable[[Any], Any] = lambda value: value
    """A list where several limits have one keyword, which then has all of theirs."""
    from_engine: Callable[[Any], Any] = lambda told: told or None
    """What ``inspect`` says as a value of ``Limits``; its zeros mean "not set"."""
    unasked: Any = None
    """What the engine is told where nobody set the limit; None = nothing."""
    least: int | float | None = None
    most: int | float | None = None
    extra: tuple[Any, ...] = ()
    """Values that are taken beside that range."""
    refusal: str = ""
    """Whose range it is, in words: "The kernel takes {least} to {most}."."""
    kernel: str = ""
    """The field of ``KernelLimits`` that holds it; empty where none does alone."""
    due: Callable[[Any, Engine], Sequence[Any]] = _as_it_is
    """What the kernel may rightly hold for a value: after rounding, conversion, the runtime."""
    dropped: Callable[[Any, Engine], str] = _never
    """Why an engine takes the value and does nothing with it; empty where it does."""
    compare: Compare | None
    """Makes its read-back; None where another option's tells it."""
    inspected: Inspected = "where it is asked for"
    """When ``bench inspect`` has a line of it."""
    held_words: Callable[[Limit, Any], str] = _words_of_one
    """What the kernel holds, in words; the second is ``KernelLimits``."""
    in_force: Callable[[Any, Room], Force] | None = None
    """What is in force, limits above the container included; None = what the kernel holds."""
    rule: str
    """What it does, for the docs: one sentence."""
    made: str = ""
    """What the engine, its runtime and its cgroup driver make of it."""
    source: str

    @property
    def key(self) -> str:
        """Its name in a sweep file; that of ``--ulimit nofile`` is ``ulimit-nofile``."""
        return self.option.removeprefix("--").replace(" ", "-")

    def check(self, value: Any) -> None:
        """PlanError with the remedy, where the engine or the kernel would refuse the value."""
        low, high = self.least, self.most
        if value in self.extra or (
            (low is None or value >= low) and (high is None or value <= high)
        ):
            return
        raise PlanError(f"{self.option} {self.form.write(value)} is out of range.", self.refusal)


def limit(row: Limit) -> Any:
    """A field of ``Limits``, with its row."""
    return field(default=None, metadata={_ROW: row})


def rows_of(limits: type) -> tuple[Limit, ...]:
    """The rows of a class of limits, in the order of its fields; each knows its field."""
    return tuple(replace(one.metadata[_ROW], field=one.name) for one in fields(limits))


def held_of(kernel_limits: type) -> Iterator[tuple[str, Held]]:
    """(field, how it is read) of a class of what the kernel holds."""
    return ((one.name, one.metadata[_ROW]) for one in fields(kernel_limits))


def inspected(row: Limit, sides: Sides, room: Room | None) -> ReadBack | None:
    """Its line in ``bench inspect``, whether or not anybody set it; None where it has none.

    ``room`` is None where the path to the root could not be read: nothing is known to be in force.
    """
    asked, told_engine = (
        None if limits is None else getattr(limits, row.field)
        for limits in (sides.asked, sides.engine)
    )
    kept = levels(row.kernel, sides.kernel, room) if row.kernel else ()
    found = None if row.compare is None else row.compare(row, sides)
    by_others = row.inspected == "where it is held" and smallest(kept) is not None
    if row.compare is None or not (row.inspected == "always" or asked is not None or by_others):
        return None
    engine = NOT_SET if told_engine is None else row.form.words(told_engine)
    kernel = row.held_words(row, sides.kernel)
    effective, at = (kernel, "") if row.in_force is None else (NOT_READ, "")
    if row.in_force is not None and room is not None:
        effective, at = row.in_force(sides.kernel, room)
    # What neither agrees nor differs says why.
    told_apart = row.inspected != "always" or (found is not None and found.agrees is None)
    return ReadBack(
        option=found.option if found is not None else row.option,
        requested=NOT_SET if asked is None else row.form.words(asked),
        # A quota is held as that, however it was asked for.
        engine=found.engine if found is not None and asked is not None else engine,
        kernel=found.kernel if found is not None and told_apart else kernel,
        agrees=None if found is None else found.agrees,
        effective=effective,
        at=at,
    )


def written(name: str, row: Written, kernel: Any, room: Room | None) -> ReadBack | None:
    """The line of a limit that no option sets; None where nobody has."""
    held = levels(name, kernel, room)
    found = row.of(held)
    if found is None:
        return None
    own = held[0][1] if kernel is not None else None
    return ReadBack(
        option=row.name,
        requested=row.asked,
        engine=row.asked,
        kernel=NOT_READ if own is None else row.words(own),
        agrees=None,
        effective=row.in_force(found[0]),
        at=found[1],
    )


def plain(row: Limit, sides: Sides) -> ReadBack | None:
    """The read-back of a limit that is one value for each who holds it."""
    wanted = getattr(sides.asked, row.field)
    if wanted is None:
        return None
    engine = None if sides.engine is None else getattr(sides.engine, row.field)
    kernel = None if sides.kernel is None else getattr(sides.kernel, row.kernel)
    return told(row, sides, wanted, engine, kernel)


def told(row: Limit, sides: Sides, wanted: Any, engine: Any, kernel: Any) -> ReadBack:
    """A read-back of these values; the engine's None is "not set", where it was asked."""
    write = row.form.write
    why = row.dropped(wanted, sides.of)
    said = NOT_READ if kernel is None else write(kernel)
    if why:
        said = f"{said}: {why}" if kernel is not None else why
    due = row.due(wanted, sides.of)
    return ReadBack(
        option=row.option,
        requested=write(wanted),
        engine=NOT_READ if sides.engine is None else NOT_SET if engine is None else write(engine),
        kernel=said,
        agrees=None
        if why
        else all_known(
            # A zero that was asked for is what the engine calls not set.
            None if sides.engine is None else (engine or 0) == (wanted or 0),
            None if kernel is None else kernel in due,
        ),
    )
