"""What an attached container says, out of the engine's frames, at a bounded size."""

from __future__ import annotations

import struct

MOST_LINE_BYTES = 32 << 20
"""A longer line is taken for a whole one: no report of the probe comes near it."""
MOST_STDERR_BYTES = 1 << 20
"""Of standard error the end is kept, where a program says why it gave up."""


class Attached:
    """Both streams of a container; ``feed`` takes what the engine sends, in pieces of any size.

    Docker's stream format: 1 byte stream (1 stdout, 2 stderr), 3 bytes zero, 4 bytes length.
    """

    def __init__(self, most_line_bytes: int = MOST_LINE_BYTES) -> None:
        self._most = most_line_bytes
        self._frames = bytearray()
        self._stdout = bytearray()
        self._searched = 0
        self._stderr = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take what came, whole frames or parts of them."""
        self._frames += chunk
        start = 0
        while len(self._frames) - start >= 8:
            kind, length = struct.unpack_from(">BxxxI", self._frames, start)
            if len(self._frames) - start < 8 + length:
                break
            payload = self._frames[start + 8 : start + 8 + length]
            start += 8 + length
            if kind == 2:
                self._stderr += payload
                del self._stderr[:-MOST_STDERR_BYTES]
            else:
                self._stdout += payload
        del self._frames[:start]

    def has_line(self) -> bool:
        """Whether a line of standard output is there."""
        return self._end() is not None

    def take_line(self) -> str | None:
        """The next line without its end; None where it is not whole yet."""
        end = self._end()
        if end is None:
            return None
        line = self._stdout[:end]
        newline = end < len(self._stdout) and self._stdout[end] == ord("\n")
        del self._stdout[: end + newline]
        self._searched = 0
        return line.decode(errors="replace")

    def stderr(self) -> str:
        """The end of what came on standard error so far."""
        return self._stderr.decode(errors="replace").strip()

    def _end(self) -> int | None:
        """Where the next line ends; what was searched once is not searched again."""
        found = self._stdout.find(b"\n", self._searched)
        if found < 0:
            self._searched = len(self._stdout)
            return self._most if len(self._stdout) >= self._most else None
        self._searched = found
        return min(found, self._most)
