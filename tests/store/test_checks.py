"""A flipped bit or digit in what is kept is told, and no number that came of it is shown."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harness.errors import ResultsError
from harness.model import TrialRecord
from harness.plan.axes import Options
from harness.show.report import view as views
from harness.store import checks, listing, runs
from tests.runs import stored

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("sound"), options=Options(repeats=1))


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def flip(path: Path, at: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def digits(path: Path) -> list[int]:
    return [found.start() for found in re.finditer(rb"\d", path.read_bytes())]


# --- trials --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_flipped_bit_or_a_changed_digit_costs_its_trial(sound: Path, run: Path) -> None:
    whole = runs.load(sound).trials
    path = run / "trials.jsonl"
    rng, text = random.Random(1), path.read_bytes()
    places = [(rng.randrange(len(text)), rng.randrange(8)) for _ in range(150)]
    places += [(rng.choice(digits(path)), 0) for _ in range(150)]
    for at, bit in places:
        path.write_bytes(text)
        flip(path, at, bit)
        read = runs.load(run)
        assert set(map(repr, read.trials)) <= set(map(repr, whole)), (at, bit)
        # An end of line can become a blank, and a blank an end of line: both are told.
        lost = len(whole) - len(read.trials)
        assert lost in (0, 1, 2)
        assert bool(read.damage) == bool(lost), (at, bit)
        assert lost or text[at : at + 1] == b"\n", "the last line's end"


def test_an_edited_trial_is_left_out_and_named(run: Path) -> None:
    path = run / "trials.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), "block": 7})
    path.write_text("\n".join(lines) + "\n")
    read = runs.load(run)
    assert len(read.trials) == len(lines) - 1
    assert read.damage == ("line 3 of trials.jsonl is left out: it is not as it was written",)
    lines[2] = lines[2].replace('"crc32"', '"crc3x"')
    path.write_text("\n".join(lines) + "\n")
    assert runs.load(run).damage == ("line 3 of trials.jsonl is damaged and left out",)


def test_an_older_reader_sees_the_same_documents(run: Path) -> None:
    for line in (run / "trials.jsonl").read_text().splitlines():
        assert json.loads(line).keys() - TrialRecord.__dataclass_fields__.keys() == {"crc32"}
    document = json.loads((run / "run.json").read_text())
    assert list(document)[-1] == "crc32"
    assert pq.read_table(run / "samples.parquet").equals(runs.load(run).samples())


# --- run.json ------------------------------------------------------------------------------------


def test_run_json_that_was_edited_is_read_and_told_everywhere(run: Path) -> None:
    path = run / "run.json"
    text = path.read_text()
    path.write_text(text.replace('"hostname"', '"hostname" '))
    read = runs.load(run)
    assert len(read.trials) == 5
    assert read.damage[0].startswith("run.json is not as it was written")
    assert read.damage[0] in views.build(read).remarks
    assert list(listing.list_runs(run.parent).changed) == ["run"]
    path.write_text(re.sub(r',\s*"crc32".*', "\n}", text, flags=re.DOTALL))
    assert runs.load(run).damage == read.damage, "its sum was cut off"


def test_limits_that_changed_in_the_plan_cost_the_trials_that_were_asked_for_others(
    run: Path,
) -> None:
    path = run / "run.json"
    document = json.loads(path.read_text())
    point = document["plan"]["points"][0]
    point["containers"][0]["limits"]["cpus"] = 1.75
    path.write_text(json.dumps(document))
    read = runs.load(run)
    assert {trial.point_id for trial in read.trials} == {
        one["id"] for one in document["plan"]["points"][1:]
    }
    assert any("other limits than its point" in text for text in read.damage)


def test_a_run_of_before_is_read_without_and_its_report_says_so(tmp_path: Path) -> None:
    old = runs.load(DATA / "run-v1")
    assert old.damage == ()
    said = "An older limitbench wrote it, without checksums: a changed digit goes unseen."
    assert said in views.build(old).remarks
    new = runs.load(stored(tmp_path, options=Options(repeats=1)))
    assert said not in views.build(new).remarks


# --- samples -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["samples.parquet", "samples/000003.parquet"])
def test_a_flipped_bit_costs_the_samples_of_its_file(tmp_path: Path, name: str) -> None:
    merged = name == "samples.parquet"
    run = stored(tmp_path, options=Options(repeats=1), status="finished" if merged else None)
    path = run / name
    data, rng = path.read_bytes(), random.Random(1)
    for _ in range(40):
        path.write_bytes(data)
        flip(path, rng.randrange(len(data)), rng.randrange(8))
        read = runs.load(run)
        assert read.samples().num_rows == (0 if merged else 4 * 151)
        assert "damaged" in " ".join(read.damage)
    path.write_bytes(data)
    assert runs.load(run).damage == ()


def test_a_damaged_part_is_not_merged_into_a_file_that_vouches_for_it(tmp_path: Path) -> None:
    path = stored(tmp_path, options=Options(repeats=1), status=None)
    part = path / "samples" / "000003.parquet"
    flip(part, 200, 3)
    run = runs.load(path)
    writer = runs.RunWriter(path, run.info)
    writer.finish("finished")
    read = runs.load(path)
    assert read.damage == ("the samples of 1 trial are damaged and left out",)
    assert read.samples().num_rows == 4 * 151
    assert part.exists(), "what can be mended is kept"


def test_a_copy_bears_its_checksums(sound: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", sound)
    shutil.unpack_archive(archive, tmp_path / "elsewhere")
    assert runs.load(tmp_path / "elsewhere").damage == ()


def test_more_samples_than_a_run_can_have_are_not_read(run: Path) -> None:
    document = json.loads((run / "run.json").read_text())
    document["plan"]["cadence_hz"] = 1e-4
    (run / "run.json").write_text(json.dumps(document))
    with pytest.raises(ResultsError, match="more rows than its trials can have"):
        runs.load(run).samples()


# --- what no host can have done ------------------------------------------------------------------


def change(key: str, value: Callable[[int], int], where: str = "last") -> Callable[[Any], None]:
    def changed(trial: Any) -> None:
        holder = trial if where.startswith("host") else trial["containers"][0]
        holder[where][key] = value(holder[where].get(key, 0))

    return changed


def thread(trial: Any) -> None:
    trial["containers"][0]["inside"]["threads"][0]["gap_total_ns"] *= 1000


def gap(trial: Any) -> None:
    trial["containers"][0]["inside"]["gap_list"][0][1] = 0


def stolen(trial: Any, by: int) -> None:
    trial["host_last"]["steal_ns"] = [by + one for one in trial["host_first"]["steal_ns"]]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (change("cpu_usage_ns", lambda _: 0), "cpu_usage_ns ran backwards"),
        (change("nr_periods", lambda _: 0), "nr_periods ran backwards"),
        (change("nr_throttled", lambda n: n + 1000), "throttled in more periods than there were"),
        (change("throttled_ns", lambda n: n + 10**12), "throttled for longer than its window"),
        (change("cpu_usage_ns", lambda n: n + 10**12), "used more than the host's 2 CPUs"),
        (change("cpu_some_us", lambda n: n + 10**9, "last"), "grew by more than its window"),
        (change("memory_bytes", lambda _: 1 << 60), "more memory than its host has"),
        (lambda trial: stolen(trial, -(10**7)), "steal_ns ran backwards"),
        (lambda trial: stolen(trial, 10**12), "more was stolen than a CPU has"),
        (change("root_usage_ns", lambda n: n + 10**13, "host_last"), "more than the host's"),
        (change("harness_cpu_ns", lambda _: -1, "host_last"), "harness_cpu_ns"),
        (thread, "on and off the CPU for longer than its window"),
        (gap, "shorter than what counts as one"),
        (lambda trial: trial.update(index=10**6), "the plan has no such trial"),
        (lambda trial: trial.update(index=trial["index"] ^ 1), "of another point"),
    ],
)
def test_what_no_host_can_have_done_is_damage(
    tmp_path: Path, damage: Callable[[Any], None], told: str
) -> None:
    """In a run of before: in a newer one its checksum would tell."""
    run = Path(shutil.copytree(DATA / "run-v1", tmp_path / "run"))
    path = run / "trials.jsonl"
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if '"inside"' in line and '"nr_periods"' in line)
    trial = json.loads(lines[at])
    trial["host_first"].setdefault("steal_ns", [10**9, 10**9])
    trial["containers"][0]["first"].setdefault("cpu_some_us", 0)
    damage(trial)
    path.write_text("".join(f"{json.dumps(trial) if i == at else line}\n"
                            for i, line in enumerate(lines)))  # fmt: skip
    read = runs.load(run)
    assert len(read.trials) == len(lines) - 1
    assert len(read.damage) == 1
    assert told in read.damage[0]


# --- files that are none -------------------------------------------------------------------------


def folder(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def device(path: Path) -> None:
    os.mknod(path, 0o20644, os.makedev(1, 5))  # /dev/zero


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("name", ["run.json", "trials.jsonl", "samples.parquet"])
@pytest.mark.parametrize("make", [folder, link, os.mkfifo, device, huge])
def test_what_stands_in_place_of_a_file_is_told_and_never_read(
    run: Path, name: str, make: Callable[[Path], object]
) -> None:
    (run / name).unlink()
    try:
        make(run / name)
    except PermissionError:
        pytest.skip("a device takes root")
    if name == "run.json":
        with pytest.raises(ResultsError) as refused:
            runs.load(run)
        assert len(str(refused.value).splitlines()) == 1
        assert list(listing.list_runs(run.parent).unreadable) == [run.name]
        return
    read = runs.load(run)
    assert bool(read.trials) == (name != "trials.jsonl")
    assert len(read.damage) == 1
    assert name in read.damage[0]
    assert read.samples().num_rows == (0 if name == "samples.parquet" else 5 * 151)
    assert listing.list_runs(run.parent).runs[0].trials == len(read.trials)


def test_half_a_surrogate_pair_in_place_of_a_name_is_damage(run: Path) -> None:
    path = run / "run.json"
    path.write_text(path.read_text().replace('"spin"', '"\\ud83d"', 1))
    with pytest.raises(ResultsError, match="is damaged"):
        runs.load(run)


def test_lines_without_end_are_passed_over(run: Path) -> None:
    path = run / "trials.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"[" * (40 << 20) + b"\n" + lines[1] + b"\n" * 100)
    read = runs.load(run)
    assert len(read.trials) == 2
    assert read.damage[0] == "line 2 of trials.jsonl is left out: it is longer than 16 MiB"
    assert read.damage[-1].endswith("with those after it: the run has fewer trials")
    assert len(read.damage) < 100


def test_a_text_without_a_checksum_has_none() -> None:
    assert checks.holds(b"{}") is None
    assert checks.holds(b"") is None
    assert checks.holds(checks.stamped(b'{"a":1}')) is True
    assert checks.holds(checks.stamped(b'{\n  "a": 1\n}')) is True
    assert checks.holds(checks.stamped(b'{"a":1}').replace(b"1", b"2", 1)) is False
