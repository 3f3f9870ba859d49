"""Who watches a trial from outside: the sampler's telling, and what is left without anybody."""

from __future__ import annotations

import base64
import json
import os
import platform
import select
import shutil
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cgroup
from harness.cgroup import CgroupPaths, CounterReader
from harness.engine.boundary import SAMPLER_CGROUP, Exit
from harness.errors import EngineRefusedError
from harness.host.counters import parse_host_sample
from harness.judge import cpu, surroundings
from harness.limits import format_cpu_list
from harness.measure import runner, sampled, sidecar
from harness.measure.clock import SystemClock
from harness.measure.conversation import TrialEndedError
from harness.measure.observer import BlindObserver
from harness.measure.sampled import Ending
from harness.measure.sidecar import Sidecar
from harness.model import EngineFacts, KernelLimits, Outcome, TrialRecord
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, World
from tests.probing import Running
from tests.trees import ID, crun_host, v1_host, v2_host

V2_FACTS = replace(ENGINE_FACTS, cgroup_version=2)


class AsContainer:
    """A sampler that runs as a plain process, on a tree of files of ours."""

    def __init__(self, probe: Path, root: Path, command: Sequence[str]) -> None:
        words = [word.replace(SAMPLER_CGROUP, str(root)) for word in command]
        self.id = "sampler"
        self._running = Running(probe, *words)

    def start(self) -> int:
        return self._running.process.pid

    def read_line(self, timeout_s: float) -> str:
        stdout = self._running.process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], timeout_s)[0]:
            raise TimeoutError
        line = stdout.readline()
        if not line:
            raise EOFError
        return line

    def write_line(self, text: str) -> None:
        try:
            self._running.tell(text)
        except OSError as error:
            raise EOFError from error

    def stderr(self) -> str:
        self._running.process.wait(5)
        return self._running.end()[1]

    def wait(self, timeout_s: float) -> Exit:
        return Exit(self._running.process.wait(timeout_s), oom_killed=False)

    def remove(self) -> None:
        self._running.clear_away()


class Engine:
    def __init__(self, probe: Path, root: Path) -> None:
        self._probe, self._root = probe, root
        self.runs: list[str] = []

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> AsContainer:
        self.runs.append(run)
        return AsContainer(self._probe, self._root, command)


def started(
    probe: Path, root: Path, facts: EngineFacts, measured: frozenset[int] | None = None
) -> Sidecar:
    return Sidecar(
        Engine(probe, root),  # type: ignore[arg-type]
        facts, [(77, ID)], SystemClock(), run="test", cadence_hz=50.0, measured=measured,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "facts"), [(v1_host, ENGINE_FACTS), (v2_host, V2_FACTS), (crun_host, V2_FACTS)]
)
def test_what_it_tells_is_what_is_read_here(
    probe: Path, tmp_path: Path, host: Callable[[Path], Path], facts: EngineFacts
) -> None:
    paths: CgroupPaths = cgroup.locate(77, ID, host(tmp_path))
    reader = CounterReader(paths)
    expected = reader.parse(*reader.read_edge())
    watch = started(probe, tmp_path / "fs", facts)
    try:
        assert watch.limits() == [cgroup.kernel_limits(paths)]
        assert watch.effective() == [cgroup.effective_limits(paths)]
        assert watch.memory() == [cgroup.memory_counters(paths)]
        clock = SystemClock()
        begin = clock.now_ns()
        window = watch.window(begin + 50_000_000, 500_000_000)
        (samples,) = window.samples
        assert len(samples) == 26
        assert replace(samples[0], t_mono_ns=0) == replace(expected, t_mono_ns=0)
        assert replace(samples[-1], t_mono_ns=0) == replace(expected, t_mono_ns=0)
        assert samples[1].usage_percpu_ns is None
        assert samples[1].anon_bytes is None
        assert window.cost.missed == 0
        assert window.host_last.steal_ns is not None
        span_ns = window.host_last.t_mono_ns - window.host_first.t_mono_ns
        assert span_ns == pytest.approx(500_000_000, abs=20_000_000)
        assert watch.absent == [reader.absent]
    finally:
        watch.close()
        reader.close()


def test_a_window_ends_at_the_first_moment_at_which_the_load_has(
    probe: Path, tmp_path: Path
) -> None:
    v1_host(tmp_path)
    watch = started(probe, tmp_path / "fs", ENGINE_FACTS)
    try:
        ends = time.monotonic() + 0.3
        window = watch.window(
            time.monotonic_ns(), 60_000_000_000, Ending(lambda: time.monotonic() > ends, 0.01)
        )
    finally:
        watch.close()
    assert 10 <= len(window.samples[0]) <= 25


@pytest.mark.parametrize(("host", "facts"), [(v1_host, ENGINE_FACTS), (v2_host, V2_FACTS)])
def test_a_container_that_ends_in_the_window_does_not_end_it(
    probe: Path, tmp_path: Path, host: Callable[[Path], Path], facts: EngineFacts
) -> None:
    paths: CgroupPaths = cgroup.locate(77, ID, host(tmp_path))
    above = paths.folders["memory"].parent / "memory.events"
    above.write_text("oom 0\noom_kill 2\n")
    watch = started(probe, tmp_path / "fs", facts)

    def killed_for_memory() -> bool:
        for folder in paths.folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        above.write_text("oom 1\noom_kill 3\n")
        return True

    try:
        (before,) = watch.memory()
        window = watch.window(time.monotonic_ns(), 10_000_000_000, Ending(killed_for_memory, 0.01))
        assert window.samples[0][0].cpu_usage_ns is not None
        assert watch.limits() == [KernelLimits()]
        (after,) = watch.memory()
        assert (before.usage_bytes, after.usage_bytes) != (None, None)
        assert after == cgroup.memory_counters(paths)
        seen = (before.oom_kills_above, after.oom_kills_above)
        assert seen == ((2, 3) if facts is V2_FACTS else (None, None))
    finally:
        watch.close()


def test_a_sampler_that_is_gone_fails_the_trial_which_had_started(
    probe: Path, tmp_path: Path
) -> None:
    v1_host(tmp_path)
    for moment in ("before the window", "in it"):
        watch = started(probe, tmp_path / "fs", ENGINE_FACTS)
        sampler = watch._container
        assert isinstance(sampler, AsContainer)

        def end(sampler: AsContainer = sampler) -> bool:
            sampler._running.process.kill()
            sampler.wait(5)
            return True

        try:
            if moment == "before the window":
                end()
            with pytest.raises(TrialEndedError, match="sampler's container does not do") as ended:
                watch.window(time.monotonic_ns(), 10_000_000_000, Ending(end, 0.01))
        finally:
            watch.close()
        assert ended.value.outcome is Outcome.FAILED


def test_it_keeps_off_the_measured_cpus_and_says_so(probe: Path, tmp_path: Path) -> None:
    mine = frozenset(os.sched_getaffinity(0))
    if len(mine) < 2:
        pytest.skip("one CPU leaves the sampler no other")
    v1_host(tmp_path)
    measured = frozenset({min(mine)})
    for pinned, kept in ((measured, format_cpu_list(mine - measured)), (None, None)):
        watch = started(probe, tmp_path / "fs", ENGINE_FACTS, pinned)
        try:
            window = watch.window(time.monotonic_ns(), 10_000_000)
        finally:
            watch.close()
        assert window.cost.cpus == kept


def test_a_container_that_is_not_there_is_refused(probe: Path, tmp_path: Path) -> None:
    v1_host(tmp_path)
    with pytest.raises(EngineRefusedError, match="does not find the cgroup of 0b5c0b5c"):
        started(probe, tmp_path / "elsewhere", ENGINE_FACTS)


def test_a_sampler_that_cannot_start_tells_why(probe: Path, tmp_path: Path) -> None:
    class Wrong(Engine):
        def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> AsContainer:
            return AsContainer(probe, tmp_path, ["sample", "--rate-mhz", "0"])

    with pytest.raises(EngineRefusedError, match="--rate-mhz takes a whole number"):
        Sidecar(
            Wrong(probe, tmp_path),  # type: ignore[arg-type]
            ENGINE_FACTS, [(77, ID)], SystemClock(), run="test", cadence_hz=50,
        )  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"complete": False}, {"files": None}, {"files": []}, {"block": ""}, {"block": 7},
        {"host_first": {}}, {"ticks": None}, {"cpu_ns": None, "ticks": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_report_that_cannot_be_read_fails_its_trial_with_a_reason(
    probe: Path, tmp_path: Path, changed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    v1_host(tmp_path)
    watch = started(probe, tmp_path / "fs", ENGINE_FACTS)
    read_line = AsContainer.read_line

    def garbled(self: AsContainer, timeout_s: float) -> str:
        return json.dumps({**json.loads(read_line(self, timeout_s)), **changed})

    monkeypatch.setattr(AsContainer, "read_line", garbled)
    try:
        with pytest.raises(
            TrialEndedError, match=r"memory was full|cannot be read|does not find"
        ) as failed:
            watch.window(time.monotonic_ns(), 100_000_000)
    finally:
        watch.close()
    assert failed.value.outcome is Outcome.FAILED


def moment(container: int, kind: int, late_ns: int, usage: bytes | None) -> bytes:
    """As workloads/README.md has it, of a container on cgroup v2 with no file but one."""
    version = cgroup.V2
    files = len(version.tick_files) + len(version.detail_files) * (kind > 0)
    told = struct.pack("<QQQII", 1_000 + late_ns, 10, late_ns, container, kind)
    told += struct.pack("<i", -1) if usage is None else struct.pack("<i", len(usage)) + usage
    return told + struct.pack("<i", -1) * (files - 1)


def report(moments: Sequence[bytes], **changed: object) -> dict[str, object]:
    edge = {"t_ns": 1, "t_real_ns": 2, "t_boot_ns": 3, "texts": [None] * 4}
    return {
        "complete": True, "stopped": False, "t_start_ns": 0, "ticks": 3, "missed": 0, "cpu_ns": 1,
        "host_first": edge, "host_last": edge,
        "block": base64.b64encode(b"".join(moments)).decode(), **changed,
    }  # fmt: skip


ASKED = sampled.Asked([cgroup.V2, cgroup.V2], cgroup.V2)
READY = {"cpus": None, "realtime": False}
MOMENTS = [
    moment(container, kind, late_ns + container, b"usage_usec 7\n" if container else None)
    for kind, late_ns in ((2, 0), (0, 100), (1, 300), (0, 200), (2, 0))
    for container in (0, 1)
]  # two edges, and three ticks between them


def test_the_samplers_lateness_is_that_of_its_ticks() -> None:
    window = sampled.parsed(report(MOMENTS), READY, ASKED).window
    assert (window.cost.lateness_p50_ns, window.cost.lateness_p99_ns) == (200, 300)
    gone, there = window.samples
    assert {one.cpu_usage_ns for one in gone} == {None}
    assert {one.cpu_usage_ns for one in there} == {7000}
    assert window.host_last.t_boot_ns == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"cpu_ns": None}, {"cpu_ns": -1}, {"missed": "x"}, {"missed": True}, {"ticks": 2},
        {"t_start_ns": None}, {"host_first": {"t_ns": None, "texts": [None] * 4}},
        {"complete": None}, {"stopped": True}, {"stopped": None},
        {"block": base64.b64encode(b"".join(MOMENTS)[:-1]).decode()},
        {"block": base64.b64encode(b"".join(MOMENTS) + moment(7, 0, 0, None)).decode()},
    ],
    ids=str,
)  # fmt: skip
def test_a_report_with_a_wrong_number_is_no_window(changed: dict[str, object]) -> None:
    with pytest.raises(sampled.SamplerError, match="cannot be read"):
        sampled.parsed(report(MOMENTS, **changed), READY, ASKED)


def test_the_host_is_read_from_the_same_files() -> None:
    stat = b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 80 9 10\ncpu1 1 2 3 4 5 6 7 8 9 10\n"
    texts = (b"99\n", b"90 9\n", stat, b"SwapFree:       2 kB\n", b"60\n")
    found = parse_host_sample(cgroup.V1, 5, texts)
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert found.steal_ns == (80 * tick, 8 * tick)
    assert (found.root_usage_ns, found.root_percpu_ns) == (99, (90, 9))
    assert (found.swap_free_bytes, found.swappiness) == (2048, 60)
    # A CPU that is offline has no line: those after it keep their numbers.
    offline = parse_host_sample(
        cgroup.V1, 5, (None, None, b"cpu0 1 1 1 1 1 1 1 8\ncpu2 1 1 1 1 1 1 1 80\n", None, None)
    )
    assert offline.steal_ns == (8 * tick, 0, 80 * tick)
    nothing = parse_host_sample(cgroup.V2, 5, (None, None, None, None))
    assert (nothing.root_usage_ns, nothing.steal_ns, nothing.swap_free_bytes) == (None, None, None)


def test_without_anybody_outside_the_workloads_own_clocks_are_what_is_told() -> None:
    world = World()
    where = replace(
        world.surroundings(),
        observe=lambda containers, run, hz, off: BlindObserver(containers, world, "no cgroup here"),
    )
    plan = planning.build("cpu", Options(values="0.5", repeats=2), cpus=CPUS)
    records: list[TrialRecord] = []
    runner.run_plan(plan, "run", where, lambda r, _: records.append(r), runner.Listener())
    for record in records:
        assert record.outcome is Outcome.COMPLETED
        assert record.invalid is None
        (container,) = record.containers
        assert container.first is None
        assert cpu.achieved_cpus(container) == pytest.approx(0.5)
        assert container.absent["cpu_usage_ns"] == "no cgroup here"
        assert any("no cgroup here" in note.text for note in record.warnings)
    assert surroundings.sampling(records) is None


def test_the_command_names_files_and_no_path() -> None:
    words = sidecar.command(cgroup.V1, [ID], 250.0)
    assert "cpuacct:cpuacct.usage" in words
    assert words[words.index("--detail-every") + 1] == "25"
    assert words[words.index("--rate-mhz") + 1] == "250000"
    assert words[words.index("--edge") + 1] == "cpuacct:cpuacct.usage_percpu"
    many = sidecar.command(cgroup.V1, [ID] * 64, 250.0)
    assert many[many.index("--detail-every") + 1] == "200"  # 80 a second, of all together
    assert ":cpu.stat" in sidecar.command(cgroup.V2, [ID], 50.0)


@pytest.fixture(scope="module")
def probe() -> Path:
    from harness.engine.image import probe_binary  # noqa: PLC0415 - compiles only where needed

    return probe_binary(platform.machine()).path
