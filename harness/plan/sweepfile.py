"""Sweeps that a user wrote, each a TOML file.

The file becomes options and points.

name = "quota-beside-cpuset"     # of the run's folder; default: the file's own
repeats = 5                      # duration, warmup, seed, cadence, threads likewise
[fixed]                          # limits of every container, named as Docker names them
memory = "64m"
[product]                        # every combination of these lists is a point
cpus = [0.5, 1.0]
cpuset-cpus = ["0", "0-1"]
[[point]]                        # one more point
cpu-quota = 20000
threads = 2
[[point]]                        # containers that compete
containers = [{cpu-shares = 1024}, {cpu-shares = 512}]
cpuset-cpus = "0"
[[axis]]                         # a built-in sweep
name = "period"
values = "1000,100000"
"""

from __future__ import annotations

import difflib
import itertools
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from harness import files
from harness import limits as rules
from harness.errors import PlanError
from harness.limits import LIMITS, EngineCpus, Limit, merged
from harness.limits.forms import SIZE
from harness.model import Burst, ContainerSpec, Growth, Io, Limits, Load, Place, Point, Take
from harness.plan import axes
from harness.plan.axes import Options
from harness.plan.workloads import FindWorkload

T = TypeVar("T")
Size = Annotated[
    int, BeforeValidator(lambda v: SIZE.read(v) if isinstance(v, str) and SIZE.read else v)
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)


def _named(text: str) -> str:
    return text.replace("_", "-")


def _value(row: Limit) -> Any:
    """The type of a limit's key: a size may be written as Docker does, a number of CPUs whole."""
    read = row.form.read
    if read is not None:
        texts = (int, str) if row.form.type is str else (str,)  # TOML has a number for ``1024``
        return Annotated[
            row.form.type, BeforeValidator(lambda v: read(f"{v}") if type(v) in texts else v)
        ]
    return Annotated[row.form.type, Field(strict=row.form.type is not float)]


class _Named(_Table):
    model_config = ConfigDict(alias_generator=_named)


if TYPE_CHECKING:
    _LimitsTable = _Named
else:  # a key for each limit of the table; mypy knows no class that is made
    _LimitsTable = create_model(
        "_LimitsTable",
        __base__=_Named,
        **{row.key.replace("-", "_"): (_value(row) | None, None) for row in LIMITS},
    )


class _ContainerTable(_LimitsTable):
    workload: str | None = None
    threads: int | None = Field(default=None, ge=1, le=axes.MAX_THREADS)
    target: Size | None = None
    kind: str | None = None
    most: Size | None = None
    path: str | None = None
    victim: Literal["child", "self"] | None = None
    cost_us: int | None = Field(default=None, ge=1)
    rate_hz: int | None = Field(default=None, ge=1, le=100_000)
    operation: Literal["write", "read", "files"] | None = None
    way: Literal["direct", "buffered", "fsync"] | None = None
    order: Literal["sequential", "random"] | None = None
    block: Size | None = Field(default=None, ge=512, le=16 << 20)
    file: Size | None = Field(default=None, ge=512)
    depth: int | None = Field(default=None, ge=1, le=256)
    place: Place | None = None
    room: Size | None = Field(default=None, ge=4096)


class _PointTable(_ContainerTable):
    name: str | None = None
    containers: list[_ContainerTable] = Field(default_factory=list)


class _AxisTable(_Table):
    name: str
    values: str | None = None
    ratio: float | None = Field(default=None, strict=False)
    workload: str | None = None


class _SweepTable(_Table):
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$")
    repeats: int | None = None
    duration: float | None = Field(default=None, strict=False)
    warmup: float | None = Field(default=None, strict=False)
    seed: int | None = None
    cadence: float | None = Field(default=None, strict=False)
    threads: int | None = None
    fixed: _LimitsTable = _LimitsTable()
    product: dict[str, list[Any]] = Field(default_factory=dict)
    point: list[_PointTable] = Field(default_factory=list)
    axis: list[_AxisTable] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SweepFile:
    """A sweep as it was written: its name, and what makes its points."""

    name: str
    options: Options
    _table: _SweepTable
    _find: FindWorkload

    def points(self, options: Options, cpus: EngineCpus) -> Iterable[Point]:
        """The points in the file's order: of its axes, of its product, its own."""
        for axis in self._table.axis:
            given = replace(
                options,
                values=axis.values,
                ratio=axis.ratio,
                workload=self._find(axis.workload),
            )
            yield from axes.find(axis.name).points(given, cpus)
        keys = list(self._table.product)
        for values in itertools.product(*(self._table.product[key] for key in keys)):
            if keys:
                chosen = dict(zip(keys, values, strict=True))
                table = _parse(_PointTable, chosen, "product")
                yield self._point(table, options, cpus, chosen)
        for table in self._table.point:
            written = table.model_dump(by_alias=True, exclude_unset=True)
            yield self._point(table, options, cpus, written)

    def _point(
        self, table: _PointTable, options: Options, cpus: EngineCpus, written: Mapping[str, Any]
    ) -> Point:
        common = merged(_limits(table), options.fixed)
        specs = tuple(
            ContainerSpec(
                limits=(limits := merged(_limits(one), common)),
                workload=self._workload(_over(one, table), limits, options, cpus),
            )
            for one in table.containers or [table]
        )
        said = table.name or " ".join(
            f"{key}={'+'.join(_words(one) for one in value) if key == 'containers' else value}"
            for key, value in written.items()
        )
        return Point(id=said, axis="file", value=said, containers=specs)

    def _workload(
        self, table: _ContainerTable, limits: Limits, options: Options, cpus: EngineCpus
    ) -> Load:
        found = self._find(table.workload)
        threads = table.threads or options.threads or cpus.count
        match found:
            case Growth():
                return Growth(
                    target_bytes=table.target or _target_bytes(limits),
                    kind=_kind(found, table.kind),
                    victim=table.victim or found.victim,
                )
            case Take():
                return _take(found, table)
            case Burst():
                return Burst(
                    threads=threads,
                    cost_us=table.cost_us or found.cost_us,
                    rate_hz=table.rate_hz or found.rate_hz,
                )
            case Io():
                return _io(table)
            case _:
                return replace(found, threads=threads)


def _io(table: _ContainerTable) -> Io:
    """The load that a table says; PlanError where its parts do not fit each other."""
    sizes = {"block": "block_bytes", "file": "file_bytes", "room": "room_bytes"}
    names = ("operation", "way", "order", "depth", "rate_hz", "place", *sizes)
    said = {name: getattr(table, name) for name in names}
    of_files = table.operation == "files"
    if of_files and table.way is None:
        said["way"] = "buffered"
    io = Io(**{sizes.get(key, key): value for key, value in said.items() if value is not None})
    if of_files and (io.way == "direct" or io.place == "image"):
        raise PlanError(
            "files are made anew, and nothing is written to them.",
            'Write way = "buffered" or "fsync", and another place than an image.',
        )
    if io.operation == "read" and io.way == "fsync":
        raise PlanError("reads are not fsynced.", 'Write way = "direct" or "buffered".')
    if io.file_bytes < io.block_bytes:
        raise PlanError("the file is smaller than one block.", 'Write file = "16m".')
    return io


def load(path: Path, options: Options, find: FindWorkload) -> SweepFile:
    """Read a sweep file; what stands in ``options`` already wins over what the file says.

    ``find`` finds a workload by its name, or raises PlanError.

    PlanError where the file cannot be read, is no TOML, or says something that is not known: then
    with the nearest name that is.
    """
    try:
        document = tomllib.loads(files.read_text(path))
    except OSError as error:
        raise PlanError(
            f"cannot read {path}: {error.strerror}.", "See `bench sweep --help`."
        ) from None
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} is no TOML: {error}.", "See https://toml.io.") from None
    table = _parse(_SweepTable, document, str(path))
    if not (table.point or table.product or table.axis):
        raise PlanError(f"{path} has no points.", "Write [product], [[point]] or [[axis]].")
    if any(not values for values in table.product.values()):
        raise PlanError(
            f"{path}: a list of [product] is empty.", "Give it a value or leave it out."
        )
    given = replace(
        options,
        repeats=_first(options.repeats, table.repeats),
        duration_s=_first(options.duration_s, table.duration),
        warmup_s=_first(options.warmup_s, table.warmup),
        seed=_first(options.seed, table.seed),
        cadence_hz=_first(options.cadence_hz, table.cadence),
        threads=_first(options.threads, table.threads),
        fixed=merged(options.fixed, _limits(table.fixed)),
    )
    # A file's name may be any bytes; the run's records are UTF-8.
    name = table.name or os.fsencode(path.stem).decode(errors="replace")
    return SweepFile(name, given, table, find)


def _first(stronger: T | None, weaker: T | None) -> T | None:
    return weaker if stronger is None else stronger


def _parse(kind: type[Any], document: Mapping[str, Any], where: str) -> Any:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise _explained(kind, error, where) from None


def _explained(kind: type[BaseModel], error: ValidationError, where: str) -> PlanError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        near = [name for name in _known(kind) if name.startswith(key)]
        near = near or difflib.get_close_matches(key, _known(kind), n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(_known(kind))}."
        return PlanError(f"{where}: unknown key '{place}'.", hint)
    return PlanError(f"{where}: {place}: {first['msg']}.", "See `bench sweep --help`.")


def _known(kind: type[BaseModel]) -> list[str]:
    """Every key that may stand in such a table, or in the tables in it."""
    tables = (kind, _PointTable, _AxisTable) if kind is _SweepTable else (kind,)
    return list(dict.fromkeys(
        field.alias or name for table in tables for name, field in table.model_fields.items()
    ))  # fmt: skip


def _limits(table: _LimitsTable) -> Limits:
    return Limits(**{row.field: getattr(table, row.key.replace("-", "_")) for row in LIMITS})


def _words(container: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in container.items())


def _over(stronger: _ContainerTable, weaker: _ContainerTable) -> _ContainerTable:
    """One container's table, with what only its point's says."""
    if stronger is weaker:
        return stronger
    changes = {name: getattr(stronger, name) for name in stronger.model_fields_set}
    fields = set(_ContainerTable.model_fields)
    common = {name: getattr(weaker, name) for name in weaker.model_fields_set & fields}
    return _ContainerTable.model_construct(**{**common, **changes})


def _kind(load: Growth | Take, kind: str | None) -> str:
    if kind is not None and kind not in load.KINDS:
        raise PlanError(
            f"'{kind}' is no kind of '{load.name}'.", f"Known: {', '.join(load.KINDS)}."
        )
    return kind or load.kind


def _take(found: Take, table: _ContainerTable) -> Take:
    kind = _kind(found, table.kind)
    if table.most is None:
        raise PlanError(f"a workload '{found.name}' needs an end.", "Write most = 1000.")
    if (kind == "file") != (table.path is not None):
        raise PlanError("a path is of the kind 'file', which needs it.", 'Write path = "/dev/shm".')
    return Take(kind=kind, most=table.most, path=table.path or "")


def _target_bytes(limits: Limits) -> int:
    memory = limits.memory_bytes or limits.memory_reservation_bytes
    if memory is None:
        raise PlanError(
            "a memory workload without --memory needs a target.", 'Write target = "128m".'
        )
    return 2 * max(memory, rules.swap_total_bytes(limits) or 0)
