"""What must hold, as a user says it."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.model import (
    Burst,
    ContainerSpec,
    Growth,
    Io,
    Limits,
    Load,
    Point,
    Program,
    ProgramDescription,
    ProgramImage,
    ProgramMetric,
    Spin,
)
from harness.sizing import goal as goals

OWN = Program(
    name="mine",
    description=ProgramDescription(
        image=ProgramImage(pack="mine"), command=("mine",),
        metrics=(ProgramMetric(name="latency", unit="s"), ProgramMetric(name="ops", unit="ops/s")),
    ),
)  # fmt: skip


def at(load: Load) -> Point:
    spec = ContainerSpec(limits=Limits(), workload=load)
    return Point(id="unlimited", axis="file", value="", containers=(spec,))


@pytest.mark.parametrize(
    ("text", "load", "name", "compare", "value"),
    [
        ("p99 < 50ms", Burst(), "response_p99_s", "<", 0.05),
        ("p99<50 ms", Burst(), "response_p99_s", "<", 0.05),
        ("p50 <= 1.5s", Burst(), "response_p50_s", "<=", 1.5),
        ("max ≤ 900us", Io(), "io_max_s", "<=", 0.0009),
        ("max ≤ 900µs", Io(), "io_max_s", "<=", 0.0009),
        ("memory_full < 1%", Spin(), "memory_full", "<", 0.01),
        ("memory_full < .01", Spin(), "memory_full", "<", 0.01),
        ("reached_bytes >= 64m", Growth(), "reached_bytes", ">=", 64 << 20),
        ("peak_bytes < 1.5 GiB", Growth(), "peak_bytes", "<", 1.5 * 2**30),
        ("cpus > 0.5", Spin(), "cpus", ">", 0.5),
        ("cpus > 0.5 CPUs", Spin(), "cpus", ">", 0.5),
        ("limit_hits == 0", Spin(), "limit_hits", "=", 0),
        ("latency < 2min", OWN, "latency", "<", 120),
        ("ops > 1e3 ops/s", OWN, "ops", ">", 1000),
        ("no-kill", Spin(), "oom_killed", "=", 0),
    ],
)
def test_a_clause_is_a_metric_against_a_number_in_its_unit(
    text: str, load: Load, name: str, compare: str, value: float
) -> None:
    (clause,) = goals.parse(text, at(load)).clauses
    assert (clause.metric.name, clause.compare) == (name, compare)
    assert clause.value == pytest.approx(value)
    assert not clause.relative


@pytest.mark.parametrize(
    ("text", "load"),
    [
        ("p99 < 50ms and no-kill", Burst()),
        ("p99 < 1.25s, throttled_share < 20%", Burst()),
        ("cpus > 95% of unlimited", Spin()),
        ("reached_bytes > 4100b and peak_bytes < 33.3m", Growth()),
        ("io_bytes_rate > 10m/s", Io()),
    ],
)
def test_what_a_goal_says_of_itself_is_read_as_the_same(text: str, load: Load) -> None:
    first = goals.parse(text, at(load))
    assert goals.parse(first.text, at(load)) == first


def test_a_part_of_unlimited_is_a_share_of_what_is_reached_without_the_limit() -> None:
    (clause,) = goals.parse("cpus > 95% of unlimited", at(Spin())).clauses
    assert clause.holds(1.91, 2.0)
    assert not clause.holds(1.89, 2.0)
    assert not clause.holds(9.0, None)


@pytest.mark.parametrize(
    ("text", "load", "words"),
    [
        ("", Spin(), ["empty"]),
        ("p99 50ms", Burst(), ["'p99 50ms'", "cannot be read"]),
        ("cpus > 1 and p99 <", Burst(), ["'p99 <'", "'cpus > 1 and p99 <'"]),
        ("throtled_share < 5%", Spin(), ["'throtled_share'", "'throttled_share'"]),
        ("p99 < 50", Burst(), ["unit", "ms"]),
        ("p99 < 50m", Burst(), ["'m'", "ms"]),
        ("cpus > 5ms", Spin(), ["'ms'", "cpus"]),
        ("p99 < 50ms", Spin(), ["spin", "burst"]),
        ("p99 < 50ms", OWN, ["mine"]),
        ("cpus > 2 of unlimited", Spin(), ["percentage"]),
        ("cpus > 0% of unlimited", Spin(), ["asks for nothing"]),
    ],
)
def test_what_cannot_be_asked_is_one_line_that_says_what_can(
    text: str, load: Load, words: list[str]
) -> None:
    with pytest.raises(UsageError) as raised:
        goals.parse(text, at(load))
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value)
