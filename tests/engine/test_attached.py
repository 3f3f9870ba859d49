"""What a container says comes out whole, in whatever pieces it came, at a bounded size."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.attached import MOST_STDERR_BYTES, Attached


def frame(payload: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxI", stream, len(payload)) + payload


def lines_of(said: Attached) -> list[str]:
    found = []
    while (line := said.take_line()) is not None:
        found.append(line)
    return found


@given(st.lists(st.binary(max_size=20), max_size=8), st.integers(1, 30))
def test_lines_are_the_same_however_they_come(payloads: list[bytes], size: int) -> None:
    sent = b"".join(frame(one) for one in payloads)
    said = Attached()
    found: list[str] = []
    for start in range(0, len(sent), size):
        said.feed(sent[start : start + size])
        found += lines_of(said)
    whole = b"".join(payloads).split(b"\n")[:-1]
    assert found == [line.decode(errors="replace") for line in whole]
    assert not said.has_line()


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_a_line_without_end_is_cut_into_lines(piece: int) -> None:
    said = Attached(most_line_bytes=10)
    for _ in range(0, 40, piece):
        said.feed(frame(b"x" * piece))
        if said.has_line():
            assert len(said.take_line() or "") == 10
    said = Attached(most_line_bytes=10)
    said.feed(frame(b"x" * 25 + b"\nrest"))
    assert lines_of(said) == ["x" * 10, "x" * 10, "x" * 5]


def test_a_line_of_just_the_most_has_one_end() -> None:
    said = Attached(most_line_bytes=10)
    said.feed(frame(b"x" * 10 + b"\n" + b"next\n"))
    assert lines_of(said) == ["x" * 10, "next"]


def test_of_standard_error_the_end_is_kept() -> None:
    said = Attached()
    for _ in range(40):
        said.feed(frame(b"noise " * 10_000, stream=2))
    said.feed(frame(b"why\n", stream=2))
    assert said.stderr().endswith("noise why")
    assert len(said.stderr()) <= MOST_STDERR_BYTES
