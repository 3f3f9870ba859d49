"""Which engine: the one that was named, else whatever answers, else a private one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.constants
import docker.errors
import docker.tls
import docker.utils

from harness.engine import daemon, install
from harness.engine.client import NoAnswerError, check_address, open_client
from harness.errors import EngineError, UsageError
from harness.model import EngineFacts

DEFAULT_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Connection:
    """An engine that has answered. ``private`` is true for the one that limitbench started."""

    host: str
    api: docker.APIClient
    private: bool


@dataclass(frozen=True, slots=True)
class _Named:
    """An engine that the user named, and where."""

    host: str
    source: str
    remedy: str
    tls: docker.tls.TLSConfig | None = None


def find_engine(engine_host: str | None) -> Connection | None:
    """The engine to use, or None where none was named and none answers. Starts nothing.

    The order: ``engine_host`` (``--engine-host``), ``DOCKER_HOST``, the Docker context, the default
    socket, the private engine. One that was named and does not answer is an EngineError: results
    of another engine than the one that was meant would be worse than none.
    """
    named = _named(engine_host)
    if named is not None:
        try:
            return _connect(named.host, named.tls)
        except NoAnswerError as error:
            raise EngineError(
                f"the engine {named.host} ({named.source}) does not answer: {error}.", named.remedy
            ) from error
    for host in (DEFAULT_HOST, daemon.host()):
        try:
            return _connect(host)
        except NoAnswerError:
            pass
    return None


def obtain_engine(
    engine_host: str | None,
    say: Callable[[str], None],
    ask: Callable[[str], bool] | None = None,
) -> Connection:
    """The engine to use; a private one is started, and installed, where none was named or answers.

    ``say`` gets a line before anything that takes seconds. ``ask`` puts a question to a person and
    is None where nobody is there to answer. EngineError where no engine can be had.
    """
    found = find_engine(engine_host)
    if found is not None:
        return found
    start_private(say, ask)
    try:
        return _connect(daemon.host())
    except NoAnswerError as error:
        raise EngineError(
            f"the private engine does not answer: {error}.", "See `bench engine status`."
        ) from error


def address_again(was: EngineFacts) -> str | None:
    """What to name to ``obtain_engine`` to have the engine of before again.

    None where it finds it anyway: so a Docker context keeps its certificates, and a private engine
    that has ended is started. One that runs is not passed over for another that answers by now.
    """
    if was.private:
        return daemon.host() if daemon.status().answers else None
    found = find_engine(None)
    return None if found is not None and found.host == was.host else was.host


def start_private(
    say: Callable[[str], None], ask: Callable[[str], bool] | None = None
) -> daemon.Status:
    """Have the private engine running, installed where it is missing. See ``obtain_engine``."""
    running = daemon.status()
    if running.answers:
        return running
    obstacle = private_engine_obstacle()
    if obstacle:
        raise EngineError(
            f"no engine can be started: {obstacle}.",
            "Install or start Docker, or name an engine with --engine-host.",
        )
    return daemon.start(install.have_dockerd(say, ask), say)


def private_engine_obstacle() -> str:
    """Why no private engine can be had here, or empty where it can. Changes nothing.

    It tells why the default socket does not answer too: that is where most remedies are.
    """
    obstacle = install.unfit() or install.obstacle()
    return f"{obstacle} ({silence()})" if obstacle else ""


def silence() -> str:
    """Why the default socket does not answer, where most remedies are; empty where it does."""
    try:
        open_client(DEFAULT_HOST).close()
    except NoAnswerError as error:
        return f"{DEFAULT_HOST}: {error}"
    return ""


def _connect(host: str, tls: docker.tls.TLSConfig | None = None) -> Connection:
    if host == daemon.host():
        daemon.require_own()
    return Connection(host, open_client(host, tls), private=host == daemon.host())


# --- what the user named -------------------------------------------------------------------


def _named(engine_host: str | None) -> _Named | None:
    """The first that is set, in the order of the docker command: -H, DOCKER_HOST, the context."""
    environment = os.environ.get("DOCKER_HOST")
    if engine_host:
        check_address(engine_host, "--engine-host")
        remedy = "Start it, or leave --engine-host and BENCH_ENGINE_HOST away."
        return _Named(engine_host, "--engine-host", remedy, _tls_of_environment(engine_host))
    if environment:
        check_address(environment, "DOCKER_HOST")
        remedy = "Start it, or unset DOCKER_HOST."
        return _Named(environment, "DOCKER_HOST", remedy, _tls_of_environment(environment))
    return _of_context()


def _tls_of_environment(host: str) -> docker.tls.TLSConfig | None:
    if not host.startswith(("tcp://", "http://", "https://")):
        return None
    try:
        return docker.utils.kwargs_from_env().get("tls")
    except docker.errors.TLSParameterError as error:
        raise UsageError(
            "the certificates that DOCKER_CERT_PATH or DOCKER_TLS_VERIFY ask for are not there.",
            "Put ca.pem, cert.pem and key.pem into that folder, or unset both.",
        ) from error


def _of_context() -> _Named | None:
    """The engine of the Docker context; None where that is the default one.

    Read here and not by ``docker.context``: where ``config.json`` is missing, the SDK (7.2) looks
    for contexts below the working folder and takes the default engine if they are not there.
    """
    # Not Path.home(): that raises for a user of no name without HOME, as in many a container.
    folder = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111
    name, source = os.environ.get("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
    if not name:
        config, source = folder / "config.json", "the current Docker context"
        name = _load(config).get("currentContext") if config.is_file() else None
        if not isinstance(name, str | None):
            raise UsageError(f"{config} names no Docker context: {name}.", "Mend it.")
    if not name or name == "default":
        return None
    id_ = hashlib.sha256(name.encode()).hexdigest()
    remedy = "Start it, or take another: `docker context use default`."
    if source == "DOCKER_CONTEXT":
        remedy = "Start it, or unset DOCKER_CONTEXT."
    source = f"context '{name}', {source}"
    meta = folder / "contexts" / "meta" / id_ / "meta.json"
    if not meta.is_file():
        raise EngineError(f"there is no Docker context '{name}' in {folder} ({source}).", remedy)
    try:
        endpoint = _load(meta)["Endpoints"]["docker"]
        host, skip_verify = endpoint.get("Host") or DEFAULT_HOST, endpoint.get("SkipTLSVerify")
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{meta} names no Docker engine ({source}).", remedy) from error
    check_address(host, source)
    tls = _tls_of_folder(folder / "contexts" / "tls" / id_ / "docker", verify=not skip_verify)
    return _Named(host, source, remedy, tls)


def _tls_of_folder(folder: Path, *, verify: bool) -> docker.tls.TLSConfig | None:
    """A context's certificates, which the docker command keeps under these names."""
    ca, cert, key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
    if not (ca.is_file() or cert.is_file()):
        return None
    try:
        return docker.tls.TLSConfig(
            client_cert=(str(cert), str(key)) if cert.is_file() else None,
            ca_cert=str(ca) if ca.is_file() else None,
            verify=verify,
        )
    except docker.errors.TLSParameterError as error:
        raise UsageError(
            f"the certificates in {folder} are not complete.", "Create the Docker context again."
        ) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_bytes())
        if not isinstance(table, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}.", "Mend it, or set DOCKER_HOST."
        ) from error
    return table
