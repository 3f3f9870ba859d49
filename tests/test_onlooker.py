"""Looking on at a container, with recorded cgroup files and a clock that only sleep moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.engine.containers import Exit, choose_container
from harness.errors import MeasurementError, UsageError
from harness.model import HostSample, Limits, RunningContainer, StatsFrame
from harness.onlooker import Onlooker
from tests.fakes import HOST_FACTS
from tests.test_cgroup import ID, v1_host, v2_host

MS = 1_000_000


@dataclass
class Clock:
    """Virtual time, in which the container can end: its counters and its process vanish."""

    proc: Path
    counter: Path
    ends_ns: int | None = None
    now: int = 0

    def now_ns(self) -> int:
        return self.now

    def thread_cpu_ns(self) -> int:
        return 0

    def sleep_ns(self, duration_ns: int) -> None:
        self.now += max(0, duration_ns)
        if self.ends_ns is not None and self.now >= self.ends_ns:
            self.counter.write_text("")
            (self.proc / "77" / "cgroup").unlink(missing_ok=True)
            if (self.proc / "77").exists():
                (self.proc / "77").rmdir()


@dataclass
class Engine:
    frames_: tuple[StatsFrame, ...] = ()
    ended: Exit | None = None

    def follow_stats(self, container_id: str) -> Engine:
        return self

    def frames(self, start_ns: int, end_ns: int) -> tuple[StatsFrame, ...]:
        return self.frames_

    def how_it_ended(self, container_id: str) -> Exit | None:
        return self.ended


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


def test_a_container_that_ends_is_told_with_its_end(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    engine = Engine(ended=Exit(137, oom_killed=True))
    with onlooker(proc, tmp_path, engine, ends_ns=400 * MS) as looking:
        seen = looking.look(2.0)
    assert seen.ended == "it ended with exit code 137, OOM-killed"
    assert len(seen.samples) == 100
    assert seen.record.last == seen.samples[-1]
    assert seen.record.memory_last is None
    last = seen.trial.host_last
    assert last is not None
    assert last.t_mono_ns == 400 * MS  # and not two seconds later


def test_another_host_leaves_docker_stats_alone(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    membership = proc / "77/cgroup"
    membership.write_text(membership.read_text().replace(ID, "another"))
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
