"""What loads servers: around the trial in a fake world, and what a program printed, by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge import points, serving, surroundings
from harness.judge.metrics import METRICS
from harness.measure import asking, patience, runner
from harness.measure.conversation import TrialEndedError
from harness.model import (
    Ask,
    Asker,
    ContainerSpec,
    HostSample,
    LatencyLog,
    Limits,
    LoadProgram,
    Outcome,
    Point,
    ProgramDescription,
    ProgramImage,
    Requests,
    Server,
    Serving,
    Spin,
    TrialRecord,
)
from harness.plan import build as planning
from harness.plan.axes import Options
from tests.fakes import CPUS, World

DESCRIBED = ProgramDescription(image=ProgramImage(reference="web"), command=("web",))
SERVER = Server(
    name="web",
    description=DESCRIBED,
    serving=Serving(port=8080, ready="/up", requests=Requests(rate_hz=100, path="/x")),
)
ASKER = Asker(
    description=ProgramDescription(
        image=ProgramImage(pack="asker"),
        command=("asker", "{port}", "{rate}", "{connections}", "{seconds}"),
    ),
    latencies=LatencyLog(pattern=r"^took (?P<latency>\S+) at (?P<end_s>\d+)\.(?P<end_us>\d{6})$"),
    rate_hz=10,
)
DATABASE = replace(SERVER, serving=Serving(port=5432, ready="tcp", asker=ASKER))


def executed(world: World, values: str = "0.5", **options: object) -> list[TrialRecord]:
    asked = Options(values=values, repeats=1, workload=SERVER, **options)  # type: ignore[arg-type]
    plan = planning.build("cpu", asked, cpus=CPUS)
    kept: list[TrialRecord] = []
    runner.run_plan(plan, "run", world.surroundings(), lambda one, _: kept.append(one),
                    runner.Listener())  # fmt: skip
    return kept


# --- a trial -----------------------------------------------------------------------------------


def test_a_server_is_measured_by_what_its_load_saw() -> None:
    world = World()
    (record,) = executed(world)
    assert (record.outcome, record.invalid) == (Outcome.COMPLETED, None)
    (container,) = record.containers
    found = {name: METRICS[name].of(record, 0) for name in METRICS if name.startswith("request_")}
    assert found == {
        "request_p50_s": 0.002, "request_p90_s": 0.002, "request_p99_s": 0.002,
        "request_p999_s": 0.002, "request_max_s": 0.002, "request_rate": 100.0,
        "request_errors": 1.0,
    }  # fmt: skip
    assert container.load is not None
    assert serving.load_cpus(container) == pytest.approx(0.01)
    assert points.counts(record)
    # Both are gone, the load first: it lives in the other's network.
    assert [name.rpartition("-")[2] for name in world.removed] == ["0", "0"]
    assert world.removed[0].endswith("-load-0")


def test_what_a_load_costs_is_neither_the_servers_nor_foreign() -> None:
    (record,) = executed(World(load_cpus=0.8, foreign_cpus=0.05))
    assert surroundings.foreign_cpus(record) == pytest.approx(0.05, abs=0.01)
    (wrong,) = (replace(record, containers=(replace(record.containers[0], load=None),)),)
    assert (surroundings.foreign_cpus(wrong) or 0) > 0.8  # as it would be without it


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (World(load_late_ns=1_500_000), "the load did not keep its rate: it was 1.5 ms late"),
        (World(load_cpus=0.95), "the load could not do more: it used 0.95 CPUs"),
    ],
)
def test_a_trial_whose_load_did_not_keep_its_rate_does_not_count(world: World, said: str) -> None:
    record = executed(world)[0]
    assert said in (record.invalid or "")
    assert not points.counts(record)


def test_a_load_may_be_late_by_what_a_host_always_is() -> None:
    (record,) = executed(World(load_late_ns=900_000))
    assert record.invalid is None


def test_a_server_that_never_gets_ready_is_told_with_why() -> None:
    world = World(never_ready="port 8080 gave no answer within 20 s: Connection refused")
    (record,) = executed(world)
    assert record.outcome is Outcome.TIMED_OUT
    assert record.failure == (
        "the server never got ready: port 8080 gave no answer within 20 s: Connection refused; "
        'its last output: {"probe": "ready"}'
    )
    assert len(world.removed) == 2


def test_a_window_counts_only_what_is_due_in_it() -> None:
    world = World()
    executed(world)
    load = world.containers[-1]
    assert load._go is not None
    assert load._go[1:] == (500_000_000, 3_000_000_000)


# --- its container -----------------------------------------------------------------------------


def point_of(*limits: Limits) -> Point:
    specs = tuple(ContainerSpec(limits=one, workload=SERVER) for one in limits)
    return Point(id="p", axis="cpu", value="p", containers=specs)


@pytest.mark.parametrize(
    ("limits", "cpus"),
    [
        ((Limits(cpuset_cpus="0"),), "1"),
        ((Limits(cpuset_cpus="0"), Limits(cpuset_cpus="1")), None),  # they leave none
        ((Limits(cpuset_cpus="0"), Limits()), None),
        ((Limits(cpus=0.5),), None),
    ],
)
def test_a_load_keeps_to_the_cpus_that_servers_leave(
    limits: tuple[Limits, ...], cpus: str | None
) -> None:
    spec = asking.spec_of(SERVER.load, point_of(*limits), 0, CPUS)
    assert spec.limits == Limits(memory_bytes=asking.LOAD_MEMORY_BYTES, cpuset_cpus=cpus)


def test_a_load_gives_a_server_more_time_under_a_small_quota() -> None:
    slow = replace(SERVER, serving=replace(SERVER.serving, start_cpu_s=2.0))
    small, none = Limits(cpus=0.1), Limits()
    assert patience.start_timeout_s(ContainerSpec(limits=none, workload=slow)) == 22
    assert patience.start_timeout_s(ContainerSpec(limits=small, workload=slow)) == 40
    point = replace(point_of(small), containers=(ContainerSpec(limits=small, workload=slow),))
    workload = asking.spec_of(slow.load, point, 0, CPUS).workload
    assert isinstance(workload, Ask)
    words = workload.command_line(60)
    assert words[words.index("--ready-s") + 1] == "40"
    assert words[words.index("--ready-path") + 1] == "/up"
    assert words[words.index("--rate") + 1] == "100"


def test_a_program_that_loads_is_told_for_how_long() -> None:
    spec = ContainerSpec(limits=Limits(), workload=DATABASE)
    point = Point(id="p", axis="cpu", value="p", containers=(spec,), warmup_s=0.5, duration_s=3.0)
    workload = asking.spec_of(DATABASE.load, point, 0, CPUS).workload
    assert isinstance(workload, LoadProgram)
    assert workload.command_line(60) == ["asker", "5432", "10", "8", "6"]


def test_what_has_no_server_has_no_load() -> None:
    assert Spin().load is None
    assert asking.Loads(World().surroundings().engine, "run").watched == []


# --- what a program printed --------------------------------------------------------------------


def window(seconds: float) -> tuple[HostSample, HostSample]:
    start = 1_000 * 10**9
    return (
        HostSample(t_mono_ns=0, t_real_ns=start),
        HostSample(t_mono_ns=round(seconds * 1e9), t_real_ns=start + round(seconds * 1e9)),
    )


def lines(*answers: tuple[float, float]) -> str:
    """(due, took) in seconds after the window's begin → what the program prints."""
    return "\n".join(f"took {took * 1e6:.0f} at {1000 + due + took:.6f}" for due, took in answers)


def test_requests_count_by_the_moment_at_which_they_were_due() -> None:
    said = lines((-0.2, 0.1), (-0.1, 0.3), *((i / 10, 0.004) for i in range(9)), (0.95, 0.2))
    found = asking.of_program(ASKER, f"starting\n{said}\ntps = 10\n", window(1.0))
    assert (found.offered, found.completed, found.unfinished) == (10, 10, 0)
    assert found.latency_p50_ns == pytest.approx(4e6, rel=1e-3)
    assert found.latency_max_ns == pytest.approx(200e6, rel=1e-3)
    assert found.done == 10  # one that was due before, and not the one that ended after


def test_what_was_never_asked_counts_as_waiting() -> None:
    said = lines(*((i / 10, 0.5) for i in range(100)))
    asked = replace(ASKER, rate_hz=100)
    found = asking.of_program(asked, said, window(10.0))
    assert found.completed == 100
    assert found.unfinished == 1000 - 95 - 100  # 3 sigma of a thousand arrivals
    assert found.latency_p50_ns == found.latency_max_ns == pytest.approx(500e6)


@pytest.mark.parametrize(
    ("said", "at", "why"),
    [
        ("pgbench: error: no such table", window(1.0), "no line .* no such table"),
        (lines((0.1, 0.1)), (HostSample(t_mono_ns=0), HostSample(t_mono_ns=1)), "clock"),
    ],
)
def test_output_that_says_nothing_fails_the_trial(
    said: str, at: tuple[HostSample, HostSample], why: str
) -> None:
    with pytest.raises(TrialEndedError, match=why):
        asking.of_program(ASKER, said, at)
