"""`bench fleet` where nobody answers, and what is refused before anybody is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import fleet_ending
from harness.cli.fleet_asked import text_for
from harness.cli.fleet_measure import refuse_strange
from harness.comparison.digest import digest
from harness.errors import BenchError, PlanError
from harness.measure import runner
from harness.model import (
    Batch,
    Fleet,
    FleetHost,
    ForCheck,
    HostStatus,
    Order,
    Plan,
    Program,
    Server,
)
from harness.plan import build as planning
from harness.plan import programs
from harness.plan.axes import Options
from harness.store import baselines as store_baselines
from harness.store import fleets, runs
from tests.command import bench, one_line
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World
from tests.runs import stored

ROOT = Path(__file__).parents[2]
NOBODY = ("--scheduler", "127.0.0.1:1", "--wait", "1")
SHORT = Options(values="0.5", repeats=5, duration_s=0.5, cadence_hz=4.0)
PLAN = planning.build("cpu", SHORT, cpus=CPUS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("sweep", "cpus"), ("unknown axis 'cpus'", "Did you mean 'cpu'?")),
        (("sweep", "cpu", "--hosts", "a,../b"), ("'../b' cannot be the name of a host",)),
        (("sweep", "cpu", "--hosts", ","), ("--hosts names none",)),
        (("sweep", "cpu", "--scheduler", "nowhere:x"), ("no address of a scheduler",)),
        (("sweep", "cpu", "--scheduler", "tls://a:1"), ("speaks TLS", "--tls-ca")),
        (("sweep", "cpu", "--tls-ca", "nothing.pem"), ("--tls-cert and --tls-key",)),
        (("check", "--values", "1"), ("--values needs --sweep",)),
        (("claims", "nonsense"), ("nonsense",)),
        (("worker", "--name", "a b"), ("cannot be the name of a host",)),
        (("worker", "--scheduler", "10.0.0.1"), ("could run what they like", "--insecure")),
        (("up", "--listen", "0.0.0.0:8786"), ("could run what they like", "--insecure")),
        (("check", "--found", "x"), ("No such option", "--found")),
        (("resume",), ("no fleet in", "unfinished")),
        (("resume", "20261125-101500-cpu"), ("no fleet '20261125-101500-cpu'",)),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    tmp_path: Path, args: tuple[str, ...], words: tuple[str, ...]
) -> None:
    one_line(bench("fleet", *args, cwd=tmp_path), 2, *words)
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_scheduler_that_is_not_there(tmp_path: Path) -> None:
    asked = (("sweep", "cpu"), ("sweep", "cpu", "--dry-run"), ("check",), ("claims",))
    for args in asked:
        one_line(bench("fleet", *args, *NOBODY, cwd=tmp_path), 4, "no scheduler answers",
                 "tcp://127.0.0.1:1", "bench fleet up")  # fmt: skip
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_without_dask_there_is_help_and_a_line_that_says_how_to_have_it() -> None:
    code = (
        "import sys; sys.modules['distributed'] = sys.modules['dask'] = None\n"
        "sys.argv = ['bench', *sys.argv[1:]]\n"
        "from harness.cli import main; main()"
    )

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, "fleet", *args], cwd=ROOT, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    assert run("sweep", "--help").returncode == 0
    for args in (("sweep", "cpu"), ("worker",), ("up",)):
        one_line(run(*args), 2, "Dask", "pip install 'limitbench[fleet]'")


def strange(plan: Plan, **spec: object) -> Plan:
    point = plan.points[0]
    containers = tuple(replace(one, **spec) for one in point.containers)  # type: ignore[arg-type]
    return replace(plan, points=(replace(point, containers=containers), *plan.points[1:]))


def test_a_plan_from_elsewhere_that_could_have_been_made_here_is_taken() -> None:
    refuse_strange(PLAN, CPUS)
    own = programs.find("stress-ng", ROOT / "workloads")
    refuse_strange(strange(PLAN, workload=own), CPUS)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (planning.build("cpu", replace(SHORT, values="2"), cpus=CPUS), ""),
        (strange(PLAN, limits=replace(PLAN.points[0].containers[0].limits, cpus=64.0)), "64"),
        (strange(PLAN, cgroup_parent="/system.slice"), "names a cgroup"),
        (replace(PLAN, points=(replace(PLAN.points[0], duration_s=1e6),)), "an hour"),
        (replace(PLAN, trials=PLAN.trials * 50_000), "trials"),
    ],
)
def test_a_plan_from_elsewhere_is_held_to_this_hosts_engine(plan: Plan, words: str) -> None:
    if not words:
        refuse_strange(plan, CPUS)
        return
    with pytest.raises(BenchError, match=words):
        refuse_strange(plan, CPUS)


@pytest.mark.parametrize("name", ["stress-ng", "mine", "../mine", "mine.toml"])
def test_a_program_that_came_with_a_plan_is_not_run(name: str) -> None:
    own = programs.find("stress-ng", ROOT / "workloads").description
    came = Program(name=name, description=replace(own, command=("sh", "-c", "id")))
    with pytest.raises(PlanError, match="not one of this host's own"):
        refuse_strange(strange(PLAN, workload=came), CPUS)


def test_no_part_of_a_program_may_come_with_a_plan() -> None:
    server = programs.find("postgres", ROOT / "workloads")
    assert isinstance(server, Server)
    assert server.serving.asker is not None
    asker, batch = server.serving.asker, programs.find("xz", ROOT / "workloads")
    assert isinstance(batch, Batch)
    for own in (server, batch):
        refuse_strange(strange(PLAN, workload=replace(own, threads=7)), CPUS)
    load = replace(asker, description=replace(asker.description, command=("sh", "-c", "id")))
    for came in (
        replace(server, serving=replace(server.serving, asker=load)),
        replace(server, serving=replace(server.serving, port=22)),
        replace(batch, timeout_s=1e9),
        Program(name="postgres", description=server.description),
    ):
        with pytest.raises(PlanError, match="not one of this host's own"):
            refuse_strange(strange(PLAN, workload=came), CPUS)


# --- the end -----------------------------------------------------------------------------------


def ended(*hosts: FleetHost) -> Fleet:
    return Fleet(
        schema=1, id="20261125-101500-cpu", kind="sweep", command="", started="",
        plan_digest=fleets.digest(Order(plan=PLAN)), scheduler="", order=Order(plan=PLAN),
        hosts=hosts,
    )  # fmt: skip


def finished(root: Path, name: str, world: World | None = None) -> FleetHost:
    run = stored(root, options=SHORT, world=world).rename(root / f"run-{name}")
    return FleetHost(name=name, status=HostStatus.FINISHED, run=run.name, attempts=1)


AWAY = FleetHost(name="away", status=HostStatus.UNREACHABLE, reason="no worker for 60 s")


@pytest.mark.slow
def test_the_table_has_who_differs_first_and_the_code_that_tells_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = finished(tmp_path, "good")
    bad = finished(tmp_path, "bad", World(quota_factor=1.2))

    def told(*hosts: FleetHost, strict: bool = True) -> tuple[int, list[dict[str, str]]]:
        code = fleet_ending.conclude(ended(*hosts), tmp_path, as_json=True, strict=strict)
        return code, json.loads(capsys.readouterr().out)["hosts"]

    assert told(good) == (0, [{
        "host": "good", "status": "finished", "verdict": "conforms", "run": "run-good",
        "attempts": 1, "reason": "",
    }])  # fmt: skip
    code, hosts = told(good, AWAY, bad)
    assert (code, [one["verdict"] for one in hosts]) == (1, ["conforms", "unreachable", "deviates"])
    assert told(good, bad, strict=False)[0] == 0
    assert told(good, AWAY, strict=False)[0] == 4
    fleet_ending.conclude(ended(good, AWAY, bad), tmp_path, as_json=False, strict=True)
    said = capsys.readouterr()
    rows = [line.split()[0] for line in said.out.splitlines() if line and line[0].isalpha()]
    assert rows == ["host", "bad", "away", "good"]
    assert "3 hosts: " in said.out
    assert "bench fleet resume 20261125-101500-cpu" in said.err


def checked(root: Path, name: str, against: str | None, world: World | None = None) -> FleetHost:
    run = runs.create(
        root, PLAN, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS,
        purpose=ForCheck(against=against),
    )  # fmt: skip
    where = (world or World()).surroundings()
    runner.run_plan(PLAN, run.info.name, where, run.keep, runner.Listener())
    run.finish("finished")
    path = run.path.rename(root / f"run-{name}")
    return FleetHost(name=name, status=HostStatus.FINISHED, run=path.name, attempts=1)


@pytest.mark.slow
def test_each_host_is_compared_with_the_baseline_that_its_run_was_begun_against(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines, slow = tmp_path / "baselines", World(quota_factor=0.8)
    for name, world in (("web-one", None), ("web-two", slow)):
        run = stored(tmp_path / name, options=SHORT, world=world)
        found = runs.load(run)
        store_baselines.save(baselines, name, digest(found.info, found.trials))
    hosts = (
        checked(tmp_path, "one", "web-one"),
        checked(tmp_path, "two", "web-two"),
        checked(tmp_path, "both", "web-two", World(quota_factor=0.8)),
    )
    order = Order(plan=PLAN, purpose=ForCheck(against="web-{host}"))
    fleet = replace(ended(*hosts), order=order, kind="check", baselines=str(baselines))
    code = fleet_ending.conclude(fleet, tmp_path, as_json=True, strict=True)
    told = {one["host"]: one["verdict"] for one in json.loads(capsys.readouterr().out)["hosts"]}
    assert told["one"] == "same"
    assert told["two"] != "same"  # its baseline had a fifth less
    assert told["both"] == "deviates"  # as before, which the law forbids all the same
    assert code == 1


@pytest.mark.slow
def test_a_task_of_a_check_bears_the_baseline_of_its_host(tmp_path: Path) -> None:
    found = runs.load(stored(tmp_path / "before", options=SHORT))
    before = digest(found.info, found.trials)
    store_baselines.save(tmp_path, "web-one", before)
    order = Order(plan=PLAN, purpose=ForCheck(against="web-{host}"))
    text = text_for(replace(ended(), order=order, baselines=str(tmp_path)))
    task = fleets.read_task(text("one"))
    assert task.baseline == before
    assert task.order.purpose == ForCheck(against="web-one")
    with pytest.raises(BenchError, match="no baseline 'web-two'"):
        text("two")
