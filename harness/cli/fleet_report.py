"""``bench fleet report``: which hosts differ from the others?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import output as files
from harness.cli.dialogue import say
from harness.cli.options import (
    all_option,
    allow_option,
    anonymous_option,
    baselines_option,
    json_option,
    markdown_option,
    results_option,
)
from harness.cli.reference import refuse_unknown
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.model import Hosts

_SAY_EVERY_S = 5.0


@click.command(
    epilog="""
\b
Examples:
  bench fleet report                          the newest run of each host in results/
  bench fleet report --results gathered --html fleet.html
  bench fleet report --sweep cpu --metric cpus --strict
  bench fleet report 20261127-101500-cpu --json
  bench fleet report --against default --allow cpu,cpus     a group's baseline
  bench fleet report --against nightly-HOST                 each host's own
"""
)
@click.argument("fleet", required=False, metavar="[FLEET]")
@click.option("--sweep", "sweep_name", metavar="AXIS|NAME", help="Runs of a sweep of that name "
              "alone.")  # fmt: skip
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="One metric, e.g. cpus or "
              "throttled_share; may be given several times.")  # fmt: skip
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write one HTML file too, usable with a thousand hosts.")  # fmt: skip
@click.option("--against", metavar="NAME", help="Compare each host's newest run with a "
              "baseline, as `bench check` does: one for all, or with HOST in its name each "
              "host's own.")  # fmt: skip
@allow_option
@baselines_option
@markdown_option
@all_option
@anonymous_option
@click.option("--strict", is_flag=True, help="Exit 1 where a host deviates, lies apart or "
              "regressed, 3 where one is open, incomparable or was not measured.")  # fmt: skip
@results_option
@json_option
def report(
    fleet: str | None,
    sweep_name: str | None,
    metrics: tuple[str, ...],
    page: Path | None,
    against: str | None,
    allow: tuple[str, ...],
    baselines: Path,
    markdown: Path | None,
    every: bool,
    anonymous: bool,
    strict: bool,
    results: Path,
    as_json: bool,
) -> int:
    """Hold hosts beside each other: which conform, deviate or lie apart, and what those share.

    The newest run of each host in the results folder, of each sweep that it has; with FLEET, the
    runs of that fleet alone. A host deviates where a law does. It lies apart where, at the same
    point, it is further from the other hosts than they scatter and than matters: where hosts
    scatter normally, 1 % of what is told so is told by chance. What the hosts that
    differ have in common, and others have not, is looked for among kernel, cgroup version, engine,
    runtime and all other facts.

    Hosts that a fleet could not measure are shown too, with the reason.
    """
    from harness.cli.terminal import show_page
    from harness.cli.verdict import allowed
    from harness.show.report import hosts as words
    from harness.show.report.hosts_page import Page

    permitted = allowed(allow)
    if allow and against is None:
        raise UsageError("--allow needs --against.", "It says what may differ from a baseline.")
    found = of_folder(results, fleet, sweep_name, metrics)
    if against is not None:
        found = _compared(found, results, against, baselines, permitted)
    if anonymous:
        from harness.store.anonymous import hosts_without_names

        found = hosts_without_names(found)
    if as_json:
        click.echo(json.dumps(words.as_json(found), indent=2))
    else:
        show_page(Page(found, every=every))
    if page is not None:
        from harness.show.report import hosts_html

        files.write(page, hosts_html.render(found).encode())
    if markdown is not None:
        from harness.show.report import hosts_markdown

        files.write(markdown, hosts_markdown.render(found).encode())
    return _exit_code(found) if strict else 0


def of_folder(
    results: Path, fleet: str | None, sweep: str | None, metrics: tuple[str, ...]
) -> Hosts:
    """The hosts of a folder; UsageError for what cannot be found there, with what can."""
    from harness.comparison import hosts, hosts_found
    from harness.comparison.sensitivity import SENSITIVITY

    for name in metrics:
        if name not in SENSITIVITY:
            raise UsageError(
                f"no metric '{name}' is compared.", f"Known: {', '.join(SENSITIVITY)}."
            )
    there = hosts_found.found(results, fleet=fleet, sweep=sweep, listen=_listener())
    if not there.members:
        if sweep is not None:
            refuse_unknown(sweep)
        what = f" of {sweep}" * bool(sweep)
        why = f" ({there.left_out[0][0]}: {there.left_out[0][1]})" if there.left_out else ""
        raise UsageError(
            f"no run{what} of any host in {results}{why}.", "`bench sweep cpu` makes one."
        )
    return hosts.beside(there, metrics)


def _compared(
    found: Hosts, results: Path, name: str, baselines: Path, allow: frozenset[str]
) -> Hosts:
    from harness.comparison.hosts_against import against
    from harness.store import baselines as store_baselines

    return against(
        found, results, name, allow=allow, listen=_listener("Compared", "hosts"),
        load=lambda one: store_baselines.load(baselines, one).digest,
        noise=lambda digest: store_baselines.noise_of(baselines, digest.fingerprint),
    )  # fmt: skip


def _listener(did: str = "Read", what: str = "runs") -> Callable[[int, int], None]:
    """Says how far it is, where that takes long."""
    said_s = time.monotonic()

    def listen(done: int, of: int) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= _SAY_EVERY_S:
            said_s = time.monotonic()
            say(f"{did} {done} of {of} {what}.")

    return listen


def _exit_code(found: Hosts) -> int:
    from harness.model import Status
    from harness.show.report.hosts import status

    return {Status.DEVIATES: 1, Status.CONFORMS: 0}.get(status(found), 3)
