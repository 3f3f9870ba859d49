"""Pairs of numbers that a run has by the million: as tuples, and smaller."""

from __future__ import annotations

import copy
import pickle
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.model import Pairs

PAIRS = ((0, 1), (-5, 2**63 - 1), (7, 7))
adapter = TypeAdapter(Pairs)


def test_they_are_as_a_tuple_of_pairs() -> None:
    pairs = Pairs(PAIRS)
    assert pairs == PAIRS
    assert tuple(pairs) == PAIRS
    assert pairs == Pairs(list(PAIRS))
    assert hash(pairs) == hash(Pairs(PAIRS))
    assert (len(pairs), pairs[0], pairs[-1], pairs[1:]) == (3, (0, 1), (7, 7), PAIRS[1:])
    assert (7, 7) in pairs
    assert sorted(pairs, reverse=True) == sorted(PAIRS, reverse=True)
    assert pairs != PAIRS[:2]
    assert not Pairs()
    with pytest.raises(IndexError):
        pairs[3]


def test_they_are_copied_and_sent_whole() -> None:
    pairs = Pairs(PAIRS)
    assert copy.deepcopy(pairs) == pickle.loads(pickle.dumps(pairs)) == pairs


def test_they_are_written_and_read_as_lists_of_two() -> None:
    written = adapter.dump_json(Pairs(PAIRS))
    assert written == b"[[0,1],[-5,9223372036854775807],[7,7]]"
    assert adapter.validate_json(written) == Pairs(PAIRS)


@pytest.mark.parametrize(
    "wrong", ["[[1]]", "[[1,2,3]]", '[["x",2]]', "[[1,2.5]]", "7", "[[1,9223372036854775808]]"]
)
def test_what_is_no_pairs_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        adapter.validate_json(wrong)


def test_they_take_a_fraction_of_the_memory() -> None:
    many = [(i * 10**6, 10**7 + i) for i in range(1000)]
    as_tuples = sum(sys.getsizeof(one) + sum(map(sys.getsizeof, one)) for one in many)
    assert sys.getsizeof(Pairs(many)._numbers) < as_tuples / 6
