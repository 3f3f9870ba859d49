"""Victims beside aggressors on a real engine, and protections that protect from nothing."""

from __future__ import annotations

import dataclasses
import os

import pytest

from harness.engine import device
from harness.engine.boundary import Container
from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.judge import neighbour
from harness.judge.points import counts
from harness.limits import Limits
from harness.measure.runner import Surroundings
from harness.model import ContainerSpec, Estimate, Outcome, Point, Status, TrialRecord
from harness.plan.axes import Options
from tests.docker.measuring import Measured, execute

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(engine_connection: Connection) -> DockerEngine:
    found = DockerEngine(engine_connection)
    if found.facts().cpus < 2:
        pytest.skip("one CPU has no other for the aggressor")
    return found


def relative(found: Measured, value: str, metric: str) -> float:
    """What the victim of a point came to relative to itself alone."""

    def counted(point: Point) -> list[TrialRecord]:
        return [t for t in found.records if t.point_id == point.id and counts(t)]

    estimates: dict[tuple[str, int], Estimate] = neighbour.beside_alone(found.plan.points, counted)[
        f"neighbour={value}"
    ]
    return estimates[metric, 0].median


def test_a_protected_victim_gets_its_work_done(engine: DockerEngine) -> None:
    found = execute(
        engine, "neighbour", Options(values="none,shares,cpuset", duration_s=2.0, repeats=2)
    )
    assert {record.outcome for record in found.records} == {Outcome.COMPLETED}
    assert relative(found, "none", "done_vs_alone") < 0.95
    assert relative(found, "none", "tail_vs_alone") > 2
    for value in ("shares=2", "cpuset"):
        assert relative(found, value, "done_vs_alone") > 0.95
        assert relative(found, value, "tail_vs_alone") < relative(found, "none", "tail_vs_alone")
    assert abs(found.error("neighbour=none", "ratio")) < 0.1
    assert found.metric("neighbour=cpuset", "outside_cpus") == 0


class Unprotected(DockerEngine):
    """A product made wrong on purpose: what is asked of the aggressor is not done."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        wrong = dataclasses.replace(spec, limits=Limits(cpuset_cpus="1"))
        return super().create(
            name=name, run=run, spec=wrong, deadline_s=deadline_s, together=together
        )


def test_protections_that_do_nothing_are_found(engine_connection: Connection) -> None:
    wrong = Unprotected(engine_connection)
    if wrong.facts().cpus < 2:
        pytest.skip("one CPU has no other for the aggressor")
    options = Options(values="quota,shares,cpuset", duration_s=2.0, repeats=2)
    found = execute(wrong, "neighbour", options)
    for value in ("quota=0.2", "shares=2", "cpuset"):
        verdict = found.verdict(f"neighbour={value}", "late_share")
        assert verdict.status is Status.DEVIATES, verdict.reason


class Favoured(DockerEngine):
    """A product made wrong on purpose: the aggressor weighs four times what it should."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        if together > 1 and not spec.workload.saturates:
            spec = dataclasses.replace(
                spec, limits=dataclasses.replace(spec.limits, cpu_shares=256)
            )
        return super().create(
            name=name, run=run, spec=spec, deadline_s=deadline_s, together=together
        )


def test_a_victim_that_gets_less_than_its_share_is_found(engine_connection: Connection) -> None:
    favoured = Favoured(engine_connection)
    found = execute(favoured, "neighbour", Options(values="none", duration_s=2.0, repeats=2))
    assert found.status("neighbour=none", "ratio") is Status.DEVIATES


def test_a_kill_for_memory_takes_nothing_from_the_victim(engine: DockerEngine) -> None:
    options = Options(values="none@memory,limit@memory,reservation@memory", repeats=2)
    found = execute(engine, "neighbour", options)
    for value in ("none@memory", "limit=64m@memory", "reservation=48m@memory"):
        point = f"neighbour={value}"
        assert found.metric(point, "oom_killed") == 0
        assert found.metric(point, "reached_bytes") == 32 << 20
        assert relative(found, value, "done_vs_alone") > 0
    assert found.metric("neighbour=limit=64m@memory", "oom_killed", 1) == 1
    assert found.metric("neighbour=none@memory", "oom_killed", 1) == 0


BPS = "bps=4m"


class Uncapped(DockerEngine):
    """A product made wrong on purpose: no limit of memory or of a disk's rate is in force."""

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        limits = dataclasses.replace(
            spec.limits, memory_bytes=None, memory_swap_bytes=None, device_write_bps=None
        )
        return super().create(
            name=name, run=run, spec=dataclasses.replace(spec, limits=limits),
            deadline_s=deadline_s, together=together,
        )  # fmt: skip


def test_an_aggressor_that_meets_no_memory_limit_is_found(engine_connection: Connection) -> None:
    found = execute(
        Uncapped(engine_connection), "neighbour", Options(values="limit@memory", repeats=2)
    )
    deviating = found.summary("neighbour=limit=64m@memory").results[1]
    assert (deviating.expectation.metric, deviating.expectation.container) == ("reached_bytes", 1)
    assert deviating.deviation is not None
    assert deviating.deviation.median > 10 * deviating.expectation.high


@pytest.mark.skipif(os.geteuid() != 0, reason="a loop device takes root")
def test_a_limit_on_the_aggressors_writes_leaves_the_victim_its_disk(
    engine_connection: Connection,
) -> None:
    with device.lent(None) as lent:

        def on_device(where: Surroundings) -> Surroundings:
            return dataclasses.replace(where, device=lent.facts)

        def swept(engine: DockerEngine, values: str) -> Measured:
            engine.keep_data_on(lent)
            options = Options(values=values, repeats=2, duration_s=0.7)
            return execute(engine, "neighbour", options, change=on_device)

        found = swept(DockerEngine(engine_connection), "none@io,bps@io")
        assert found.metric("neighbour=bps=4m@io", "io_bytes_rate", 1) < 4.4 * 2**20
        done = {value: relative(found, f"{value}@io", "done_vs_alone") for value in ("none", BPS)}
        assert done[BPS] > done["none"]
        wrong = swept(Uncapped(engine_connection), "bps@io")
        (law, *_) = wrong.summary(f"neighbour={BPS}@io").results
        assert law.deviation is not None
        assert law.deviation.median > 10 * law.expectation.high
