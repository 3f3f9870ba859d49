"""``bench inspect``, ``bench audit`` and ``--until`` from the command line, without an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.audit.errors import CGROUP, STATS, Audit, Cost, Errors, Reading
from harness.cli import audit as audit_command
from harness.cli import inspected
from harness.errors import MeasurementError
from harness.inspection.findings import CATALOGUE
from harness.inspection.inspection import Inspection, inspect
from tests.command import NO_ENGINE, bench, one_line, ran, spoken
from tests.fakes import ENGINE_FACTS, HOST_FACTS
from tests.observations import observation, schedule


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("inspect",), 2, ("exactly one of CONTAINER, --pid, --cgroup, --unit, --all",)),
        (("inspect", "x", "--pid", "1"), 2, ("CONTAINER and --pid exclude each other",)),
        (("inspect", "x", "--sort", "cpu"), 2, ("Give it with --all",)),
        (("inspect", "--pid", "1"), 4, ("process 1 is in the root cgroup",)),
        (("inspect", "x", "--duration", "0"), 2, ("--duration 0 is out of range", "1 to 3600")),
        (("inspect", "x", "--engine-host", NO_ENGINE), 4, ("/nonexistent/docker.sock",)),
        (("audit", "--trials", "0"), 2, ("--trials 0 is out of range",)),
        (("sweep", "cpu", "--until", "1"), 2, ("'1' is not a percentage", "1%")),
        (("sweep", "cpu", "--until", "200%"), 2, ("--until 200.00% is out of range",)),
        (("sweep", "cpu", "--most-repeats", "9"), 2, ("--most-repeats needs --until",)),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, args: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    one_line(bench(*args, cwd=tmp_path), code, *words)


def test_without_an_engine_nothing_is_started_to_look_at(tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    result = bench(
        "inspect", "web", cwd=tmp_path, BENCH_ENGINE_DIR=str(folder), DOCKER_HOST=NO_ENGINE
    )
    one_line(result, 4, "does not answer")
    assert not folder.exists()


@pytest.mark.slow
def test_a_finding_is_explained_without_a_container(tmp_path: Path) -> None:
    told = bench("inspect", "--explain", "memory-oom-near", cwd=tmp_path, COLUMNS="80")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("BAD  memory-oom-near  (memory)\n")
    assert "What cannot give way is 90% of its limit or more" in told.stdout
    assert "Raise --memory." in told.stdout
    names = bench("inspect", "--explain", "list", cwd=tmp_path).stdout
    assert [line.split()[-1] for line in names.splitlines()] == [*CATALOGUE]
    unknown = bench("inspect", "--explain", "memory-oom", cwd=tmp_path)
    one_line(unknown, 2, "no finding 'memory-oom'", "memory-oom-near", "--explain list")


def test_until_is_part_of_the_plan(tmp_path: Path) -> None:
    done = bench(
        "sweep", "cpu", "--until", "0.5%", "--values", "0.5", "--dry-run", "--json", cwd=tmp_path,
        BENCH_ENGINE_DIR=str(tmp_path / "engine"),
    )  # fmt: skip
    assert json.loads(done.stdout)["trials"] == 5


@pytest.mark.parametrize("columns", [80, 120])
def test_an_inspection_fits_its_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    seen = observation(
        schedule(quota_ms=50, threads=1), absent={"cpu_some_us": "this kernel keeps no pressure"}
    )
    said = spoken(lambda: inspected.show(lambda: inspect(seen, ENGINE_FACTS, HOST_FACTS), False))
    lines = said.splitlines()
    assert max(len(line) for line in lines) <= columns
    assert "web-1 (c0ffeec0ffee, image nginx:1.25)" in lines[0]
    assert "50000/100000 µs" in said
    assert "- (this kernel keeps no pressure)" in said
    assert "→ Raise --cpus, or give it less to do." in said
    assert "[cpu-at-limit]" in said


def test_a_watched_window_is_a_line_of_80_columns() -> None:
    use = inspect(observation(schedule(quota_ms=50, threads=1)), ENGINE_FACTS, HOST_FACTS).use
    head, line = spoken(lambda: inspected.print_line(use, 0)).splitlines()
    assert len(head) <= 80
    assert len(line) == len(head)
    assert "0.500" in line
    assert "100%" in line


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (True, ""),
        (KeyboardInterrupt(), ""),
        (MeasurementError("web-1 ended before it could be measured: it is gone."), "it is gone."),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_watching_ends_with_what_its_last_window_means(
    last: BaseException | bool, words: str, as_json: bool
) -> None:
    going, ended = (
        inspect(observation(schedule(quota_ms=50, threads=1), ended=how), ENGINE_FACTS, HOST_FACTS)
        for how in ("", "it ended badly")
    )
    windows = iter([going, going])

    def look() -> Inspection:
        if (window := next(windows, None)) is not None:
            return window
        if isinstance(last, BaseException):
            raise last
        return ended

    done = ran(lambda: inspected.watch(look, as_json))
    assert done.stderr.strip().endswith(words)
    assert bool(done.stderr.strip()) == bool(words)
    if as_json:
        windows_told = [json.loads(line) for line in done.stdout.splitlines()]
        findings = windows_told[-1]["findings"]
        rows, end = len(windows_told), findings[0]["text"]
    else:
        rows, end = done.stdout.count("0.500      100%"), done.stdout
        assert "at its limit: it used 100%" in done.stdout
    assert rows == (3 if last is True else 2)
    assert ("it ended badly" in end) == (last is True)


def test_a_container_that_was_gone_before_the_first_window_is_an_error() -> None:
    def look() -> Inspection:
        raise MeasurementError("web-1 ended before it could be measured: it is gone.")

    with pytest.raises(MeasurementError, match="it is gone"):
        ran(lambda: inspected.watch(look, False))


@pytest.mark.parametrize("columns", [80, 120])
def test_an_audit_fits_its_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    readings = (
        Reading(CGROUP, "10 s", Errors.of([0.0001] * 30), 250.3),
        Reading(STATS, "10 s", Errors.of([0.02] * 25 + [None] * 5), 0.9),
    )
    found = Audit(
        cpu=readings,
        memory=(Reading(CGROUP, "tmpfs: page cache", Errors.of([None]), None),),
        costs=(Cost(CGROUP, 6e-5, 0.0, 100), Cost(STATS, 3e-4, None, 9, "not here")),
        trials=60,
        rejected=("other processes used 0.30 CPUs",),
    )
    said = spoken(lambda: audit_command._print(found))
    assert max(len(line) for line in said.splitlines()) <= columns
    assert "+2.000%" in said
    assert "25 (5 without)" in said
    assert "not known in the engine" in said
    assert "1 of 60 trials rejected" in said
