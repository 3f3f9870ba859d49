"""What a finding in the catalogue is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.inspection.use import Observation, Use
from harness.model import ContainerRecord, EffectiveLimits, EngineFacts, HostFacts, KernelLimits

Grade = Literal["ok", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a finding may be made of: one window of one container."""

    seen: Observation
    use: Use
    engine: EngineFacts
    host: HostFacts

    @property
    def record(self) -> ContainerRecord:
        """The container's record."""
        return self.seen.record

    @property
    def force(self) -> EffectiveLimits:
        """What binds it, wherever that is set; nothing where it was not read."""
        return self.record.effective or EffectiveLimits()

    @property
    def kernel(self) -> KernelLimits:
        """What its own cgroup holds; nothing where it was not read."""
        return self.record.kernel or KernelLimits()


class Said(NamedTuple):
    """What is said of one window, in its numbers."""

    text: str
    remedy: str = ""
    """Where it has numbers or names too; otherwise the entry's."""


Fires = Callable[[Evidence], Iterator[Said]]
"""Says what was seen, once or more; nothing where the entry's condition does not hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of finding."""

    id: str
    """Stable: users look it up, and scripts hold on to it."""
    subject: str
    grade: Grade
    """``bad``: it fails, or is about to; ``note``: worth a look; ``ok``: looked at, and well."""
    condition: str
    """When it is told, in words, with the thresholds."""
    remedy: str
    """What to do; empty where there is nothing to be done."""
    source: str
    """Where the kernel, a runtime or the engine says that it is so."""
    fires: Fires

    def findings(self, of: Evidence) -> Iterator[Finding]:
        """What there is of this kind."""
        for said in self.fires(of):
            yield Finding(self, said.text, said.remedy or self.remedy)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found in a window."""

    entry: Entry
    text: str
    remedy: str = ""

    @property
    def id(self) -> str:
        """The entry's: what ``bench inspect --explain`` takes."""
        return self.entry.id

    @property
    def subject(self) -> str:
        """What it is about, in a word."""
        return self.entry.subject

    @property
    def grade(self) -> Grade:
        """How grave it is."""
        return self.entry.grade

    def as_json(self) -> dict[str, str]:
        """The finding as plain data."""
        return {
            "id": self.id,
            "subject": self.subject,
            "grade": self.grade,
            "text": self.text,
            "remedy": self.remedy,
        }


def entry(  # noqa: PLR0913 - each is a field of the entry, by name
    *, id: str, subject: str, grade: Grade, condition: str, source: str, remedy: str = ""
) -> Callable[[Fires], Entry]:
    """Make an entry of the function below, which says what was seen."""

    def made(fires: Fires) -> Entry:
        return Entry(id, subject, grade, condition, remedy, source, fires)

    return made
