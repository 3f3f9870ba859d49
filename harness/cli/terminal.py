"""The console that commands print pages by.

Colour only on a terminal; names and what programs said are never read as markup, and command no
terminal: rich takes out five control characters and lets an escape sequence through.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

from harness.cli.output import Escaping
from harness.wording import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


class _AsIs:
    """Our stream for rich, whose own sequences are to reach the terminal."""

    def __init__(self, stream: Escaping) -> None:
        self._stream = stream
        self.write = stream.write_as_is

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def console(*, stderr: bool = False) -> Console:
    """A console of rich, which takes longer to load than click; to standard output or error."""
    from rich.console import Console
    from rich.segment import Segment

    class Escaped(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for one in super().render(renderable, options):
                yield one if one.control else Segment(visible(one.text), one.style)

    stream = sys.stderr if stderr else sys.stdout
    # In another's process, as in tests, the streams are theirs.
    file = _AsIs(stream) if isinstance(stream, Escaping) else stream
    return Escaped(file=cast(IO[str], file), highlight=False, markup=False, emoji=False)


def show_page(page: RenderableType) -> None:
    """Print it."""
    console().print(page)
