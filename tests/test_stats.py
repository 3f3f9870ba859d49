"""docker stats' frames: the CLI's own formulas, and which frames can be used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.engine import containers
from harness.engine.stats import cpu_percent, memory_bytes, usable_frames


def frame(
    total: int, system: int, before: tuple[int, int] | None, online: int = 2
) -> dict[str, Any]:
    out: dict[str, Any] = {
        "read": "2026-01-01T00:00:01Z",
        "cpu_stats": {
            "cpu_usage": {"total_usage": total},
            "system_cpu_usage": system,
            "online_cpus": online,
        },
        "precpu_stats": {"cpu_usage": {"total_usage": 0}},
        "memory_stats": {"usage": 1000, "stats": {"total_inactive_file": 300}},
    }
    if before:
        out["precpu_stats"] = {
            "cpu_usage": {"total_usage": before[0]}, "system_cpu_usage": before[1],
        }  # fmt: skip
    return out


def test_cpu_percent_is_the_clis() -> None:
    # half a CPU over one second of two CPUs: 0.5e9 / 2e9 * 2 * 100
    assert cpu_percent(frame(1_500_000_000, 12_000_000_000, (1_000_000_000, 10**10))) == 50


@pytest.mark.parametrize(
    "stats",
    [
        frame(5, 10, None),  # the first frame: precpu is all zeros, system absent
        frame(5, 10, (1, 10)),  # the system's counter has not moved
        {}, {"cpu_stats": None}, {"cpu_stats": {"cpu_usage": None}},
    ],
)  # fmt: skip
def test_frames_that_say_nothing_are_none_and_not_zero(stats: dict[str, Any]) -> None:
    assert cpu_percent(stats) is None


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({"usage": 1000, "stats": {"total_inactive_file": 300}}, 700),  # v1
        ({"usage": 1000, "stats": {"inactive_file": 200}}, 800),  # v2
        ({"usage": 1000, "stats": {"inactive_file": 2000}}, 1000),
        ({"usage": 1000}, 1000),
        ({}, None),
    ],
)
def test_memory_is_the_clis(memory: dict[str, Any], expected: int | None) -> None:
    assert memory_bytes({"memory_stats": memory}) == expected


def test_only_frames_whose_whole_interval_lies_in_the_window_are_usable() -> None:
    lines = [
        (at, json.dumps(frame(i * 500, i * 2000 + 1, ((i - 1) * 500, (i - 1) * 2000 + 1))).encode())
        for i, at in enumerate((0, 10, 20, 30, 40))
    ]
    found = usable_frames(lines, start_ns=5, end_ns=35)
    assert [f.cpu_percent for f in found] == [50.0, 50.0]  # those at 20 and at 30
    assert usable_frames(lines, start_ns=11, end_ns=19) == ()
    assert usable_frames([(0, b"{garbage")], start_ns=-1, end_ns=1) == ()


def test_inspects_zeros_mean_not_set() -> None:
    limits = containers.limits_from_inspect(
        {"NanoCpus": 500_000_000, "CpuQuota": 0, "CpuShares": 0, "CpusetCpus": "", "Memory": 0}
    )
    assert limits.cpus == 0.5
    assert limits.cpu_quota_us is None
    assert limits.cpu_shares is None
    assert limits.cpuset_cpus is None
    assert limits.memory_bytes is None
