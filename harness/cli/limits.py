"""The limits as options of a command: named as Docker names them, for what a sweep keeps fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from harness.limits import LIMITS, Limit, Limits


class Value(click.ParamType[Any]):
    """A limit's value, as its row reads it."""

    def __init__(self, row: Limit) -> None:
        self._row = row
        self.name = row.form.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; a PlanError names a text that is none."""
        read = self._row.form.read
        return read(value) if read and isinstance(value, str) else value


def fixed_limits_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each limit that can be fixed in every container of a sweep."""
    for row in reversed(LIMITS):
        form = row.form
        if form.type is bool:  # as Docker has it: its name alone sets it
            command = click.option(
                row.option, row.field, is_flag=True, default=None,
                help=f"Fixed in every container: {row.help}.",
            )(command)  # fmt: skip
            continue
        command = click.option(
            f"--{row.key}", row.field, type=Value(row) if form.read else form.type,
            metavar=form.metavar, help=f"Fixed in every container: {row.help}.",
        )(command)  # fmt: skip
    return command


def take_fixed(options: dict[str, Any]) -> Limits:
    """Take the fixed limits out of a command's options."""
    return Limits(**{row.field: options.pop(row.field) for row in LIMITS})
