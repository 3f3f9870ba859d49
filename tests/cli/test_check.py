"""`bench check`, `baseline`, `compare` and `calibrate` on runs that are there: exits and words.

What they do with an engine is in tests/docker/test_check.py.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.comparison.digest import sided
from harness.limits import EngineCpus
from harness.measure import runner
from harness.model import Plan, Point, Side
from harness.plan import axes
from harness.plan import build as planning
from harness.plan.axes import Options
from harness.store import checks, runs
from tests.command import one_line
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World
from tests.runs import HOSTILE, measured

Bench = Callable[..., subprocess.CompletedProcess[str]]
VALUES = Options(values="0.25,0.5", repeats=10)


def made(root: Path, *, factor: float = 1.0, options: Options = VALUES) -> str:
    """A run in a folder of results; its limits in force are off by a factor."""
    run = measured(root / "results", options=options, world=World(quota_factor=factor))
    return run.info.name


def changed(root: Path, name: str, **facts: str) -> None:
    """Alter the engine's facts of a run."""
    path = root / "results" / name / "run.json"
    document = json.loads(path.read_text())
    text = json.dumps({**document, "engine": {**document["engine"], **facts}})
    path.write_bytes(checks.stamped(text.encode()))


@pytest.fixture
def root(tmp_path: Path, bench: Bench) -> Path:
    """A folder with a run that is the baseline 'default'."""
    name = made(tmp_path)
    done = bench("baseline", "set", name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Baseline 'default' is {name}" in done.stdout
    return tmp_path


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    ("factor", "heads"),
    [
        (1.0, ("Limits behave as they did and as they should. ", "All 2 laws conform", "same")),
        (
            1.05,
            (
                "Limits do not behave as they did: at cpus=0.25, CPUs achieved rose by 5.00%",
                "All 2 laws are violated",
                "regressed",
            ),
        ),
    ],
)
def test_the_terminal_is_wide_enough(
    bench: Bench, root: Path, factor: float, heads: tuple[str, ...], columns: int
) -> None:
    done = bench("check", made(root, factor=factor), "--all", cwd=root, COLUMNS=f"{columns}")
    assert done.returncode == (factor > 1), done.stdout + done.stderr
    headline, laws, verdict = heads
    lines = done.stdout.splitlines()
    assert " ".join(line.rstrip() for line in lines).startswith(headline)
    assert laws in " ".join(lines)
    assert max(map(len, lines)) <= columns
    row = next(line for line in lines if line.startswith("cpus=0.5 "))
    assert row.split()[-1] == verdict
    head = next(line for line in lines if line.startswith("point "))
    assert ("matters" in head) is (columns == 120)


def test_a_regression_exits_1_in_every_form(bench: Bench, root: Path) -> None:
    name = made(root, factor=1.05)
    done = bench("check", name, "--json", "--junit", "c.xml", "--markdown", "c.md", cwd=root)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["verdict"] == "regressed"
    (cpus,) = [
        one for one in told["comparisons"] if (one["point"], one["metric"]) == ("cpus=0.5", "cpus")
    ]
    assert cpus["verdict"] == "regressed"
    assert cpus["change"] == pytest.approx(0.05)
    assert cpus["trials"] == [10, 10]
    assert "the kernel holds 52500/100000 µs" in cpus["reason"]
    assert [law["after"] for law in told["violations"]] == ["deviates", "deviates"]
    assert kinds(root / "c.xml")["failure"] == len(told["violations"]) + sum(
        one["verdict"] == "regressed" for one in told["comparisons"]
    )
    suites = ElementTree.parse(root / "c.xml").getroot()
    assert [suite.get("name") for suite in suites] == ["cpus=0.25", "cpus=0.5"]
    failures = [
        case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None
    ]
    assert "CPUs achieved" in failures
    assert "law cpu-bandwidth (cpus, container 1)" in failures
    summary = (root / "c.md").read_text()
    assert summary.startswith("### ✗ Regressed: ")
    assert "**✗ regressed**" in summary
    shown = bench("check", name, cwd=root, COLUMNS="80")
    assert shown.returncode == 1
    assert "regressed" in shown.stdout


def test_too_few_trials_exit_3(bench: Bench, root: Path) -> None:
    name = made(root, options=replace(VALUES, repeats=3))
    done = bench("check", name, "--junit", "c.xml", cwd=root, COLUMNS="200")
    assert done.returncode == 3
    assert "3 of 3 trials now count: 5 are needed: measure again with --repeats 10" in done.stdout
    assert kinds(root / "c.xml")["error"] == 2


def test_without_a_baseline_the_laws_decide(bench: Bench, tmp_path: Path) -> None:
    good, bad = made(tmp_path), made(tmp_path, factor=1.05)
    done = bench("check", good, cwd=tmp_path)
    assert done.returncode == 0
    assert "Laws alone: no baseline." in done.stdout
    done = bench("check", bad, cwd=tmp_path, COLUMNS="200")
    assert done.returncode == 1
    assert "law cpu-bandwidth: deviates" in done.stdout


def test_a_baseline_that_was_named_must_be_there(bench: Bench, tmp_path: Path) -> None:
    name = made(tmp_path)
    one_line(bench("check", name, "--against", "v1", cwd=tmp_path), 3, "no baseline 'v1'")
    done = bench("check", "--against", "v1", "--engine-host", "unix:///none", cwd=tmp_path)
    one_line(done, 3, "no baseline 'v1'")  # before any engine is asked


def test_another_host_is_incomparable_unless_it_is_under_test(bench: Bench, root: Path) -> None:
    name = made(root)
    changed(root, name, kernel="6.2.0")
    done = bench("check", name, cwd=root, COLUMNS="200")
    assert done.returncode == 3
    assert "Not comparable: kernel was 6.1.0, is 6.2.0" in done.stdout
    done = bench("check", name, "--allow", "kernel", cwd=root)
    assert done.returncode == 0
    assert "under test: kernel 6.1.0 → 6.2.0" in done.stdout.splitlines()
    one_line(bench("check", name, "--allow", "kernal", cwd=root), 2, "Did you mean 'kernel'?")


def test_other_points_are_incomparable(bench: Bench, root: Path) -> None:
    name = made(root, options=replace(VALUES, values="1"))
    done = bench("check", name, "--junit", "c.xml", cwd=root, COLUMNS="200")
    assert done.returncode == 3
    (answer, headline, *_) = done.stdout.splitlines()
    assert answer == (
        "It cannot be said whether limits behave as they did. To do: what the next line says."
    )
    assert headline.startswith("Not comparable: no point in common. Compare runs of the same sweep")
    assert kinds(root / "c.xml") == {"error": 1, "": 1}  # never a pass, and the law conforms


def test_a_point_measured_otherwise_is_incomparable(bench: Bench, root: Path) -> None:
    done = bench("check", made(root, options=replace(VALUES, duration_s=5)), cwd=root,
                 COLUMNS="200")  # fmt: skip
    assert done.returncode == 3
    (_, headline, *_) = done.stdout.splitlines()
    assert headline.startswith("Not comparable: its points were measured otherwise. Compare ")
    assert "cpus=0.5 is not compared: its duration_s was 3, is 5." in done.stdout


def test_a_violated_law_exits_1_comparable_or_not(bench: Bench, root: Path) -> None:
    name = made(root, factor=1.05)
    changed(root, name, kernel="6.2.0")
    done = bench("check", name, "--json", "--junit", "c.xml", "--markdown", "c.md", cwd=root)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["verdict"] == "incomparable"
    assert told["comparisons"] == []
    assert [law["point"] for law in told["violations"]] == ["cpus=0.25", "cpus=0.5"]
    assert kinds(root / "c.xml") == {"error": 1, "failure": 2}
    assert "kernel was 6.1.0, is 6.2.0" in (root / "c.md").read_text()
    # Two runs that cannot be compared are no regression of one against the other.
    other = made(root)
    assert bench("compare", other, name, cwd=root).returncode == 3
    assert bench("compare", other, name, "--strict", cwd=root).returncode == 1


def kinds(path: Path) -> dict[str, int]:
    """How the test cases of a JUnit file ended: '' is a pass. AssertionError where it is none.

    The shape is that of the schema that Jenkins' xUnit plugin validates with: a name and three
    counts a suite, a name a case, a message and a text a result.
    """
    root = ElementTree.parse(path).getroot()
    tree = ("testsuites", "testsuite", "testcase")
    needed: dict[str, set[str]] = {
        "testsuites": set(),
        "testsuite": {"name", "tests", "failures", "errors"},
        "testcase": {"name"},
        **{one: {"message"} for one in ("failure", "error", "skipped")},
    }
    known = {
        "testsuites": {"name", "tests", "failures", "errors", "time"},
        "testsuite": needed["testsuite"] | {"skipped"},
        "testcase": {"name", "classname"},
        **{one: {"message", "type"} for one in ("failure", "error", "skipped")},
    }
    assert root.tag == tree[0]
    for element in root.iter():
        assert needed[element.tag] <= set(element.attrib) <= known[element.tag]
        below = set(tree[tree.index(element.tag) + 1 :][:1]) if element.tag in tree else set()
        if element.tag == "testcase":
            below = {"failure", "error", "skipped"}
        assert {child.tag for child in element} <= below
        if element.tag in ("failure", "error", "skipped"):
            assert element.text == element.get("message") != ""
    found: Counter[str] = Counter()
    for suite in root:
        ends = Counter(case[0].tag if len(case) else "" for case in suite)
        names = [case.get("name") for case in suite]
        assert len(set(names)) == len(names)  # GitLab shows only the first of a name
        counted = {name: int(suite.get(name, "")) for name in ("failures", "errors", "skipped")}
        assert counted == {
            "failures": ends["failure"], "errors": ends["error"], "skipped": ends["skipped"]
        }  # fmt: skip
        assert int(suite.get("tests", "")) == ends.total() > 0
        found += ends
    for name, kind in (("failures", "failure"), ("errors", "error")):
        assert int(root.get(name, "")) == found[kind]
    assert int(root.get("tests", "")) == found.total()
    return dict(found)


def test_a_run_whose_trials_do_not_count_says_nothing_of_the_host(bench: Bench, root: Path) -> None:
    run = measured(root / "results", options=VALUES, world=World(wrong_cgroup=True))
    done = bench("check", run.info.name, cwd=root)
    assert done.returncode == 4
    assert "trials of" in done.stderr
    assert "bench doctor" in done.stderr
    refused = bench("baseline", "set", run.info.name, cwd=root)
    one_line(refused, 4, "fewer than 5 trials that count: cpus=0.25 (0)", "--repeats 10")


def test_a_run_without_trials(bench: Bench, root: Path) -> None:
    name = made(root)
    (root / "results" / name / "trials.jsonl").write_text("")
    for done in (
        bench("check", name, cwd=root),
        bench("compare", "default", name, cwd=root),
        bench("compare", name, "default", cwd=root),
    ):
        assert done.returncode == 4
        assert done.stderr == f"bench: {name} holds no trial. Measure again, or take another.\n"
    one_line(bench("baseline", "set", name, cwd=root), 4, "(0)", "--repeats 10")
    one_line(bench("calibrate", name, made(root), cwd=root), 3, "no point in common", "--repeats")


def test_what_of_a_run_cannot_be_read_is_told(bench: Bench, root: Path) -> None:
    name = made(root)
    path = root / "results" / name / "trials.jsonl"
    path.write_text(path.read_text().replace("{", "[", 1))
    said = f"{name}: line 1 of trials.jsonl is left out: it is not as it was written.\n"
    done = bench("check", name, cwd=root)
    assert (done.returncode, done.stderr) == (0, said)
    assert bench("compare", "default", name, cwd=root).stderr == said
    assert bench("baseline", "set", name, "--name", "b", cwd=root).stderr == said
    assert bench("calibrate", name, made(root), cwd=root).stderr == said


def test_names_that_are_not_there(bench: Bench, root: Path) -> None:
    name = made(root)
    for args in (
        ("check", "none"), ("compare", "none", name), ("compare", name, "none"),
        ("baseline", "set", "none"), ("calibrate", name, "none"),
    ):  # fmt: skip
        one_line(bench(*args, cwd=root), 2, "no run 'none'", "`bench runs`")
    one_line(bench("baseline", "show", "none", cwd=root), 3, "no baseline 'none'", "default")


def test_baselines_of_other_schemas(bench: Bench, root: Path) -> None:
    name, path = made(root), root / "baselines" / "default.json"
    whole = json.loads(path.read_text())
    for schema, remedy in ((2, "Install a newer limitbench"), (0, "bench baseline set RUN")):
        path.write_text(json.dumps({**whole, "schema": schema}))
        for args in (
            ("check", name),
            ("check",),
            ("baseline", "show"),
            ("compare", "default", name),
        ):
            one_line(bench(*args, cwd=root), 2, f"has schema {schema}", remedy)


def test_files_that_cannot_be_written(bench: Bench, root: Path) -> None:
    for option in ("--junit", "--markdown"):
        done = bench("check", made(root), option, "none/c", cwd=root)
        assert done.returncode == 2
        assert done.stderr.startswith("bench: cannot write none/c: ")
        assert "--output" not in done.stderr  # which is no option here


def test_a_damaged_baseline(bench: Bench, root: Path) -> None:
    name = made(root)
    (root / "baselines" / "default.json").write_text("{")
    one_line(bench("check", name, cwd=root), 2, "default.json is damaged", "bench baseline set RUN")
    assert "damaged" in bench("baseline", "list", cwd=root).stderr
    assert bench("baseline", "rm", "default", cwd=root).returncode == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("RUN", "--sweep", "cpu"), ("--sweep measures",)),
        (("RUN", "--repeats", "3"), ("--repeats measures",)),
        (("--values", "1"), ("--values needs --sweep",)),
        (("--duration", "1"), ("--duration needs --sweep",)),
        (("--sweep", "cpo", "--engine-host", "unix:///none"), ("Did you mean 'cpu'?",)),
        (("nothing",), ("no run 'nothing'",)),
    ],
)
def test_usage(bench: Bench, root: Path, args: tuple[str, ...], words: tuple[str, ...]) -> None:
    name = made(root) if "RUN" in args else ""
    given = [name if arg == "RUN" else arg for arg in args]
    one_line(bench("check", *given, cwd=root), 2, *words)


# --- baseline --------------------------------------------------------------------------------


def test_baselines_are_listed_shown_replaced_and_deleted(bench: Bench, root: Path) -> None:
    (one,) = json.loads(bench("baseline", "list", "--json", cwd=root).stdout)
    assert one["name"] == "default"
    assert one["point_ids"] == ["cpus=0.25", "cpus=0.5"]
    shown = bench("baseline", "show", cwd=root).stdout
    assert "cpus=0.5: 10 of 10 trials count; cpu-bandwidth conforms" in shown
    told = json.loads(bench("baseline", "show", "default", "--json", cwd=root).stdout)
    assert told["fingerprint"]["kernel"] == "6.1.0"
    assert len(told["points"][0]["values"]) == 10
    again = bench("baseline", "set", "--json", cwd=root)  # the newest run
    assert json.loads(again.stdout)["replaced"] == one["run"]
    assert bench("baseline", "rm", "default", cwd=root).stdout.startswith("Deleted ")
    one_line(bench("baseline", "rm", "default", cwd=root), 3, "no baseline 'default'")
    assert "No baseline in" in bench("baseline", "list", cwd=root).stderr


def test_a_baseline_of_violated_laws_says_so_and_can_be_lived_with(
    bench: Bench, tmp_path: Path
) -> None:
    name = made(tmp_path, factor=1.05)
    done = bench("baseline", "set", name, cwd=tmp_path)
    assert done.returncode == 0
    assert "--allow laws" in done.stderr
    assert bench("check", name, cwd=tmp_path).returncode == 1
    assert bench("check", name, "--allow", "laws", cwd=tmp_path).returncode == 0


# --- compare, ab, calibrate ------------------------------------------------------------------


@pytest.mark.slow
def test_compare_exits_by_the_verdict_only_if_it_is_asked_to(bench: Bench, root: Path) -> None:
    a, b = made(root), made(root, factor=1.05)
    done = bench("compare", a, b, "--json", cwd=root)
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "regressed"
    assert bench("compare", a, b, "--strict", cwd=root).returncode == 1
    assert bench("compare", "default", a, "--strict", cwd=root).returncode == 0
    changed(root, b, kernel="6.2.0")
    assert bench("compare", a, b, cwd=root).returncode == 3
    one_line(bench("compare", a, "nothing", cwd=root), 2, "no run 'nothing'")
    one_line(bench("compare", a, cwd=root), 2, "has no two sides")


def ab_plan() -> Plan:
    def both(options: Options, cpus: EngineCpus) -> Iterable[Point]:
        for side in ("a", "b"):
            for point in axes.find("cpu").points(options, cpus):
                yield sided(point, side)

    return planning.build("ab-cpu", VALUES, cpus=CPUS, points_of=both)


def test_the_sides_of_an_ab_run_alternate() -> None:
    plan = ab_plan()
    order = [trial.point_id for trial in plan.trials]
    assert len(order) == 40
    for first, second in zip(order[::2], order[1::2], strict=True):
        assert {first[:3], second[:3]} == {"a: ", "b: "}
        assert first[3:] == second[3:]
    assert {order[i][:3] for i in range(0, 40, 2)} == {"a: ", "b: "}  # now one first, now the other


@pytest.mark.slow
def test_an_ab_run_is_compared_side_with_side(bench: Bench, tmp_path: Path) -> None:
    facts = replace(ENGINE_FACTS, version="24.0.0")
    sides = (
        Side(name="a", options="--runtime runc", engine=ENGINE_FACTS),
        Side(name="b", options=HOSTILE, engine=facts),
    )
    run = runs.create(tmp_path / "results", ab_plan(), host=HOST_FACTS, engine=ENGINE_FACTS,
                       workload=WORKLOAD_FACTS, sides=sides)  # fmt: skip
    where = World().surroundings()
    runner.run_plan(run.info.plan, run.info.name, where, run.keep, runner.Listener())
    run.finish("finished")
    done = bench("compare", run.path.name, "--markdown", "ab.md", cwd=tmp_path, COLUMNS="120")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No change that matters: ")
    name = ENGINE_FACTS.name
    assert f"under test: engine {name} 20.10.24 → {name} 24.0.0" in done.stdout
    assert "a: --runtime runc: " in done.stdout
    assert "<script>" not in (tmp_path / "ab.md").read_text()
    other = run.path.name
    for args in (
        ("check", other), ("baseline", "set", other), ("calibrate", other, made(tmp_path)),
        ("compare", other, made(tmp_path)),
    ):  # fmt: skip
        one_line(bench(*args, cwd=tmp_path), 2, "is an A/B run", f"`bench compare {other}`")


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("--cpu 1", "--cpus 1", ("--a '--cpu 1'", "--cpus")),
        ("--cpus 1", "--cpus many", ("--b '--cpus many'", "'many'")),
        ("--cpus '1", "--cpus 1", ("--a", "No closing quotation")),
        ("--cpus 1", "cpus", ("--b 'cpus'", "unexpected extra argument")),
    ],
)
def test_sides_that_cannot_be_read(
    bench: Bench, tmp_path: Path, a: str, b: str, words: tuple[str, ...]
) -> None:
    one_line(bench("ab", "--a", a, "--b", b, cwd=tmp_path), 2, *words)


def test_sides_of_an_unknown_sweep_start_no_engine(bench: Bench, tmp_path: Path) -> None:
    args = ("ab", "--a", "", "--b", "", "--sweep", "cpo", "--engine-host", "unix:///none")
    one_line(bench(*args, cwd=tmp_path), 2, "Did you mean 'cpu'?")


@pytest.mark.slow
def test_calibrate_from_runs_that_are_there(bench: Bench, root: Path) -> None:
    names = [made(root) for _ in range(3)]
    done = bench("calibrate", *names, "--json", cwd=root)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["runs"] == names
    assert {floor["change"] for floor in told["floors"] if floor["metric"] == "cpus"} == {0.0}
    checked = bench("check", names[0], cwd=root, COLUMNS="200")
    assert "No effect below this host's own noise counts" in checked.stdout
    one_line(bench("calibrate", names[0], cwd=root), 2, "one run has nothing to differ from")
    again = str(root / "results" / names[0])
    one_line(bench("calibrate", *names, again, cwd=root), 2, f"{names[0]} is named twice")
    one_line(bench("calibrate", "--sweep", "cpo", cwd=root), 2, "Did you mean 'cpu'?")
    one_line(bench("calibrate", *names, "--runs", "3", cwd=root), 2, "--runs measures")
    changed(root, names[1], kernel="6.2.0")
    one_line(bench("calibrate", *names, cwd=root), 3, "kernel was 6.1.0, is 6.2.0")
