"""Laws that a product which is made wrong on purpose breaks, and that no other test here breaks.

``tests/judge/test_broken.py`` has the table of all of them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.engine.laboratory import Box, Laboratory
from harness.model import Burst, ContainerSpec, Status
from harness.plan.axes import Options
from tests.docker.measuring import execute

pytestmark = pytest.mark.engine
MIB = 1 << 20


class Other(DockerEngine):
    """An engine that hands other limits over than it was asked for."""

    handed: dict[str, Any]

    def create(self, *, spec: ContainerSpec, **given: Any) -> Container:
        wrong = dataclasses.replace(spec.limits, **self.handed)
        return super().create(spec=dataclasses.replace(spec, limits=wrong), **given)


BURSTS = Burst(cost_us=5_000, rate_hz=60)
"""0.3 CPUs on average."""


@pytest.mark.parametrize(
    ("axis", "options", "handed", "metric"),
    [
        # As much CPU in the mean, and off it for twice as long.
        ("quota", Options(values="50000", threads=1, duration_s=2.0),
         {"cpu_quota_us": 100_000, "cpu_period_us": 200_000}, "gap_s"),
        ("cpu", Options(values="0.1", workload=BURSTS), {"cpus": None}, "cpus"),
        ("memory", Options(values="32m"), dict.fromkeys(
            ("memory_bytes", "memory_swap_bytes"), 48 * MIB), "reached_bytes"),
        ("memory", Options(values="32m"), dict.fromkeys(
            ("memory_bytes", "memory_swap_bytes")), "oom_killed"),
        ("reservation", Options(values="16m"), dict.fromkeys(
            ("memory_bytes", "memory_swap_bytes"), 16 * MIB), "reached_bytes"),
    ],
    ids=["off-cpu-gap", "cpu-ceiling", "memory-limit", "oom-kill", "memory-target"],
)  # fmt: skip
def test_another_limit_than_the_one_asked_for_is_found(
    engine_connection: Connection,
    axis: str,
    options: Options,
    handed: dict[str, Any],
    metric: str,
) -> None:
    engine = Other(engine_connection)
    engine.handed = handed
    found = execute(engine, axis, dataclasses.replace(options, repeats=2))
    (point,) = found.plan.points
    results = {one.expectation.metric: one for one in found.summary(point.id).results}
    law, off = results[metric].expectation, results[metric].deviation
    assert off is not None, found.summary(point.id).rejected
    assert not law.low <= off.median <= law.high
    assert found.status(point.id, metric) is not Status.CONFORMS


class Idle(Box):
    """A container whose engine answers each command, and leaves some undone."""

    def pause(self) -> None:
        """Nothing."""

    def unpause(self) -> None:
        """Nothing."""

    def stop(self, grace_s: int | None = None) -> float:
        """At once, whatever the grace time."""
        return super().stop(0)

    def update(self, **limits: Any) -> list[str]:
        """Twice the quota that was asked for."""
        if "cpu_quota" in limits:
            limits["cpu_quota"] *= 2
        return super().update(**limits)


class IdleLaboratory(Laboratory):
    def create(self, *words: str, **options: Any) -> Box:
        made = super().create(*words, **options)
        return Idle(self._api, made.id, made.name)


class IdleEngine(DockerEngine):
    def laboratory(self, *, run: str, side: str = "") -> Laboratory:
        return IdleLaboratory(self._connection, self, run=run)


def test_commands_that_do_something_else_are_found(engine_connection: Connection) -> None:
    found = execute(IdleEngine(engine_connection), "lifecycle", Options(values="free", repeats=1))
    for law in found.summary("lifecycle=free").results:
        name = law.expectation.law
        assert law.deviation is not None, name
        assert not law.expectation.low <= law.deviation.median <= law.expectation.high, name
