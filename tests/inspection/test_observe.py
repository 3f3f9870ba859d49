"""Looking on at a container, with recorded cgroup files and a clock that only sleep moves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.boundary import Exit
from harness.engine.choice import choose_container
from harness.errors import EngineError, MeasurementError, UsageError
from harness.inspection.findings import Finding
from harness.inspection.inspection import Inspection, inspect
from harness.inspection.observe import Onlooker
from harness.inspection.use import Observation
from harness.model import Limits, RunningContainer, StatsFrame
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.sampling import VirtualSampling
from tests.trees import ID, PODS, make_tree, pod_files, pod_host, v1_host, v2_host

MS = 1_000_000


@dataclass
class Clock:
    """Virtual time, in which the container can end: its counters and its process vanish."""

    proc: Path
    counter: Path
    ends_ns: int | None = None
    removed_after_ns: int = 0
    """So long the cgroup stays when the process is gone."""
    happens: tuple[int, Callable[[], None]] | None = None
    """(when, what) somebody does once in the window."""
    now: int = 0

    def now_ns(self) -> int:
        return self.now

    def sleep_ns(self, duration_ns: int) -> None:
        self.now += max(0, duration_ns)
        if self.happens is not None and self.now >= self.happens[0]:
            (_, what), self.happens = self.happens, None
            what()
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
    limits: Limits = field(default_factory=lambda: Limits(cpus=0.5))

    def follow_stats(self, container_id: str) -> Engine:
        return self

    def frames(self, start_ns: int, end_ns: int) -> tuple[StatsFrame, ...]:
        return self.frames_

    def close(self) -> None:
        self.closed = True

    def limits_of(self, container_id: str) -> Limits:
        return self.limits

    def describe(self, container_id: str) -> RunningContainer:
        raise LookupError(container_id)

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


def onlooker(proc: Path, tmp_path: Path, engine: Engine | None = None, **clock: Any) -> Onlooker:
    watch = Clock(proc, tmp_path / f"fs/cpuacct/docker/{ID}/cpuacct.usage", **clock)
    return Onlooker(
        engine or Engine(), container(), HOST_FACTS, clock=watch, proc=proc,
        sampling=VirtualSampling(watch),
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


def changed_at(
    tmp_path: Path, when_ms: int, *, by_the_engine: bool
) -> tuple[Observation, list[Finding]]:
    """A window of 2 s in which the quota becomes one CPU, and what is found."""
    proc, engine = v1_host(tmp_path), Engine()

    def change() -> None:
        quota = tmp_path / f"fs/cpu/docker/{ID}/cpu.cfs_quota_us"
        quota.write_text("100000\n")
        if by_the_engine:
            engine.limits = Limits(cpus=1.0)

    with onlooker(proc, tmp_path, engine, happens=(when_ms * MS, change)) as looking:
        seen = looking.look(2.0)
    return seen, list(inspect(seen, ENGINE_FACTS, HOST_FACTS).findings)


@pytest.mark.parametrize("when_ms", [500, 1999])
def test_a_limit_that_the_engine_changes_is_told_and_not_held_against_it(
    tmp_path: Path, when_ms: int
) -> None:
    seen, found = changed_at(tmp_path, when_ms, by_the_engine=True)
    (before,) = seen.earlier
    assert before.record.kernel is not None
    assert before.record.kernel.cpu_quota_us == 50000
    assert seen.record.kernel is not None
    assert seen.record.kernel.cpu_quota_us == 100000
    assert seen.record.engine == Limits(cpus=1.0)
    first, last, then = seen.trial.host_first, seen.trial.host_last, before.trial.host_last
    assert first is not None
    assert last is not None
    assert then is not None
    assert then.t_mono_ns <= first.t_mono_ns
    assert last.t_mono_ns - first.t_mono_ns >= 1000 * MS
    (told,) = [one for one in found if "changed" in one.text]
    assert "--cpus 50000/100000 µs → 100000/100000 µs" in told.text
    assert "of 0.5 CPUs" in told.text
    assert not [one for one in found if "behind" in one.remedy]


def test_a_limit_that_is_changed_past_the_engine_is_held_against_it(tmp_path: Path) -> None:
    _, found = changed_at(tmp_path, 500, by_the_engine=False)
    assert [one.grade for one in found if "behind the engine's back" in one.remedy] == ["bad"]


def test_the_next_window_takes_the_new_limits(tmp_path: Path) -> None:
    proc, engine = v1_host(tmp_path), Engine()
    with onlooker(proc, tmp_path, engine) as looking:
        looking.look(1.0)
        (tmp_path / f"fs/cpu/docker/{ID}/cpu.cfs_quota_us").write_text("100000\n")
        engine.limits = Limits(cpus=1.0)
        seen = looking.look(1.0)
    assert not seen.earlier
    found = inspect(seen, ENGINE_FACTS, HOST_FACTS).findings
    assert not [one for one in found if one.subject == "limits"]


def test_a_longer_period_of_the_same_share_is_no_change(tmp_path: Path) -> None:
    proc, engine = v1_host(tmp_path), Engine()

    def lengthen() -> None:
        for name, text in {"cfs_quota_us": "100000", "cfs_period_us": "200000"}.items():
            (tmp_path / f"fs/cpu/docker/{ID}/cpu.{name}").write_text(text)

    with onlooker(proc, tmp_path, engine, happens=(500 * MS, lengthen)) as looking:
        assert not looking.look(2.0).earlier


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


@pytest.mark.parametrize(
    ("moved", "figures"),
    [
        (("cpu", "cpuacct"), (None, 4096)),
        (("memory",), (0.0, None)),
        (("cpu", "cpuacct", "memory"), (None, None)),
    ],
)
def test_outside_its_cgroup_the_figures_are_absent_and_that_is_what_is_told(
    tmp_path: Path, moved: tuple[str, ...], figures: tuple[float | None, int | None]
) -> None:
    proc = v1_host(tmp_path)
    membership = proc / "77/cgroup"
    membership.write_text("".join(
        f"{line.rpartition(':')[0]}:/limited\n" if line.split(":")[1] in moved else f"{line}\n"
        for line in membership.read_text().splitlines()
    ))  # fmt: skip
    make_tree(
        tmp_path / "fs",
        {
            "cpu/limited/cpu.cfs_quota_us": "70000\n",
            "cpu/limited/cpu.cfs_period_us": "100000\n",
            "cpuacct/limited/cpuacct.usage": "777\n",
            "memory/limited/memory.usage_in_bytes": "777\n",
            "memory/limited/memory.limit_in_bytes": "1000\n",
        },
    )
    with onlooker(proc, tmp_path) as looking:
        found = inspect(looking.look(1.0), ENGINE_FACTS, HOST_FACTS)
    assert (found.use.cpus, found.use.memory_bytes) == figures
    first = found.findings[0]
    named = " and ".join(one for one in moved if one != "cpuacct")
    assert (first.subject, first.grade) == ("cgroup", "bad")
    assert first.text == (
        f"it runs outside its cgroup for {named}, in /limited: no limit of its own binds it there"
    )
    assert "Delegate=yes" in first.remedy
    rows = {row.option: (row.kernel, row.effective, row.at) for row in found.limits}
    nothing = ("not read", "not in force", "")
    assert (rows["--cpus"] == nothing) is ("cpu" in moved)
    assert (rows["--memory"] == nothing) is ("memory" in moved)
    assert rows["--cpuset-cpus"] == ("0-1", "0-1", "")  # which it is still in
    assert found.use.cpus_limit == (None if "cpu" in moved else 0.5)
    assert not [one for one in found.findings if "behind the engine's back" in one.remedy]
    assert any("outside its cgroup" in why for why in found.absent.values())
    assert 777 not in found.as_json()["use"].values()


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


WITHOUT_CGROUPS = replace(ENGINE_FACTS, cgroup_driver="none", rootless=True)


def test_inspect_says_that_no_limit_is_in_force(tmp_path: Path) -> None:
    proc = v1_host(tmp_path)
    clock = Clock(proc, tmp_path / f"fs/cpuacct/docker/{ID}/cpuacct.usage")
    with Onlooker(
        Engine(), container(), HOST_FACTS, clock=clock, proc=proc,
        sampling=VirtualSampling(clock), obstacle=WITHOUT_CGROUPS.no_cgroups,
    ) as looking:  # fmt: skip
        told = inspect(looking.look(1.0), WITHOUT_CGROUPS, HOST_FACTS)
    assert told.use.cpus is None  # those of the engine's own cgroup are not its
    (found,) = [one for one in told.findings if one.grade == "bad"]
    assert "no limit of its containers is in force" in found.text
    assert not [one for one in told.findings if "another host" in one.text + one.remedy]


def look_in_pod(tmp_path: Path, version: int, at: str) -> Inspection:
    """A window of 1 s of a container in a pod, of which a cgroup has half a CPU and 64 MiB.

    All in that cgroup use it up, of the memory others 60 MiB; the container may have more.
    """
    proc = pod_host(tmp_path, version)
    quota = (
        {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}
        if version == 1
        else {"cpu/cpu.max": "50000 100000\n"}
    )
    names = ("limit_in_bytes", "usage_in_bytes") if version == 1 else ("max", "current")

    def counted(second: int) -> None:
        periods = f"nr_periods {10 * second}\nnr_throttled {9 * second}\n"
        used = 500 * second
        pod_files(tmp_path, version, at, {
            "cpu/cpu.stat": f"{periods}throttled_time {MS}\n" if version == 1
            else f"usage_usec {used * 1000}\n{periods}throttled_usec 1000\n",
            "cpuacct/cpuacct.usage": f"{used * MS}\n",
        })  # fmt: skip

    memory = {f"memory/memory.{names[0]}": f"{64 << 20}\n",
              f"memory/memory.{names[1]}": f"{62 << 20}\n"}  # fmt: skip
    pod_files(tmp_path, version, at, {**quota, **memory})
    counted(1)
    own = f"{PODS[0]}/{ID}" if version == 1 else f"{PODS[0]}/docker-{ID}.scope"
    unset = {"cpu/cpu.cfs_quota_us": "-1\n"} if version == 1 else {"cpu/cpu.max": "max 100000\n"}
    pod_files(tmp_path, version, own, {**unset, f"memory/memory.{names[1]}": f"{2 << 20}\n"})
    clock = Clock(proc, tmp_path / "none", happens=(900 * MS, lambda: counted(2)))
    with Onlooker(
        Engine(limits=Limits()), container(), HOST_FACTS, clock=clock, proc=proc,
        sampling=VirtualSampling(clock),
    ) as looking:  # fmt: skip
        return inspect(looking.look(1.0), ENGINE_FACTS, HOST_FACTS)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("at", PODS)
def test_what_binds_above_is_read_in_the_same_window(tmp_path: Path, version: int, at: str) -> None:
    told = look_in_pod(tmp_path, version, at)
    (above,) = told.use.above
    assert (above.at, above.cpus_limit, above.memory_limit_bytes) == (at, 0.5, 64 << 20)
    assert (above.periods, above.throttled_periods) == (10, 9)
    assert above.memory_bytes == 62 << 20
    assert above.cpus is not None
    assert above.window_s is not None
    assert above.cpus * above.window_s == pytest.approx(0.5)  # in the window, which took no second
    assert told.use.periods is None  # its own cgroup counts nothing
    assert told.use.most_throttled is told.use.fullest is above
    assert json.loads(json.dumps(told.as_json()))["use"]["above"][0]["at"] == at
