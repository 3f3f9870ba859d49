"""What others wrote may be anything: it is read, or refused in one line."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.malformed import TARGETS, mangled

NAMES = pytest.mark.parametrize("name", TARGETS)


@NAMES
def test_true_ones_are_read(name: str) -> None:
    for seed in TARGETS[name].seeds:
        assert not TARGETS[name].refuses(seed)


@NAMES
@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, 2**32))
def test_a_mangled_one_is_read_or_refused(name: str, number: int) -> None:
    rng = random.Random(number)
    TARGETS[name].refuses(mangled(rng.choice(TARGETS[name].seeds), rng))


@NAMES
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    TARGETS[name].refuses(data)
