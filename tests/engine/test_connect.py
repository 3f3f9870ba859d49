"""Which engine is used: by its name, by the variable, by the context, or the private one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.engine.client import NoAnswerError, open_client
from harness.engine.connect import (
    Connection,
    find_engine,
    obtain_engine,
)
from harness.errors import EngineError, UsageError
from tests.command import bench, one_line
from tests.engine.fake_engines import engine_at, make_context, mute_socket, needs_root

pytestmark = pytest.mark.usefixtures("private_folder")


def found(engine_host: str | None = None) -> str:
    connection = find_engine(engine_host)
    assert connection is not None
    connection.api.close()
    return connection.host


def test_the_order_in_which_a_named_engine_is_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        option, variable, named, current = (
            stack.enter_context(engine_at(folder / name)) for name in ("o", "v", "n", "c")
        )
        make_context(tmp_path, "current", {"Host": current}, current=True)
        make_context(tmp_path, "named", {"Host": named})
        assert found() == current
        monkeypatch.setenv("DOCKER_CONTEXT", "named")
        assert found() == named
        monkeypatch.setenv("DOCKER_HOST", variable)
        assert found() == variable
        assert found(option) == option


def test_a_context_is_found_where_there_is_no_config_json(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_at(folder / "s") as host:
        make_context(tmp_path, "mine", {"Host": host})
        monkeypatch.setenv("DOCKER_CONTEXT", "mine")
        assert found() == host


@needs_root
def test_a_user_without_home_or_name_has_no_context(folder: Path) -> None:
    script = (
        "import os, docker.api.client, harness.engine.connect as connect\n"
        "os.setresuid(4242, 4242, 4242)\n"
        "print(connect.find_engine(None))"
    )
    env = {"BENCH_ENGINE_DIR": str(folder / "none"), "PATH": "/usr/bin:/bin"}
    told = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
    )
    assert (told.stdout.strip(), told.returncode) == ("None", 0), told.stderr


def test_an_engine_that_was_named_is_never_replaced_by_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"unix://{folder}/dead.sock"
    with engine_at(folder / "s") as alive:
        make_context(tmp_path, "alive", {"Host": alive}, current=True)
        with pytest.raises(EngineError, match=r"dead.sock \(--engine-host\).*no such socket"):
            find_engine(dead)
        monkeypatch.setenv("DOCKER_HOST", dead)
        with pytest.raises(EngineError, match=r"dead.sock \(DOCKER_HOST\).*unset DOCKER_HOST"):
            find_engine(None)
        monkeypatch.delenv("DOCKER_HOST")
        make_context(tmp_path, "dead", {"Host": dead}, current=True)
        with pytest.raises(EngineError, match=r"dead.sock \(context 'dead', the current Docker"):
            obtain_engine(None, pytest.fail)
        monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
        with pytest.raises(EngineError, match=r"no Docker context 'nowhere'.*DOCKER_CONTEXT"):
            find_engine(None)


def test_a_socket_that_accepts_and_never_answers_does_not_hang(folder: Path) -> None:
    with mute_socket(folder / "mute") as host:
        started = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"no answer within 0\.3 s"):
            open_client(host, timeout_s=0.3)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("says", [b"[]", b"{}", b"<html>", b""])
def test_what_answers_and_is_no_engine(folder: Path, says: bytes) -> None:
    with (
        engine_at(folder / "s", says=says) as host,
        pytest.raises(EngineError, match="not a Docker engine"),
    ):
        find_engine(host)


@pytest.mark.parametrize(
    ("host", "error", "words"),
    [
        ("tcp://127.0.0.1:1", EngineError, "nothing listens there"),
        ("ssh://nobody@127.0.0.1:1", EngineError, "ssh://nobody@127.0.0.1:1"),
        ("/run/docker.sock", UsageError, "not the address of an engine.*unix:///run"),
        ("ftp://host", UsageError, "not the address of an engine"),
        ("tcp://host:port", UsageError, "not the address of an engine"),
    ],
)
def test_addresses(host: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        find_engine(host)


def test_tls_where_there_are_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with pytest.raises(UsageError, match=r"certificates.*cert\.pem"):
        find_engine("tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"currentContext": 3}', '{"currentContext": {"a": 1}}']
)
def test_a_broken_docker_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(text)
    with pytest.raises(UsageError, match=r"config\.json"):
        find_engine(None)


@pytest.mark.parametrize("endpoint", [None, "tcp", []])
def test_a_broken_context(tmp_path: Path, endpoint: object) -> None:
    make_context(tmp_path, "broken", endpoint, current=True)
    with pytest.raises(UsageError, match=r"meta\.json names no Docker engine"):
        find_engine(None)


@needs_root
def test_a_policy_that_is_none(folder: Path, tmp_path: Path) -> None:
    where = {"BENCH_ENGINE_DIR": str(folder / "e"), "BENCH_INSTALL_ENGINE": "sure"}
    one_line(
        bench("engine", "start", cwd=tmp_path, **where),
        2, "BENCH_INSTALL_ENGINE=sure", "auto, ask or never",
    )  # fmt: skip


def test_connection_says_whether_the_engine_is_private(folder: Path) -> None:
    with engine_at(folder / "s") as host:
        connection = find_engine(host)
        assert isinstance(connection, Connection)
        assert not connection.private
        connection.api.close()
