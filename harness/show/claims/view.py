"""What is told of a run of claims, whatever the form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.model import ClaimResult, ClaimText, ClaimVerdict
from harness.store import claims as store
from harness.store.claims import ClaimsRun
from harness.wording import agreeing, counted

SYMBOLS = {
    ClaimVerdict.HOLDS: "✓",
    ClaimVerdict.REFUTED: "✗",
    ClaimVerdict.INCONCLUSIVE: "?",
    ClaimVerdict.NOT_EXERCISABLE: "–",
}
"""Beside a verdict's word, never instead of it."""
_TITLES = {"cpu": "CPU"}


@dataclass(frozen=True, slots=True)
class Row:
    """A claim that was asked for, and what was found of it."""

    text: ClaimText
    result: ClaimResult
    korean: bool = False

    @property
    def sentence(self) -> str:
        """In the reader's language."""
        return self.text.korean if self.korean else self.text.sentence

    @property
    def verdict(self) -> ClaimVerdict:
        """What its experiment says."""
        return self.result.finding.verdict

    @property
    def expectation(self) -> str:
        """Beside the verdict: whether it was to be expected; empty where none was decided."""
        if self.result.surprises:
            return "NOT EXPECTED"
        if self.verdict not in (ClaimVerdict.HOLDS, ClaimVerdict.REFUTED):
            return ""
        return "as expected" if self.result.expected else "nothing known"

    @property
    def surprise(self) -> str:
        """What was to be expected instead, and who says so; empty where it is as expected."""
        found = self.result
        if not found.surprises or found.expected is None:
            return ""
        return f"expected was: {found.expected.value}: {found.because} ({found.source})"


@dataclass(frozen=True, slots=True)
class View:
    """A run of claims, for every form."""

    run: ClaimsRun
    rows: tuple[Row, ...]
    headline: str
    remarks: tuple[str, ...]

    @property
    def topics(self) -> dict[str, list[Row]]:
        """The rows by topic, each in the catalogue's order."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.text.topic, []).append(row)
        return found

    @property
    def surprises(self) -> list[Row]:
        """Those that were decided otherwise than was to be expected."""
        return [row for row in self.rows if row.result.surprises]

    @property
    def open(self) -> list[Row]:
        """Those that were not decided, though they could be."""
        return [row for row in self.rows if row.verdict is ClaimVerdict.INCONCLUSIVE]

    @property
    def verdict(self) -> str:
        """On all of them: ``as expected``, ``not as expected``, or ``inconclusive``."""
        if self.surprises:
            return "not as expected"
        return "inconclusive" if self.open or not self.rows else "as expected"

    @property
    def where(self) -> str:
        """Host, kernel and engine in a line."""
        info = self.run.info
        engine = info.engine
        return (
            f"{info.host.hostname}: {counted(info.host.cpus, 'CPU')}, kernel {info.host.kernel}, "
            f"cgroup v{engine.cgroup_version}, {engine.name} {engine.version}, "
            f"{engine.runtime} {engine.runtime_version}"
        )


def build(run: ClaimsRun, *, korean: bool = False) -> View:
    """The view of a run in any state."""
    texts = {one.id: one for one in run.info.claims}
    rows = tuple(Row(texts[one.id], one, korean) for one in run.results)
    return View(run, rows, _headline(rows), tuple(_remarks(run)))


def exit_code(view: View) -> int:
    """1 where a verdict is not the expected one, 3 where one is open or none was found, else 0."""
    return {"not as expected": 1, "inconclusive": 3}.get(view.verdict, 0)


def title(topic: str) -> str:
    """A topic as a heading."""
    words = topic.replace("-", " ")
    return _TITLES.get(topic, words[:1].upper() + words[1:])


def counts(rows: tuple[Row, ...] | list[Row]) -> str:
    """``3 hold, 2 are refuted, 1 is not exercisable``."""
    found = Counter(row.verdict for row in rows)
    said = {
        ClaimVerdict.HOLDS: ("holds", "hold"),
        ClaimVerdict.REFUTED: ("is refuted", "are refuted"),
        ClaimVerdict.INCONCLUSIVE: ("is inconclusive", "are inconclusive"),
        ClaimVerdict.NOT_EXERCISABLE: ("is not exercisable", "are not exercisable"),
    }
    return ", ".join(
        f"{found[one]} {agreeing(found[one], *forms)}" for one, forms in said.items() if found[one]
    )


def as_json(view: View) -> dict[str, Any]:
    """The run as plain data: what ``bench claims --against`` reads again."""
    return {
        **store.documented(view.run),
        "headline": view.headline,
        "verdict": view.verdict,
        "path": str(view.run.path),
    }


def _headline(rows: tuple[Row, ...]) -> str:
    if not rows:
        return "No claim was put to the test."
    odd = sum(row.result.surprises for row in rows)
    first = (
        f"{odd} of {counted(len(rows), 'claim')} {agreeing(odd, 'is', 'are')} not as expected"
        if odd
        else f"{counted(len(rows), 'claim')}, none other than expected"
    )
    return f"{first}: {counts(rows)}."


def _remarks(run: ClaimsRun) -> Iterator[str]:
    info = run.info
    if info.status != "finished":
        missing = len(info.claims) - len(run.results)
        because = f" ({info.reason})" if info.reason else ""
        yield (
            f"This run is {info.status}{because}: {counted(missing, 'claim')} "
            f"{agreeing(missing, 'was', 'were')} not put to the test."
        )
    yield from (f"{text}." for text in run.damage)
