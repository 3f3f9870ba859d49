"""Sweeps that a user wrote: a TOML file becomes options and points.

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
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness import axes
from harness import limits as rules
from harness.axes import Options
from harness.errors import PlanError
from harness.model import ContainerSpec, Limits, Point, Program, Workload


def _size(value: object) -> object:
    if isinstance(value, str) and value != "-1":
        return rules.parse_size(value)
    return int(value) if value == "-1" else value


T = TypeVar("T")
FindProgram = Callable[[str], Program]
PROBE = ("spin", "burst", "memory")
"""What the probe itself does; any other workload is a program."""
Size = Annotated[int, BeforeValidator(_size)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)


def _named(text: str) -> str:
    return text.replace("_", "-")


class _LimitsTable(_Table):
    model_config = ConfigDict(alias_generator=_named)

    cpus: float | None = Field(default=None, strict=False)
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    memory: Size | None = None
    memory_swap: Size | None = None
    memory_reservation: Size | None = None
    kernel_memory: Size | None = None
    memory_swappiness: int | None = None
    pids_limit: int | None = None


class _ContainerTable(_LimitsTable):
    workload: str | None = None
    threads: int | None = Field(default=None, ge=1, le=axes.MAX_THREADS)
    target: Size | None = None
    kind: Literal["anon", "file", "tmpfs"] | None = None
    victim: Literal["child", "self"] | None = None
    cost_us: int | None = Field(default=None, ge=1)
    rate_hz: int | None = Field(default=None, ge=1)


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
    _program: FindProgram

    def points(self, options: Options, host_cpus: int) -> Iterable[Point]:
        """The points in the file's order: of its axes, of its product, its own."""
        for axis in self._table.axis:
            given = replace(
                options,
                values=axis.values,
                ratio=axis.ratio,
                workload=axis.workload,
                program=self._program_of(axis.workload),
            )
            yield from axes.find(axis.name).points(given, host_cpus)
        keys = list(self._table.product)
        for values in itertools.product(*(self._table.product[key] for key in keys)):
            if keys:
                chosen = dict(zip(keys, values, strict=True))
                table = _parse(_PointTable, chosen, "product")
                yield self._point(table, options, host_cpus, chosen)
        for table in self._table.point:
            written = table.model_dump(by_alias=True, exclude_unset=True)
            yield self._point(table, options, host_cpus, written)

    def _program_of(self, workload: str | None) -> Program | None:
        return None if workload is None or workload in PROBE else self._program(workload)

    def _point(
        self, table: _PointTable, options: Options, host_cpus: int, written: Mapping[str, Any]
    ) -> Point:
        common = _merged(_limits(table), options.fixed)
        specs = tuple(
            ContainerSpec(
                limits=(limits := _merged(_limits(one), common)),
                workload=self._workload(_over(one, table), limits, options, host_cpus),
            )
            for one in table.containers or [table]
        )
        said = table.name or " ".join(
            f"{key}={'+'.join(_words(one) for one in value) if key == 'containers' else value}"
            for key, value in written.items()
        )
        return Point(id=said, axis="file", value=said, containers=specs)

    def _workload(
        self, table: _ContainerTable, limits: Limits, options: Options, host_cpus: int
    ) -> Workload:
        name = table.workload or "spin"
        threads = table.threads or options.threads or host_cpus
        if name == "memory":
            return Workload(
                name="memory",
                target_bytes=table.target or _target_bytes(limits),
                kind=table.kind or "anon",
                victim=table.victim or "child",
            )
        if name == "burst":
            return Workload(
                name="burst",
                threads=threads,
                cost_us=table.cost_us or options.cost_us,
                rate_hz=table.rate_hz or options.rate_hz,
            )
        program = self._program_of(name)
        return Workload(name=Path(name).stem if program else name, threads=threads, program=program)


def load(path: Path, options: Options, program: FindProgram) -> SweepFile:
    """Read a sweep file; what stands in ``options`` already wins over what the file says.

    ``program`` finds a workload that is not the probe's by its name, or raises PlanError.

    PlanError where the file cannot be read, is no TOML, or says something that is not known: then
    with the nearest name that is.
    """
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise PlanError(
            f"cannot read {path}: {error.strerror}.", "See `bench sweep --help`."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} is no TOML: {error}.", "See https://toml.io.") from None
    table = _parse(_SweepTable, document, str(path))
    if not (table.point or table.product or table.axis):
        raise PlanError(f"{path} has no points.", "Write [product], [[point]] or [[axis]].")
    if any(not values for values in table.product.values()):
        raise PlanError(
            f"{path}: a list of [product] is empty.", "Give it a value or leave it out."
        )
    merged = replace(
        options,
        repeats=_first(options.repeats, table.repeats),
        duration_s=_first(options.duration_s, table.duration),
        warmup_s=_first(options.warmup_s, table.warmup),
        seed=_first(options.seed, table.seed),
        cadence_hz=_first(options.cadence_hz, table.cadence),
        threads=_first(options.threads, table.threads),
        fixed=_merged(options.fixed, _limits(table.fixed)),
    )
    return SweepFile(table.name or path.stem, merged, table, program)


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
    return Limits(
        cpus=table.cpus,
        cpu_quota_us=table.cpu_quota,
        cpu_period_us=table.cpu_period,
        cpu_shares=table.cpu_shares,
        cpuset_cpus=table.cpuset_cpus,
        cpuset_mems=table.cpuset_mems,
        memory_bytes=table.memory,
        memory_swap_bytes=table.memory_swap,
        memory_reservation_bytes=table.memory_reservation,
        kernel_memory_bytes=table.kernel_memory,
        memory_swappiness=table.memory_swappiness,
        pids_limit=table.pids_limit,
    )


def _merged(stronger: Limits, weaker: Limits) -> Limits:
    changes = {
        name: getattr(stronger, name)
        for name in Limits.__dataclass_fields__
        if getattr(stronger, name) is not None
    }
    return replace(weaker, **changes)


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


def _target_bytes(limits: Limits) -> int:
    memory = limits.memory_bytes or limits.memory_reservation_bytes
    if memory is None:
        raise PlanError(
            "a memory workload without --memory needs a target.", 'Write target = "128m".'
        )
    return 2 * max(memory, rules.swap_total_bytes(limits) or 0)
