"""What the commands of a fleet share: their options, how Dask is called."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import UsageError
from harness.store import fleets

if TYPE_CHECKING:
    from harness.fleet.controller import Reach
    from harness.fleet.reach import Certificates

T = TypeVar("T")
ALL = "all"
SCHEDULER = "127.0.0.1:8786"
_FILE = click.Path(dir_okay=False, path_type=Path)


def tls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--tls-ca``, ``--tls-cert`` and ``--tls-key``, given as ``tls``."""

    @click.option("--tls-ca", type=_FILE, metavar="FILE", envvar="BENCH_FLEET_TLS_CA",
                  help="TLS: whose certificates are trusted (PEM).  "
                  "[env: BENCH_FLEET_TLS_CA]")  # fmt: skip
    @click.option("--tls-cert", type=_FILE, metavar="FILE", envvar="BENCH_FLEET_TLS_CERT",
                  help="TLS: our certificate (PEM).  [env: BENCH_FLEET_TLS_CERT]")  # fmt: skip
    @click.option("--tls-key", type=_FILE, metavar="FILE", envvar="BENCH_FLEET_TLS_KEY",
                  help="TLS: its key (PEM).  [env: BENCH_FLEET_TLS_KEY]")  # fmt: skip
    @functools.wraps(command)
    def called(
        *args: Any, tls_ca: Path | None, tls_cert: Path | None, tls_key: Path | None, **given: Any
    ) -> Any:
        need_dask()
        from harness.fleet import reach

        return command(*args, tls=reach.certificates(tls_ca, tls_cert, tls_key), **given)

    return called


scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", envvar="BENCH_FLEET_SCHEDULER", default=SCHEDULER,
    show_default=True, help="The fleet's scheduler.  [env: BENCH_FLEET_SCHEDULER]",
)  # fmt: skip

insecure_option = click.option(
    "--insecure", is_flag=True, help="Let others reach a port without TLS. Whoever does can run "
    "what they like.",
)  # fmt: skip

hosts_option = click.option(
    "--hosts", metavar="NAME,NAME,...|all", default=ALL, show_default=True,
    help="The hosts, by the names of their workers; all that have joined.",
)  # fmt: skip


def patience_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is borne with, and where the scheduler is: all of it given as ``reach``."""

    @scheduler_option
    @tls_options
    @click.option("--wait", "wait_s", type=click.FloatRange(1, 86_400), default=60.0,
                  show_default=True, metavar="SECONDS", help="So long a host may be away before it "
                  "counts as unreachable.")  # fmt: skip
    @click.option("--attempts", type=click.IntRange(1, 10), default=3, show_default=True,
                  metavar="N", help="So often a host is asked whose engine is away or whose worker "
                  "dies; it goes on where it stopped.")  # fmt: skip
    @functools.wraps(command)
    def called(
        *args: Any, scheduler: str, tls: Certificates | None, wait_s: float, attempts: int,
        **given: Any,
    ) -> Any:  # fmt: skip
        return command(*args, reach=_reach(scheduler, tls, wait_s, attempts), **given)

    return called


def _reach(scheduler: str, tls: Certificates | None, wait_s: float, attempts: int) -> Reach:
    from harness.fleet import reach
    from harness.fleet.controller import Reach

    return Reach(
        reach.address(scheduler, tls), reach.security(tls), wait_s=wait_s, attempts=attempts
    )


def need_dask() -> None:
    """UsageError where the extra is not installed."""
    _need("distributed", "`bench fleet` needs Dask distributed")


def need_asyncssh() -> None:
    """UsageError where what --ssh needs is not installed."""
    _need("asyncssh", "--ssh needs asyncssh")


def _need(module: str, said: str) -> None:
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{said}, which is not installed.", "pip install 'limitbench[fleet]'")


def named(hosts: str) -> tuple[str, ...] | None:
    """The hosts of ``--hosts``, in their order; None for all. UsageError for what is no name."""
    if hosts == ALL:
        return None
    found = tuple(dict.fromkeys(one for one in re.split(r"[,\s]+", hosts) if one))
    for one in found:
        check_name(one)
    if not found:
        raise UsageError("--hosts names none.", "Write a,b,c, or all.")
    return found


def check_name(name: str) -> str:
    """A host's name; UsageError where it cannot be one."""
    if not fleets.NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a host.",
            "Letters, digits, '.', '_' and '-' make one, up to 63 of them.",
        )
    return name


def run(what: Coroutine[Any, Any, T]) -> T:
    """What talks to Dask, with Dask as a fleet has it."""
    from harness.fleet.reach import quiet

    with quiet():
        return asyncio.run(what)
