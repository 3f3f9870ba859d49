"""Frames of docker stats as other people's engines sent them, against what their CLI showed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.engine.stats import cpu_percent, memory_bytes

CASES = Path(__file__).parents[1] / "data" / "cases"


@pytest.mark.parametrize(
    ("name", "percent", "size_bytes"),
    [
        ("R5-stats-frames/2017-no-online_cpus", 0.0, None),
        ("R5-stats-frames/2023-v2-idle", 0.0, 348_160),
        ("R5-stats-frames/docker-java-v1-memory", None, 130_854_912),
        ("R5-stats-frames/restarting-or-stopped", None, None),
        ("C02-shm/otel-v2-stats-frame", None, 234_647_552),
    ],
)
def test_a_recorded_frame_says_what_the_cli_shows(
    name: str, percent: float | None, size_bytes: int | None
) -> None:
    stats = json.loads((CASES / f"{name}.json").read_text())
    assert cpu_percent(stats) == percent
    assert memory_bytes(stats) == size_bytes
