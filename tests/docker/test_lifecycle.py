"""The engine's commands on a real engine, under limits."""

from __future__ import annotations

import pytest

from harness.engine.connect import Connection
from harness.engine.docker_engine import DockerEngine
from harness.engine.laboratory import REPOSITORY
from harness.judge.lifecycle import COMMANDS
from harness.model import Lifecycle, Outcome
from harness.plan.axes import Options
from tests.docker.measuring import execute

pytestmark = pytest.mark.engine


def test_every_command_is_timed_and_the_laws_hold(engine_connection: Connection) -> None:
    engine = DockerEngine(engine_connection)
    found = execute(engine, "lifecycle", Options(values="free,cpus=0.05,busy", repeats=1))
    assert {record.outcome for record in found.records} == {Outcome.COMPLETED}
    for record in found.records:
        timed = dict(record.containers[0].metrics)
        refused = " ".join(note.text for note in record.warnings if note.code == "refused")
        for name in COMMANDS:
            # Under a quota that it has already, a container shows no moment of being throttled;
            # runc 1.1 gives up freezing one that hardly ever runs.
            may_lack = (name == "update_acts" and "cpus=0.05" in record.point_id) or (
                name in ("pause", "unpause") and "freeze" in refused
            )
            assert may_lack or timed[f"{name}_s"] > 0, name
        assert timed.get("paused_cpus", 0.0) == 0.0
        assert timed["stop_s"] >= Lifecycle.GRACE_S > timed["stop_heeded_s"]
        # Its law is narrower, and judged over several trials; beside others it is a ceiling.
        assert timed["updated_cpus"] <= 1.1 * Lifecycle.UPDATED_CPUS
        if record.point_id != "lifecycle=busy":
            assert timed["updated_cpus"] >= 0.8 * Lifecycle.UPDATED_CPUS
    api = engine_connection.api
    assert api.containers(all=True, filters={"label": "org.limitbench.run=test"}) == []
    assert api.images(filters={"reference": f"{REPOSITORY}:test-*"}) == []
