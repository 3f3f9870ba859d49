"""``bench claims``: the textbook put to the test on the reader's own engine."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import claimed, commandline, logs
from harness.cli.alone import no_wait_option, obtain_alone
from harness.cli.dialogue import say
from harness.cli.options import (
    engine_host_option,
    json_option,
    junit_option,
    language_option,
    markdown_option,
    results_option,
)
from harness.cli.output import ReaderGoneError
from harness.cli.terminal import show_page
from harness.errors import ResultsError, UsageError
from harness.store import folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.claims.claim import Claim
    from harness.engine.connect import Connection
    from harness.engine.laboratory import Laboratory
    from harness.store.claims import ClaimsWriter

_MOST_SEED = 1 << 31


@click.command(
    epilog="""
\b
Examples:
  bench claims                            all of them, in about four minutes
  bench claims memory shares-cap-a-lone-container
  bench claims --list                     what there is, with no engine
  bench claims pause-freezes --explain    the story, and how to see it by hand
  bench claims --json > before.json       and after an upgrade:
  bench claims --against before.json
"""
)
@click.argument("names", nargs=-1, metavar="[ID|TOPIC]...")
@click.option("--list", "listing", is_flag=True, help="Name the claims, of all topics or of these; "
              "nothing is run.")  # fmt: skip
@click.option("--explain", is_flag=True, help="Tell the story of these claims, the commands to see "
              "it by hand, and the verdicts to be expected; nothing is run.")  # fmt: skip
@click.option("--against", metavar="FILE|RUN", help="A former result: tell whose verdict is "
              "another one now.")  # fmt: skip
@language_option
@click.option("--seed", type=click.IntRange(0, _MOST_SEED), help="Seed of the order.  [default: "
              "a new one, which the run tells]")  # fmt: skip
@markdown_option
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write one page that can be searched and printed too.")  # fmt: skip
@junit_option
@no_wait_option
@engine_host_option
@results_option
@json_option
def claims(
    names: tuple[str, ...],
    listing: bool,
    explain: bool,
    against: str | None,
    language: str,
    seed: int | None,
    markdown: Path | None,
    html: Path | None,
    junit: Path | None,
    engine_host: str | None,
    results: Path,
    as_json: bool,
) -> int:
    """Put sentences from notes and tutorials to the test on this engine: does it hold here?

    Each claim is decided by a real experiment, in containers of its own; without ID or TOPIC, all
    of them. The run is kept: `bench show`, `report` and `compare` know it.

    Exits 0 where each verdict is the one to be expected on such an engine, 1 where one is not, or
    is another one than in the result of --against, 3 where one stayed open. What cannot be put to
    the test here is told with its reason.
    """
    from harness.claims import catalogue

    chosen = catalogue.chosen(names)
    korean = language == "ko"
    if listing or explain:
        if listing and explain:
            raise UsageError("--list and --explain exclude each other.", "Leave one away.")
        if explain and not names:
            raise UsageError("--explain needs an ID or a TOPIC.", "`bench claims --list` has them.")
        _tell(chosen, explain=explain, korean=korean, as_json=as_json)
        return 0
    from harness.store import claims as store

    former = None if against is None else store.find_former(results, against)
    folder.prepare_root(results)
    (connection,) = obtain_alone(engine_host)
    path = _run(chosen, connection, results, random.randrange(_MOST_SEED) if seed is None else seed)
    say(f"Kept in {path}")
    outputs = claimed.Outputs(korean, as_json, markdown, html, junit)
    return claimed.conclude(store.load(path), former, outputs)


# --- what is told without an engine ------------------------------------------------------------


def _tell(chosen: Sequence[Claim], *, explain: bool, korean: bool, as_json: bool) -> None:
    from harness.cli import explained

    if as_json:
        click.echo(json.dumps([explained.as_json(one) for one in chosen], indent=2))
    elif explain:
        for one in chosen:
            show_page(explained.story(one, korean=korean))
    else:
        show_page(explained.listing(chosen, korean=korean))


# --- the run -----------------------------------------------------------------------------------


def _run(chosen: Sequence[Claim], connection: Connection, results: Path, seed: int) -> Path:
    """Put them to the test, and keep each result before the next begins; the run's folder."""
    from harness.engine.docker_engine import DockerEngine
    from harness.host import identity
    from harness.store import claims as store

    run = store.create(
        results, (one.text for one in chosen), seed=seed,
        command=commandline.kept(sys.argv[1:]), host=identity.facts(),
        engine=DockerEngine(connection).facts(),
    )  # fmt: skip
    with logs.kept_in(run.path):
        try:
            _put_to_the_test(chosen, connection, run)
        except (KeyboardInterrupt, Exception) as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            # Where it cannot be told, what ended the run is still what is told.
            with contextlib.suppress(ResultsError, ReaderGoneError):
                run.finish(*(("interrupted",) if interrupted else ("failed", str(error))))
                say(f"What was found is kept: bench show {run.path}")
            raise
        run.finish("finished")
    return run.path


def _put_to_the_test(chosen: Sequence[Claim], connection: Connection, run: ClaimsWriter) -> None:
    from harness.claims.run import ordered, run_claims
    from harness.cli.claim_progress import progress
    from harness.engine.docker_engine import DockerEngine
    from harness.host import process

    engine = DockerEngine(connection)

    def opened(number: int) -> Laboratory:
        return engine.laboratory(run=f"{run.info.name}-{number}")

    with process.kept_from_the_oom_killer(), progress(len(chosen)) as listener:
        run_claims(ordered(chosen, run.info.seed), opened, run.keep, listener)
