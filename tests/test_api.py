"""The API of notebooks: light until it is used, typed, documented, and true to its examples."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import harness
from harness import api
from harness.api import claims, comparing, drawing, hosts, results, since
from harness.errors import ResultsError, UsageError
from harness.judge import metrics
from harness.plan.axes import Options
from harness.show import frames
from harness.store import runs
from tests.runs import HOSTILE, measured, scattered

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "results"
DOCS = (ROOT / "docs" / "notebooks.md").read_text()


@pytest.fixture(autouse=True)
def samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_RESULTS", str(SAMPLES))
    monkeypatch.delenv("BENCH_RUN", raising=False)


EXAMPLES = [
    test
    for module in (claims, results, comparing, drawing, hosts, since)
    for test in doctest.DocTestFinder().find(module)
    if test.examples
]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name.rpartition(".")[2])
def test_examples_are_true(example: doctest.DocTest) -> None:
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert said == []


def test_everything_that_is_offered_has_an_example_and_its_words() -> None:
    named = {test.name.split(".")[3] for test in EXAMPLES}
    for name in set(harness.__all__) - {"__version__"}:
        assert getattr(harness, name) is getattr(api, name)
        assert name in named | {"Claim", "Claims", "ComparedRuns", "FleetHosts"}, (
            name
        )  # its example is that of what gives it
        assert f"`harness.{name}`" in DOCS or f"`{name}`" in DOCS or f"{name}(" in DOCS


@pytest.mark.slow
def test_importing_harness_costs_nothing_until_something_is_asked_for() -> None:
    code = (
        "import sys, harness, json\n"
        "before = {'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "listed = 'load' in dir(harness)\n"
        "harness.load\n"
        "print(json.dumps([sorted(before), listed, 'pandas' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout) == [[], True, True]
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        harness.laod  # type: ignore[attr-defined]  # noqa: B018 - the name is wrong on purpose


# --- the frames are what the documentation says -------------------------------------------------

SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", DOCS, re.MULTILINE | re.DOTALL))
ROW = re.compile(r"^\| (`[^|]+) \| (str|bool|int32|int64|Int64|float64) \|", re.MULTILINE)
TABLES = {
    name: {
        column: dtype
        for columns, dtype in ROW.findall(text)
        for column in re.findall(r"`(\w+)`", columns)
    }
    for name, text in SECTIONS.items()
}
METRIC_TABLE = SECTIONS["trials"].partition("| metric |")[2]
METRICS = dict(re.findall(r"^\| `(\w+)` \| ([\w/]+) \| ", METRIC_TABLE, re.MULTILINE))


@pytest.fixture(scope="module", params=["sample-cpu", "sample-shares", "sample-memory"])
def sample(request: pytest.FixtureRequest) -> harness.Results:
    return api.Results(runs.load(SAMPLES / request.param))


@pytest.mark.parametrize(
    "name",
    ["points", "trials", "estimates", "verdicts", "errors", "gaps", "growth", "timeline",
     "samples"],
)  # fmt: skip
def test_frames_have_the_columns_that_the_documentation_names(
    sample: harness.Results, name: str
) -> None:
    frame = sample.timeline(0) if name == "timeline" else getattr(sample, name)
    documented = dict(TABLES[name])
    if name == "trials":
        assert documented.items() <= {k: str(v) for k, v in frame.dtypes.items()}.items()
        return
    assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == documented


def test_every_metric_and_its_unit_are_documented() -> None:
    for metric in metrics.METRICS.values():
        assert METRICS.get(metric.name) == metric.unit, metric.name


def test_samples_are_read_by_column_and_trial(sample: harness.Results) -> None:
    whole = sample.samples
    assert set(whole["trial"]) <= set(sample.trials["trial"])
    one = sample.read_samples(trial=1, columns=["t_mono_ns", "memory_bytes"])
    assert list(one.columns) == ["t_mono_ns", "memory_bytes"]
    assert len(one) == (whole["trial"] == 1).sum()
    assert one["t_mono_ns"].is_monotonic_increasing or sample.points["container"].max() > 0
    assert whole["cpu_usage_ns"].dtype == "Int64"


# --- runs ---------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    empty = harness.runs(tmp_path)
    assert empty.empty
    path = measured(tmp_path, options=Options(values="0.5", repeats=1, duration_s=1)).path
    listed = harness.runs(tmp_path)
    assert list(listed["run"]) == [path.name]
    assert listed.dtypes.equals(empty.dtypes)
    assert str(listed["created"].dtype) == "datetime64[s, UTC]"
    assert list(listed["trials"]) == [1]


def test_the_newest_run_is_loaded_and_the_sample_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sample-cpu", "sample-memory"):
        (tmp_path / name).symlink_to(SAMPLES / name)
    assert harness.load(results=tmp_path).name == "sample-cpu"
    assert harness.load(axis="swap", results=tmp_path).name == "sample-memory"
    own = measured(tmp_path, options=Options(values="0.5", repeats=1, duration_s=1)).path.name
    assert harness.load(results=tmp_path).name == own
    assert harness.load(axis=("cpu", "quota"), results=tmp_path).name == own
    assert harness.load(axis="memory", results=tmp_path).name == "sample-memory"
    with pytest.raises(ResultsError, match="no run of shares"):
        harness.load(axis="shares", results=tmp_path)
    monkeypatch.setenv("BENCH_RUN", "sample-memory")
    assert harness.load(results=tmp_path).name == "sample-memory"


def test_notebooks_find_the_results_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_RESULTS")
    monkeypatch.chdir(ROOT / "notebooks")
    assert harness.load("sample-cpu").path == SAMPLES / "sample-cpu"


def test_several_runs_are_those_of_one_sweep(tmp_path: Path) -> None:
    assert len({run.info.plan.sweep for run in harness.load_several()}) == 1
    options = Options(values="0.5", repeats=1, duration_s=1)
    with pytest.raises(ResultsError, match="no two runs"):
        harness.load_several(results=tmp_path)
    for axis in ("cpu", "cpu", "quota"):
        measured(tmp_path, axis, options=replace(options, values="50000" if axis == "quota" else
                                                 "0.5"))  # fmt: skip
    assert [run.info.plan.sweep for run in harness.load_several(results=tmp_path)] == ["cpu", "cpu"]


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="is not a run"):
        harness.load(tmp_path)
    with pytest.raises(ResultsError, match="no run 'nothing'"):
        harness.load("nothing")
    with pytest.raises(UsageError, match="no point 'x'"):
        harness.load("sample-cpu").only(["x"])


def test_a_part_of_a_run_is_a_run() -> None:
    run = harness.load("sample-cpu")
    part = run.only(["cpus=0.5"])
    assert set(part.trials["point"]) == {"cpus=0.5"}
    whole = run.verdicts[run.verdicts["point"] == "cpus=0.5"].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.verdicts, whole)


def test_the_table_of_a_run_is_escaped(tmp_path: Path) -> None:
    run = scattered(measured(tmp_path, options=Options(values="0.5,1", repeats=2, duration_s=1)))
    hostile = api.Results(replace(run, info=replace(run.info, name=HOSTILE)))
    text = hostile._repr_html_()
    assert "<script" not in text
    assert text.count("<tr>") == 3
    assert repr(hostile).startswith("<")


def test_two_runs_are_compared_as_the_command_compares_them() -> None:
    compared = harness.compare("sample-cpu", "sample-cpu-busy")
    assert compared.verdict in {"same", "inconclusive"}
    assert compared.differences == ()
    assert set(compared.table["point"]) == set(harness.load("sample-cpu").points["point"])
    assert (compared.table["low"].dropna() <= compared.table["high"].dropna()).all()
    assert compared.verdict in compared._repr_html_()
    other = harness.load("sample-memory")
    host = replace(other.info, engine=replace(other.info.engine, kernel="9.9"))
    refused = harness.compare(other, replace(other.run, info=host))
    assert (refused.verdict, len(refused.table)) == ("incomparable", 0)
    assert refused.differences[0].startswith("kernel")
    assert harness.compare(other, replace(other.run, info=host), allow=["kernel"]).table.size


# --- figures ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_figure_is_one_of_matplotlib_and_shows_itself(sample: harness.Results) -> None:
    for name in harness.figures(sample):
        figure = harness.plot(name, sample)
        assert isinstance(figure, Figure)
        data, metadata = figure._repr_mimebundle_()  # type: ignore[attr-defined]
        assert data["image/png"].startswith(b"\x89PNG")
        assert len(metadata["image/png"]["alt"]) > 40


@pytest.mark.slow
def test_figures_that_there_are_none_of() -> None:
    with pytest.raises(UsageError, match=r"There are: .*cpu-achieved"):
        harness.plot("nonsense", "sample-cpu")
    with pytest.raises(UsageError, match="no figure"):
        harness.plot_pages("sample-cpu")
    with pytest.raises(UsageError, match="no run is named"):
        harness.plot("achieved")


def test_rows_of_a_frame_choose_what_is_drawn(tmp_path: Path) -> None:
    made = measured(tmp_path, options=Options(values="0.5,1", repeats=5, duration_s=1))
    run = api.Results(made)
    trials = run.trials.query("point == 'cpus=0.5' and trial < 6")
    (chosen,) = drawing.chosen(trials)
    assert [point.id for point in chosen.info.plan.points] == ["cpus=0.5"]
    assert [one.index for one in chosen.trials] == list(trials["trial"])
    assert 0 < len(chosen.trials) < 5
    again = api.Results(chosen).estimates.query("metric == 'cpus'")
    assert again["median"].item() == pytest.approx(trials["cpus"].median())
    figure = harness.plot_achieved(trials)
    dots = sorted(run.trials.set_index("trial").loc[list(trials["trial"]), "cpus"])
    assert any(sorted(map(float, line.get_ydata())) == dots for line in figure.axes[0].get_lines())  # type: ignore[arg-type]

    verdicts = run.verdicts[run.verdicts["point"] == "cpus=1"]
    (chosen,) = drawing.chosen(verdicts)
    assert {one.point_id for one in chosen.trials} == {"cpus=1"}


def test_frames_of_several_runs_put_below_each_other_are_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [harness.load(name) for name in ("sample-cpu", "sample-cpu-busy")]
    both = pd.concat([one.trials for one in samples]).query("axis == 'cpu'")
    assert [one.info.name for one in drawing.chosen(both)] == ["sample-cpu", "sample-cpu-busy"]
    monkeypatch.setenv(api.RESULTS_VARIABLE, str(tmp_path))
    with pytest.raises(ResultsError, match="sample-cpu"):
        harness.plot_achieved(both)


def test_frames_that_name_nothing_to_be_drawn() -> None:
    run = harness.load("sample-cpu")
    with pytest.raises(UsageError, match="without the column 'point'"):
        harness.plot_achieved(harness.runs())
    with pytest.raises(UsageError, match="no rows"):
        harness.plot_achieved(run.trials[run.trials["cpus"] > 100])


def test_frames_of_a_run_are_worked_out_once(tmp_path: Path) -> None:
    run = api.Results(measured(tmp_path, options=Options(values="0.5", repeats=1, duration_s=1)))
    assert run.trials is run.trials
    assert frames.trials(run.run).equals(run.trials)
