"""A client of one engine: bounded in time, with one exception for all that can go wrong."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import docker
import docker.constants
import docker.errors
import docker.tls
import docker.utils
import requests
import urllib3

from harness.engine import ssh
from harness.errors import UsageError

ANSWER_TIMEOUT_S = 5.0
"""An engine says its version in milliseconds; one that takes longer than this is not used."""
_REQUEST_TIMEOUT_S = 60.0
"""For requests that make the engine work: loading an image, removing a busy container."""


class NoAnswerError(Exception):
    """Why no engine answers at an address, in a few words."""


def open_client(
    host: str, tls: docker.tls.TLSConfig | None = None, *, timeout_s: float = ANSWER_TIMEOUT_S
) -> docker.APIClient:
    """A client of the engine at ``host``, which has answered; NoAnswerError where it does not."""
    if host.startswith(ssh.SCHEME):
        timeout_s = max(timeout_s, ssh.CONNECT_TIMEOUT_S)
    with _no_answer(timeout_s):
        _knock(host, timeout_s)
        # The SDK's own version="auto" would ask with the long time-out, and keep its socket open
        # where that fails.
        first = _client(host, docker.constants.MINIMUM_DOCKER_API_VERSION, timeout_s, tls)
        try:
            version = first.version(api_version=False)["ApiVersion"]
        finally:
            first.close()
        return _client(host, version, _REQUEST_TIMEOUT_S, tls)


def _client(
    host: str, version: str, timeout_s: float, tls: docker.tls.TLSConfig | None
) -> docker.APIClient:
    address = ssh.parse(host)
    if address is None:
        return docker.APIClient(base_url=host, version=version, timeout=timeout_s, tls=tls or False)
    # As if for a socket of this host, but no request goes there.
    client = docker.APIClient(base_url="unix:///ssh", version=version, timeout=timeout_s)
    client.mount("http+docker://", ssh.SshAdapter(address, timeout_s))
    return client


def engine_version(host: str) -> str:
    """The version of the engine at ``host``; NoAnswerError where it does not answer."""
    with _no_answer(ANSWER_TIMEOUT_S):
        client = open_client(host)
        try:
            return str(client.version()["Version"])
        finally:
            client.close()


@contextlib.contextmanager
def _no_answer(timeout_s: float) -> Iterator[None]:
    try:
        yield
    except docker.errors.APIError as error:
        raise NoAnswerError(f"it refused to tell its version: {error.explanation}") from error
    except (KeyError, TypeError, requests.exceptions.JSONDecodeError) as error:
        raise NoAnswerError("what answers there is not a Docker engine") from error
    except (docker.errors.DockerException, requests.RequestException, OSError,
            urllib3.exceptions.HTTPError) as error:  # fmt: skip
        raise NoAnswerError(_why(error, timeout_s)) from error


def _knock(host: str, timeout_s: float) -> None:
    """OSError where nothing listens at a socket's path; the SDK (7.2) would leak its own then."""
    if host.startswith(ssh.SCHEME):
        if why := ssh.missing():
            raise NoAnswerError(why)
        return
    address = docker.utils.parse_host(host)
    if address.startswith("http+unix://"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(timeout_s)
            knocking.connect(address.removeprefix("http+unix://"))


def check_address(host: str, source: str) -> None:
    """UsageError where ``host`` is no address of an engine at all."""
    try:
        if ssh.parse(host) is None:
            docker.utils.parse_host(host)
            if host.startswith(ssh.SCHEME):
                raise ValueError(host)
    except (docker.errors.DockerException, ValueError) as error:
        raise UsageError(
            f"{source}: '{host}' is not the address of an engine.",
            "Write it like unix:///run/docker.sock, tcp://10.0.0.1:2376 or ssh://user@host.",
        ) from error


def _why(error: BaseException, timeout_s: float) -> str:
    """The SDK wraps what happened up to four times; the innermost tells it best."""
    chain = list(_chain(error))
    for cause in reversed(chain):
        match cause:
            case TimeoutError() | requests.Timeout() | urllib3.exceptions.TimeoutError():
                return f"no answer within {timeout_s:g} s"
            case FileNotFoundError():
                return "there is no such socket"
            case ConnectionRefusedError():
                return "nothing listens there"
            case PermissionError():
                return "permission denied: its group or root may use it"
            case _:
                pass
    told = getattr(chain[-1], "strerror", None) or str(chain[-1]) or type(chain[-1]).__name__
    return str(told).splitlines()[0].rstrip(".")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
