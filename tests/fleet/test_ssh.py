"""Workers by SSH: a real SSH server, of asyncssh, runs what `bench fleet up --ssh` has it run."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from harness.errors import UsageError
from harness.fleet.ssh import refuse_loopback
from tests.command import bench
from tests.fleet.bench import FAKED
from tests.fleet.places import Place, until

pytestmark = pytest.mark.slow


@dataclass
class Server:
    """An SSH server on loopback, and how it is reached."""

    config: Path
    ran: list[str] = field(default_factory=list)


async def signalled(process: asyncssh.SSHServerProcess[bytes]) -> None:
    with contextlib.suppress(asyncssh.SignalReceived):
        await process.stdin.read()
        await process.wait_closed()


async def handle(process: asyncssh.SSHServerProcess[bytes], made: Server) -> None:
    made.ran.append(process.command or "")
    child = await asyncio.create_subprocess_shell(
        f"exec {process.command}", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.term_type == "dumb"
    await process.redirect(stdout=child.stdout, send_eof=False)
    closed = asyncio.ensure_future(signalled(process))
    ended = asyncio.ensure_future(child.wait())
    await asyncio.wait({closed, ended}, return_when=asyncio.FIRST_COMPLETED)
    if child.returncode is None:  # as sshd does it: its session is gone
        child.send_signal(signal.SIGHUP)
    process.exit(await child.wait())
    closed.cancel()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    key, host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key.write_private_key(tmp_path / "key")
    key.write_public_key(tmp_path / "authorized")
    made = Server(tmp_path / "ssh_config")
    loop, listening = asyncio.new_event_loop(), threading.Event()

    async def listen() -> None:
        serving = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[host_key],
            authorized_client_keys=str(tmp_path / "authorized"), encoding=None,
            process_factory=lambda process: handle(process, made),
        )  # fmt: skip
        port = serving.get_port()
        (tmp_path / "known").write_bytes(
            f"[127.0.0.1]:{port} ".encode() + host_key.export_public_key()
        )
        made.config.write_text(
            f"Host *\n  Port {port}\n  IdentityFile {tmp_path / 'key'}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {tmp_path / 'known'}\n"
        )
        listening.set()
        try:
            await asyncio.Event().wait()
        finally:
            serving.close()
            await serving.wait_closed()

    def run() -> None:
        asyncio.set_event_loop(loop)
        task = loop.create_task(listen())
        made_task.append(task)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    made_task: list[asyncio.Task[None]] = []
    thread = threading.Thread(target=run)
    thread.start()
    assert listening.wait(30)
    yield made
    loop.call_soon_threadsafe(made_task[0].cancel)
    thread.join()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, "")
    made.faults.mkdir()
    yield made
    made.end_all()


def test_a_worker_comes_by_ssh_and_goes_with_the_command(
    server: Server, here: Place, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    started.write_text(
        f"#!/bin/sh\ncd {Path.cwd()} && echo $$ > {tmp_path / 'pid'}\n"
        f'scheduler=$(echo "$*" | sed "s/.*--scheduler //; s/ .*//")\n'
        f"{FAKED}={here.faults} exec {sys.executable} -m tests.fleet.worker $scheduler "
        f"127.0.0.1 {tmp_path / 'work'}\n"
    )
    started.chmod(0o755)
    up = here.bench(
        "fleet", "up", "--listen", "127.0.0.1:0", "--ssh", "127.0.0.1,127.0.0.2",
        "--ssh-config", str(server.config), "--ssh-bench", f"{started} --folder /nowhere",
        "--insecure",
    )  # fmt: skip
    until(lambda: up.poll() is not None or "On each host" in here.said("bench-0"), "a scheduler")
    said = here.said("bench-0")
    assert up.poll() is None, said
    assert "127.0.0.2: no worker by SSH" in said
    (command,) = server.ran
    assert command.startswith(f"{started} fleet worker --folder /nowhere --insecure --scheduler")
    address = next(line for line in said.splitlines() if line.startswith("tcp://"))
    done = bench("fleet", "sweep", "cpu", "--values", "0.5", "--repeats", "1", "--duration", "0.5",
                 "--scheduler", address, "--wait", "10", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    here.end("bench-0")
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not Path(f"/proc/{pid}").exists(), "the worker's end")


def test_hosts_that_cannot_reach_loopback_are_told_before_anything_is_started() -> None:
    refuse_loopback(["root@127.0.0.1", "localhost"], "127.0.0.1")
    refuse_loopback(["web1"], "0.0.0.0")
    with pytest.raises(UsageError, match="web1 cannot reach"):
        refuse_loopback(["root@web1"], "127.0.0.1")
