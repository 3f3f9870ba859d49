"""What a run may not have changed of, to go on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.comparison import continued
from harness.model import Side
from tests.fakes import ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS
from tests.runs import measured

NOW = {"": ENGINE_FACTS}


def test_each_fact_that_differs_is_named_and_may_be_allowed(tmp_path: Path) -> None:
    info = measured(tmp_path).info
    assert continued.differences(info, HOST_FACTS, NOW, WORKLOAD_FACTS) == ()
    host = replace(HOST_FACTS, hostname="another", swap_bytes=1 << 30)
    info = replace(info, engine=replace(ENGINE_FACTS, cpu_list="0-1"))
    now = replace(ENGINE_FACTS, kernel="6.2.0", version="24.0.0", runtime_version="1.2")
    engine = {"": replace(now, cpu_list="1")}
    workload = replace(WORKLOAD_FACTS, image_id="sha256:other")
    found = continued.differences(info, host, engine, workload, {"kernel"})
    assert {(one.fact, one.after, one.allowed) for one in found} == {
        ("host", "another", False),
        ("engine-cpus", "CPU 1", False),
        ("swap", "1024 MiB", False),
        ("engine", "Docker 24.0.0", False),
        ("runtime", "runc 1.2", False),
        ("image", "sha256:other", False),
        ("kernel", "6.2.0", True),
    }
    assert found[-1].allowed


def test_each_side_is_held_against_its_own_engine(tmp_path: Path) -> None:
    run = measured(tmp_path)
    other = replace(ENGINE_FACTS, version="24.0.0")
    sides = tuple(
        Side(name=name, options="", engine=engine)
        for name, engine in (("a", ENGINE_FACTS), ("b", other))
    )
    info = replace(run.info, sides=sides)
    now = {"a": ENGINE_FACTS, "b": other}
    assert continued.differences(info, HOST_FACTS, now, WORKLOAD_FACTS) == ()
    (one,) = continued.differences(
        info, HOST_FACTS, {"a": ENGINE_FACTS, "b": ENGINE_FACTS}, WORKLOAD_FACTS
    )
    assert (one.fact, one.before, one.after) == ("engine", "Docker 24.0.0", "Docker 20.10.24")
