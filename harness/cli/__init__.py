"""The command line: one file a verb. The only layer that prints, prompts or exits.

Commands are loaded when they are called, so that ``bench --help`` costs little more than click.
"""

from __future__ import annotations

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
from harness.cli import settings
from harness.errors import BenchError

COMMANDS = {
    "sweep": ("harness.cli.sweep", "Measure containers under a range of one limit."),
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
    "ab": ("harness.cli.ab", "Compare two settings, engines or runtimes in one run."),
    "calibrate": ("harness.cli.calibrate", "Find this host's own noise, which no check gates on."),
    "audit": ("harness.cli.audit", "Tell how far each source of numbers is from the truth."),
    "doctor": ("harness.cli.doctor", "Tell what can be measured here, and what disturbs it."),
    "engine": ("harness.cli.engine", "Start, stop or show the private engine."),
    "clean": ("harness.cli.clean", "Remove containers that were left behind."),
}
"""Command → (module, one-line help). Each module has a click command of that name."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM, treated as Ctrl-C with another exit code."""


class _Lazy(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[name][0]), name)
        assert isinstance(command, click.Command)
        settings.name_variables(command, f"BENCH_{name}")
        settings.unknown_commands(Path.cwd(), list(COMMANDS))
        found = settings.from_file(command, name, Path.cwd())
        ctx.default_map = {**(ctx.default_map or {}), name: found}
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


def _terminate(_signum: int, _frame: FrameType | None) -> None:
    raise _Terminated


def main() -> None:
    """The entry point ``bench``: runs a command, prints one line on an error, and exits."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run())


def _run() -> int:  # noqa: PLR0911 - one return for each exit code
    try:
        result: Any = cli.main(standalone_mode=False)
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
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as ended:
        # click turns every KeyboardInterrupt into its own Abort, after a newline of its own
        if isinstance(ended, _Terminated) or isinstance(ended.__cause__, _Terminated):
            click.echo("bench: terminated.", err=True)
            return 143
        click.echo("bench: interrupted.", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output went away, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - a defect of ours must exit with 70
        if os.environ.get("BENCH_DEBUG"):
            traceback.print_exc()
        click.echo(
            f"bench: internal error: {type(error).__name__}: {error}. "
            "This is a defect of limitbench; BENCH_DEBUG=1 shows where.",
            err=True,
        )
        return 70
    return result if isinstance(result, int) else 0
