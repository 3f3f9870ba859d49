"""Two engines as one: what an A/B run needs to start each container on the engine of its side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.engine.boundary import Commands, Container, Device, Engine
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
        # What compiled the probe is not asked: the same bytes are the same image.
        if len({(one.image_id, one.probe_sha256, one.programs) for one in found}) > 1:
            raise UsageError(
                "the two engines do not run the same images.",
                "`bench image save` on one and `load` on the other: then only the engine differs.",
            )
        return found[0]

    def keep_data_on(self, device: Device) -> None:
        """The same device for both, one container after the other."""
        for engine in self._engines.values():
            engine.keep_data_on(device)

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        """A container on the engine of its side."""
        return self._engines[spec.side].create(
            name=name, run=run, spec=spec, deadline_s=deadline_s, together=together
        )

    def create_load(
        self, *, name: str, run: str, server: Container, spec: ContainerSpec, deadline_s: float
    ) -> Container:
        """On the engine of its side, which is the server's."""
        return self._engines[spec.side].create_load(
            name=name, run=run, server=server, spec=spec, deadline_s=deadline_s
        )

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        """Not there: which side a container is on, its id alone does not tell."""
        raise EngineRefusedError("an A/B run has no sampler on its engines' hosts.")

    def laboratory(self, *, run: str, side: str = "") -> Commands:
        """On the engine of that side."""
        return self._engines[side].laboratory(run=run)

    def remove_all(self, run: str | None) -> int:
        """Remove a run's containers from every engine; how many there were."""
        return sum(engine.remove_all(run) for engine in self._engines.values())

    def await_answer(self, timeout_s: float) -> bool:
        """Whether both answer (again), each within that time."""
        return all(engine.await_answer(timeout_s) for engine in self._engines.values())
