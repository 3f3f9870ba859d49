"""The command line: one file a verb. The only layer that prints, prompts or exits.

Commands are loaded when they are called, so that ``bench --help`` costs little more than click.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import click

from harness import __version__
from harness.cli import logs, output, settings
from harness.errors import BenchError

COMMANDS = {
    "sweep": ("harness.cli.sweep", "Measure containers under a range of one limit."),
    "find": ("harness.cli.find", "Find the least limit at which a goal holds, with its bracket."),
    "resume": ("harness.cli.resume", "Go on with a run that stopped before its end."),
    "runs": ("harness.cli.runs", "List the runs of the results folder."),
    "show": ("harness.cli.show", "Show the table and verdicts of a run."),
    "report": ("harness.cli.report", "Write a report of runs: HTML, Markdown, JSON or CSV."),
    "plot": ("harness.cli.plot", "Write the figures of runs as PNG or SVG."),
    "export": ("harness.cli.export", "Write runs as tables: CSV, Parquet or JSON Lines."),
    "notebook": ("harness.cli.notebook", "Open a notebook for runs, or execute it."),
    "inspect": ("harness.cli.inspect", "Tell what a running container may use, uses, and lacks."),
    "check": ("harness.cli.check", "Tell whether limits still behave as they did and should."),
    "baseline": ("harness.cli.baseline", "Choose the runs that others are compared with."),
    "compare": ("harness.cli.compare", "Compare two runs, or a run with a baseline."),
    "history": ("harness.cli.history", "Tell since when: where a level moved, and what else did."),
    "fleet": (
        "harness.cli.fleet",
        "Measure the same on many hosts, and tell which of them differ.",
    ),
    "ab": ("harness.cli.ab", "Compare two settings, engines or runtimes in one run."),
    "calibrate": ("harness.cli.calibrate", "Find this host's own noise, which no check gates on."),
    "claims": ("harness.cli.claims", "Put the textbook to the test on this engine."),
    "audit": ("harness.cli.audit", "Tell how far each source of numbers is from the truth."),
    "doctor": ("harness.cli.doctor", "Tell what can be measured here, and what disturbs it."),
    "bug-report": ("harness.cli.bug_report", "Pack what a report of trouble needs, anonymous."),
    "image": ("harness.cli.image", "Build, save, load and list the images that workloads run."),
    "engine": ("harness.cli.engine", "Start, stop or show the private engine."),
    "clean": ("harness.cli.clean", "Remove what was left behind on the engine."),
}
"""Command → (module, one-line help). Each module has a click command of that name, with _ for -."""


READER_GONE = 141
"""128 + SIGPIPE, as a shell tells of any program whose reader went away. Not 0: a verdict that
nobody heard is no "all well" either."""


_ENDED_BY = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "its terminal is gone",
}


class _Ended(KeyboardInterrupt):
    """Another signal that is treated as Ctrl-C, with an exit code of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


class _Lazy(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[name][0]), name.replace("-", "_"))
        assert isinstance(command, click.Command)
        settings.name_variables(command, f"BENCH_{name.replace('-', '_')}")
        settings.unknown_commands(Path.cwd(), list(COMMANDS))
        found = settings.from_file(command, name, Path.cwd())
        ctx.default_map = {**(ctx.default_map or {}), name: found}
        logs.with_verbose(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " See `bench --help`."
            raise click.UsageError(f"unknown command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bench")
def cli() -> None:
    """Measure what container resource limits really do on this host.

    Begin with `bench sweep cpu`: it needs root, and Docker or the means to install it.
    `bench doctor` tells what can be measured here.
    """


def _end(signum: int, _frame: FrameType | None) -> None:
    raise _Ended(signum)


def main() -> None:
    """Run a command, print one line on an error, and exit. ``harness.__main__`` begins it."""
    before = {number: signal.getsignal(number) for number in _ENDED_BY}
    try:
        try:
            _listen()
            code = _run()
        finally:
            # All is told and cleaned up: another signal ends us as it would any program, and not by
            # a traceback from where Python takes itself down.
            for number, handler in before.items():
                signal.signal(number, handler)
    except KeyboardInterrupt as again:  # while the first was told
        code = 128 + (again.number if isinstance(again, _Ended) else signal.SIGINT)
    output.drop_unwritten()
    sys.exit(code)


def _listen() -> None:
    signal.signal(signal.SIGTERM, _end)
    for number, handler in ((signal.SIGHUP, _end), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as SIGHUP is under nohup
            signal.signal(number, handler)


def _run() -> int:  # noqa: PLR0911 - one return for each exit code
    try:
        output.open_standard_streams()
        try:
            result: Any = cli.main(standalone_mode=False)
        except BaseException:
            with contextlib.suppress(output.ReaderGoneError, BenchError):
                sys.stdout.flush()  # a terminal that is gone does not hide why we end
            raise
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        message = error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            message += f" (see `{error.ctx.command_path} --help`)" * ("--help" not in message)
        click.echo(f"bench: {message}", err=True)
        return 2
    except BenchError as error:
        click.echo(f"bench: {error}", err=True)
        _tell_notes(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as ended:
        return _tell_ended(ended)
    except output.ReaderGoneError:
        return READER_GONE
    except Exception as error:  # noqa: BLE001 - a defect of ours must exit with 70
        if _interrupt_in(error):
            return _tell_ended(error)
        if os.environ.get("BENCH_DEBUG"):
            traceback.print_exc()
        click.echo(
            f"bench: internal error: {type(error).__name__}: {error}. "
            "This is a defect of limitbench; BENCH_DEBUG=1 shows where.",
            err=True,
        )
        _tell_notes(error)
        return 70
    return result if isinstance(result, int) else 0


def _interrupt_in(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that an error is, or was made of.

    click makes its own Abort of every one, after a newline of its own; where a class is just being
    made, as while modules load, Python 3.11 makes a RuntimeError of it (type_new_set_names).
    """
    of: BaseException | None = error
    while of is not None and not isinstance(of, KeyboardInterrupt):
        of = of.__cause__
    return of


def _tell_ended(error: BaseException) -> int:
    by = _interrupt_in(error)
    number = by.number if isinstance(by, _Ended) else signal.SIGINT
    click.echo(f"bench: {_ENDED_BY[number]}.", err=True)
    _tell_notes(error, by if by is not error else None)
    return 128 + number


def _tell_notes(*errors: BaseException | None) -> None:
    """What whoever raised an error had to add: the command that goes on with what it left undone.

    Not said as part of the error, but last and on a line of its own, to be copied.
    """
    for error in errors:
        for note in getattr(error, "__notes__", ()):
            click.echo(note, err=True)
