"""What is found of a claim: of a sentence that was put to the test."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.facts import EngineFacts, HostFacts
from harness.model.measured import WriterProcess

Number = int | float | str | bool | None


class ClaimVerdict(StrEnum):
    """What an experiment says of a claim."""

    HOLDS = "holds"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISABLE = "not exercisable"


DECIDED = frozenset({ClaimVerdict.HOLDS, ClaimVerdict.REFUTED})


@dataclass(frozen=True, slots=True)
class Finding:
    """What one experiment came to."""

    verdict: ClaimVerdict
    said: str
    """The evidence in one sentence, with its numbers and their units."""
    numbers: tuple[tuple[str, Number], ...] = ()
    """The same for machines: name, with its unit, and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """A claim, what was found of it here, and what was to be expected on such an engine."""

    id: str
    topic: str
    finding: Finding
    expected: ClaimVerdict | None
    """None where nothing is known for this engine: any verdict is news then, and no surprise."""
    because: str
    """Why that is to be expected; empty where nothing is."""
    source: str
    took_s: float

    @property
    def surprises(self) -> bool:
        """A verdict other than the one expected; what could not be decided is none."""
        return (
            self.expected in DECIDED
            and self.finding.verdict in DECIDED
            and self.finding.verdict is not self.expected
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimText:
    """A claim in words: what a run keeps of it, so that it is read without the catalogue."""

    id: str
    topic: str
    sentence: str
    korean: str
    refuted_by: str
    by_hand: tuple[str, ...]
    story: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsInfo:
    """What ``run.json`` of a run of claims holds: everything about it but its results."""

    schema: int
    kind: str = "claims"
    name: str
    """As it was read, that of its folder."""
    created: str
    """UTC, ISO 8601."""
    status: str
    """``running``, ``finished``, ``interrupted`` or ``failed``."""
    reason: str = ""
    ended: str = ""
    harness_version: str
    python_version: str
    command: str
    seed: int
    """Of the order in which they were put to the test."""
    claims: tuple[ClaimText, ...]
    """Those that were asked for, in the catalogue's order."""
    host: HostFacts
    engine: EngineFacts
    writer: WriterProcess | None = None


@dataclass(frozen=True, slots=True)
class ClaimChange:
    """A claim in two runs: what was found of it before, and now."""

    id: str
    sentence: str
    korean: str
    before: ClaimResult | None
    """None where the former run has none of it."""
    after: ClaimResult | None

    @property
    def kind(self) -> str:
        """``appeared``, ``vanished``, ``same``, ``changed``, or ``open``.

        Changed is what was decided both times, one way and the other: the semantics are others.
        Open is what only one of the two decided.
        """
        if self.before is None or self.after is None:
            return "vanished" if self.after is None else "appeared"
        before, after = self.before.finding.verdict, self.after.finding.verdict
        if before is after:
            return "same"
        return "changed" if {before, after} <= DECIDED else "open"


@dataclass(frozen=True, slots=True)
class ClaimsCompared:
    """Two runs of claims beside each other."""

    before: ClaimsInfo
    after: ClaimsInfo
    changes: tuple[ClaimChange, ...]
    differences: tuple[tuple[str, str, str], ...]
    """(fact, before, after) of engine, runtime, kernel and cgroup, where they are not the same."""

    def of(self, kind: str) -> tuple[ClaimChange, ...]:
        """Those of one kind."""
        return tuple(one for one in self.changes if one.kind == kind)
