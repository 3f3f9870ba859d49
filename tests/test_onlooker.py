"""Looking on at a container, with recorded cgroup files and a clock that only sleep moves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.engine.containers import Exit, choose_container
from harness.errors import EngineError, MeasurementError, UsageError
from harness.model import HostSample, Limits, RunningContainer, StatsFrame
from harness.onlooker import Onlooker
from tests.fakes import HOST_FACTS
from tests.test_cgroup import ID, make_tree, v1_host, v2_host

MS = 1_000_000


@dataclass
class Clock:
    """Virtual time, in which the container can end: its counters and its process vanish."""

    proc: Path
    counter: Path
    ends_ns: int | None = None
    removed_after_ns: int = 0
    """So long the cgroup stays when the process is gone."""
    now: int = 0

    def now_ns(self) -> int:
        return self.now

    def thread_cpu_ns(self) -> int:
        return 0

    def sleep_ns(self, duration_ns: int) -> None:
        self.now += max(0, duration_ns)
        if self.ends_ns is not None and self.now >= self.ends_ns:
            if self.now >= self.ends_ns + self.removed_after_ns:
                self.counter.write_text("")
            shutil.rmtree(self.proc / "77", ignore_errors=True)


Told = Exit | Exception | None


@dataclass
class Engine:
    """Tells of its end what it is given, one answer after the other and then the last again."""

    frames_: tuple[StatsFrame, ...] = ()
    ended: tuple[Told, ...] = (None,)
    asked: int = 0
    closed: bool = False

    def follow_stats(self, container_id: str) -> Engine:
        return self

    def frames(self, start_ns: int, end_ns: int) -> tuple[StatsFrame, ...]:
        return self.frames_

    def close(self) -> None:
        self.closed = True

    def how_it_ended(self, container_id: str) -> Exit | None:
        told = self.ended[min(self.asked, len(self.ended) - 1)]
        self.asked += 1
        if isinstance(told, Exception):
            raise told
        return told


def container(container_id: str = ID) -> RunningContainer:
    return RunningContainer(
        id=container_id, name="web-1", image="nginx", pid=77, state="running",
        started_at="2026-01-01T00:00:00Z", limits=Limits(cpus=0.5),
    )  # fmt: skip


def onlooker(proc: Path, tmp_path: Path, engine: Engine | None = None, **clock: int) -> Onlooker:
    watch = Clock(proc, tmp_path / f"fs/cpuacct/docker/{ID}/cpuacct.usage", **clock)
    return Onlooker(
        engine or Engine(), container(), HOST_FACTS, clock=watch, proc=proc,
        read_host=lambda: HostSample(t_mono_ns=watch.now),
    )  # fmt: skip


@pytest.mark.parametrize("host", [v1_host, v2_host])
def test_limits_counters_and_memory_are_read_on_both_versions(
    host: Callable[[Path], Path], tmp_path: Path
) -> None:
    proc = host(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with onlooker(proc, tmp_path) as looking:
        seen = looking.look(1.0)
    record = seen.record
    assert record.kernel is not None
    assert (record.kernel.cpu_quota_us, record.kernel.cpu_period_us) == (50000, 100000)
    assert record.kernel_after == record.kernel
    assert record.effective is not None
    assert record.effective.cpus == 0.5
    assert record.first is not None
    assert record.first.nr_throttled == 7
    assert seen.ended == seen.obstacle == ""
    assert len(seen.samples) == 251  # the host's tick, and both edges
    assert {path: path.read_bytes() for path in before} == before  # nothing was written


def test_a_window_is_whole_quota_periods(tmp_path: Path) -> None:
    with onlooker(v1_host(tmp_path), tmp_path) as looking:
        seen = looking.look(1.23)
    first, last = seen.trial.host_first, seen.trial.host_last
    assert first is not None
    assert last is not None
    assert last.t_mono_ns - first.t_mono_ns == 1300 * MS


def test_a_window_is_whole_periods_of_a_tighter_quota_above(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    pods = {"cpu.cfs_quota_us": "80000\n", "cpu.cfs_period_us": "400000\n"}
    make_tree(tmp_path / "fs", {f"cpu/docker/{name}": text for name, text in pods.items()})
    with onlooker(proc, tmp_path) as looking:
        seen = looking.look(1.3)
    first, last = seen.trial.host_first, seen.trial.host_last
    assert first is not None
    assert last is not None
    assert last.t_mono_ns - first.t_mono_ns == 1600 * MS


def test_a_container_that_ends_is_told_with_its_end(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    engine = Engine(ended=(Exit(137, oom_killed=True),))
    with onlooker(proc, tmp_path, engine, ends_ns=400 * MS) as looking:
        seen = looking.look(2.0)
    assert seen.ended == "it ended with exit code 137, OOM-killed"
    assert len(seen.samples) == 100
    assert seen.record.last == seen.samples[-1]
    assert seen.record.memory_last is None
    last = seen.trial.host_last
    assert last is not None
    assert last.t_mono_ns == 400 * MS  # and not two seconds later


@pytest.mark.parametrize(
    ("removed_after_ns", "samples"),
    [(0, 100), (40 * MS, 102), (10_000 * MS, 102)],  # with the tick that sees it, and the edge
)
def test_the_end_is_the_process_s_and_not_that_of_its_cgroup(
    tmp_path: Path, removed_after_ns: int, samples: int
) -> None:
    proc = v1_host(tmp_path)
    # PID 1 is reaped some ms before the engine knows of it.
    engine = Engine(ended=(None, None, Exit(0, oom_killed=False)))
    looking = onlooker(proc, tmp_path, engine, ends_ns=400 * MS, removed_after_ns=removed_after_ns)
    with looking:
        seen = looking.look(2.0)
        assert seen.ended == "it ended with exit code 0"
        assert len(seen.samples) == samples
        assert seen.record.memory_last is None
        assert engine.asked == 3
        with pytest.raises(MeasurementError, match=r"ended before .* it ended with exit code 0"):
            looking.look(2.0)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ((None, LookupError("some")), "it ended and is gone"),
        ((None,), "its process ended, and the engine says that it runs: it starts it again"),
        ((EngineError("no answer."),), "it ended, and the engine does not tell how"),
    ],
)
def test_an_end_that_the_engine_does_not_tell(
    tmp_path: Path, told: tuple[Told, ...], words: str
) -> None:
    proc, engine = v1_host(tmp_path), Engine(ended=told)
    with onlooker(proc, tmp_path, engine, ends_ns=400 * MS) as looking:
        assert looking.look(2.0).ended == words
    assert engine.asked < 100  # it is not asked for ever


def test_another_process_with_its_number_is_not_the_container(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    stat = "77 (a (name) S 1 " + "0 " * 17 + "{} 0 0\n"
    (proc / "77/stat").write_text(stat.format(5000))
    with onlooker(proc, tmp_path, Engine(ended=(Exit(1, oom_killed=None),))) as looking:
        assert looking.look(1.0).ended == ""
        (proc / "77/stat").write_text(stat.format(6000))
        with pytest.raises(MeasurementError, match="ended before it could be measured"):
            looking.look(1.0)


def test_what_is_open_is_closed_at_the_end(tmp_path: Path) -> None:
    engine = Engine()
    with onlooker(v1_host(tmp_path), tmp_path, engine):
        assert not engine.closed
    assert engine.closed


def elsewhere(proc: Path) -> Path:
    membership = proc / "77/cgroup"
    membership.write_text(membership.read_text().replace(ID, "another"))
    return proc


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Exit(137, oom_killed=True), "it ended with exit code 137, OOM-killed"),
        (LookupError("some"), "it ended and is gone"),
    ],
)
def test_on_another_host_the_engine_is_asked_after_each_window(
    tmp_path: Path, told: Told, words: str
) -> None:
    engine = Engine(ended=(None, told))
    with onlooker(elsewhere(v1_host(tmp_path)), tmp_path, engine) as looking:
        assert looking.look(2.0).ended == ""
        assert looking.look(2.0).ended == words


def test_another_host_leaves_docker_stats_alone(tmp_path: Path) -> None:
    proc = elsewhere(v1_host(tmp_path))
    frame = StatsFrame(read="", cpu_percent=12.0, memory_bytes=1)
    with onlooker(proc, tmp_path, Engine((frame,))) as looking:
        seen = looking.look(2.0)
    assert "another host" in seen.obstacle
    assert seen.record.stats == (frame,)
    assert seen.record.first is None


def test_a_container_that_was_gone_before(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    (tmp_path / f"fs/cpuacct/docker/{ID}/cpuacct.usage").write_text("")
    with (
        onlooker(proc, tmp_path) as looking,
        pytest.raises(MeasurementError, match="web-1 ended before"),
    ):
        looking.look(1.0)


LISTED = [
    ("a" * 64, ["web-1"], "running"),
    ("b" * 64, ["web-2", "alias"], "paused"),
    ("c" * 64, ["db"], "exited"),
]


@pytest.mark.parametrize(
    ("name", "found"),
    [("web-1", "a"), ("/web-1", "a"), ("alias", "b"), ("d", "c"), ("bbbb", "b"), ("c" * 64, "c")],
)
def test_a_container_is_meant_by_its_name_its_id_or_their_beginning(name: str, found: str) -> None:
    assert choose_container(name, LISTED) == found * 64


def test_a_name_that_fits_several_or_none_is_told_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="'web' can be: web-1, web-2"):
        choose_container("web", LISTED)
    with pytest.raises(UsageError, match=r"no container .mail. on this engine\. Running: web-1"):
        choose_container("mail", LISTED)
    with pytest.raises(UsageError, match="No container runs"):
        choose_container("mail", [])
