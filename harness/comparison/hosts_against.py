"""Each host's newest run against a baseline: its own, or one that a group of hosts shares.

One at a time, and of each the verdict and its sentence alone: a thousand comparisons need not fit
into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from harness.comparison import changes
from harness.comparison.digest import digest
from harness.comparison.hosts import shared
from harness.errors import BenchError
from harness.model import Change, Digest, HostRow, Hosts, Noise
from harness.store import runs

HOST = "HOST"
"""In a baseline's name: the host's own."""


def against(  # noqa: PLR0913 - what is compared, with what, and how
    hosts: Hosts,
    root: Path,
    name: str,
    *,
    load: Callable[[str], Digest],
    noise: Callable[[Digest], Noise | None],
    allow: Collection[str] = (),
    listen: Callable[[int, int], None] = lambda _done, _of: None,
) -> Hosts:
    """The hosts with what became of each since the baseline of that name.

    ``load`` gives a baseline by its name, and raises where there is none; that is then told of the
    host, unless all share it.
    """
    one_for_all = None if HOST in name else load(name)
    rows = []
    for i, row in enumerate(hosts.rows):
        listen(i, len(hosts.rows))
        rows.append(row)
        if not row.facts:
            continue
        try:
            before = one_for_all or load(name.replace(HOST, row.name))
            status, why = _compared(before, row, root, noise(before), allow)
        except BenchError as error:
            status, why = Change.INCOMPARABLE, error.message
        rows[-1] = replace(row, change=status, changed=why)
    return replace(hosts, rows=tuple(rows), against=name, separations=shared(rows))


def _compared(
    before: Digest, row: HostRow, root: Path, noise: Noise | None, allow: Collection[str]
) -> tuple[Change, str]:
    """Of the newest run that has a point of the baseline, or else of the newest."""
    known = {point.point.id for point in before.points}
    found = [runs.load(root / name) for name in row.runs]
    run = next(
        (one for one in found if known & {point.id for point in one.info.plan.points}), found[0]
    )
    compared = changes.compare(before, digest(run.info, run.trials), allow=allow, noise=noise)
    return compared.status, compared.headline
