"""One window of a container, told in whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.inspection.enough import Enough, enough
from harness.inspection.findings import Evidence, Finding, findings
from harness.inspection.limits import limit_rows
from harness.inspection.program import Program
from harness.inspection.setters import Setter, setter_of
from harness.inspection.use import Observation, Use, used
from harness.limits import ReadBack
from harness.model import (
    EngineFacts,
    HostFacts,
    RunningContainer,
)

_OF_LIMITS = ("option", "requested", "engine", "kernel", "effective", "at")


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that is told of one window."""

    evidence: Evidence
    """What it is all made of."""
    findings: tuple[Finding, ...]
    absent: dict[str, str]
    """Counters of ``model.Sample`` that there are none of, each with why."""
    set_by: str = ""
    """Who sets its limits, of a cgroup that no engine was asked about; empty where one was."""

    @property
    def container(self) -> RunningContainer:
        """Whose window it is."""
        return self.evidence.seen.container

    @property
    def ended(self) -> str:
        """How it ended in the window; empty where it goes on."""
        return self.evidence.seen.ended

    @property
    def use(self) -> Use:
        """What was used in the window."""
        return self.evidence.use

    @property
    def program(self) -> Program:
        """What the program in it sees."""
        return self.evidence.seen.program

    @property
    def enough(self) -> Enough:
        """How much would have been enough."""
        return enough(self.evidence.seen, self.evidence.use)

    @property
    def limits(self) -> tuple[ReadBack, ...]:
        """Each limit side by side; made when asked for, which of hundreds nobody does."""
        of = self.evidence
        return tuple(limit_rows(of.record, of.engine, of.host, of.seen.moved))

    @property
    def bad(self) -> bool:
        """Whether a finding of it is bad."""
        return any(finding.grade == "bad" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The inspection as plain data with stable names; numbers are not rounded."""
        return {
            "container": {
                "id": self.container.id,
                "name": self.container.name,
                "image": self.container.image,
                "pid": self.container.pid,
                "state": self.container.state,
                "started_at": self.container.started_at,
                "restarts": self.container.restarts,
            },
            "set_by": self.set_by,
            "limits": [{key: getattr(row, key) for key in _OF_LIMITS} for row in self.limits],
            "use": asdict(self.use),
            "program": asdict(self.program),
            "enough": asdict(self.enough),
            "findings": [finding.as_json() for finding in self.findings],
            "absent": self.absent,
        }


def inspect(seen: Observation, engine: EngineFacts, host: HostFacts) -> Inspection:
    """The limits, the use and the findings of one window."""
    evidence = Evidence(seen, used(seen, engine, host), engine, host)
    setter = seen.named and setter_of(seen.named.path, seen.named.paths.version)
    absent = dict(seen.record.absent)
    if seen.obstacle:
        absent["cgroup"] = seen.obstacle
    if evidence.use.periods is None and not seen.obstacle:
        without = "without a CPU quota of its own the kernel counts no periods"
        absent["throttling"] = absent.get("nr_periods", without)
    return Inspection(
        evidence,
        findings=tuple(_in_words_of(setter, one) if setter else one for one in findings(evidence)),
        absent=absent,
        set_by=setter.who if setter else "",
    )


def _in_words_of(setter: Setter, finding: Finding) -> Finding:
    text, remedy = map(setter.in_its_words, (finding.text, finding.remedy))
    return replace(finding, text=text, remedy=remedy)
