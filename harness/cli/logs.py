"""Where the log goes: always into the folder of a run, by ``-v`` to standard error too.

Every module logs to the logger of its own name below ``harness``, and knows no more than that.
Nothing is logged while a window is measured.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

LOG = "bench.log"
"""In a run's folder; a run that is resumed goes on with it."""
_FORM = logging.Formatter(
    "%(asctime)s.%(msecs)03d %(levelname)-5s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S"
)
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_MOST_EARLY = 10_000

_ours = logging.getLogger("harness")


class _Early(logging.Handler):
    """What is logged before there is a folder for it.

    Not logging.handlers.MemoryHandler: with sockets and pickle it takes a tenth of `bench --help`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._records = deque[logging.LogRecord](maxlen=_MOST_EARLY)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it; of too many the last ones."""
        self._records.append(record)

    def hand_to(self, handler: logging.Handler) -> None:
        """Once, in their order."""
        while self._records:
            handler.handle(self._records.popleft())


_early = _Early()


def with_verbose(command: click.Command) -> None:
    """Give a command, or each of a group's, the option ``-v``."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            with_verbose(one)
    elif not any(option.name == "verbose" for option in command.params):
        command.params.append(
            click.Option(
                ["-v", "--verbose"],
                count=True,
                expose_value=False,
                is_eager=True,
                callback=lambda _ctx, _option, count: _begin(count),
                help="Tell what is done on standard error; -vv: each call to the engine too.",
            )
        )


def _begin(verbosity: int) -> None:
    for one in list(_ours.handlers):
        _ours.removeHandler(one)
    _ours.setLevel(logging.DEBUG)
    _ours.propagate = False
    _ours.addHandler(_early)
    if verbosity:
        told = logging.StreamHandler(sys.stderr)
        told.setFormatter(_FORM)
        told.setLevel(_LEVELS[min(verbosity, len(_LEVELS) - 1)])
        _ours.addHandler(told)


class _Quiet(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A log that cannot be written ends no measurement, and says nothing amid one."""


@contextlib.contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Log into a run's folder, with what was logged before there was one."""
    try:
        file = _Quiet(folder / LOG, encoding="utf-8", errors="backslashreplace")
    except OSError:
        yield
        return
    file.setFormatter(_FORM)
    _early.hand_to(file)
    _ours.removeHandler(_early)
    _ours.addHandler(file)
    try:
        yield
    finally:
        _ours.removeHandler(file)
        with contextlib.suppress(OSError):
            file.close()
