"""Readers and laws on what real kernels and engines said: ``tests/recording.py`` wrote it down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import cgroup, limits
from harness.limits import weight_of_shares
from harness.model import UNLIMITED
from tests.recording import SPECS

DATA = Path(__file__).parent / "data"
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
    assert held.cpu_weight == weight_of_shares(512, "runc", components["runc"])
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


def test_systemd_rounds_a_quota_only_when_it_writes_it_itself() -> None:
    # Measured on runc 1.1.5: cpu.max held 33300 after the start, 34000 after a daemon-reload.
    assert limits.systemd_quota_us((33_300, 100_000)) == 34_000
    assert limits.systemd_quota_us((50_000, 100_000)) == 50_000
    assert limits.systemd_quota_us((1_500, 100_000)) == 2_000
