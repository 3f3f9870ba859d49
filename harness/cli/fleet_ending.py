"""How a fleet is told: a line a host while it measures, a table of hosts at the end."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.dialogue import say
from harness.errors import BenchError, MeasurementError
from harness.fleet.controller import Listener
from harness.model import HostStatus, Status
from harness.store import folder, runs
from harness.wording import counted

if TYPE_CHECKING:
    from harness.model import Fleet, FleetHost
    from harness.store.fleets import FleetWriter

_UNFIT = 4
_WORST = (1, _UNFIT, 3, 0)
"""Exit codes, the one that tells most first."""
_MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Judged:
    """A host with what its run says."""

    host: FleetHost
    verdict: str
    """Of its run, in a word; of a host without one, its status."""
    code: int
    """As the command on that host alone would exit, were it strict."""
    reason: str


class Told(Listener):
    """Lines on standard error: a host begins, a host ends."""

    def __init__(self, writer: FleetWriter) -> None:
        self._writer = writer
        self._began: set[str] = set()
        self._waits: dict[str, str] = {}

    def told(self, host: FleetHost) -> None:
        """A host began, waits for another attempt, failed, or is away."""
        match host.status:
            case HostStatus.RUNNING if host.name not in self._began:
                self._began.add(host.name)
                say(f"{host.name}: measures")
            case HostStatus.WAITING:
                say(f"{host.name}: {host.reason}")
            case HostStatus.FAILED | HostStatus.UNREACHABLE:
                say(f"{host.name}: {host.status.value}: {host.reason}{self._left()}")

    def stored(self, host: FleetHost, run: Path) -> None:
        """Its run is here."""
        say(f"{host.name}: kept in {run}{self._left()}")

    def lost(self, address: str) -> None:
        """Once, however often it is tried."""
        if not self._waits:
            say(f"{address} does not answer; hosts measure on, and it is tried again.")
        self._waits[address] = address

    def _left(self) -> str:
        hosts = self._writer.fleet.hosts
        done = sum(one.status not in (HostStatus.WAITING, HostStatus.RUNNING) for one in hosts)
        return f" ({done} of {counted(len(hosts), 'host')} done)"


def is_whole(fleet: Fleet) -> bool:
    """Whether each host's run is here."""
    return all(host.status is HostStatus.FINISHED for host in fleet.hosts)


def conclude(fleet: Fleet, root: Path, *, as_json: bool, strict: bool) -> int:
    """The table of hosts; the exit code."""
    rows = [_judged(fleet, host, root) for host in fleet.hosts]
    if as_json:
        _print_json(fleet, rows)
    else:
        _print(rows)
    codes = {
        row.code if strict or row.host.status is not HostStatus.FINISHED else 0 for row in rows
    }
    if not is_whole(fleet):
        say(f"To ask again what is missing: bench fleet resume {fleet.id}")
    return next(code for code in _WORST if code in codes)


def _judged(fleet: Fleet, host: FleetHost, root: Path) -> Judged:
    if host.status is not HostStatus.FINISHED or host.run is None:
        return Judged(host, host.status.value, _UNFIT, host.reason)
    try:
        verdict, code, reason = _verdict(fleet, root / host.run)
    except MeasurementError as error:  # what is there says nothing of the host
        return Judged(host, Status.INCONCLUSIVE.value, _UNFIT, str(error))
    except BenchError as error:
        return Judged(host, "damaged", _UNFIT, str(error))
    return Judged(host, verdict, code, reason)


def _verdict(fleet: Fleet, run: Path) -> tuple[str, int, str]:
    """(in a word, the exit code, why) of a run that is here."""
    if folder.is_of_claims(run):
        from harness.show.claims import view as claims_views
        from harness.store import claims

        seen = claims_views.build(claims.load(run))
        return seen.verdict, claims_views.exit_code(seen), seen.headline
    found = runs.load(run)
    purpose = found.info.purpose
    if fleet.order.purpose is not None:
        from harness.cli import going_on, verdict
        from harness.cli.reference import Reference, digested, reference

        against = purpose.against if purpose is not None and hasattr(purpose, "against") else None
        baselines = Path(fleet.baselines)
        held = reference(against, baselines) if against else Reference("", None)
        permitted = frozenset(fleet.order.purpose.allow)
        after = digested(found)
        verdict.refuse_invalid(after)
        compared = going_on.comparer(held, permitted, baselines)(after)
        word = "deviates" if compared.violations else compared.status.value
        return word, verdict.exit_code(compared), ""
    from harness.show.report import view as views

    view = views.build(found)
    if not any(row.summary.valid for row in view.rows):
        why = view.rejected[0] if view.rejected else "what was measured is damaged"
        return Status.INCONCLUSIVE.value, 3, f"no trial counts: {why}"
    code = {Status.DEVIATES: 1, Status.INCONCLUSIVE: 3}.get(view.status, 0)
    return view.status.value, code, "" if code == 0 else view.headline


def _print_json(fleet: Fleet, rows: list[Judged]) -> None:
    click.echo(
        json.dumps(
            {
                "fleet": fleet.id,
                "kind": fleet.kind,
                "plan_digest": fleet.plan_digest,
                "started": fleet.started,
                "hosts": [
                    {
                        "host": row.host.name,
                        "status": row.host.status.value,
                        "verdict": row.verdict,
                        "run": row.host.run,
                        "attempts": row.host.attempts,
                        "reason": row.reason,
                    }
                    for row in rows
                ],
            },
            indent=2,
        )
    )


def _print(rows: list[Judged]) -> None:
    """A row a host where something is to be seen; those that agree are counted below."""
    from rich.table import Table

    from harness.cli.terminal import show_page

    table = Table(box=None, pad_edge=False)
    for title in ("host", "says", "run", "why"):
        table.add_column(title, overflow="fold")
    for row in sorted(rows, key=lambda one: (_WORST.index(one.code), one.host.name)):
        table.add_row(row.host.name, row.verdict, row.host.run or "–", row.reason)
    show_page(table)
    tally = Counter(row.verdict for row in rows)
    said = ", ".join(f"{word}: {number}" for word, number in tally.most_common())
    click.echo(f"\n{counted(len(rows), 'host')}: {said}.")
