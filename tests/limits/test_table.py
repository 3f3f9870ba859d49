"""The table of limits: every row has its places, and what is derived from it names each of them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness import limits
from harness.cli.sweep import sweep
from harness.errors import PlanError
from harness.limits import LIMITS, KernelLimits, Limit, Limits
from harness.limits.described import markdown
from harness.limits.row import held_of
from harness.model import ContainerRecord, EffectiveLimits
from harness.plan import sweepfile, workloads
from harness.plan.axes import Options
from harness.store.sense import wrong_info
from tests.fakes import CPUS, ENGINE_FACTS
from tests.runs import measured

ROOT = Path(__file__).parents[2]
EACH = pytest.mark.parametrize("row", LIMITS, ids=[row.option for row in LIMITS])
VALUES: dict[type, Any] = {float: 0.5, int: 100_000_000, str: "0", bool: True}


def some(row: Limit) -> Limits:
    """A limit by itself, at a value that its range has."""
    value: Any = VALUES[row.form.type] if row.field != "tmpfs" else "/data:size=64m"
    if row.most is not None and not isinstance(value, str):
        value = row.most
    return replace(Limits(), **{row.field: value})


def test_docs_limits_is_what_the_table_says() -> None:
    written = (ROOT / "docs" / "limits.md").read_text()
    assert written == markdown() + "\n", "make docs writes it anew"


@EACH
def test_every_limit_is_an_option_a_key_and_in_the_readme(row: Limit) -> None:
    assert f"--{row.key}" in CliRunner().invoke(sweep, ["--help"]).output
    assert f"`--{row.key}`" in (ROOT / "README.md").read_text()
    assert f"`{row.key}`" in (ROOT / "docs" / "sweeps.md").read_text()


@EACH
def test_what_the_engine_is_told_is_what_it_is_asked_for(row: Limit) -> None:
    asked = some(row)
    told = limits.to_engine(asked)
    assert row.create in told
    answer = {row.inspect: told[row.create]}
    assert limits.from_engine(answer) == asked


@EACH
def test_no_limit_that_is_asked_for_goes_without_its_read_back(row: Limit) -> None:
    """Also where neither the engine nor the kernel could be read: then it says so."""
    alone = ContainerRecord(requested=some(row))
    if row.field == "cpu_period_us":  # a period alone limits nothing
        alone = ContainerRecord(requested=Limits(cpu_quota_us=50_000, cpu_period_us=200_000))
    if row.field == "memory_swap_bytes":  # refused without --memory
        alone = ContainerRecord(requested=Limits(memory_bytes=1 << 26, memory_swap_bytes=1 << 27))
    found = {one.option: one for one in _readbacks(alone)}
    option = "--cpu-quota" if row.option == "--cpu-period" else row.option
    assert found[option].agrees is None
    assert {found[option].engine, found[option].kernel} <= {limits.NOT_READ}


def _readbacks(container: ContainerRecord) -> list[limits.ReadBack]:
    sides = limits.Sides(
        asked=container.requested, engine=container.engine, kernel=container.kernel,
        kernel_after=None, of=ENGINE_FACTS,
    )  # fmt: skip
    return limits.readbacks(sides)


@EACH
def test_a_limit_that_the_engine_dropped_does_not_agree(row: Limit) -> None:
    apart = (
        "cpus", "memory_swap_bytes", "kernel_memory_bytes", "blkio_weight", "blkio_weight_device"
    )  # fmt: skip
    if row.compare is None or row.field in apart:
        return  # told by another's row; or with a law of its own: tests/judge
    dropped = ContainerRecord(requested=some(row), engine=Limits(), kernel=KernelLimits())
    (found,) = [one for one in _readbacks(dropped) if one.option == row.option]
    assert found.agrees is False
    assert found.engine == limits.NOT_SET


@pytest.mark.parametrize("field", ["blkio_weight", "blkio_weight_device"])
def test_a_weight_that_the_engine_discards_is_told_as_that(field: str) -> None:
    wanted: dict[str, Any] = {field: 300}
    asked, held = Limits(**wanted), KernelLimits(**{**wanted, field: 100})
    (found,) = _readbacks(ContainerRecord(requested=asked, engine=Limits(), kernel=held))
    assert (found.agrees, found.engine) == (None, limits.NOT_SET)
    assert found.kernel == f"100: {limits.DISCARDED}"
    (taken,) = _readbacks(ContainerRecord(requested=asked, engine=asked, kernel=held))
    assert taken.agrees is False


def test_a_weight_of_a_device_is_read_where_each_version_keeps_it() -> None:
    lines = b"default 100\n8:0 700\n7:3 300\n"
    v1 = {("blkio", "blkio.bfq.weight_device"): lines, ("blkio", "blkio.bfq.weight"): b"100\n"}
    v2 = {("blkio", "io.bfq.weight"): lines}
    for version, files in ((1, v1), (2, v2)):
        held = limits.read_kernel(version, (files.get, files.get))
        assert (held.blkio_weight, held.blkio_weight_device) == (100, 300)
    none = {("blkio", "io.bfq.weight"): b"default 100\n"}
    held = limits.read_kernel(2, (none.get, none.get))
    asked = Limits(blkio_weight_device=300)
    assert limits.unwritten(asked, held)
    assert not limits.unwritten(asked, limits.read_kernel(2, (v2.get, v2.get)))
    assert not limits.unwritten(asked, KernelLimits())  # not read, which says nothing
    (found,) = _readbacks(ContainerRecord(requested=asked, engine=asked, kernel=held))
    assert (found.agrees, found.kernel) == (False, "no device's")


def test_a_limit_of_a_device_is_told_to_the_engine_with_its_path() -> None:
    told = limits.to_engine(Limits(blkio_weight_device=300, device_write_bps=4096, blkio_weight=10))
    assert limits.placed(told, "/dev/loop7") == {
        "blkio_weight_device": [{"Path": "/dev/loop7", "Weight": 300}],
        "device_write_bps": [{"Path": "/dev/loop7", "Rate": 4096}],
        "blkio_weight": 10,
        **{key: value for key, value in told.items() if "blkio" not in key and "bps" not in key},
    }
    assert limits.need_device(Limits(blkio_weight_device=300))
    assert not limits.need_device(Limits(blkio_weight=300))


def test_swappiness_on_v2_is_told_as_dropped() -> None:
    container = ContainerRecord(
        requested=Limits(memory_swappiness=10), engine=Limits(memory_swappiness=10),
        kernel=KernelLimits(),
    )  # fmt: skip
    sides = limits.Sides(
        asked=container.requested, engine=container.engine, kernel=container.kernel,
        kernel_after=None, of=replace(ENGINE_FACTS, cgroup_version=2),
    )  # fmt: skip
    (found,) = limits.readbacks(sides)
    assert found.agrees is None
    assert "dropped" in found.kernel


def test_what_the_kernel_holds_is_read_from_the_files_that_the_rows_name() -> None:
    files = {
        ("cpu", "cpu.cfs_quota_us"): b"50000\n",
        ("cpu", "cpu.cfs_period_us"): b"100000\n",
        ("cpuset", "cpuset.mems"): b"0\n",
        ("memory", "memory.swappiness"): b"10\n",
        ("pids", "pids.max"): b"64\n",
    }
    held = limits.read_kernel(1, (files.get,))
    assert held == KernelLimits(
        cpu_quota_us=50_000, cpu_period_us=100_000, cpuset_mems="0", memory_swappiness=10,
        pids_limit=64,
    )  # fmt: skip
    assert set(files) <= set(limits.kernel_files(1))
    inner, scope = {("pids", "pids.max"): b"max\n"}, {("pids", "pids.max"): b"7\n"}
    assert limits.read_kernel(2, (inner.get, scope.get)).pids_limit == 7


def test_every_field_has_its_row() -> None:
    assert [row.field for row in LIMITS] == [one.name for one in fields(Limits)]
    assert [name for name, _ in held_of(KernelLimits)] == [one.name for one in fields(KernelLimits)]
    assert {row.kernel for row in LIMITS if row.kernel} <= {
        one.name for one in fields(KernelLimits)
    }


@pytest.mark.parametrize(
    "asked",
    [Limits(pids_limit=-2), Limits(memory_swappiness=101), Limits(cpuset_mems="x")],
)
def test_what_the_kernel_would_refuse_is_refused_before(asked: Limits) -> None:
    with pytest.raises(PlanError):
        limits.validate(asked, cpus=CPUS)


def test_a_sweep_file_takes_every_key(tmp_path: Path) -> None:
    for row in LIMITS:
        (value,) = (getattr(some(row), row.field),)
        written = f'"{value}"' if isinstance(value, str) else f"{value}".lower()
        path = tmp_path / "one.toml"
        path.write_text(f"[fixed]\n{row.key} = {written}\n[[point]]\nthreads = 1\n")
        found = sweepfile.load(path, Options(), lambda name: workloads.find(name, tmp_path))
        assert getattr(found.options.fixed, row.field) == value


@EACH
def test_a_run_with_a_limit_at_its_bounds_can_be_read(row: Limit, tmp_path: Path) -> None:
    for value in (row.least, row.most, *row.extra):
        if value is None:
            continue
        asked = replace(Limits(), **{row.field: value})
        run = measured(tmp_path, "cpu", options=Options(values="0.5", repeats=1, fixed=Limits()))
        points = tuple(
            replace(one, containers=(replace(one.containers[0], limits=asked),))
            for one in run.info.plan.points
        )
        assert not wrong_info(replace(run.info, plan=replace(run.info.plan, points=points)))


def test_no_limit_of_tasks_is_kept_by_the_engine_as_nothing() -> None:
    container = ContainerRecord(
        requested=Limits(pids_limit=-1), engine=Limits(), kernel=KernelLimits(pids_limit=-1)
    )
    (found,) = _readbacks(container)
    assert found.agrees is True
    (bound,) = _readbacks(replace(container, kernel=KernelLimits(pids_limit=64)))
    assert bound.agrees is False


def _weight(runtimes: tuple[tuple[str, str], ...], held: int, told: int = 1024) -> limits.ReadBack:
    """Of a container with 1024 shares on v2, under a runtime that somebody called nvidia."""
    engine = replace(
        ENGINE_FACTS, cgroup_version=2, runtime="nvidia", runtime_version="1.17.4",
        runtimes=runtimes,
    )  # fmt: skip
    sides = limits.Sides(
        asked=Limits(cpu_shares=1024), engine=Limits(cpu_shares=told),
        kernel=KernelLimits(cpu_weight=held), kernel_after=None, of=engine,
    )  # fmt: skip
    (found,) = [one for one in limits.readbacks(sides) if one.option == "--cpu-shares"]
    (line,) = [one for one in limits.inspected(sides, None) if one.option == "--cpu-shares"]
    assert (line.kernel, line.agrees) == (found.kernel, found.agrees)  # in `bench inspect` too
    return found


def test_a_weight_is_held_against_what_runs_beneath_the_runtime_s_name() -> None:
    now = (("nvidia", "runc 1.4.0"),)
    assert (_weight(now, 100).kernel, _weight(now, 100).agrees) == ("weight 100", True)
    # A container that is older than its runtime's upgrade, and the other way round.
    old = _weight(now, 39)
    assert (old.kernel, old.agrees) == ("weight 39, as an older runtime wrote it", None)
    back = _weight((("nvidia", "runc 1.1.5"),), 100)
    assert (back.kernel, back.agrees) == ("weight 100, as a newer runtime wrote it", None)
    # By no formula, and where the engine holds something else, it is a mismatch.
    assert _weight(now, 77).agrees is False
    assert _weight(now, 39, told=512).agrees is False
    # Where the version is not known both are right.
    assert [_weight((), held).agrees for held in (39, 100, 77)] == [True, True, False]


def test_what_is_in_force_bears_the_name_of_what_sets_it() -> None:
    room = limits.Room(
        effective=EffectiveLimits(cpus=4.0, cpus_at="/slice", cpuset_cpus="0-1"),
        cpus=2, memory_bytes=1 << 30, swap_bytes=0,
    )  # fmt: skip
    sides = limits.Sides(
        asked=Limits(), engine=Limits(), kernel=KernelLimits(), kernel_after=None, of=ENGINE_FACTS
    )

    def told(effective: EffectiveLimits) -> tuple[str, str]:
        (cpus, *_) = limits.inspected(sides, replace(room, effective=effective))
        return cpus.effective, cpus.at

    assert told(room.effective) == ("2 CPUs", "")
    assert told(EffectiveLimits(cpus=0.5, cpus_at="/slice")) == ("0.5 CPUs", "/slice")
    above = EffectiveLimits(cpuset_cpus="0", cpuset_at="/docker")
    assert told(above) == ("1 CPU", "/docker")
    handed = EffectiveLimits(cpuset_cpus="0-1", affinity="1")
    assert told(handed) == ("1 CPU", "")
    found = limits.inspected(sides, replace(room, effective=handed))
    assert [one.effective for one in found if one.option == "--cpuset-cpus"] == ["1 (its affinity)"]


@pytest.mark.parametrize(("held", "agrees"), [
    ((("7:0 wbps", 1 << 20),), True), ((("7:0 wbps", 2 << 20),), False),
    ((("7:0 rbps", 1 << 20),), False), ((), False), (None, None),
])  # fmt: skip
def test_a_rate_is_held_of_the_device_or_not(
    held: tuple[tuple[str, int], ...] | None, agrees: bool | None
) -> None:
    container = ContainerRecord(
        requested=Limits(device_write_bps=1 << 20), kernel=KernelLimits(io_max=held)
    )
    (found,) = _readbacks(container)
    assert found.agrees is agrees
    assert found.requested == "1m"


def test_the_device_is_named_to_the_engine_once_it_is_known() -> None:
    told = limits.to_engine(Limits(device_write_bps=1 << 20, device_read_iops=50, cpus=0.5))
    placed = limits.placed(told, "/dev/loop7")
    assert placed["device_write_bps"] == [{"Path": "/dev/loop7", "Rate": 1 << 20}]
    assert placed["device_read_iops"] == [{"Path": "/dev/loop7", "Rate": 50}]
    assert placed["nano_cpus"] == told["nano_cpus"]


def test_of_several_devices_the_tightest_rate_is_told() -> None:
    rates = [{"Path": "/dev/sda", "Rate": 4096}, {"Path": "/dev/sdb", "Rate": 1024}]
    assert limits.from_engine({"BlkioDeviceReadBps": rates}).device_read_bps == 1024
    assert limits.from_engine({"BlkioDeviceReadBps": None}).device_read_bps is None
