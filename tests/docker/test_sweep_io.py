"""Rates of a disk in real containers: what each law promises, and a product that is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import limits as rules
from harness.engine import device
from harness.engine.boundary import Container, Device
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.judge.laws.io import WEIGHT_TOLERANCE
from harness.measure.runner import Surroundings
from harness.model import ContainerSpec, Io, Status
from harness.plan.axes import Options
from tests.docker.command import BENCH, bench_env, wait_for_trials
from tests.docker.leftovers import ours
from tests.docker.measuring import Measured, execute

pytestmark = [
    pytest.mark.engine, pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a loop device takes root"),
]  # fmt: skip
MIB = 1 << 20
TOLERANCE = 0.06
"""Twice what the law allows, and one I/O of a window of a second."""


@pytest.fixture(scope="module")
def lent() -> Iterator[Device]:
    with device.lent(None) as found:
        yield found
    assert not Path("/sys/block", Path(found.source).name, "loop").exists()
    assert not device.folder().exists()


def swept(engine: DockerEngine, lent: Device, axis: str, values: str, repeats: int = 1) -> Measured:
    def on_device(where: Surroundings) -> Surroundings:
        return dataclasses.replace(where, device=lent.facts)

    engine.keep_data_on(lent)
    options = Options(values=values, repeats=repeats, duration_s=1.0)
    return execute(engine, axis, options, change=on_device)


class Wrong(DockerEngine):
    """An engine that sets another limit than it was told, or none."""

    factor: float = 2.0

    def create(self, *, spec: ContainerSpec, **given: Any) -> Container:
        held = {
            name: None if value is None or not self.factor else round(value * self.factor)
            for name in ("device_write_bps", "device_write_iops")
            for value in [getattr(spec.limits, name)]
        }
        wrong = dataclasses.replace(spec, limits=dataclasses.replace(spec.limits, **held))
        return super().create(spec=wrong, **given)


class PastTheCache(DockerEngine):
    """A workload that says that it writes through the page cache, and does not."""

    def create(self, *, spec: ContainerSpec, **given: Any) -> Container:
        assert isinstance(spec.workload, Io)
        direct = dataclasses.replace(spec.workload, way="direct")
        return super().create(spec=dataclasses.replace(spec, workload=direct), **given)


def test_each_way_to_a_disk_is_limited_as_its_law_says(
    engine_connection: Connection, lent: Device
) -> None:
    engine = DockerEngine(engine_connection)
    found = swept(engine, lent, "io", "4m,4m@read,2m@fsync,2m@buffered", 2)
    for point in ("io=4m", "io=4m read"):
        for metric in ("io_bytes_rate", "io_device_bytes_rate"):
            assert abs(found.error(point, metric)) < TOLERANCE
    assert found.error("io=2m fsync", "io_bytes_rate") < 2 * TOLERANCE
    # The page cache takes it, whatever the limit; what becomes of it later is the version's matter.
    assert found.metric("io=2m buffered", "io_bytes_rate") > 4 * MIB
    charged = found.metric("io=2m buffered", "io_device_bytes_rate")
    version = found.where.engine_facts.cgroup_version
    assert charged < (0.05 if version == 1 else 1 + TOLERANCE) * 2 * MIB


def test_the_tighter_of_two_limits_binds(engine_connection: Connection, lent: Device) -> None:
    engine = DockerEngine(engine_connection)
    found = swept(engine, lent, "iops", "200@4k+4m,200@64k+4m,20@1m")
    for point in ("iops=200 4k + 4m", "iops=200 64k + 4m"):
        assert abs(found.error(point, "io_rate")) < TOLERANCE
    # bios are limited, and no calls: one of a MiB is several.
    assert abs(found.error("iops=20 1m", "io_device_rate")) < 2 * TOLERANCE


def test_limits_are_read_back_of_the_device(engine_connection: Connection, lent: Device) -> None:
    found = swept(DockerEngine(engine_connection), lent, "iops", "200+4m")
    (one,) = found.records[0].containers
    assert one.engine is not None
    assert (one.engine.device_write_bps, one.engine.device_write_iops) == (4 * MIB, 200)
    assert one.kernel is not None
    number = lent.facts.number
    assert set(one.kernel.io_max or ()) == {(f"{number} wbps", 4 * MIB), (f"{number} wiops", 200)}
    told = rules.readbacks(
        rules.Sides(
            asked=one.requested, engine=one.engine, kernel=one.kernel, kernel_after=None,
            of=found.where.engine_facts,
        )
    )  # fmt: skip
    assert all(row.agrees for row in told)


@pytest.mark.parametrize("factor", [1.5, 0.0])
def test_a_limit_that_is_wrong_or_missing_deviates(
    engine_connection: Connection, lent: Device, factor: float
) -> None:
    engine = Wrong(engine_connection)
    engine.factor = factor
    for axis, value, metric in (
        ("io", "1m", "io_bytes_rate"), ("io", "1m", "io_device_bytes_rate"),
        ("iops", "100", "io_rate"), ("io", "1m@fsync", "io_bytes_rate"),
    ):  # fmt: skip
        if metric == "io_device_bytes_rate" and not factor:
            continue  # v1 counts nothing at a device that nobody limits
        found = swept(engine, lent, axis, value)
        assert found.error(found.plan.points[0].id, metric) > 5 * TOLERANCE


def test_what_is_counted_in_the_containers_name_has_not_escaped(
    engine_connection: Connection, lent: Device
) -> None:
    found = swept(PastTheCache(engine_connection), lent, "io", "1m@buffered")
    if found.where.engine_facts.cgroup_version == 1:  # on v2 it is held to the limit either way
        result = found.summary("io=1m buffered").results[0]
        assert result.expectation.law == "io-escapes"
        assert found.error("io=1m buffered", "io_device_bytes_rate") > result.expectation.high


def test_a_weight_says_why_it_cannot_be_put_to_the_test(
    engine_connection: Connection, lent: Device
) -> None:
    found = swept(DockerEngine(engine_connection), lent, "io-weight", "800:200,800:200@device")
    if lent.facts.scheduler == "bfq":
        return
    for value in ("800:200", "800:200 device"):
        verdict = found.verdict(f"io-weight={value}", "io_ratio")
        assert verdict.status is Status.NOT_EXERCISABLE
        assert any(why in verdict.reason for why in _UNWEIGHED), verdict.reason
    # Two that have the same right to a disk that weighs nobody, whatever they were told.
    assert found.metric("io-weight=800:200", "io_ratio") < 2.5


_UNWEIGHED = ("discarded by the engine", "echo bfq", "modprobe bfq", "the engine started none")


@pytest.fixture
def weighed(lent: Device) -> Iterator[Device]:
    """The device while bfq is its active scheduler."""
    active = Path("/sys/block", Path(lent.source).name, "queue/scheduler")
    before = lent.facts.scheduler or "none"
    try:
        active.write_text("bfq")
    except OSError:
        pytest.skip("this kernel has no bfq")
    yield dataclasses.replace(lent, facts=device.facts_of(lent.source, "ext4", made=True))
    active.write_text(before)


class Weighing(DockerEngine):
    """What an engine on cgroup v1 would do that did not discard weights."""

    def create(self, *, spec: ContainerSpec, **given: Any) -> Container:
        made = super().create(spec=spec, **given)
        start, limits = made.start, made.limits
        held = {
            name: getattr(spec.limits, name) for name in ("blkio_weight", "blkio_weight_device")
        }

        def started() -> int:
            pid = start()
            (at,) = (
                Path("/sys/fs/cgroup/blkio", line.split(":", 2)[2].lstrip("/"))
                for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
                if line.split(":")[1] == "blkio"
            )
            of_device, of_all = held["blkio_weight_device"], held["blkio_weight"]
            if of_device:
                line = f"{self._device.facts.number} {of_device}" if self._device else ""
                (at / "blkio.bfq.weight_device").write_text(line)
            if of_all:
                (at / "blkio.bfq.weight").write_text(f"{of_all}")
            return pid

        wrapped: Any = made
        wrapped.start = started
        wrapped.limits = lambda: dataclasses.replace(limits(), **held)
        return made


class Weightless(DockerEngine):
    """One that drops every weight, and says nothing of it."""

    def create(self, *, spec: ContainerSpec, **given: Any) -> Container:
        none = dataclasses.replace(spec.limits, blkio_weight=None, blkio_weight_device=None)
        return super().create(spec=dataclasses.replace(spec, limits=none), **given)


def test_bfq_divides_the_disk_by_weight_and_one_that_drops_them_is_found(
    engine_connection: Connection, weighed: Device
) -> None:
    right: DockerEngine = DockerEngine(engine_connection)
    if right.facts().cgroup_version == 1:
        right = Weighing(engine_connection)
    found = swept(right, weighed, "io-weight", "800:200,800:200@device", 2)
    wrong = swept(Weightless(engine_connection), weighed, "io-weight", "800:200", 2)
    assert wrong.error("io-weight=800:200", "io_ratio") < -5 * WEIGHT_TOLERANCE
    dropped = wrong.metric("io-weight=800:200", "io_ratio")
    for value in ("800:200", "800:200 device"):
        assert found.verdict(f"io-weight={value}", "io_ratio").status is not Status.NOT_EXERCISABLE
        # Of 4: on a host whose CPUs are full neither always has a write waiting.
        assert found.metric(f"io-weight={value}", "io_ratio") > 1.5 * dropped


def test_a_killed_bench_leaves_a_device_that_the_next_command_removes(
    engine_connection: Connection, tmp_path: Path
) -> None:
    devices = tmp_path / "engine/devices"
    env = {**bench_env(engine_connection), "BENCH_ENGINE_DIR": str(devices.parent)}
    sweep = [BENCH, "sweep", "io", "--values", "4m", "--duration", "0.5"]
    with subprocess.Popen([*sweep, "--repeats", "20"], cwd=tmp_path, env=env) as killed:
        wait_for_trials(tmp_path, 1)
        killed.send_signal(signal.SIGKILL)
    (image,) = devices.iterdir()
    assert image.stat().st_size == device.SIZE_BYTES
    clean = subprocess.run([BENCH, "clean", "--json"], cwd=tmp_path, env=env, text=True,
                           capture_output=True, timeout=60, check=True)  # fmt: skip
    assert json.loads(clean.stdout)["devices"] == 1
    assert not devices.exists()
    assert str(image) not in "".join(
        one.read_text() for one in Path("/sys/block").glob("loop*/loop/backing_file")
    )
    assert ours(engine_connection) == []


def test_an_interrupted_sweep_takes_its_device_away(
    engine_connection: Connection, tmp_path: Path
) -> None:
    devices = tmp_path / "engine/devices"
    env = {**bench_env(engine_connection), "BENCH_ENGINE_DIR": str(devices.parent)}
    sweep = [BENCH, "sweep", "io", "--values", "4m", "--duration", "0.5", "--repeats", "20"]
    with subprocess.Popen(sweep, cwd=tmp_path, env=env) as ended:
        wait_for_trials(tmp_path, 1)
        ended.send_signal(signal.SIGTERM)
    assert ended.returncode == 143
    assert not devices.exists()
