"""Two engines as one: the same images on both, whatever compiled them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from harness.engine.boundary import Engine
from harness.engine.sides import Sides
from harness.errors import UsageError
from harness.model import Workload, WorkloadFacts
from tests.fakes import WORKLOAD_FACTS, FakeEngine, World


class Holding(FakeEngine):
    def __init__(self, facts: WorkloadFacts) -> None:
        super().__init__(World())
        self._held = facts

    def prepare_images(self, workloads: Iterable[Workload] = ()) -> WorkloadFacts:
        return self._held


def sides(facts: WorkloadFacts) -> Sides:
    engines: dict[str, Engine] = {"a": Holding(WORKLOAD_FACTS), "b": Holding(facts)}
    return Sides(engines)


def test_another_image_is_refused() -> None:
    other = dataclasses.replace(WORKLOAD_FACTS, image_id="sha256:other")
    with pytest.raises(UsageError, match=r"not run the same images.*bench image save"):
        sides(other).prepare_images([])


def test_the_same_image_that_was_loaded_is_the_same() -> None:
    """A loaded image tells its compiler in other words, or not at all."""
    loaded = dataclasses.replace(WORKLOAD_FACTS, compiler="unknown")
    assert sides(loaded).prepare_images([]) == WORKLOAD_FACTS
