"""How a command that measures has its hosts to itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from harness.cli.dialogue import asker, say
from harness.cli.progress import clock
from harness.errors import MeasurementError
from harness.wording import counted

if TYPE_CHECKING:
    from harness.engine.connect import Connection
    from harness.engine.docker_engine import DockerEngine
    from harness.engine.leftovers import Stray
    from harness.host.lock import Holder

_NO_WAIT, _HELD = "harness.no_wait", "harness.held"


def _note(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_NO_WAIT] = value


no_wait_option = click.option(
    "--no-wait", is_flag=True, expose_value=False, callback=_note,
    help="Exit 4 where another measurement runs on the host, instead of waiting for its end.",
)  # fmt: skip


def obtain_alone(*engine_hosts: str | None) -> list[Connection]:
    """The engines, as ``obtain_engine`` finds or starts them, once their hosts are ours."""
    from harness.engine.connect import find_engine, obtain_engine

    found = [find_engine(host) for host in engine_hosts]
    have_alone(*found)
    return [
        one or obtain_engine(host, say, asker())
        for one, host in zip(found, engine_hosts, strict=True)
    ]


def have_alone(*found: Connection | None) -> None:
    """Hold the lock of each engine's host until the command ends; waits for who has it.

    What a bench that died has left on these engines, or here without one, is removed and told.
    None is the private engine that will be started here. MeasurementError under ``--no-wait``.
    """
    from harness.cgroup import remove_empty_parents
    from harness.engine.docker_engine import DockerEngine
    from harness.host import lock

    ctx = click.get_current_context().find_root()
    held: set[str] = ctx.meta.setdefault(_HELD, set())
    folder = lock.shared_folder()
    engines = [DockerEngine(one) for one in found if one is not None]
    names = {engine.elsewhere() or lock.this_host() for engine in engines}
    if None in found:
        names.add(lock.this_host())
    # In one order for everybody, else two commands could wait for each other; and what a command
    # holds already it would wait for in vain.
    for name in sorted(names - held):
        began = time.monotonic()
        waiting = _Waiting(refused=bool(ctx.meta.get(_NO_WAIT)))
        ctx.with_resource(lock.held(name, waiting, folder))
        held.add(name)
        if waiting.has_waited:
            say(f"The host is free, after {clock(time.monotonic() - began)}.")
    ctx.call_on_close(_end_own)
    _remove_leftovers(engines)
    if lock.this_host() in names:  # which is ours alone now, so nobody is about to use one
        remove_empty_parents()
    for one in found:
        _remove_abandoned(one)
    _remove_devices()


def _remove_leftovers(engines: list[DockerEngine]) -> None:
    from harness.engine import leftovers, storage

    for engine in engines:
        if left := engine.left_behind():
            engine.remove(left)
            say(f"Removed {counted(len(left), 'container')} that a bench which died had left.")
    _tell_ended(leftovers.end(leftovers.strays()))
    if folders := storage.remove_abandoned_folders():
        say(f"Removed {counted(folders, 'folder')} that a bench which died had left.")


def _remove_abandoned(connection: Connection | None) -> None:
    from harness.engine.abandoned import remove_abandoned

    if connection is not None and any(left := remove_abandoned(connection)):
        images, volumes = left
        what = f"{counted(images, 'image')} and {counted(volumes, 'volume')}"
        say(f"Removed {what} that claims of a bench which died had left.")


def _remove_devices() -> None:
    from harness.engine import device

    if left := device.remove_left():
        say(f"Removed {counted(left, 'loop device')} that a bench which died had left.")


def _end_own() -> None:
    """Our own containers, where the engine that should have removed them is gone."""
    from harness.engine import leftovers

    own = leftovers.mark()
    _tell_ended(leftovers.end(leftovers.strays(own), own))


def _tell_ended(strays: list[Stray]) -> None:
    if strays:
        say(f"Ended {', '.join(map(str, strays))}: left running by an engine that is gone.")


class _Waiting:
    """Says who is waited for."""

    def __init__(self, *, refused: bool) -> None:
        self._refused = refused
        self.has_waited = False

    def __call__(self, holder: Holder | None) -> None:
        measures = f"another measurement runs on this host: {holder or 'whose, it does not tell'}"
        if self._refused:
            raise MeasurementError(f"{measures}.", "Wait for its end, or leave --no-wait away.")
        self.has_waited = True
        say(f"Waiting, as {measures}. Ctrl-C gives up.")
