"""``bench claims`` on a real engine: kept, shown, compared, interrupted, and nothing left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from harness.engine.boundary import LABEL
from harness.engine.connect import Connection
from harness.engine.laboratory import REPOSITORY
from harness.store import claims
from tests.docker.command import BENCH, bench_env
from tests.docker.leftovers import ours

pytestmark = [pytest.mark.engine, pytest.mark.beside, pytest.mark.slow]

QUICK = ("container-is-a-process", "pause-freezes")
MAKES = """\
import sys, time
from harness.engine.connect import find_engine
from harness.engine.docker_engine import DockerEngine
lab = DockerEngine(find_engine(sys.argv[1])).laboratory(run="left")
lab.create("sleep", "300").start()
lab.volume()
with lab.asking("tag an image") as api:
    api.tag(lab.hand, *lab.tag().split(":"))
print("made", flush=True)
time.sleep(300)
"""


def bench(connection: Connection, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BENCH, *args], cwd=folder, env=bench_env(connection), text=True, capture_output=True,
        timeout=120, check=False,
    )  # fmt: skip


def left(connection: Connection) -> list[str]:
    """Containers, volumes, and names of images of ours."""
    volumes = connection.api.volumes(filters={"label": LABEL})["Volumes"] or []
    images = connection.api.images(filters={"reference": f"{REPOSITORY}:*"})
    return [*ours(connection), *(one["Name"] for one in volumes), *(one["Id"] for one in images)]


def test_a_run_is_kept_shown_reported_and_compared(
    engine_connection: Connection, tmp_path: Path
) -> None:
    ran = bench(
        engine_connection, tmp_path, "claims", *QUICK, "--seed", "1", "--json",
        "--html", "x.html", "--markdown", "x.md", "--junit", "x.xml",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert {one["id"]: one["verdict"] for one in told["results"]} == dict.fromkeys(QUICK, "holds")
    assert told["results"][1]["numbers"]["paused_ns"] == 0
    assert 'id="pause-freezes"' in (tmp_path / "x.html").read_text()
    assert "✓ holds" in (tmp_path / "x.md").read_text()
    assert Xml.parse(tmp_path / "x.xml").getroot().get("failures") == "0"
    assert left(engine_connection) == []
    path = Path(told["path"])
    assert "pause-freezes: holds" in (tmp_path / path / "bench.log").read_text()
    shown = bench(engine_connection, tmp_path, "show")
    assert "2 claims, none other than expected: 2 hold." in shown.stdout
    assert bench(engine_connection, tmp_path, "report").returncode == 0
    # As before an upgrade that made another engine of it.
    told["results"][1]["verdict"] = "refuted"
    (tmp_path / "before.json").write_text(json.dumps(told))
    again = bench(
        engine_connection, tmp_path, "claims", "pause-freezes", "--against", "before.json"
    )
    assert again.returncode == 1, again.stderr
    assert "1 claim changed" in again.stdout
    assert bench(engine_connection, tmp_path, "compare", path.name, "before.json").returncode == 0


def test_an_interrupt_keeps_what_was_found_and_leaves_nothing(
    engine_connection: Connection, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [BENCH, "claims", *QUICK, "shares-cap-a-lone-container"], cwd=tmp_path,
        env=bench_env(engine_connection), stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not any(p.stat().st_size for p in tmp_path.glob("results/*/claims.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.3)  # into the next one
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "bench: interrupted." in stderr
    assert "Traceback" not in stderr
    (run,) = (claims.load(path) for path in tmp_path.glob("results/*"))
    assert (run.info.status, run.damage) == ("interrupted", ())
    assert 1 <= len(run.results) < 3
    assert left(engine_connection) == []


def test_what_a_bench_that_died_left_is_removed_and_of_a_living_one_nothing(
    engine_connection: Connection, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAKES, engine_connection.host], text=True, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "made\n"
            cleaned = bench(engine_connection, tmp_path, "clean", "--json")
            assert cleaned.returncode == 0, cleaned.stderr
            assert len(left(engine_connection)) == 3
        finally:
            process.kill()
    cleaned = bench(engine_connection, tmp_path, "clean", "--json")
    told = json.loads(cleaned.stdout)
    assert (told["removed"], told["images"], told["volumes"]) == (1, 1, 1)
    assert left(engine_connection) == []
