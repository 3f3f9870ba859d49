"""An engine behind ssh://: with an ``ssh`` of our own that bridges to a socket here."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.engine.client import NoAnswerError, open_client
from harness.engine.connect import find_engine
from harness.errors import EngineError, UsageError
from tests.command import bench, one_line
from tests.engine.fake_engines import engine_at, make_context

SSH = f"""\
#!{sys.executable}
import json, os, socket, sys, threading
open({{log!r}}, "a").write(json.dumps(sys.argv[1:]) + "\\n")
def copy(read, write, end):
    while data := read():
        write(data)
    end()
with socket.socket(socket.AF_UNIX) as there:
    there.connect({{path!r}})
    up = lambda: there.shutdown(socket.SHUT_WR)
    args = (lambda: os.read(0, 65536), there.sendall, up)
    threading.Thread(target=copy, args=args, daemon=True).start()
    copy(lambda: there.recv(65536), lambda data: os.write(1, data), lambda: None)
"""
"""What ssh and `docker system dial-stdio` do together, without the network between them."""

Program = Callable[[str, str], Path]


@pytest.fixture
def asked(folder: Path, program: Program) -> Iterator[Callable[[], list[list[str]]]]:
    """An engine that ssh reaches; how ssh was called."""
    log = folder / "log"
    program("ssh", SSH.format(log=str(log), path=str(folder / "s")))
    with engine_at(folder / "s"):
        yield lambda: [json.loads(line) for line in log.read_text().splitlines()]


def test_an_engine_is_reached_as_the_docker_command_reaches_it(
    asked: Callable[[], list[list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@Far.example:2222")
    connection = find_engine(None)
    assert connection is not None
    assert connection.api.version()["Version"] == "99.0"
    connection.api.close()
    assert connection.host == "ssh://me@Far.example:2222"
    assert not connection.private
    wanted = ["-l", "me", "-p", "2222", "-o", "ConnectTimeout=30", "-T", "--", "Far.example"]
    assert asked()[-1] == [*wanted, "docker system dial-stdio"]
    monkeypatch.delenv("DOCKER_HOST")
    make_context(tmp_path, "far", {"Host": "ssh://far/run/user/1000/docker.sock"}, current=True)
    connection = find_engine(None)
    assert connection is not None
    connection.api.close()
    command = "docker --host unix:///run/user/1000/docker.sock system dial-stdio"
    assert asked()[-1][-2:] == ["far", command]


def test_connections_are_sockets_with_time_outs_and_streams(
    asked: Callable[[], list[list[str]]],
) -> None:
    client = open_client("ssh://far")
    for _ in range(5):
        client.version()
    assert len(asked()) == 2, "one to learn the version, one that is kept open"
    stream = client._get_raw_response_socket(client.get(client._url("/x"), stream=True))
    assert stream.fileno() >= 0, "attached streams are read from the socket itself"
    started = client.get_adapter("http+docker://localhost")._processes
    assert started
    client.close()
    assert all(one.poll() is not None for one in started), "no ssh is left"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo 'me@far: Permission denied (publickey).' >&2; exit 255", r"ssh says: me@far: Perm"),
        ("echo 'sh: 1: docker: not found' >&2; exit 127", "ssh says: sh: 1: docker: not found"),
        ("exit 255", "ssh failed and says nothing"),
    ],
)
def test_what_ssh_says_is_told(program: Program, text: str, words: str) -> None:
    program("ssh", f"#!{shutil.which('sh')}\n{text}\n")
    with pytest.raises(NoAnswerError, match=words):
        open_client("ssh://me@far")


def test_without_ssh_one_line_says_how_to_get_it(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@far")
    with pytest.raises(EngineError, match=r"not installed here, .* openssh-client") as told:
        find_engine(None)
    assert told.value.exit_code == 4


@pytest.mark.parametrize("host", ["ssh://", "ssh://a:b@far", "ssh://far:port", "ssh://far?x=1"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="not the address of an engine"):
        find_engine(host)


@pytest.mark.slow
def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    fake = tmp_path / "ssh"
    fake.write_text("#!/bin/sh\necho 'ssh: connect to host far port 22: refused' >&2\nexit 255\n")
    fake.chmod(0o755)
    run = bench("sweep", "cpu", cwd=tmp_path, PATH=str(tmp_path), DOCKER_HOST="ssh://far")
    one_line(run, 4, "ssh says: ssh: connect to host far port 22: refused", "unset DOCKER_HOST")
