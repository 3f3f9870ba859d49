"""The diff of semantics: two runs of claims beside each other, in each of its forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from harness.model import ClaimChange, ClaimResult, ClaimsCompared, ClaimsInfo
from harness.show.report import markdown
from harness.wording import agreeing, counted

_KINDS = {
    "changed": ("Changed", "bold red"),
    "open": ("Decided in one of them only", "yellow"),
    "appeared": ("Not in the former", "default"),
    "vanished": ("Not in the later", "default"),
}
"""What is told one by one, worst first; the same is only counted."""


@dataclass(frozen=True, slots=True)
class Page:
    """A comparison, for a console of rich to print."""

    compared: ClaimsCompared
    korean: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The sides, what differs between them, each change, and the sum last."""
        yield from (Text(line, style="dim") for line in sides(self.compared))
        for fact in self.compared.differences:
            yield Text(_difference(fact), style="bold")
        for kind, (head, style) in _KINDS.items():
            if found := self.compared.of(kind):
                yield Text(f"\n{head}", style=style)
                yield self._table(found, style)
        yield Text()
        style = "bold red" if self.compared.of("changed") else "green"
        yield Text(headline(self.compared), style=style)

    def _table(self, changes: tuple[ClaimChange, ...], style: str) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
        table.add_column(no_wrap=True, width=15)
        table.add_column()
        for one in changes:
            text = Text(f"{self._sentence(one)} ").append(f"[{one.id}]", style="dim")
            for line in _evidence(one):
                text.append(f"\n{line}", style="dim")
            table.add_row(Text("\n".join(_verdicts(one)), style=style), text)
        return table

    def _sentence(self, one: ClaimChange) -> str:
        return one.korean if self.korean else one.sentence


def headline(compared: ClaimsCompared) -> str:
    """How many changed, and how many of each other kind."""
    changed, same = len(compared.of("changed")), len(compared.of("same"))
    said = [
        f"{counted(changed, 'claim')} changed" if changed else "No claim changed",
        f"{same} {agreeing(same, 'is', 'are')} as before",
    ]
    words = {"open": "decided in one of them only", "appeared": "new", "vanished": "gone"}
    said += [f"{len(found)} {word}" for kind, word in words.items() if (found := compared.of(kind))]
    return f"{', '.join(said)}."


def sides(compared: ClaimsCompared) -> list[str]:
    """The two runs, a line each."""
    return [
        f"{title}: {_side(info)}"
        for title, info in (("former", compared.before), ("later", compared.after))
    ]


def _side(info: ClaimsInfo) -> str:
    engine = info.engine
    return (
        f"{info.name}, {info.host.hostname}, {engine.name} {engine.version}, kernel "
        f"{engine.kernel}, cgroup v{engine.cgroup_version}"
    )


def _difference(fact: tuple[str, str, str]) -> str:
    name, before, after = fact
    return f"{name}: {before} → {after}"


def _verdicts(one: ClaimChange) -> list[str]:
    """One below the other: before, and now."""
    return [result.finding.verdict.value for result in (one.before, one.after) if result]


def _evidence(one: ClaimChange) -> Iterator[str]:
    for title, result in (("former", one.before), ("later", one.after)):
        if result:
            yield f"{title}: {result.finding.verdict.value}: {result.finding.said}"


def as_json(compared: ClaimsCompared) -> dict[str, Any]:
    """The comparison as plain data with stable names."""
    return {
        "headline": headline(compared),
        "before": {"run": compared.before.name, "host": compared.before.host.hostname},
        "after": {"run": compared.after.name, "host": compared.after.host.hostname},
        "differences": [
            {"fact": name, "before": before, "after": after}
            for name, before, after in compared.differences
        ],
        "claims": [
            {
                "id": one.id,
                "sentence": one.sentence,
                "korean": one.korean,
                "change": one.kind,
                "before": _result_json(one.before),
                "after": _result_json(one.after),
            }
            for one in compared.changes
        ],
    }


def _result_json(result: ClaimResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {"verdict": result.finding.verdict.value, "evidence": result.finding.said}


def as_markdown(compared: ClaimsCompared, *, korean: bool = False) -> str:
    """A summary, short enough for a comment on a pull request."""
    text = markdown.text
    parts = [
        f"### Claims: {text(headline(compared))}",
        "  \n".join(map(text, sides(compared))),
        markdown.listed("What differs", (text(_difference(one)) for one in compared.differences)),
    ]
    for kind, (head, _) in _KINDS.items():
        lines = (
            f"{text(one.korean if korean else one.sentence)} `{one.id}` "
            f"({text('; '.join(_evidence(one)))})"
            for one in compared.of(kind)
        )
        parts.append(markdown.listed(head, lines))
    return "\n\n".join(part for part in parts if part) + "\n"
