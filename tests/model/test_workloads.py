"""Each workload is a type: what a name becomes, what is stored, and what others ask of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.ab import _plan as ab_plan
from harness.cli.ab import _understood as side
from harness.comparison.digest import digest, fingerprint
from harness.engine.storage import mounts
from harness.errors import PlanError, ResultsError
from harness.judge import laws, validity
from harness.measure import protocol, runner
from harness.model import (
    Asker,
    Batch,
    Burst,
    ContainerSpec,
    Growth,
    Io,
    LatencyLog,
    Lifecycle,
    Limits,
    Point,
    Program,
    ProgramDescription,
    ProgramImage,
    ProgramMetric,
    Requests,
    Server,
    Serving,
    Spin,
    Take,
    Workload,
)
from harness.plan import build as planning
from harness.plan import workloads
from harness.plan.axes import Options
from harness.store import baselines, runs
from harness.store.runs import Run
from tests.command import bench
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World

OWN = """
command = ["hog", "--for", "{seconds}", "--threads={threads}"]
[image]
reference = "hog"
"""
DESCRIBED = ProgramDescription(
    image=ProgramImage(reference="hog"),
    command=("hog", "--for", "{seconds}", "--threads={threads}"),
)
NAMES = pytest.mark.parametrize("name", ["spin", "burst", "memory", "io"])
GIVEN = laws.Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS)


def own(folder: Path, name: str) -> str:
    (folder / f"{name}.toml").write_text(OWN)
    return f"{folder / name}.toml"


# --- names -------------------------------------------------------------------------------------


@NAMES
def test_a_file_is_a_program_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    found = workloads.find(own(tmp_path, name), tmp_path)
    assert found == Program(name=name, description=DESCRIBED)


def test_a_name_is_the_probes_or_a_programs(tmp_path: Path) -> None:
    assert workloads.find(None, tmp_path) == workloads.find("spin", tmp_path) == Spin()
    assert workloads.find("burst", tmp_path) == Burst(cost_us=20_000, rate_hz=10)
    assert workloads.find("memory", tmp_path) == Growth()
    (tmp_path / "hog").mkdir()
    (tmp_path / "hog" / "workload.toml").write_text(OWN)
    assert workloads.find("hog", tmp_path) == Program(name="hog", description=DESCRIBED)
    with pytest.raises(PlanError, match="Known: spin, burst, memory, io, take, hog, or a file"):
        workloads.find("hogs", tmp_path)


@pytest.mark.slow
@NAMES
def test_a_dry_run_shows_the_program(tmp_path: Path, name: str) -> None:
    done = bench("sweep", "cpu", "--values", "0.5", "--workload", own(tmp_path, name), "--dry-run",
                 cwd=tmp_path, BENCH_ENGINE_DIR=str(tmp_path / "engine"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"0.5 s + 3 s   {name}, 1 thread: nano_cpus=500000000" in done.stdout


def test_the_growing_workload_is_no_load_of_a_cpu_sweep(tmp_path: Path) -> None:
    options = Options(workload=workloads.find("memory", tmp_path))
    with pytest.raises(PlanError, match=r"'memory' is no load of the CPU.*bench sweep memory"):
        planning.build("cpu", options, cpus=CPUS)


@NAMES
def test_a_side_keeps_its_program(tmp_path: Path, name: str) -> None:
    sides = [side("a", f"--cpus 0.5 --workload {own(tmp_path, name)}"), side("b", "--cpus 0.5")]
    for sweep in (None, "cpu"):
        plan = ab_plan(sweep, [replace(one, limits=Limits()) for one in sides], Options(), CPUS)
        for point in plan.points:
            (spec,) = point.containers
            assert isinstance(spec.workload, Program if point.side == "a" else Spin)
            assert (spec.workload.name, point.warmup_s) == (
                name if point.side == "a" else "spin", 0.5,
            )  # fmt: skip


# --- stored ------------------------------------------------------------------------------------

EACH: dict[str, Workload] = {
    "spin": Spin(threads=3),
    "burst": Burst(threads=2, cost_us=5_000, rate_hz=20),
    "memory": Growth(target_bytes=96 << 20, kind="tmpfs", victim="self"),
    "io": Io(order="random", way="fsync", file_bytes=1 << 20, depth=2, place="tmpfs"),
    "take": Take(kind="file", most=96 << 20, path="/dev/shm"),
    "lifecycle": Lifecycle(),
    "program": Program(
        name="burst",
        threads=2,
        description=replace(DESCRIBED, metrics=(ProgramMetric(name="rate", key="rate"),)),
    ),
}
SERVING = Serving(port=8080, requests=Requests(path="/x", rate_hz=100, arrivals="fixed"))
ASKER = Asker(
    description=ProgramDescription(image=ProgramImage(pack="asker"), command=("asker", "{rate}")),
    latencies=LatencyLog(pattern="(?P<latency>.) (?P<end_s>.)"),
    rate_hz=10,
)
LATER: dict[str, Workload] = {
    "batch": Batch(name="once", description=DESCRIBED, timeout_s=5.0),
    "server": Server(name="web", threads=2, description=DESCRIBED, serving=SERVING),
    "asked by a program": Server(
        name="db", description=DESCRIBED, serving=Serving(port=5432, ready="tcp", asker=ASKER)
    ),
    "on a device": Program(name="db", description=DESCRIBED, place="device"),
}
NOTHING = {"target_bytes": None, "kind": "anon", "victim": "child", "cost_us": None,
           "after_s": 0.0, "may_stand": False, "rate_hz": None, "operation": None, "way": None,
           "order": None, "block_bytes": None,
           "file_bytes": None, "depth": None, "place": None, "room_bytes": None,
           "most": None, "path": None, "program": None, "serving": None,
           "timeout_s": None}  # fmt: skip
STORED = {
    "spin": {"name": "spin", "threads": 3, **NOTHING},
    "burst": {"name": "burst", "threads": 2, **NOTHING, "cost_us": 5_000, "rate_hz": 20},
    "memory": {
        "name": "memory", "threads": 1, **NOTHING, "target_bytes": 96 << 20, "kind": "tmpfs",
        "victim": "self",
    },
    "io": {
        "name": "io", "threads": 1, **NOTHING, "operation": "write", "way": "fsync",
        "order": "random", "block_bytes": 4096, "file_bytes": 1 << 20, "depth": 2, "place": "tmpfs",
    },
    "take": {
        "name": "take", "threads": 1, **NOTHING, "kind": "file", "most": 96 << 20,
        "path": "/dev/shm",
    },
    "lifecycle": {"name": "lifecycle", "threads": 1, **NOTHING},
    "program": {
        "name": "burst", "threads": 2, **NOTHING,
        "program": {
            "image": {"pack": None, "package": "", "also": [], "files": [], "reference": "hog",
                      "archive": None, "volume": None},
            "command": ["hog", "--for", "{seconds}", "--threads={threads}"],
            "ready": None, "stop_signal": "SIGTERM",
            "metrics": [{"name": "rate", "unit": "1", "pattern": None, "key": "rate"}],
        },
    },
}  # fmt: skip
"""As versions before the types wrote it, with what came since."""


def kept(root: Path, workload: Workload) -> Run:
    """A run of one point with that workload, without a trial."""
    spec = ContainerSpec(limits=Limits(cpus=0.5), workload=workload)
    point = Point(id="p", axis="cpu", value="v", containers=(spec,))
    plan = planning.build("mine", Options(), cpus=CPUS, points_of=lambda _o, _c: [point])
    return runs.load(
        runs.create(root, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS).path
    )


def of(run: Run) -> Workload:
    return run.info.plan.points[0].containers[0].workload


def document(run: Run) -> dict[str, object]:
    return json.loads((run.path / "run.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("which", list(EACH))
def test_a_workload_is_stored_in_the_form_that_it_always_had(tmp_path: Path, which: str) -> None:
    run = kept(tmp_path, EACH[which])
    (spec,) = document(run)["plan"]["points"][0]["containers"]  # type: ignore[index]
    assert spec["workload"] == STORED[which]
    assert of(run) == EACH[which]


@pytest.mark.parametrize("which", list(LATER))
def test_what_came_later_is_kept_whole(tmp_path: Path, which: str) -> None:
    assert of(kept(tmp_path, LATER[which])) == LATER[which]
    made = digest(kept(tmp_path / "other", LATER[which]).info, ())
    baselines.save(tmp_path, "default", made)
    assert baselines.load(tmp_path, "default").digest == made


@pytest.mark.parametrize("which", list(EACH))
def test_a_baseline_holds_a_workload(tmp_path: Path, which: str) -> None:
    made = digest(kept(tmp_path, EACH[which]).info, ())
    baselines.save(tmp_path, "default", made)
    assert baselines.load(tmp_path, "default").digest == made
    text = (tmp_path / "default.json").read_text()
    assert "null" not in text
    (spec,) = json.loads(text)["baseline"]["points"][0]["point"]["containers"]
    whole = {key: value for key, value in STORED[which].items() if value is not None}  # type: ignore[attr-defined]
    whole.pop("program", None)
    assert whole.items() <= spec["workload"].items()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "sleep"}, "workload: .*there is no workload 'sleep'"),
        ({"threads": "many"}, "containers.0.workload.threads"),
    ],
)
def test_what_is_no_workload_is_damage_and_told_where(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    run = kept(tmp_path, Spin())
    found = document(run)
    found["plan"]["points"][0]["containers"][0]["workload"] |= change  # type: ignore[index]
    (run.path / "run.json").write_text(json.dumps(found))
    with pytest.raises(ResultsError, match=said):
        runs.load(run.path)


@NAMES
def test_a_program_with_a_name_of_the_probes_is_judged_as_a_program(
    tmp_path: Path, name: str
) -> None:
    program = Program(name=name, description=DESCRIBED)
    plan = planning.build("cpu", Options(values="0.5", repeats=1, workload=program), cpus=CPUS)
    run = runs.create(tmp_path, plan, host=HOST_FACTS, engine=ENGINE_FACTS, workload=WORKLOAD_FACTS)
    where = World().surroundings()
    runner.run_plan(plan, run.info.name, where, run.keep, runner.Listener())
    read = runs.load(run.path)
    (point,), (trial,) = read.info.plan.points, read.trials
    assert point.containers[0].workload == program
    (law,) = laws.expectations(point, GIVEN)
    assert (law.metric, law.value, law.law) == ("cpus", 0.5, "cpu-bandwidth")
    assert law.low > -0.1  # no ceiling, as that of bursts is
    assert validity.examine(trial, read.info.plan, ENGINE_FACTS, HOST_FACTS)[0] is None
    (digested,) = digest(read.info, read.trials).points
    assert "cpus" in {one.metric for one in digested.series}


def test_the_image_of_a_program_is_not_the_probes_of_that_name() -> None:
    facts = replace(WORKLOAD_FACTS, programs=(("burst", "sha256:hog"),))

    def image(workload: Workload) -> str:
        spec = ContainerSpec(limits=Limits(), workload=workload)
        point = Point(id="p", axis="cpu", value="v", containers=(spec,))
        return fingerprint(HOST_FACTS, ENGINE_FACTS, facts, [point]).image

    assert image(Program(name="burst", description=DESCRIBED)) == "burst sha256:hog"
    assert image(Burst()) == WORKLOAD_FACTS.image_id


# --- what they carry ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "line", "words"),
    [
        ("spin", "spin --threads 3 --deadline 9", "3 threads at full load"),
        (
            "burst",
            "burst --threads 2 --cost-us 5000 --rate 20 --arrivals poisson --deadline 9",
            "2 threads, bursts of 5000 µs 20 times a second",
        ),
        (
            "memory",
            "memory --target 100663296 --kind tmpfs --path /scratch --victim self --deadline 9",
            "tmpfs memory up to 96m",
        ),
        (
            "io",
            (
                "io --operation write --way fsync --order random --block 4096 --file 1048576 "
                "--depth 2 --path /scratch --deadline 9"
            ),
            "fsynced random writes of 4k, 2 at once, in a file of 1m (tmpfs)",
        ),
        ("program", "hog --for 9 --threads=2", "burst, 2 threads"),
    ],
)
def test_command_lines_and_words(which: str, line: str, words: str) -> None:
    assert EACH[which].command_line(9.2) == line.split()
    assert EACH[which].words == words


def test_only_pages_of_a_file_need_scratch() -> None:
    assert [mounts(one.scratch) for one in (Spin(), Burst(), Growth(target_bytes=1))] == [[]] * 3
    (volume,) = mounts(Growth(target_bytes=1, kind="file").scratch)
    assert (volume["Type"], volume["Target"]) == ("volume", "/scratch")
    (tmpfs,) = mounts(Growth(target_bytes=1 << 20, kind="tmpfs").scratch)
    assert (tmpfs["Type"], tmpfs["Target"]) == ("tmpfs", "/scratch")
    assert tmpfs["TmpfsOptions"]["SizeBytes"] == 2 << 20


def test_the_report_of_another_mode_is_garbled() -> None:
    with pytest.raises(protocol.GarbledError, match="burst gave a report of memory"):
        protocol.report({"probe": "report", "complete": True, "mode": "memory"}, Burst())
