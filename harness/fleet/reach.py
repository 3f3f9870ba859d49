"""Who may reach whom: addresses, TLS, what Dask is told of them.

Whoever reaches a port of Dask's runs what he likes as its user: it unpickles what comes. So a port
is on loopback, or speaks TLS with both sides' certificates, or somebody said ``--insecure``.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed.comm.addressing import get_address_host
from distributed.security import Security

from harness.errors import UsageError

PORT = 8786
LOOPBACK = "127.0.0.1"

# What Dask does on its own, once or many times a second, beside what is measured: an idle worker
# takes a thirtieth of what it does without these (docs/decisions/042).
_QUIET: dict[str, Any] = {
    "distributed.admin.tick.interval": "5s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.event-loop": "tornado",
    "distributed.diagnostics.nvml": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.http.routes": [],
    "distributed.scheduler.http.routes": [],
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-saturation": 1.0,
    # A host's task is asked for again by whoever asked, who counts; Dask counts workers that die.
    "distributed.scheduler.allowed-failures": 3,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.timeouts.tcp": "30s",
}


@dataclass(frozen=True, slots=True)
class Certificates:
    """The PEM files of TLS: who is trusted, and who we are."""

    ca: Path
    cert: Path
    key: Path


def certificates(ca: Path | None, cert: Path | None, key: Path | None) -> Certificates | None:
    """All three, or none; UsageError for one or two, or for one that is no file."""
    given = {"--tls-ca": ca, "--tls-cert": cert, "--tls-key": key}
    missing = [name for name, path in given.items() if path is None]
    if len(missing) == len(given):
        return None
    if ca is None or cert is None or key is None:
        raise UsageError(
            f"TLS needs {' and '.join(missing)} too.", "docs/fleet.md makes all three."
        )
    for name, path in given.items():
        if path is not None and not path.is_file():
            raise UsageError(f"{name} {path} is no file.", "Give a file in PEM.")
    return Certificates(ca, cert, key)


def security(given: Certificates | None) -> Security:
    """What Dask is told: TLS on every connection, or on none."""
    if given is None:
        return Security(require_encryption=False)
    files = {
        f"tls_{role}_{kind}": str(path)
        for role in ("scheduler", "worker", "client")
        for kind, path in (("cert", given.cert), ("key", given.key))
    }
    return Security(require_encryption=True, tls_ca_file=str(given.ca), **files)


def address(text: str, given: Certificates | None) -> str:
    """A scheduler's address as Dask takes it; UsageError where it is none, or not by that TLS.

    ``host``, ``host:port``, or with ``tcp://`` or ``tls://`` before it.
    """
    scheme, _, rest = text.rpartition("://")
    scheme = scheme or ("tls" if given else "tcp")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):  # an IPv6 address alone
        host, port = rest, str(PORT)
    if scheme not in ("tcp", "tls") or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            f"'{text}' is no address of a scheduler.", f"Write tcp://{LOOPBACK}:{PORT}."
        )
    if scheme == "tls" and given is None:
        raise UsageError(
            f"{text} speaks TLS.", "Give --tls-ca, --tls-cert and --tls-key; docs/fleet.md."
        )
    if scheme == "tcp" and given is not None:
        raise UsageError(f"{text} does not speak TLS.", "Leave the --tls options away, or tcp://.")
    return f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this host reaches an address or a name; of a name that is not ours, False."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_open(host: str, given: Certificates | None, *, insecure: bool) -> str:
    """What to warn of where a port is open to others; empty where it is not.

    UsageError where that is neither guarded by TLS nor meant.
    """
    if is_loopback(host) or given is not None:
        return ""
    if not insecure:
        raise UsageError(
            f"{host or 'every address of this host'} can be reached by others, who could run what "
            "they like here.",
            "Give --tls-ca, --tls-cert and --tls-key; where you trust them all: --insecure.",
        )
    return (
        f"INSECURE: whoever reaches {host or 'this host'} can run what they like here as the user "
        "of this process, without a password and unseen."
    )


def listens_beside(scheduler: str) -> str:
    """Where a worker listens: on loopback where its scheduler does, else on every address."""
    return LOOPBACK if is_loopback(get_address_host(scheduler)) else ""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Dask as a fleet has it: it says nothing by itself, and does as little."""
    # Those that Dask gives a level of their own.
    for name in ("distributed", "distributed.client", "tornado", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with dask.config.set(_QUIET):
        yield
