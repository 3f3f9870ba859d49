"""What is made public names no host, no user and no path; a log and a command line no secret."""

from __future__ import annotations

import json
import logging
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.cli import commandline, logs
from harness.store import checks, runs
from harness.store.anonymous import anonymous
from tests.command import bench
from tests.runs import stored

HOST, USER = "box-17.example.com", "alice"
SECRETS = (HOST, "box-17", USER, "/home", "/srv", "10.1.2.3", "deadbeef")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a host whose name, user and paths stand wherever they can."""
    folder = tmp_path_factory.mktemp("anonymous") / USER
    path = stored(folder / "results")
    info: dict[str, Any] = json.loads((path / "run.json").read_text())
    said = f"cannot write /home/{USER}/results on {HOST} (tcp://10.1.2.3:2376)"
    info["host"]["hostname"] = HOST
    info["engine"] |= {"host": f"ssh://{USER}@{HOST}/srv/docker.sock", "warnings": [said]}
    info["writer"] |= {"host": HOST, "boot_id": "deadbeef"}
    info["plan"]["command"] = f"bench sweep /srv/{USER}/cpu.toml --results ~{USER}/r"
    info |= {"status": "failed", "reason": said}
    (path / "run.json").write_bytes(stamped(info))
    lines = [json.loads(line) for line in (path / "trials.jsonl").read_text().splitlines()]
    for line in lines:
        line["warnings"] = [{"code": "x", "text": said, "remedy": f"ask {USER}"}]
        for container in line["containers"]:
            at = f"/user.slice/{USER}.slice"
            container["effective"] = {"cpus": 0.5, "cpus_at": at, "memory_at": at}
            container["above"] = [{"at": at, "kernel": {"cpu_quota_us": 50_000}}]
        line["neighbours"] = [{"name": f"/srv/{USER}/bin/cc on {HOST}", "cpus": 1.0}]
    lines[0] |= {"outcome": "failed", "failure": said}
    (path / "trials.jsonl").write_bytes(b"".join(stamped(line) + b"\n" for line in lines))
    (path / logs.LOG).write_text(f"2026-01-01 00:00:00.000 INFO harness.x: {said}\n")
    return folder


def stamped(document: dict[str, Any]) -> bytes:
    document.pop("crc32", None)
    return checks.stamped(json.dumps(document).encode())


def told(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def ran(results: Path, *args: str) -> str:
    env = {"USER": USER, "BENCH_ENGINE_HOST": "unix:///srv/none.sock"}
    done = bench(*args, cwd=results, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_without_names_is_the_same_run_otherwise(results: Path) -> None:
    (path,) = (results / "results").iterdir()
    run = runs.load(path)
    plain = anonymous(run)
    assert plain.info.engine.version == run.info.engine.version
    assert plain.info.host.cpu_model == run.info.host.cpu_model
    assert [one.containers[0].last for one in plain.trials] == [
        one.containers[0].last for one in run.trials
    ]
    assert plain.info.reason == "cannot write PATH on HOST (ADDRESS"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["html", "md", "json", "csv"])
def test_reports(results: Path, form: str) -> None:
    text = ran(results, "report", "--format", form, "--output", "-")
    assert told(text) or form == "csv"  # or nothing is shown by what follows
    assert told(ran(results, "report", "--format", form, "--output", "-", "--anonymous")) == []


@pytest.mark.slow
def test_exports(results: Path) -> None:
    ran(results, "export", "--anonymous", "--format", "jsonl", "--output", "out")
    for path in (results / "out").iterdir():
        assert told(path.read_text()) == [], path


@pytest.mark.slow
def test_a_bug_report(results: Path) -> None:
    said = ran(results, "bug-report", "--json")
    with tarfile.open(results / json.loads(said)["path"]) as tar:
        parts = {one.name.partition("/")[2]: tar.extractfile(one) for one in tar}
        texts = {name: part.read().decode() for name, part in parts.items() if part}
    assert texts.keys() == {"run.json", "trials.jsonl", logs.LOG, "doctor.json", "versions.json"}
    assert "cannot write PATH on HOST" in texts[logs.LOG]
    assert len(texts["trials.jsonl"].splitlines()) == 25
    for name, text in texts.items():
        assert told(text) == [], name


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["sweep", "cpu", "--values", "0.5"], "bench sweep cpu --values 0.5"),
        (["check", "--token", "s3cret"], "bench check --token '***'"),
        (["check", "--api-key=s3cret", "-v"], "bench check '--api-key=***' -v"),
        (["ab", "--a", "--cpus 1 --password s3cret"], "bench ab --a '--cpus 1 --password '"),
        (["clean", "--engine-host", "tcp://me:s3cret@h:1"], "tcp://***@h:1"),
        (["show", "\udcff"], "bench show"),
    ],
)
def test_a_command_line_is_kept_without_secrets(arguments: list[str], kept: str) -> None:
    found = commandline.kept(arguments)
    assert found.startswith(kept) or kept in found
    assert "s3cret" not in found


def test_a_run_s_log_has_what_came_before_it_too(tmp_path: Path) -> None:
    logs._begin(0)
    log = logging.getLogger("harness.engine.refusals")
    log.debug("tell its facts: %.1f ms", 1.25)
    with logs.kept_in(tmp_path):
        log.info("create a container: 3.0 ms")
    log.info("after it")
    with logs.kept_in(tmp_path / "gone"):
        log.info("nowhere to go, and nobody is told")
    lines = (tmp_path / logs.LOG).read_text().splitlines()
    assert [line.partition("harness.engine.")[2] for line in lines] == [
        "refusals: tell its facts: 1.2 ms", "refusals: create a container: 3.0 ms",
    ]  # fmt: skip
