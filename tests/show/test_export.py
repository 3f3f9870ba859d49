"""Exported files: the frames themselves, in forms that other tools read."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import ResultsError
from harness.plan.axes import Options
from harness.show import export, frames
from harness.store import runs
from harness.store.runs import Run
from tests.command import bench, one_line
from tests.runs import HOSTILE, measured, scattered

QUICK = Options(values="0.5,1.5", repeats=2, duration_s=1)
READERS: dict[str, Callable[[io.BytesIO], pd.DataFrame]] = {
    "csv": lambda data: pd.read_csv(data, keep_default_na=False, na_values=[""]),
    "parquet": pd.read_parquet,
    "jsonl": lambda data: pd.DataFrame([json.loads(line) for line in data]),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return scattered(measured(tmp_path_factory.mktemp("run"), options=QUICK), {"cpus=0.5": 1.05})


def exported(found: list[Run], name: str, form: str) -> pd.DataFrame:
    out = io.BytesIO()
    rows = export.write(found, name, form, out)
    table = READERS[form](io.BytesIO(out.getvalue()))
    assert len(table) == rows
    return table


@pytest.mark.parametrize("form", export.FORMATS)
@pytest.mark.parametrize("name", ["trials", "verdicts", "estimates", "gaps"])
def test_numbers_and_text_come_back_as_they_were(run: Run, name: str, form: str) -> None:
    expected = export.FRAMES[name](run)
    found = exported([run], name, form)
    assert list(found.columns) == list(expected.columns)
    for column, dtype in expected.dtypes.items():
        before, after = expected[column], found[column]
        if dtype == "float64":
            pd.testing.assert_series_equal(after.astype("float64"), before, rtol=1e-15)
        else:
            told = ["" if pd.isna(value) else str(value) for value in after]
            assert told == [str(value) for value in before]


@pytest.mark.parametrize("form", export.FORMATS)
def test_samples_keep_every_digit_and_what_was_not_measured(run: Run, form: str) -> None:
    expected = frames.samples(run)
    found = exported([run], "samples", form)
    assert set(found["run"]) == {run.info.name}
    for column in ("trial", "t_mono_ns", "cpu_usage_ns", "memory_bytes"):
        assert list(found[column]) == list(expected[column])
    assert found["anon_bytes"].isna().all()


def test_several_runs_share_a_file(run: Run) -> None:
    other = replace(run, info=replace(run.info, name="other"))
    assert set(exported([run, other], "trials", "parquet")["run"]) == {run.info.name, "other"}
    samples = exported([run, other], "samples", "csv")
    assert len(samples) == 2 * len(frames.samples(run))


def test_parquet_tells_the_units(run: Run, tmp_path: Path) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415 - of this test alone

    with (tmp_path / "x.parquet").open("wb") as out:
        export.write([run], "trials", "parquet", out)
    schema = pq.read_schema(tmp_path / "x.parquet")
    assert schema.field("cpus").metadata == {b"unit": b"CPUs"}
    assert schema.field("throttled_share").metadata == {b"unit": b"share"}


def test_text_from_outside_stays_one_cell(run: Run) -> None:
    hostile = replace(run, info=replace(run.info, name=f'{HOSTILE}\n"x",y'))
    for form in export.FORMATS:
        assert set(exported([hostile], "trials", form)["run"]) == {hostile.info.name}


def test_damaged_samples_are_an_error_with_words(tmp_path: Path) -> None:
    frozen = Path(__file__).parents[1] / "data" / "run-v1"  # without checksums
    samples = shutil.copytree(frozen, tmp_path / "run") / "samples.parquet"
    data = bytearray(samples.read_bytes())
    data[20:-400] = b"\xff" * len(data[20:-400])
    samples.write_bytes(data)
    with pytest.raises(ResultsError, match="cannot be read"):
        export.write([runs.load(samples.parent)], "samples", "csv", io.BytesIO())


# --- the command -------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_left_out_is_told_beside_the_tables(tmp_path: Path) -> None:
    path = measured(tmp_path / "results", options=QUICK).path / "samples.parquet"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    done = bench("export", "--frame", "samples", cwd=tmp_path)
    assert done.stderr == f"{path.parent.name}: samples.parquet is damaged: no timelines.\n"


@pytest.mark.slow
def test_everything_is_written_into_the_run(tmp_path: Path) -> None:
    path = measured(tmp_path / "results", options=QUICK).path
    told = json.loads(bench("export", "--json", cwd=tmp_path).stdout)
    assert [one["frame"] for one in told] == [
        "points", "trials", "estimates", "verdicts", "errors", "gaps", "samples",
    ]  # fmt: skip
    assert all((tmp_path / one["path"]).parent == path / "export" for one in told)
    assert sorted(p.name for p in (path / "export").iterdir()) == sorted(
        f"{one['frame']}.csv" for one in told
    )
    other = measured(tmp_path / "results", options=QUICK).path
    done = bench("export", path.name, other.name, "--format", "parquet", "--frame", "trials",
                 cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    both = pd.read_parquet(tmp_path / "results" / "export" / "trials.parquet")
    assert set(both["run"]) == {path.name, other.name}


@pytest.mark.slow
def test_one_frame_goes_to_stdout(tmp_path: Path) -> None:
    measured(tmp_path / "results", options=QUICK)
    told = bench("export", "--frame", "points", "--output", "-", cwd=tmp_path).stdout
    assert told.splitlines()[0].startswith("run,point,axis")
    lines = bench("export", "--frame", "samples", "--format", "jsonl", "--output", "-",
                  cwd=tmp_path).stdout.splitlines()  # fmt: skip
    assert json.loads(lines[0])["trial"] == 0
    one_line(bench("export", "--output", "-", cwd=tmp_path), 2, "--frame")
    one_line(bench("export", "--frame", "trails", cwd=tmp_path), 2, "no frame 'trails'", "trials")
    (tmp_path / "file").write_text("kept")
    one_line(bench("export", "--output", "file", cwd=tmp_path), 2, "folder file")
