"""Podman's answers, as a real service gave them (tests/data/podman), and what we make of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import docker
import docker.errors
import pytest
import requests

from harness import limits
from harness.engine.connect import Connection
from harness.engine.container import DockerContainer
from harness.engine.docker_engine import DockerEngine
from harness.engine.facts import facts_from
from harness.engine.stats import cpu_percent, memory_bytes, usable_frames
from harness.errors import EngineRefusedError, NotSupportedError
from harness.judge import laws, readbacks, validity
from harness.limits import from_engine
from harness.model import (
    UNLIMITED,
    ContainerRecord,
    ContainerSpec,
    EngineFacts,
    Growth,
    KernelLimits,
    Limits,
    MemoryReport,
    Outcome,
    Plan,
    Point,
    TrialRecord,
)
from tests.fakes import ENGINE_FACTS, HOST_FACTS

DATA = Path(__file__).parents[1] / "data" / "podman"
MIB = 1 << 20


def recorded(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


class Api:
    """The SDK's client as far as it is used here, with recorded answers."""

    base_url, api_version, timeout = "http+docker://localhost", "1.41", 60

    def __init__(self, inspects: list[Any] | None = None) -> None:
        self._inspects = inspects or [recorded("inspect-oom-killed")]

    def version(self) -> Any:
        return recorded("version")

    def info(self) -> Any:
        return recorded("info")

    def inspect_container(self, _id: str) -> Any:
        found = self._inspects.pop(0) if len(self._inspects) > 1 else self._inspects[0]
        if isinstance(found, Exception):
            raise found
        return found


def connected(api: Api) -> Connection:
    return Connection("unix:///run/podman.sock", cast(docker.APIClient, api), private=False)


def podman() -> EngineFacts:
    return facts_from(recorded("info"), recorded("version"), connected(Api()))


def test_its_facts() -> None:
    facts = podman()
    assert (facts.name, facts.version) == ("Podman", "4.3.1")
    assert (facts.runtime, facts.runtime_version) == ("runc", "1.1.5+ds1")
    assert (facts.cgroup_version, facts.cgroup_driver) == (1, "cgroupfs")
    assert facts.warnings == ()
    assert not facts.rootless


def test_limits_that_it_lacks_are_told_in_dockers_words() -> None:
    # Podman gives no warnings at all: it says so in flags.
    info = {**recorded("info"), "SwapLimit": False, "CPUSet": False, "Rootless": True}
    facts = facts_from(info, recorded("version"), connected(Api()))
    assert facts.warnings == ("No swap limit support", "No cpuset support")
    assert facts.rootless
    options = ["name=seccomp,profile=default", "name=rootless"]
    docker_info = {"Warnings": ["WARNING: No swap limit support"], "SwapLimit": False,
                   "SecurityOptions": options}  # fmt: skip
    facts = facts_from(docker_info, {"Version": "20.10.24"}, connected(Api()))
    assert facts.warnings == ("No swap limit support",)
    assert facts.rootless


def test_a_quota_beside_cpus_is_its_own_and_minus_one_is_not_set() -> None:
    told = recorded("inspect")["HostConfig"]
    assert (told["NanoCpus"], told["CpuQuota"], told["CpuPeriod"]) == (2 * 10**8, 20_000, 100_000)
    assert from_engine(told) == Limits(
        cpus=0.2,
        memory_bytes=64 * MIB,
        memory_swap_bytes=128 * MIB,
        pids_limit=1100,
        shm_size_bytes=65_536_000,
        ulimit_nofile="1024",
        ulimit_nproc="4096",
    )


def test_cpu_is_taken_against_time_since_its_system_counter_is_use() -> None:
    first, *rest = (one["frame"] for one in recorded("stats"))
    for frame in rest:
        assert cpu_percent(frame) == pytest.approx(20, abs=1)  # --cpus 0.2, under full load
        # What the docker CLI shows for it: a share of the CPU time that was used on the host.
        as_docker = json.loads(json.dumps(frame))
        del as_docker["cpu_stats"]["cpu"]
        said = cpu_percent(as_docker)
        assert said is None or abs(said - 20) > 1
        assert memory_bytes(frame) == frame["memory_stats"]["usage"]  # no detail to subtract
    assert first["preread"][:22] == first["read"][:22]  # milliseconds, which say nothing


def test_of_its_frames_each_5_s_only_whole_ones_in_the_window_count() -> None:
    lines = [(round(one["after_s"] * 1e9), json.dumps(one["frame"]).encode())
             for one in recorded("stats")]  # fmt: skip
    assert len(usable_frames(lines, -1, 6 * 10**9)) == 1
    assert len(usable_frames(lines, -1, 11 * 10**9)) == 2
    assert usable_frames(lines, 10**9, 4 * 10**9) == ()  # a window of 3 s holds none
    # A container that has ended: an empty answer.
    ended = recorded("refused")["stats of one that has ended"]
    assert (ended["status"], ended["body"]) == (200, "")


def test_its_oomkilled_is_false_after_a_kill_so_it_is_not_known() -> None:
    state = recorded("inspect-oom-killed")["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, False)
    ended = DockerEngine(connected(Api())).how_it_ended("some")
    assert ended is not None
    assert (ended.exit_code, ended.oom_killed) == (137, None)


def refused(status: int) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("refused", response=response, explanation="no such process")


def test_a_container_that_ends_while_it_is_described_is_asked_for_again() -> None:
    def waiting(status: int) -> DockerContainer:
        api = Api([refused(status), recorded("inspect-oom-killed")])
        return DockerContainer(cast(docker.APIClient, api), "some", object(), tells_oom_kills=False)

    assert waiting(500).wait(1).exit_code == 137
    with pytest.raises(EngineRefusedError):
        waiting(404).wait(1)
    always = DockerContainer(
        cast(docker.APIClient, Api([refused(500)])), "some", object(), tells_oom_kills=False
    )
    with pytest.raises(EngineRefusedError, match="no such process"):
        always.wait(0.05)


def test_a_container_that_ends_while_it_is_removed_is_removed_all_the_same() -> None:
    class Removing(Api):
        asked = 0
        answers: tuple[int, ...] = ()

        def remove_container(self, _id: str, **_options: bool) -> None:
            self.asked += 1
            if self.asked <= len(self.answers):
                raise refused(self.answers[self.asked - 1])

    class Stream:
        def close(self) -> None:
            pass

    def removing(*answers: int) -> Removing:
        api = Removing()
        api.answers = answers
        DockerContainer(
            cast(docker.APIClient, api), "some", Stream(), tells_oom_kills=False
        ).remove()
        return api

    assert removing(500, 500).asked == 3
    with pytest.raises(EngineRefusedError):
        removing(409)


def test_a_runtime_that_it_would_ignore_is_refused() -> None:
    engine = DockerEngine(connected(Api()))
    engine.refuse_runtime(None)
    engine.refuse_runtime("runc")
    with pytest.raises(NotSupportedError, match="ignores --runtime crun") as error:
        engine.refuse_runtime("crun")
    assert "--engine-host" in error.value.remedy


# --- swap without a limit ----------------------------------------------------------------------

UNLIMITED_SWAP = Limits(memory_bytes=64 * MIB, memory_swap_bytes=UNLIMITED)
POINT = Point(
    id="memory-swap=-1", axis="swap", value="-1",
    containers=(ContainerSpec(limits=UNLIMITED_SWAP,
                              workload=Growth(target_bytes=256 * MIB)),),
)  # fmt: skip
HELD = ContainerRecord(
    requested=UNLIMITED_SWAP,
    engine=Limits(memory_bytes=64 * MIB, memory_swap_bytes=128 * MIB),
    kernel=KernelLimits(memory_bytes=64 * MIB, memory_swap_bytes=128 * MIB),
    memory=MemoryReport(
        kind="anon", t_start_ns=0, t_end_ns=1, target_bytes=256 * MIB, step_bytes=MIB,
        touched_bytes=127 * MIB, killed=True, errno=0, step_ns=(), churn_pages=0, churn_ns=0,
        churn_max_ns=0,
    ),
)  # fmt: skip


def test_unlimited_swap_is_no_deviation_but_not_supported() -> None:
    host = dataclasses.replace(HOST_FACTS, swap_bytes=4 << 30)
    for engine, exercisable in ((ENGINE_FACTS, True), (podman(), False)):
        found = laws.expectations(POINT, laws.Circumstances(engine=engine, host=host))
        assert {law.not_exercisable == "" for law in found} == {exercisable}
        (swap,) = (r for r in readbacks.readbacks(HELD, engine) if r.option == "--memory-swap")
        assert swap.agrees is (False if exercisable else None)  # on Docker it is a mismatch
    assert "not supported by this engine" in limits.not_supported(UNLIMITED_SWAP, podman())
    assert not limits.not_supported(Limits(memory_bytes=64 * MIB), podman())


def test_each_record_of_it_bears_the_reason() -> None:
    plan = Plan(sweep="swap", points=(POINT,), trials=(), repeats=1, seed=1, cadence_hz=50)
    trial = TrialRecord(
        index=0, block=0, point_id=POINT.id, outcome=Outcome.OOM_KILLED, started_at="",
        containers=(HELD,),
    )  # fmt: skip
    own = {"not-supported", "readback"}  # beside that nothing was read from outside
    _, notes = validity.examine(trial, plan, podman(), HOST_FACTS)
    assert own & {note.code for note in notes} == {"not-supported"}
    _, notes = validity.examine(trial, plan, ENGINE_FACTS, HOST_FACTS)
    assert own & {note.code for note in notes} == {"readback"}
