"""An engine behind ``ssh://``: each connection is an ``ssh`` of its own, as for the docker command.

The SDK's transport (docker 7.2) takes paramiko even where it is to call ``ssh``, reads its answers
without a time-out, and knows neither a socket's path nor what ssh said. Here ssh is given one end
of a socket pair for its input and output, and the SDK the other: a socket like any other.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
import urllib3.connection
from docker.transport.basehttpadapter import BaseHTTPAdapter

SCHEME = "ssh://"
CONNECT_TIMEOUT_S = 30
"""As the docker command: an agent, a jump host and a slow line take their time."""
_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[^@:/]+)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@:/?#\[\]]+)(?::(?P<port>\d+))?"
    r"(?P<path>/[^?#]*)?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """``ssh://[USER@]HOST[:PORT][/SOCKET]``, the parts as ssh takes them; empty = not given."""

    user: str
    host: str
    port: str
    path: str

    def command(self) -> list[str]:
        """What connects standard input and output to the engine (docker/cli, connhelper)."""
        socket_there = ["--host", f"unix://{self.path}"] if self.path.strip("/") else []
        return [
            "ssh",
            *(["-l", self.user] if self.user else []),
            *(["-p", self.port] if self.port else []),
            *("-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}", "-T", "--", self.host.strip("[]")),
            shlex.join(["docker", *socket_there, "system", "dial-stdio"]),
        ]


def parse(host: str) -> Address | None:
    """The parts of an address; None where it is none of ssh's."""
    match = _ADDRESS.fullmatch(host.strip())
    return Address(**match.groupdict(default="")) if match else None


def missing() -> str:
    """What the address takes and this host lacks, with how to get it; empty where it is there."""
    if shutil.which("ssh"):
        return ""
    return "the ssh command is not installed here, which the package openssh-client has"


class SshAdapter(BaseHTTPAdapter):  # type: ignore[misc] # docker ships no types
    """Carries the SDK's requests through ssh."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        super().__init__()
        self._command = address.command()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close(), with the rest
        self._pool = _Pool(self, timeout_s)

    def dial(self) -> socket.socket:
        """A new connection; OSError where ssh cannot be started."""
        self._processes = [one for one in self._processes if one.poll() is None]
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: Ctrl-C is for us, who then remove the containers through it.
            self._processes.append(
                subprocess.Popen(
                    self._command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._errors,
                    start_new_session=True,
                )
            )
        return ours

    def send(self, *args: Any, **kwargs: Any) -> Any:
        """As requests has it; a connection that ssh could not make fails in ssh's own words."""
        try:
            return super().send(*args, **kwargs)
        except requests.ConnectionError as error:
            failed = error
        said = self._complaint()
        raise requests.ConnectionError(said) if said else failed

    def _complaint(self) -> str:
        """The last line of ssh, or of the docker command at its other end, where one has failed."""
        for last in self._processes[-1:]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                last.wait(1)  # its end of the socket is closed first
        if not any(one.poll() for one in self._processes):
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"ssh says: {said}" if said else "ssh failed and says nothing"

    def get_connection(self, url: str, proxies: object = None) -> _Pool:
        """One pool for every request."""
        return self._pool

    def request_url(self, request: Any, proxies: object) -> str:
        """The path alone: a proxy has no part in it."""
        return str(request.path_url)

    def close(self) -> None:
        """End every connection."""
        super().close()
        self._pool.close()
        for process in self._processes:
            process.terminate()
            process.wait()
        self._processes = []
        self._errors.close()


class _Pool(urllib3.HTTPConnectionPool):
    def __init__(self, adapter: SshAdapter, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s, maxsize=10)
        self._adapter, self._timeout_s = adapter, timeout_s

    def _new_conn(self) -> urllib3.connection.HTTPConnection:
        return _Connection(self._adapter, self._timeout_s)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, adapter: SshAdapter, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._adapter, self._timeout_s = adapter, timeout_s

    def connect(self) -> None:
        self.sock = self._adapter.dial()
        self.sock.settimeout(self._timeout_s)
