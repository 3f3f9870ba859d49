"""An engine without a cgroup driver (rootless on cgroup v1): no limit is in force."""

from __future__ import annotations

from dataclasses import replace

from harness.host import identity
from harness.judge import laws
from harness.judge.laws import Circumstances
from harness.measure import runner
from harness.measure.observer import BlindObserver
from harness.model import ContainerSpec, Limits, Point
from tests.fakes import ENGINE_FACTS, HOST_FACTS, FakeEngine, World
from tests.trees import ID

ROOTLESS = replace(ENGINE_FACTS, cgroup_driver="none", rootless=True)


def test_no_cgroup_of_others_is_taken_for_the_container_s() -> None:
    where = runner.real_surroundings(FakeEngine(World()), ROOTLESS, identity.facts())
    watch = where.observe([(1, ID)], "run", 50.0, None)
    assert isinstance(watch, BlindObserver)
    assert "makes no cgroups" in watch.absent[0]["cpu_usage_ns"]


def test_a_law_says_why_it_cannot_hold() -> None:
    point = Point(
        id="p", axis="cpu", value="0.5", containers=(ContainerSpec(limits=Limits(cpus=0.5)),)
    )
    plain = laws.expectations(point, Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS))
    assert not any("cgroups" in law.explanation for law in plain)
    told = laws.expectations(point, Circumstances(engine=ROOTLESS, host=HOST_FACTS))
    assert all("makes no cgroups" in law.explanation for law in told)
