"""A cgroup that no engine is asked about: its table, its findings, its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.cgroup import NamedCgroup, of_path, of_process, of_unit
from harness.errors import MeasurementError
from harness.inspection import unasked
from harness.inspection.inspection import Inspection, inspect
from harness.inspection.observe import Onlooker
from harness.inspection.setters import setter_of
from harness.inspection.use import Observation
from tests.fakes import HOST_FACTS
from tests.observations import MIB, observation, schedule
from tests.sampling import VirtualSampling
from tests.trees import ID, make_tree, stat, v1_cgroups, v2_cgroups

MS = 1_000_000
NGINX = "/system.slice/nginx.service"


@dataclass
class Clock:
    """Virtual time, in which something happens once."""

    happens: tuple[int, Callable[[], None]] | None = None
    now: int = 0

    def now_ns(self) -> int:
        return self.now

    def sleep_ns(self, duration_ns: int) -> None:
        self.now += max(0, duration_ns)
        if self.happens is not None and self.now >= self.happens[0]:
            (_, what), self.happens = self.happens, None
            what()


def v2_service(tmp_path: Path) -> Path:
    proc = v2_cgroups(tmp_path, {NGINX: "80 81"})
    make_tree(tmp_path / f"fs{NGINX}", {"cpu.max": "50000 100000\n", "memory.max": f"{64 * MIB}\n"})
    return proc


def v1_service(tmp_path: Path) -> Path:
    at = dict.fromkeys(("cpu", "cpuacct", "cpuset", "memory", "systemd"), NGINX)
    proc = v1_cgroups(tmp_path, {"80": at, "81": at})
    make_tree(
        tmp_path / "fs",
        {f"cpu{NGINX}/cpu.cfs_quota_us": "50000\n", f"cpu{NGINX}/cpu.cfs_period_us": "100000\n",
         f"memory{NGINX}/memory.limit_in_bytes": f"{64 * MIB}\n"},
    )  # fmt: skip
    return proc


def looking(named: NamedCgroup, proc: Path, clock: Clock) -> Onlooker:
    return Onlooker(
        unasked.NoEngine(), unasked.described(named), HOST_FACTS, clock=clock, proc=proc,
        sampling=VirtualSampling(clock), named=named,
    )  # fmt: skip


def look(named: NamedCgroup, proc: Path, clock: Clock | None = None) -> Observation:
    with looking(named, proc, clock or Clock()) as onlooker:
        return onlooker.look(1.0)


def told(seen: Observation) -> Inspection:
    assert seen.named is not None
    return inspect(seen, unasked.engine_facts(seen.named, HOST_FACTS), HOST_FACTS)


@pytest.mark.parametrize("host", [v1_service, v2_service])
def test_its_table_has_no_engine_and_nothing_that_it_could_have_changed(
    host: Callable[[Path], Path], tmp_path: Path
) -> None:
    proc = host(tmp_path)
    found = told(look(of_unit("nginx", proc), proc))
    rows = {row.option: row for row in found.limits}
    assert {(row.requested, row.engine) for row in found.limits} == {("no engine", "no engine")}
    quota = rows["--cpu-quota"]
    assert (quota.kernel, quota.effective) == ("50000/100000 µs", "0.5 CPUs")
    assert rows["--memory"].kernel == "64m"
    assert (found.container.name, found.set_by) == ("nginx.service", "systemd")
    assert found.use.memory_limit_bytes == 64 * MIB
    assert not [one for one in found.findings if one.grade == "bad"]


@pytest.mark.parametrize(
    ("path", "version", "words"),
    [
        (NGINX, 2, ("Raise CPUQuota=", "Raise MemoryMax=, or set MemorySwapMax=0.")),
        (f"/kubepods/burstable/pod1/{ID}", 2, ("Raise resources.limits.cpu",)),
        ("/lxc/web", 1, ("Raise cpu.cfs_quota_us", "set memory.memsw.limit_in_bytes equal to it")),
        ("/lxc/web", 2, ("Raise cpu.max", "set memory.swap.max to 0")),
        (f"/docker/{ID}", 1, ("Raise --cpus", "set --memory-swap equal to it")),
        (f"/system.slice/docker-{ID}.scope", 2, ("Raise --cpus",)),
    ],
)
def test_what_to_do_is_in_the_words_of_who_sets_it(
    path: str, version: int, words: tuple[str, ...], tmp_path: Path
) -> None:
    proc = v2_service(tmp_path)
    named = of_unit("nginx", proc)
    named = replace(named, path=path)
    if version == 1:
        named = replace(named, paths=of_unit("nginx", v1_service(tmp_path / "v1")).paths)
    samples = tuple(
        replace(one, total_bytes=48 * MIB) for one in schedule(quota_ms=50, threads=1)
    )  # it is at its quota, and swaps
    seen = replace(observation(samples), named=named)
    said = " ".join(one.remedy for one in told(seen).findings)
    for one in words:
        assert one in said
    assert ("--" in said) is ("docker" in path)


def test_so_many_cpus_are_written_as_they_are_set() -> None:
    remedy = "Raise --cpus above 0.5 to what a burst needs."
    for path, words in (
        (NGINX, "CPUQuota= above 50% to"),
        ("/kubepods/pod1", "resources.limits.cpu above 0.5 to"),
        ("/lxc/web", "cpu.max above 0.5 × its period to"),
    ):
        assert words in setter_of(path, 2).in_its_words(remedy)


@pytest.mark.parametrize("host", [v1_service, v2_service])
@pytest.mark.parametrize(
    ("ends", "words"),
    [("removed", "its cgroup is gone"), ("emptied", "its last process ended"),
     ("replaced", "is there again"), ("process", "process 80 ended"), ("another", "")],
)  # fmt: skip
def test_an_end_within_the_window_has_its_own_word(
    host: Callable[[Path], Path], ends: str, words: str, tmp_path: Path
) -> None:
    proc = host(tmp_path)
    named = of_process(80, proc) if ends == "process" else of_unit("nginx", proc)

    def end() -> None:
        if ends in ("process", "another"):
            shutil.rmtree(proc / {"process": "80", "another": "81"}[ends])
        elif ends == "emptied":
            for folder in set(named.paths.folders.values()):
                (folder / "cgroup.procs").write_text("")
                if named.paths.version == 2:
                    (folder / "cgroup.events").write_text("populated 0\n")
        else:
            was = [(one, list(one.iterdir())) for one in set(named.paths.folders.values())]
            for folder, _ in was:
                folder.rename(folder.with_name("was"))
                if ends == "replaced":
                    folder.mkdir()

    seen = look(named, proc, Clock((400 * MS, end)))
    assert words in seen.ended
    assert bool(seen.ended) is bool(words)
    last = seen.trial.host_last
    assert last is not None
    assert (last.t_mono_ns < 600 * MS) is bool(words)  # it does not wait for what is gone


def test_what_ended_before_the_window_is_an_error_with_its_word(tmp_path: Path) -> None:
    proc = v2_service(tmp_path)
    with looking(of_path(NGINX, proc), proc, Clock()) as onlooker:
        shutil.rmtree(tmp_path / "fs/system.slice")
        with pytest.raises(MeasurementError, match=r"nginx.service ended .* its cgroup is gone"):
            onlooker.look(1.0)


def test_another_process_with_its_number_is_not_the_one_that_was_named(tmp_path: Path) -> None:
    proc = v2_service(tmp_path)
    with looking(of_process(80, proc), proc, Clock()) as onlooker:
        assert not onlooker.look(1.0).ended
        (proc / "80/stat").write_text(stat("80").replace("5000", "6000"))
        with pytest.raises(MeasurementError, match="process 80 ended"):
            onlooker.look(1.0)
