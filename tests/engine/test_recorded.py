"""Readers and laws on what real kernels and engines said: ``tests/recording.py`` wrote it down."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness import cgroup, limits
from harness.engine.connect import Connection
from harness.engine.facts import facts_from
from harness.engine.stats import cpu_percent, memory_bytes, usable_frames
from harness.limits import from_engine, weight_formula, weight_of_shares
from harness.model import UNLIMITED
from tests.recording import SPECS

DATA = Path(__file__).parents[1] / "data"
VERSIONS = [version for version in (1, 2) if (DATA / f"cgroup{version}").is_dir()]
MIB = 1 << 20


def load(version: int, name: str) -> Any:
    return json.loads((DATA / f"cgroup{version}" / name).read_text())


def located(version: int, name: str, tmp_path: Path) -> cgroup.CgroupPaths:
    """The recorded container as ``harness.cgroup`` finds it: its mounts are those of the data."""
    data = DATA / f"cgroup{version}" / name
    told = load(version, f"{name}/container.json")
    proc = tmp_path / "proc"
    for file in (f"{told['pid']}/cgroup", "self/mountinfo"):
        text = (data / "proc" / file).read_text()
        (proc / file).parent.mkdir(parents=True, exist_ok=True)
        (proc / file).write_text(text.replace(" /sys/fs/cgroup", f" {data}/sys/fs/cgroup"))
    return cgroup.locate(told["pid"], told["id"], proc)


@pytest.mark.parametrize("version", VERSIONS)
def test_limits_of_a_real_container(version: int, tmp_path: Path) -> None:
    paths = located(version, "busy", tmp_path)
    assert paths.version == version
    held = cgroup.kernel_limits(paths)
    assert (held.cpu_quota_us, held.cpu_period_us) == (33_300, 100_000)
    assert held.cpuset_cpus == "0"
    assert (held.memory_bytes, held.memory_swap_bytes) == (64 * MIB, 96 * MIB)
    assert held.memory_reservation_bytes == 32 * MIB
    assert held.memory_high_bytes == (UNLIMITED if version == 2 else None)
    effective = cgroup.effective_limits(paths)
    assert (effective.cpus, effective.cpus_at) == (0.333, "")
    assert (effective.memory_bytes, effective.memory_at) == (64 * MIB, "")
    assert (effective.memory_swap_bytes, effective.memory_swap_at) == (96 * MIB, "")
    free = cgroup.kernel_limits(located(version, "unlimited", tmp_path / "free"))
    assert (free.cpu_quota_us, free.memory_bytes) == (UNLIMITED, UNLIMITED)
    nothing = cgroup.effective_limits(located(version, "unlimited", tmp_path / "nothing"))
    assert (nothing.memory_bytes, nothing.memory_swap_bytes) == (None, None)


def test_shares_become_the_weight_that_the_recorded_runtime_s_formula_gives(tmp_path: Path) -> None:
    held = cgroup.kernel_limits(located(2, "busy", tmp_path))
    components = {one["Name"]: one["Version"] for one in load(2, "version.json")["Components"]}
    assert held.cpu_weight == weight_of_shares(512, weight_formula("runc", components["runc"]))
    assert held.cpu_shares is None


@pytest.mark.parametrize("version", VERSIONS)
def test_counters_of_a_real_container(version: int, tmp_path: Path) -> None:
    reader = cgroup.CounterReader(located(version, "busy", tmp_path))
    sample = reader.parse(*reader.read_edge())
    reader.close()
    assert sample.cpu_usage_ns is not None
    assert sample.cpu_usage_ns > 1e9
    assert sample.nr_periods is not None
    assert sample.nr_throttled is not None
    assert sample.nr_throttled > 0.8 * sample.nr_periods > 0
    assert sample.throttled_ns is not None
    assert sample.throttled_ns > 1e9
    assert sample.total_bytes is not None
    assert sample.memory_bytes is not None
    assert sample.peak_bytes is not None
    assert sample.peak_bytes >= sample.memory_bytes > 0
    assert sample.oom_kills == 0
    if version == 2:
        assert sample.cpu_some_us is not None
        assert sample.cpu_some_us >= (sample.cpu_full_us or 0) > 0
        assert sample.memory_some_us == 0
        assert set(reader.absent) == {"usage_percpu_ns"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_kill_is_in_the_kernel_s_counters_and_not_in_the_engine_s_word(
    version: int, tmp_path: Path
) -> None:
    counters = cgroup.memory_counters(located(version, "killed", tmp_path))
    assert counters.oom_kills == 1
    assert counters.peak_bytes == SPECS["killed"].limits.memory_bytes
    if version == 2:
        assert counters.limit_hits
        # The child was killed, PID 1 lives: 20.10 does not tell of it (moby#38352).
        assert load(2, "killed/inspect.json")["State"]["OOMKilled"] is False


def recorded_stats(version: int, name: str) -> dict[str, Any]:
    found: dict[str, Any] = load(version, f"{name}/stats.json")
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_docker_stats_of_a_real_container(version: int) -> None:
    """A third of a CPU, as the client's own formula has it; memory less inactive page cache."""
    told = recorded_stats(version, "busy")
    first, *later = told["stream"]
    assert cpu_percent(first) is None  # it has no predecessor
    for frame in later:
        assert cpu_percent(frame) == pytest.approx(33.3, rel=0.1)
    inactive = "total_inactive_file" if version == 1 else "inactive_file"
    for frame in told["stream"]:
        memory = frame["memory_stats"]
        assert memory_bytes(frame) == memory["usage"] - memory["stats"][inactive]
    # Asked for once without waiting: its predecessor is of the year 1.
    assert told["one-shot"]["preread"].startswith("0001-01-01")
    assert cpu_percent(told["one-shot"]) is None
    assert cpu_percent(told["single"]) == pytest.approx(33.3, rel=0.1)


@pytest.mark.parametrize("version", VERSIONS)
def test_frames_of_a_real_stream_are_used_from_the_second_on(version: int) -> None:
    stream = recorded_stats(version, "busy")["stream"]
    lines = [(i * 10**9, json.dumps(frame).encode()) for i, frame in enumerate(stream, start=1)]
    used = usable_frames(lines, 0, 10**10)
    assert [frame.read for frame in used] == [frame["read"] for frame in stream[1:]]
    # A window that begins between them takes none whose own interval began before it.
    assert len(usable_frames(lines, 15 * 10**8, 10**10)) == len(stream) - 2


@pytest.mark.parametrize("version", VERSIONS)
def test_the_facts_of_a_real_engine(version: int) -> None:
    api = SimpleNamespace(api_version="1.41")
    connection = Connection("unix:///x", cast("Any", api), private=False)
    facts = facts_from(load(version, "info.json"), load(version, "version.json"), connection)
    assert (facts.name, facts.version[:5]) == ("Docker", "20.10")
    assert facts.cgroup_version == version
    assert facts.cgroup_driver == ("cgroupfs" if version == 1 else "systemd")
    assert (facts.runtime, facts.runtime_version) == ("runc", "1.1.5+ds1")
    assert facts.limits_by == ("runc", "1.1.5+ds1")
    assert not facts.rootless
    assert facts.cpus == 2
    assert facts.memory_bytes > 3 << 30


NVIDIA = {"path": "nvidia-container-runtime"}
FEATURES = {"annotations": {"org.opencontainers.runc.version": "1.3.4\n"}}
WITH_FEATURES = NVIDIA | {
    "status": {"org.opencontainers.runtime-spec.features": json.dumps(FEATURES)}
}


@pytest.mark.parametrize(
    ("runtime", "version", "commit", "told"),
    [
        # What the engine told last of what the wrapper told: runc's version, with runc's commit.
        (NVIDIA, "1.1.9", "v1.1.9-0-gccaecfc", ("runc", "1.1.9")),
        # Its own, with its own: that of runc is not known.
        (NVIDIA, "1.17.4", "9b69590c7428470a72f2ae05f826412976af1395", ("nvidia", "1.17.4")),
        # Docker 25 and later tell the features of each.
        (WITH_FEATURES, "1.17.4", "9b69590c", ("runc", "1.3.4")),
    ],
)
def test_what_writes_the_limits_beneath_a_runtime_with_a_name_of_its_own(
    runtime: dict[str, Any], version: str, commit: str, told: tuple[str, str]
) -> None:
    info, said = load(2, "info.json"), load(2, "version.json")
    info |= {"DefaultRuntime": "nvidia", "RuncCommit": {"ID": commit}}
    info["Runtimes"]["nvidia"] = runtime
    said["Components"].append({"Name": "nvidia", "Version": version})
    api = SimpleNamespace(api_version="1.41")
    facts = facts_from(info, said, Connection("unix:///x", cast("Any", api), private=False))
    assert (facts.runtime, facts.runtime_version) == ("nvidia", version)
    assert facts.limits_by == told


@pytest.mark.parametrize("version", VERSIONS)
def test_limits_as_a_real_engine_tells_them(version: int) -> None:
    held = from_engine(load(version, "busy/inspect.json")["HostConfig"])
    wanted = SPECS["busy"].limits
    unasked = {"pids_limit": None, "memory_swappiness": None, "shm_size_bytes": None}
    assert replace(held, **unasked) == wanted


def test_systemd_rounds_a_quota_only_when_it_writes_it_itself() -> None:
    # Measured on runc 1.1.5: cpu.max held 33300 after the start, 34000 after a daemon-reload.
    assert limits.systemd_quota_us((33_300, 100_000)) == 34_000
    assert limits.systemd_quota_us((50_000, 100_000)) == 50_000
    assert limits.systemd_quota_us((1_500, 100_000)) == 2_000
