"""Settings that stand for options: ``BENCH_COMMAND_OPTION``, ``bench.toml``, ``[tool.bench]``.

The command line wins over the environment, and that over the file. Each option's names are made
from what a user types (``--most-repeats``), never from what the code calls it. Options that several
commands share keep the variable that they have (``BENCH_RESULTS``).
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click

from harness import files
from harness.errors import UsageError

FILE, TABLE_FILE = "bench.toml", "pyproject.toml"


def name_variables(command: click.Command, path: str) -> None:
    """Give each option of a command, or of a group's commands, its environment variable."""
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            name_variables(part, f"{path}_{name}")
        return
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            option.envvar = f"{path}_{_word(option)}".upper().replace("-", "_")


def from_file(command: click.Command, name: str, folder: Path) -> dict[str, Any]:
    """What the folder's settings say of a command, as click's ``default_map`` of it.

    ``bench.toml`` has a table for each command; ``pyproject.toml`` the same below ``[tool.bench]``,
    and is looked at where there is no ``bench.toml``. UsageError names what is not known.
    """
    path, settings = _read(folder)
    table = settings.get(name, {})
    return _mapped(command, table, f"{path}: [{name}]")


def unknown_commands(folder: Path, known: list[str]) -> None:
    """UsageError where the settings have a table for a command that there is not."""
    path, settings = _read(folder)
    for name in settings:
        if name not in known:
            raise UsageError(f"{path}: unknown command '{name}'.", _nearest(name, known))


def _read(folder: Path) -> tuple[Path, dict[str, Any]]:
    for path, keys in ((folder / FILE, ()), (folder / TABLE_FILE, ("tool", "bench"))):
        try:
            found: Any = tomllib.loads(files.read_text(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}.", "") from None
        except (ValueError, RecursionError) as error:
            if keys:
                return path, {}  # somebody else's file, and not ours to complain of
            raise UsageError(f"{path} is no TOML: {error}.", "") from None
        for key in keys:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        return path, found if isinstance(found, dict) else {}
    return folder / FILE, {}


def _mapped(command: click.Command, table: Any, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"{where} is no table.", "Write options as keys: repeats = 10.")
    if isinstance(command, click.Group):
        parts = command.commands
        for name in table:
            if name not in parts:
                raise UsageError(f"{where}: unknown '{name}'.", _nearest(name, list(parts)))
        return {name: _mapped(parts[name], table[name], f"{where}.{name}") for name in table}
    options = {_word(one): one.name for one in command.params if isinstance(one, click.Option)}
    for key in table:
        if key not in options:
            raise UsageError(f"{where}: unknown option '{key}'.", _nearest(key, list(options)))
    return {str(options[key]): value for key, value in table.items()}


def _word(option: click.Option) -> str:
    return max(option.opts, key=len).lstrip("-")


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
