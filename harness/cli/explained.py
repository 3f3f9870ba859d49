"""Claims as the catalogue has them, with no engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.claims.claim import Claim, Expected
from harness.show.claims.view import title

if TYPE_CHECKING:
    from rich.console import Group


def listing(claims: Iterable[Claim], *, korean: bool) -> Group:
    """A table a topic: id and sentence."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    topics: dict[str, Table] = {}
    parts: list[Text | Table] = []
    for one in claims:
        topic = one.topic.value
        if topic not in topics:
            topics[topic] = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
            topics[topic].add_column()
            heading = Text(("\n" if parts else "") + title(topic), style="bold")
            heading.append(f"  [{topic}]", style="dim")
            parts += [heading, topics[topic]]
        said = Text(one.korean if korean else one.sentence).append(f" [{one.id}]", style="dim")
        topics[topic].add_row(said)
    return Group(*parts)


def story(one: Claim, *, korean: bool) -> Group:
    """All of a claim: its sentence, what is to be expected where, and how to see it by hand."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    first, second = (one.korean, one.sentence) if korean else (one.sentence, one.korean)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for expected in one.expected:
        said = Text(f"{when(expected)}: {expected.because}")
        said.append(f"\nSource: {expected.source}", style="dim")
        table.add_row(expected.verdict.value, said)
    table.add_row("refuted by", Text(one.refuted_by))
    hand = Text("\n".join(one.by_hand), style="cyan", overflow="fold")
    return Group(
        Text(first, style="bold").append(f"  [{one.id}]", style="dim"),
        Text(second, style="dim"),
        Text(f"\n{one.story}\n"),
        table,
        Text("\nSee it yourself:", style="bold"),
        hand,
        Text(),
    )


def when(expected: Expected) -> str:
    """On which engines: ``cgroup v1, docker before 23``; ``everywhere`` where it does not matter.

    Of several the first that fits counts, so the last ``everywhere`` means: everywhere else.
    """
    return expected.when.words or "everywhere"


def as_json(one: Claim) -> dict[str, Any]:
    """The claim as plain data."""
    return {
        "id": one.id,
        "topic": one.topic.value,
        "sentence": one.sentence,
        "korean": one.korean,
        "refuted_by": one.refuted_by,
        "expected": [
            {
                "when": when(expected),
                "verdict": expected.verdict.value,
                "because": expected.because,
                "source": expected.source,
            }
            for expected in one.expected
        ],
        "by_hand": list(one.by_hand),
        "story": one.story,
    }
