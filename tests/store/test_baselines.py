"""Digests of runs, and baselines on disk: small, complete, and told apart when damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.comparison import changes, noise
from harness.comparison.digest import bare, digest, fingerprint, sided
from harness.errors import BenchError, ComparisonError, ResultsError, UsageError
from harness.limits import NEW_WEIGHTS, OLD_WEIGHTS
from harness.model import Change, Growth, Status
from harness.plan.axes import Options
from harness.store import baselines
from harness.store.runs import Run
from tests.digests import of_cpus
from tests.fakes import ENGINE_FACTS, HOST_FACTS, WORKLOAD_FACTS, World
from tests.runs import measured, rejected


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return measured(tmp_path_factory.mktemp("run"), options=Options(repeats=10))


def test_a_digest_holds_every_trial_that_counts(run: Run) -> None:
    made = digest(run.info, run.trials)
    assert [point.point for point in made.points] == list(run.info.plan.points)
    half = next(point for point in made.points if point.point.id == "cpus=0.5")
    assert (half.trials, half.valid) == (10, 10)
    series = {one.metric: one.values for one in half.series}
    assert series["cpus"] == pytest.approx([0.5] * 10)
    assert series["gap_max_s"] == pytest.approx([0.05] * 10)
    assert [law.status for law in half.laws] == [Status.CONFORMS]


def test_trials_that_do_not_count_are_left_out_and_told(run: Run) -> None:
    made = digest(run.info, rejected(run, "noise").trials)
    assert {(point.valid, point.series, point.rejected) for point in made.points} == {
        (0, (), "noise")
    }


def test_a_point_that_wants_the_host_is_compared_as_on_an_idle_one(tmp_path: Path) -> None:
    quiet, busy = (
        digest(one.info, one.trials)
        for one in (
            measured(tmp_path / f"{foreign}", options=Options(values="2", repeats=5),
                     world=World(foreign_cpus=foreign))
            for foreign in (0.01, 0.08)
        )
    )  # fmt: skip
    for one in (quiet, busy):
        assert one.points[0].series[0].values == pytest.approx([2.0] * 5, abs=1e-6)
    assert changes.compare(quiet, busy).status is Change.SAME


def test_of_a_workload_that_grows_its_cpu_is_not_compared(run: Run) -> None:
    grower = Growth(target_bytes=64 << 20)
    points = tuple(
        replace(point, containers=(replace(point.containers[0], workload=grower),))
        for point in run.info.plan.points
    )
    info = replace(run.info, plan=replace(run.info.plan, points=points))
    made = digest(info, run.trials)
    assert {one.metric for point in made.points for one in point.series} == {"start_s"}


def test_the_fingerprint_tells_the_formula_of_weights() -> None:
    assert fingerprint(HOST_FACTS, ENGINE_FACTS, WORKLOAD_FACTS).weights == "cpu.shares"
    for version, formula in (("1.1.5", OLD_WEIGHTS), ("1.3.2", NEW_WEIGHTS)):
        engine = replace(ENGINE_FACTS, cgroup_version=2, runtime_version=version)
        assert fingerprint(HOST_FACTS, engine, WORKLOAD_FACTS).weights == formula


def test_the_runtime_of_the_points_is_the_one_that_counts(run: Run) -> None:
    points = [sided(point, "b", "crun") for point in run.info.plan.points]
    assert points[0].id == "b: cpus=0.25"
    assert fingerprint(HOST_FACTS, ENGINE_FACTS, WORKLOAD_FACTS, points).runtime == "crun unknown"
    back = bare(points[0])
    assert (back.id, back.side) == ("cpus=0.25", "")


# --- files -----------------------------------------------------------------------------------


def test_what_was_saved_is_loaded(run: Run, tmp_path: Path) -> None:
    made = digest(run.info, run.trials)
    saved = baselines.save(tmp_path / "baselines", "default", made)
    assert baselines.load(tmp_path / "baselines", "default").digest == made
    assert [one.name for one in baselines.listing(tmp_path / "baselines").baselines] == ["default"]
    assert saved.path.stat().st_size < 40_000
    assert changes.compare(made, baselines.load(tmp_path / "baselines", "default").digest).status \
        is Change.SAME  # fmt: skip
    assert len(saved.path.read_text().splitlines()) < 1000  # one line a series: diffs can be read
    assert baselines.remove(tmp_path / "baselines", "default") == saved.path
    assert baselines.listing(tmp_path / "baselines").baselines == ()


def test_a_baseline_that_is_not_there_exits_3(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError) as refused:
        baselines.load(tmp_path, "none")
    assert refused.value.exit_code == 3
    assert "bench baseline set" in str(refused.value)
    with pytest.raises(ComparisonError):
        baselines.remove(tmp_path, "none")
    baselines.save(tmp_path, "other", of_cpus(0.5))
    with pytest.raises(ComparisonError, match="There are: other"):
        baselines.load(tmp_path, "none")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 80])
def test_names_that_are_no_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        baselines.save(tmp_path, name, of_cpus(0.5))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is no baseline of limitbench"),
        ('{"schema": 1}', "is no baseline of limitbench"),
        ({"schema": 99}, "Install a newer limitbench"),
        ({"schema": None}, "bench baseline set RUN"),
        ({"schema": "1"}, "has schema '1'"),
        ({"baseline": {}}, "damaged at"),
        ("[" * 100_000, "is damaged"),
        ("\0", "is damaged"),
    ],
)
def test_files_that_are_not_ours(tmp_path: Path, damage: object, message: str) -> None:
    path = baselines.save(tmp_path, "default", of_cpus(0.5)).path
    text = damage if isinstance(damage, str) else json.dumps(
        {**json.loads(path.read_text()), **dict(damage)}  # type: ignore[call-overload]
    )  # fmt: skip
    path.write_text(text)
    with pytest.raises(ResultsError, match=message) as refused:
        baselines.load(tmp_path, "default")
    assert refused.value.exit_code == 2
    listing = baselines.listing(tmp_path)
    assert (listing.baselines, list(listing.unreadable)) == ((), ["default.json"])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"values": [0.5', '"values": [NaN', "NaN is no number"),
        ('"values": [0.5', '"values": [1e999', "1e999 is no number"),
        ('"values": [0.5', '"values": [-1', "a value is no number from 0 up"),
        ('"values": [0.5', '"values": ["nan"', "a value is no number from 0 up"),
        ('"values": [0.5', '"values": ["half"', "damaged at points.0.series.0.values"),
        ('"status": "conforms"', '"status": "great"', "damaged at points.0.laws.0.status"),
    ],
)
def test_values_that_no_run_can_have(tmp_path: Path, before: str, after: str, message: str) -> None:
    path = baselines.save(tmp_path, "default", of_cpus(0.5, sigma=0)).path
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(ResultsError, match=message) as refused:
        baselines.load(tmp_path, "default")
    assert "bench baseline set RUN" in str(refused.value)


@pytest.mark.parametrize(
    ("times", "message"), [(0, "it has no points"), (2, "a point is there twice")]
)
def test_points_that_no_run_can_have(tmp_path: Path, times: int, message: str) -> None:
    one = of_cpus(0.5)
    baselines.save(tmp_path, "default", replace(one, points=one.points * times))
    with pytest.raises(ResultsError, match=message):
        baselines.load(tmp_path, "default")


def test_damaged_noise_names_its_own_remedy(tmp_path: Path) -> None:
    runs = [of_cpus(0.5, seed=seed) for seed in (1, 2)]
    baselines.save_noise(tmp_path, runs, noise.floors(runs))
    (path,) = (tmp_path / "noise").iterdir()
    path.write_text(path.read_text()[:100])
    with pytest.raises(ResultsError, match="bench calibrate"):
        baselines.noise_of(tmp_path, runs[0].fingerprint)


def test_noise_belongs_to_its_fingerprint(tmp_path: Path) -> None:
    runs = [of_cpus(0.5, seed=seed) for seed in (1, 2)]
    kept = baselines.save_noise(tmp_path, runs, noise.floors(runs))
    assert baselines.noise_of(tmp_path, runs[0].fingerprint) == kept
    assert kept.repeats == 10
    other = replace(runs[0].fingerprint, kernel="6.2.0")
    assert baselines.noise_of(tmp_path, other) is None
    assert baselines.listing(tmp_path).baselines == ()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="--baselines"):
        baselines.save(tmp_path / "file" / "x", "default", of_cpus(0.5))


def test_a_baseline_of_every_version_can_be_read() -> None:
    held = baselines.load(Path(__file__).parents[1] / "data", "baseline-1").digest
    assert [point.point.id for point in held.points] == ["cpus=0.5", "shares=1024:512"]
    assert changes.compare(held, held).status is Change.SAME
