"""The conversation with the person before a command.

What commands say to them and ask of them goes to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import click


def say(text: str) -> None:
    """One line of progress or warning."""
    click.echo(text, err=True)


def asker() -> Callable[[str], bool] | None:
    """How to put a question with a default of yes; None where nobody is there to answer."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        return lambda question: click.confirm(question, default=True, err=True)
    return None
