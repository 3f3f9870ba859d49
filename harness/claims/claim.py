"""What a claim is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from harness.engine.laboratory import Laboratory
from harness.limits import weight_formula
from harness.model import ClaimText, ClaimVerdict, EngineFacts, Finding, Number


class Topic(StrEnum):
    """What a claim is about; ``bench claims`` takes these as well as ids."""

    CPU = "cpu"
    CPUSET = "cpuset"
    SHARES = "shares"
    MEMORY = "memory"
    SWAP = "swap"
    KERNEL_MEMORY = "kernel-memory"
    CONTAINER = "container"
    STOP = "stop"
    IMAGE = "image"
    BUILD = "build"
    REGISTRY = "registry"
    VOLUME = "volume"
    BIND = "bind"
    TMPFS = "tmpfs"
    NETWORK = "network"


class NotExercisableError(Exception):
    """Why this engine or host cannot decide the claim (no swap, no bridge, no such controller)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """On which engines something is to be expected; what is None does not matter."""

    cgroup: int | None = None
    engine: str | None = None
    """``docker`` or ``podman``."""
    since: tuple[int, ...] = ()
    """From this version of the engine on, this one included."""
    before: tuple[int, ...] = ()
    """Up to this version, this one excluded."""
    rootless: bool | None = None
    """Whether the engine runs without root."""
    weights: str | None = None
    """By what formula its runtime makes weights of shares (``harness.limits``)."""
    storage: str | None = None
    """Its storage driver: ``overlayfs`` where containerd keeps its images, else ``overlay2``."""

    @property
    def words(self) -> str:
        """``cgroup v1, docker before 23``; empty where nothing matters."""
        named = self.engine or ("engine" if self.since or self.before else "")
        if self.since:
            named += f" {'.'.join(map(str, self.since))} or later"
        if self.before:
            named += f" before {'.'.join(map(str, self.before))}"
        cgroup = "" if self.cgroup is None else f"cgroup v{self.cgroup}"
        weights = "" if self.weights is None else f"{self.weights} weights"
        storage = "" if self.storage is None else f"storage driver {self.storage}"
        return ", ".join(filter(None, (cgroup, named, weights, storage)))

    def fits(self, facts: EngineFacts) -> bool:
        """Whether that engine is one of these."""
        version = version_of(facts)
        return (
            self.cgroup in (None, facts.cgroup_version)
            and self.rootless in (None, facts.rootless)
            and self.engine in (None, facts.name.lower().partition(" ")[0])
            and (not self.since or version >= self.since)
            and (not self.before or version < self.before)
            and self.weights in (None, weight_formula(*facts.limits_by))
            and self.storage in (None, facts.storage_driver)
        )


EVERYWHERE = When()


@dataclass(frozen=True, slots=True)
class Expected:
    """The verdict to be expected, on which engines, why, and who says so."""

    verdict: ClaimVerdict
    because: str
    source: str
    """Where it is documented or was measured: a kernel doc, a file of moby or runc, a decision."""
    when: When = EVERYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence as people meet it, and what decides it."""

    id: str
    """Words joined by ``-``, stable for ever: results are compared by it."""
    topic: Topic
    sentence: str
    korean: str
    """The same sentence in Korean, as notes have it."""
    refuted_by: str
    """What would refute it, seen from the experiment."""
    expected: tuple[Expected, ...]
    """The first that fits counts."""
    by_hand: tuple[str, ...]
    """The commands with which one sees it oneself, a line each."""
    story: str
    """What really happens and why, in a few sentences."""
    experiment: Callable[[Laboratory], Finding]

    @property
    def text(self) -> ClaimText:
        """It in words, as a run keeps it."""
        return ClaimText(
            id=self.id, topic=self.topic.value, sentence=self.sentence, korean=self.korean,
            refuted_by=self.refuted_by, by_hand=self.by_hand, story=self.story,
        )  # fmt: skip

    def expectation(self, facts: EngineFacts) -> Expected | None:
        """What is to be expected of it on that engine; None where nothing is known."""
        return next((one for one in self.expected if one.when.fits(facts)), None)


def version_of(facts: EngineFacts) -> tuple[int, ...]:
    """The numbers of the engine's version, as far as they are numbers: 20.10.24+dfsg1 → 20, 10."""
    numbers: list[int] = []
    for part in facts.version.split("."):
        if not part.isdecimal() or len(part) > 9:
            break
        numbers.append(int(part))
    return tuple(numbers)


def holds(said: str, **numbers: Number) -> Finding:
    """The claim held in this experiment."""
    return Finding(ClaimVerdict.HOLDS, said, tuple(numbers.items()))


def refuted(said: str, **numbers: Number) -> Finding:
    """The experiment contradicts the claim."""
    return Finding(ClaimVerdict.REFUTED, said, tuple(numbers.items()))


def inconclusive(said: str, **numbers: Number) -> Finding:
    """The experiment was made and does not decide; ``said`` tells what would."""
    return Finding(ClaimVerdict.INCONCLUSIVE, said, tuple(numbers.items()))


def decided(right: bool, said: str, **numbers: Number) -> Finding:
    """Held where ``right``, refuted otherwise; the same evidence either way."""
    return holds(said, **numbers) if right else refuted(said, **numbers)
