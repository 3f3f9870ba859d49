"""All containers in one window: what each tells, what ends in it, and who fares worst."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.errors import MeasurementError
from harness.inspection.inspection import Inspection, inspect
from harness.inspection.ranking import MEASURES, worst_first
from harness.inspection.together import Together
from harness.inspection.use import Observation
from harness.model import Limits, RunningContainer
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule
from tests.sampling import VirtualSampling
from tests.trees import make_tree, v1_cgroups, v2_cgroups

MS = 1_000_000
IDS = {name: letter * 64 for name, letter in (("web", "a"), ("db", "b"), ("job", "c"))}
PIDS = {"web": 80, "db": 81, "job": 82}


@dataclass
class Clock:
    """Virtual time, in which something happens once."""

    happens: tuple[int, Callable[[], None]] | None = None
    now: int = 0
    sleeps: int = 0

    def now_ns(self) -> int:
        return self.now

    def sleep_ns(self, duration_ns: int) -> None:
        self.now += max(0, duration_ns)
        self.sleeps += duration_ns > 0
        if self.happens is not None and self.now >= self.happens[0]:
            (_, what), self.happens = self.happens, None
            what()


@dataclass
class Engine:
    """Its containers by name; what is an error is told instead."""

    told: dict[str, RunningContainer | Exception] = field(default_factory=dict)
    asked: int = 0

    def listed(self) -> list[tuple[str, str]]:
        return [(IDS[name], name) for name in self.told]

    def describe(self, container_id: str) -> RunningContainer:
        self.asked += 1
        (name,) = (name for name, id_ in IDS.items() if id_ == container_id)
        found = self.told.get(name, LookupError(name))
        if isinstance(found, Exception):
            raise found
        return found

    def limits_of(self, container_id: str) -> Limits:
        found = self.describe(container_id).limits
        assert found is not None
        return found


def container(name: str, pid: int | None = None, cpus: float = 0.5) -> RunningContainer:
    return RunningContainer(
        id=IDS[name], name=name, image="nginx", pid=pid or PIDS[name], state="running",
        started_at="", limits=Limits(cpus=cpus),
    )  # fmt: skip


def folder(tmp_path: Path, controller: str, name: str) -> Path:
    return tmp_path / f"fs/{controller}/docker/{IDS[name]}"


def host(tmp_path: Path) -> tuple[Path, Engine]:
    every = ("cpu", "cpuacct", "cpuset", "memory")
    proc = v1_cgroups(tmp_path, {
        str(pid): dict.fromkeys(every, f"/docker/{IDS[name]}") for name, pid in PIDS.items()
    })  # fmt: skip
    for name in IDS:
        make_tree(folder(tmp_path, "cpu", name),
                  {"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"})  # fmt: skip
    return proc, Engine({name: container(name) for name in IDS})


def looking(engine: Engine, proc: Path, clock: Clock) -> Together:
    return Together(engine, clock=clock, proc=proc, sampling=VirtualSampling(clock))


def look(
    engine: Engine, proc: Path, happens: Callable[[], None] | None = None
) -> dict[str, Observation]:
    clock = Clock(happens and (400 * MS, happens))
    with looking(engine, proc, clock) as together:
        return {seen.container.name: seen for seen in together.look(2.0)}


def told(seen: Observation) -> Inspection:
    return inspect(seen, ENGINE_FACTS, HOST_FACTS)


def test_one_window_is_shared_by_all_and_read_a_few_times(tmp_path: Path) -> None:
    proc, engine = host(tmp_path)
    clock = Clock()
    with looking(engine, proc, clock) as together:
        first, second = together.look(2.0), together.look(2.0)
    assert [one.container.name for one in first] == ["web", "db", "job"]
    assert clock.now == 4000 * MS
    assert clock.sleeps == 2  # until the end of each window
    assert engine.asked == 3  # and not again for the second window
    assert len(second) == 3
    rows = {row.option: row for row in told(first[0]).limits}
    assert rows["--cpus"].kernel == "50000/100000 µs"
    assert told(first[0]).use.memory_bytes == 4096


@pytest.mark.parametrize("ended", ["process", "cgroup"])
@pytest.mark.parametrize(
    ("then", "words"),
    [
        (LookupError("db"), "it ended and is gone"),
        (MeasurementError("db is restarting: it ended with exit code 3."), "it is restarting"),
        (container("db", pid=99), "it ended, and was started again"),
        (container("db"), "its process ended, and the engine says that it runs"),
    ],
)
def test_what_ends_in_the_window_is_a_line_with_its_word(
    ended: str, then: RunningContainer | Exception, words: str, tmp_path: Path
) -> None:
    proc, engine = host(tmp_path)

    def end() -> None:
        engine.told["db"] = then
        shutil.rmtree(proc / "81")
        if ended == "cgroup":
            (folder(tmp_path, "cpuacct", "db") / "cpuacct.usage").write_text("")

    seen = look(engine, proc, end)
    assert words in seen["db"].ended
    assert told(seen["db"]).bad
    assert [name for name, one in seen.items() if one.ended] == ["db"]


def test_what_waits_to_be_started_again_is_a_line_too(tmp_path: Path) -> None:
    proc, engine = host(tmp_path)
    engine.told["db"] = MeasurementError("db is restarting: it ended with exit code 3.")
    seen = look(engine, proc)
    assert seen["db"].ended == "it is restarting: it ended with exit code 3"
    assert told(seen["db"]).bad
    assert told(seen["web"]).use.memory_bytes == 4096


def test_containers_come_and_go_between_windows(tmp_path: Path) -> None:
    proc, engine = host(tmp_path)
    job = engine.told.pop("job")
    with looking(engine, proc, Clock()) as together:
        assert {one.container.name for one in together.look(2.0)} == {"web", "db"}
        del engine.told["web"]
        engine.told["job"] = job
        engine.told["db"] = container("db", pid=82)  # started again
        shutil.rmtree(proc / "81")
        seen = {one.container.name: one.container.pid for one in together.look(2.0)}
    assert seen == {"db": 82, "job": 82}


def test_without_containers_there_is_nothing_to_tell(tmp_path: Path) -> None:
    proc, _ = host(tmp_path)
    assert look(Engine(), proc) == {}


@pytest.mark.parametrize("by_engine", [True, False])
def test_a_limit_that_changes_in_the_window_is_told(by_engine: bool, tmp_path: Path) -> None:
    proc, engine = host(tmp_path)

    def change() -> None:
        (folder(tmp_path, "cpu", "db") / "cpu.cfs_quota_us").write_text("100000\n")
        if by_engine:
            engine.told["db"] = container("db", cpus=1.0)

    found = {one.id: one.text for one in told(look(engine, proc, change)["db"]).findings}
    assert (
        "changed within the window: --cpus 50000/100000 µs → 100000/100000"
        in (found["limits-changed"])
    )
    assert ("limit-not-held" in found) is not by_engine


def test_a_container_whose_cgroup_is_elsewhere_does_not_spoil_the_others(tmp_path: Path) -> None:
    proc, engine = host(tmp_path)
    (proc / "81/cgroup").write_text("1:cpu:/\n")
    shutil.rmtree(tmp_path / f"fs/cpu/docker/{IDS['db']}")
    seen = look(engine, proc)
    assert "another host" in seen["db"].obstacle
    assert told(seen["web"]).use.memory_bytes == 4096


def test_so_few_samples_tell_no_stretch() -> None:
    coarse = schedule(quota_ms=50, threads=1)[::125]
    assert told(observation(coarse)).use.longest_stretch_s is None
    assert told(observation(coarse)).use.throttled_periods == 30


def test_the_worst_is_first() -> None:
    calm = observation(schedule(quota_ms=50, threads=1, busy_ms=10))
    held = observation(schedule(quota_ms=50, threads=1))
    ended = replace(calm, ended="it ended")
    every = [told(one) for one in (calm, held, ended)]
    names = [one.findings[0].id for one in worst_first(every)]
    assert names == ["container-ended", "cpu-at-limit", "cpu-not-throttled"]
    for measure in MEASURES:
        first = worst_first(every, measure)[0].findings[0].id
        assert first == ("container-ended" if measure in ("memory", "pressure") else "cpu-at-limit")


def test_v2_is_read_likewise(tmp_path: Path) -> None:
    scopes = {f"/system.slice/docker-{IDS[name]}.scope": str(pid) for name, pid in PIDS.items()}
    proc = v2_cgroups(tmp_path, scopes)
    seen = look(Engine({name: container(name) for name in IDS}), proc)
    assert {told(one).use.memory_bytes for one in seen.values()} == {8192}
