"""Whether what is read is what was written: whatever is kept bears its CRC-32.

A text's is its last key, over the bytes before it: an older reader passes it over, and it costs no
second look at what the JSON means. A Parquet file's stands in the gap before its footer, where no
reader looks, since a footer is found from the file's end.
"""

from __future__ import annotations

import os
import re
import zlib
from typing import BinaryIO

_TAIL = re.compile(rb',\s*"crc32":\s*"([0-9a-f]{8})"\s*\}\s*\Z')
_TAIL_BYTES = 64
_MARK = b"crc32LE:"
"""Before the four bytes of a Parquet file's checksum."""
_END_BYTES = 8
"""A Parquet file ends with its footer's length, four bytes, and ``PAR1``."""
_AT_ONCE = 1 << 20


def stamped(text: bytes) -> bytes:
    """A JSON object as text, not an empty one, with its checksum as its last key."""
    lines = text.endswith(b"\n}")
    body = text[:-2] if lines else text[:-1]
    form = b'%s,\n  "crc32": "%08x"\n}' if lines else b'%s,"crc32":"%08x"}'
    return form % (body, zlib.crc32(body))


def holds(text: bytes) -> bool | None:
    """Whether a JSON object's text is as it was stamped; None where it bears no checksum."""
    begin = max(0, len(text) - _TAIL_BYTES)
    found = _TAIL.search(text, begin)
    if found is None:
        return None
    return zlib.crc32(memoryview(text)[: found.start()]) == int(found[1], 16)


def stamp_file(file: BinaryIO) -> None:
    """Put the checksum of a Parquet file, open for reading and writing, into it."""
    begin = _footer(file)
    if begin is None:
        raise ValueError("it is no Parquet file")
    file.seek(begin)
    footer = file.read()
    crc = zlib.crc32(footer, _crc32(file, begin))
    file.seek(begin)
    file.write(_MARK + crc.to_bytes(4, "little") + footer)


def file_holds(file: BinaryIO) -> bool | None:
    """Whether a Parquet file is as it was stamped; None where it bears no checksum."""
    begin = _footer(file)
    if begin is None:
        return None
    end = max(0, begin - len(_MARK) - 4)
    file.seek(end)
    mark, crc = file.read(len(_MARK)), file.read(4)
    if mark != _MARK:
        return None
    footer = file.read()
    return zlib.crc32(footer, _crc32(file, end)) == int.from_bytes(crc, "little")


def _footer(file: BinaryIO) -> int | None:
    """Where a Parquet file's footer begins; None where there can be none."""
    end = file.seek(0, os.SEEK_END) - _END_BYTES
    if end < len(b"PAR1"):
        return None
    file.seek(end)
    begin = end - int.from_bytes(file.read(4), "little")
    return begin if begin >= len(b"PAR1") else None


def _crc32(file: BinaryIO, end: int) -> int:
    """Of a file's bytes up to there."""
    file.seek(0)
    crc = 0
    while end and (piece := file.read(min(end, _AT_ONCE))):
        crc = zlib.crc32(piece, crc)
        end -= len(piece)
    return crc
