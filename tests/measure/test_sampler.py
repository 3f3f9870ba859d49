"""The sampler of this host: a real process of the probe, on files of ours."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cgroup
from harness.cgroup import CgroupPaths, CounterReader
from harness.errors import EngineError, MeasurementError
from harness.host.counters import OF_EVERY_HOST, HostReader
from harness.host.process import kept_off, many_files_open
from harness.limits import format_cpu_list
from harness.measure import sampler as module
from harness.measure.sampled import Ending, Window
from harness.measure.sampler import Sampler
from tests.probing import MS
from tests.trees import ID, v1_host, v2_host

pytestmark = pytest.mark.alone


@contextlib.contextmanager
def sampling(
    paths: Sequence[CgroupPaths], cadence_hz: float = 50.0, measured: frozenset[int] | None = None
) -> Iterator[Sampler]:
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(contextlib.closing(CounterReader(one))) for one in paths]
        yield stack.enter_context(contextlib.closing(Sampler(readers, cadence_hz, measured)))


def look(paths: Sequence[CgroupPaths], duration_ms: int = 200, cadence_hz: float = 50.0) -> Window:
    with sampling(paths, cadence_hz) as sampler:
        return sampler.window(time.monotonic_ns() + 5 * MS, duration_ms * MS)


@pytest.fixture
def paths(tmp_path: Path) -> CgroupPaths:
    return cgroup.locate(77, ID, v1_host(tmp_path))


@pytest.mark.parametrize("host", [v1_host, v2_host])
def test_what_it_tells_is_what_is_read_here(tmp_path: Path, host: Callable[[Path], Path]) -> None:
    found = cgroup.locate(77, ID, host(tmp_path))
    stat = "anon 4096\n" if host is v2_host else "total_rss 4096\n"
    (found.folders["memory"] / "memory.stat").write_text(stat)
    with contextlib.closing(CounterReader(found)) as reader:
        expected = replace(reader.parse(*reader.read_edge()), t_mono_ns=0)
    (samples,) = look([found], cadence_hz=100).samples
    assert len(samples) == 21
    first, *ticks, last = (replace(one, t_mono_ns=0) for one in samples)
    assert first == last == expected
    assert {one.usage_percpu_ns for one in ticks} == {None}
    # Memory's details ten times a second, whatever the cadence.
    detailed = [number for number, one in enumerate(ticks, 1) if one.anon_bytes is not None]
    assert detailed == [10]
    assert ticks[9] == replace(expected, usage_percpu_ns=None)


def test_the_host_is_read_at_the_edges(paths: CgroupPaths) -> None:
    before = HostReader().read()
    window = look([paths])
    after = HostReader().read()
    told = [before, window.host_first, window.host_last, after]
    for clock in ("t_mono_ns", "t_real_ns", "t_boot_ns", "harness_cpu_ns"):
        times = [getattr(one, clock) for one in told]
        assert times[1] < times[2]
        if clock != "harness_cpu_ns":  # the sampler's is not in our own process's
            assert times == sorted(times)
    assert {one.swappiness for one in told} == {before.swappiness}
    assert {len(one.steal_ns or ()) for one in told} == {len(before.steal_ns or ())}
    used = [one.root_usage_ns for one in told if one.root_usage_ns is not None]
    assert used == sorted(used)
    assert len(used) in {0, 4}


def test_without_a_root_cgroup_the_rest_of_the_host_is_read(
    paths: CgroupPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As within a container that has a cgroup namespace of its own."""
    monkeypatch.setattr(module, "host_files", lambda: (None, [*OF_EVERY_HOST]))
    window = look([paths])
    assert window.samples[0][-1].cpu_usage_ns == 123456789
    assert window.host_last.root_usage_ns is None
    assert window.host_last.swappiness is not None
    assert window.host_last.steal_ns is not None


def test_its_own_time_is_the_harness_s(paths: CgroupPaths) -> None:
    window = look([paths] * 50, cadence_hz=500)
    first, last = window.host_first.harness_cpu_ns, window.host_last.harness_cpu_ns
    assert first is not None
    assert last is not None
    assert last - first > window.cost.cpu_ns > 0


def test_ticks_are_absolute_and_the_window_is_exact(paths: CgroupPaths) -> None:
    with sampling([paths], 100) as sampler:
        start_ns = time.monotonic_ns() + 10 * MS
        window = sampler.window(start_ns, 300 * MS)
    (samples,) = window.samples
    assert window.cost.ticks + window.cost.missed == 29
    for number, one in enumerate(samples[1:-1], 1):
        if not window.cost.missed:
            assert 0 <= one.t_mono_ns - start_ns - number * 10 * MS < 10 * MS
    assert 0 <= samples[0].t_mono_ns - start_ns < 10 * MS
    assert 0 <= samples[-1].t_mono_ns - start_ns - 300 * MS < 10 * MS


def test_a_window_shorter_than_a_tick_has_its_two_edges(paths: CgroupPaths) -> None:
    window = look([paths], duration_ms=5)
    assert (len(window.samples[0]), window.cost.ticks, window.cost.missed) == (2, 0, 0)


@pytest.mark.parametrize(("hz", "ticks"), [(0.5, 0), (3.0, 2), (7.5, 7), (300.3, 300)])
def test_a_cadence_need_be_no_whole_number(paths: CgroupPaths, hz: float, ticks: int) -> None:
    cost = look([paths], duration_ms=1000, cadence_hz=hz).cost
    assert cost.ticks + cost.missed == ticks


def test_what_is_late_is_missed_and_not_made_up_for(paths: CgroupPaths) -> None:
    with sampling([paths], 100) as sampler:
        start_ns = time.monotonic_ns() + 5 * MS

        def stopped_for_a_while() -> bool:
            sampler._process._process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            sampler._process._process.send_signal(signal.SIGCONT)
            return False

        window = sampler.window(start_ns, 300 * MS, Ending(stopped_for_a_while, 0.15))
    assert window.cost.missed >= 9
    assert window.cost.ticks + window.cost.missed == 29
    times = [one.t_mono_ns - start_ns for one in window.samples[0]]
    assert max(b - a for a, b in itertools.pairwise(times)) > 90 * MS
    assert all(one % (10 * MS) < 9 * MS for one in times[1:-1])  # after it at the old deadlines


@pytest.mark.parametrize("hz", [0.5, 50, 1000])
def test_a_window_in_the_past_begins_now_and_misses_nothing(paths: CgroupPaths, hz: float) -> None:
    with sampling([paths], hz) as sampler:
        window = sampler.window(time.monotonic_ns() - 10**8, 100 * MS)
    (samples,) = window.samples
    assert samples[-1].t_mono_ns - samples[0].t_mono_ns >= 99 * MS
    assert window.cost.missed == 0 or hz == 1000


def test_it_ends_where_an_end_is_seen(paths: CgroupPaths) -> None:
    begun = time.monotonic()
    with sampling([paths]) as sampler:
        seen = Ending(lambda: time.monotonic() > begun + 0.2, 0.01)
        window = sampler.window(time.monotonic_ns(), 60_000 * MS, seen)
    (samples,) = window.samples
    assert samples[-1].cpu_usage_ns is not None
    assert 0.1 < (samples[-1].t_mono_ns - samples[0].t_mono_ns) / 1e9 < 10


def test_a_stall_at_the_end_misses_the_ticks_of_the_window_alone(paths: CgroupPaths) -> None:
    with sampling([paths], 100) as sampler:

        def stopped() -> bool:
            sampler._process._process.send_signal(signal.SIGSTOP)
            time.sleep(0.4)
            sampler._process._process.send_signal(signal.SIGCONT)
            return False

        cost = sampler.window(time.monotonic_ns(), 300 * MS, Ending(stopped, 0.25)).cost
    assert cost.ticks + cost.missed == 29
    assert cost.missed >= 3


def test_one_that_begins_late_is_no_window(paths: CgroupPaths) -> None:
    """Stopped over the whole warm-up: the load has begun by then."""
    with sampling([paths], 100) as sampler:
        sampler._process._process.send_signal(signal.SIGSTOP)
        wake = threading.Timer(0.2, sampler._process._process.send_signal, [signal.SIGCONT])
        wake.start()
        with pytest.raises(MeasurementError, match=r"it began \d+ ms late: others had the CPUs"):
            sampler.window(time.monotonic_ns() + 100 * MS, 100 * MS)
        wake.join()


def test_an_end_that_is_seen_when_all_was_told_costs_no_window(paths: CgroupPaths) -> None:
    """Its "stop" meets nobody: what was told before it is the window."""
    with sampling([paths]) as sampler:

        def too_late() -> bool:
            sampler._process._process.wait(10)
            return True

        window = sampler.window(time.monotonic_ns(), 100 * MS, Ending(too_late, 0.05))
    assert len(window.samples[0]) == window.cost.ticks + 2


def test_a_stop_that_comes_with_the_beginning_is_heard(paths: CgroupPaths) -> None:
    with sampling([paths]) as sampler:
        sampler._process._process.send_signal(signal.SIGSTOP)
        wake = threading.Timer(0.2, sampler._process._process.send_signal, [signal.SIGCONT])
        wake.start()
        window = sampler.window(time.monotonic_ns(), 60_000 * MS, Ending(lambda: True, 0.05))
        wake.join()
    assert len(window.samples[0]) == 2  # both lines were read at once


def test_one_that_ends_by_itself_before_its_time_is_no_window(paths: CgroupPaths) -> None:
    with sampling([paths]) as sampler:
        say = sampler._process.write_line
        sampler._process.write_line = lambda text: say(f"{text}\nstop")  # type: ignore[method-assign]
        with pytest.raises(MeasurementError, match="ended its window early"):
            sampler.window(time.monotonic_ns(), 60_000 * MS)


def test_ctrl_c_in_a_window_leaves_no_process(paths: CgroupPaths) -> None:
    with sampling([paths]) as sampler:

        def interrupted() -> bool:
            signal.raise_signal(signal.SIGINT)
            return False

        with pytest.raises(KeyboardInterrupt):
            sampler.window(time.monotonic_ns(), 60_000 * MS, Ending(interrupted, 0.02))
        # In a terminal the signal goes to our group alone.
        assert sampler._process._process.poll() is None
        assert os.getpgid(sampler._process._process.pid) != os.getpgid(0)
        assert gc.isenabled()
    assert sampler._process._process.returncode == -signal.SIGKILL


def test_a_container_that_goes_leaves_none(paths: CgroupPaths) -> None:
    """A file that is removed can be read on; a cgroup's then refuses, as this one that is cut."""
    with sampling([paths]) as sampler:

        def gone() -> bool:
            (paths.folders["cpuacct"] / "cpuacct.usage").write_text("")
            return False

        (samples,) = sampler.window(time.monotonic_ns(), 300 * MS, Ending(gone, 0.1)).samples
    assert samples[0].cpu_usage_ns is not None
    assert samples[-1].cpu_usage_ns is None


def test_without_containers_the_host_is_what_there_is() -> None:
    window = look([])
    assert window.samples == ()
    assert window.host_last.t_mono_ns > window.host_first.t_mono_ns
    assert window.cost.ticks == 9


def test_more_containers_than_a_select_takes(paths: CgroupPaths) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4000:
        pytest.skip(f"this process may open {hard} files")
    with many_files_open():
        window = look([paths] * 200, cadence_hz=0.5)
    assert len(window.samples) == 200
    assert {len(one) for one in window.samples} == {2}


def test_it_leaves_the_measured_cpus_to_them(paths: CgroupPaths) -> None:
    mine = os.sched_getaffinity(0)
    if len(mine) < 2:
        pytest.skip("one CPU leaves the sampler no other")
    first = min(mine)
    rest = format_cpu_list(frozenset(mine - {first}))
    for measured, told in ((frozenset({first}), rest), (frozenset(mine), None), (None, None)):
        with sampling([paths], measured=measured) as sampler:
            assert sampler.window(time.monotonic_ns(), 20 * MS).cost.cpus == told
    assert os.sched_getaffinity(0) == mine


def test_this_thread_keeps_off_the_measured_cpus_where_one_is_left() -> None:
    before = os.sched_getaffinity(0)
    first = min(before)
    for measured in (None, frozenset(before), frozenset({first})):
        with kept_off(measured):
            left = before - (measured or frozenset())
            assert os.sched_getaffinity(0) == (left or before)
        assert os.sched_getaffinity(0) == before


# --- a sampler that does not do its work ---


def ended_by(paths: CgroupPaths, act: Callable[[Sampler], None]) -> str:
    """Why a window failed in which this was done to the sampler; nothing is left of it."""
    with sampling([paths]) as sampler:
        process = sampler._process._process

        def acts() -> bool:
            act(sampler)
            return False

        with pytest.raises(MeasurementError) as failed:
            sampler.window(time.monotonic_ns(), 60_000 * MS, Ending(acts, 0.02))
    assert process.returncode is not None
    return failed.value.message


def test_one_that_is_killed_fails_the_window(paths: CgroupPaths) -> None:
    said = ended_by(paths, lambda sampler: sampler._process._process.kill())
    assert said == "the sampler does not do its work: a signal ended it (Killed)."


def test_one_that_was_gone_before_fails_the_window(paths: CgroupPaths) -> None:
    with sampling([paths]) as sampler:
        sampler._process._process.kill()
        sampler._process._process.wait()
        with pytest.raises(MeasurementError, match=r"a signal ended it \(Killed\)"):
            sampler.window(time.monotonic_ns(), 1000 * MS)


def test_one_that_hangs_is_given_up(paths: CgroupPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.measure.sampled._REPORT_TIMEOUT_S", 0.3)
    with sampling([paths]) as sampler:
        sampler._process._process.send_signal(signal.SIGSTOP)
        with pytest.raises(MeasurementError, match=r"told nothing for 0\.3 s after the window"):
            sampler.window(time.monotonic_ns(), 50 * MS)
    assert sampler._process._process.returncode == -signal.SIGKILL


READY = """echo '{"probe":"ready","realtime":true,"cpus":null}'; read go; """


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (READY + """printf '{"probe":'""", "it ended within what it told"),
        (READY + """echo '{"probe":'""", "cannot be read"),
        (READY + """echo '{"probe":"report","block":"AAAA","ticks":0}'""", "cannot be read"),
        (READY + "kill -SEGV $$", r"a signal ended it \(Segmentation fault\)"),
        ("echo no; read go", "cannot be read"),
        ("echo '[]'; read go", "cannot be read"),
        ("exit 3", "it ended"),
        ("echo probe: no memory >&2; exit 1", "probe: no memory"),
    ],
)
def test_half_of_what_it_tells_is_no_window(
    paths: CgroupPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    script = tmp_path / "probe"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setattr(module, "_program", lambda: script)
    with pytest.raises(MeasurementError, match=said):
        look([paths])


def test_where_it_cannot_be_started_the_remedy_is_told(
    paths: CgroupPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "probe"
    monkeypatch.setattr(module, "_program", lambda: program)
    for there, remedy in ((False, "ulimit"), (True, "noexec")):
        if there:
            program.write_text("")
        with pytest.raises(MeasurementError, match="cannot be started") as failed:
            look([paths])
        assert remedy in failed.value.remedy

    def without_a_compiler() -> Path:
        raise EngineError("the probe could not be compiled.", "`bench image load` it.")

    monkeypatch.setattr(module, "_program", without_a_compiler)
    with pytest.raises(MeasurementError, match="could not be compiled") as failed:
        look([paths])
    assert "apt-get install gcc" in failed.value.remedy


def test_samples_that_do_not_fit_are_no_window(
    paths: CgroupPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROOM_MIB", 1)
    (paths.folders["cpu"] / "cpu.stat").write_text("nr_periods 1\n" * 70)
    with pytest.raises(MeasurementError, match=r"memory was full .*\(a shorter --duration"):
        look([paths], duration_ms=3000, cadence_hz=1000)


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    v1_host(tmp_path)
    code = f"""
import os, time
from pathlib import Path
from harness import cgroup
from harness.measure.sampler import Sampler
reader = cgroup.CounterReader(cgroup.locate(77, {ID!r}, Path({str(tmp_path / "proc")!r})))
sampler = Sampler([reader], 50)
print(sampler._process._process.pid, flush=True)
sampler.window(time.monotonic_ns(), 60 * 10**9)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdout is not None
        pid = int(harness.stdout.readline())
        time.sleep(0.2)
        assert Path(f"/proc/{pid}").exists()
        harness.kill()
    give_up = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
