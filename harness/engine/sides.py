"""Two engines as one: what an A/B run needs to start each container on the engine of its side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.engine.containers import Container, Engine
from harness.errors import EngineRefusedError, UsageError
from harness.model import ContainerSpec, EngineFacts, Workload, WorkloadFacts


class Sides:
    """An ``Engine`` that passes each call on to the engine of side ``a`` or ``b``."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines

    def facts(self) -> EngineFacts:
        """Those of side a, which stand for the run; each side's own are kept beside them."""
        return self._engines["a"].facts()

    def prepare_images(self, workloads: Iterable[Workload]) -> WorkloadFacts:
        """The images on every engine; UsageError where one comes to another image than the rest."""
        wanted = list(workloads)
        found = [engine.prepare_images(wanted) for engine in self._engines.values()]
        if any(one != found[0] for one in found):
            raise UsageError(
                "the two engines do not run the same images.",
                "Load the same image into both, so that only the engine differs.",
            )
        return found[0]

    def create(self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float) -> Container:
        """A container on the engine of its side."""
        return self._engines[spec.side].create(name=name, run=run, spec=spec, deadline_s=deadline_s)

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        """Not there: which side a container is on, its id alone does not tell."""
        raise EngineRefusedError("an A/B run has no sampler on its engines' hosts.")

    def remove_all(self, run: str | None) -> int:
        """Remove a run's containers from every engine; how many there were."""
        return sum(engine.remove_all(run) for engine in self._engines.values())
