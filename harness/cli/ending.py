"""What programs that watch are told of a check, however it ends.

A file for Prometheus and GitHub's annotations are of most worth where something failed: where no
engine answered, or the baseline was damaged, they say so as they would say a verdict.
"""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import READER_GONE, output
from harness.cli.dialogue import say
from harness.errors import BenchError, ResultsError

if TYPE_CHECKING:
    from harness.cli.reference import Reference
    from harness.model import Compared
    from harness.show.report.comparison import Titles

_DEFECT = 70


@dataclass(slots=True)
class Ending:
    """Who is told, and what is known so far of what they will be told."""

    openmetrics: Path | None
    github: bool
    sweep: str
    """As it was asked for; empty where it was not, and is not known yet. Likewise ``baseline``."""
    baseline: str
    began_s: float = 0.0
    """Unix time."""
    compared: Compared | None = None
    titles: Titles | None = None

    def about(self, held: Reference) -> None:
        """What is compared with: known before anything that takes long can fail."""
        if held.digest is not None:
            self.baseline, self.sweep = held.name, self.sweep or held.digest.sweep

    def came_to(self, compared: Compared, titles: Titles) -> None:
        """The verdict; it is told only where the command ends by it and not by an error."""
        self.compared, self.titles = compared, titles
        self.sweep = compared.after.sweep

    def tell(self, code: int, error: BaseException | None = None) -> None:
        """Tell all who asked for it; ResultsError where a file cannot be written."""
        if self.openmetrics is not None:
            self._write_metrics(self.openmetrics, code, error)
        if self.github:
            self._tell_github(code, error)

    def _write_metrics(self, path: Path, code: int, error: BaseException | None) -> None:
        from harness.show.report import openmetrics

        now_s = time.time()
        attempt = openmetrics.Attempt(
            code=code, sweep=self.sweep, baseline=self.baseline, ended_s=now_s,
            duration_s=max(0.0, now_s - self.began_s),
            compared=None if error else self.compared,
        )  # fmt: skip
        output.write(path, openmetrics.document(attempt).encode())

    def _tell_github(self, code: int, error: BaseException | None) -> None:
        from harness.show.report import comparison, github, markdown

        verdict = "none"
        if self.compared is not None and self.titles is not None and error is None:
            verdict = self.compared.status.value
            lines = github.annotated(self.compared, self.titles)
            summary = comparison.as_markdown(self.compared, self.titles)
        else:
            said = f"{error}" or "interrupted."
            lines = [github.annotation("error", f"bench check: exit code {code}", said)]
            summary = f"### ✗ bench check came to no verdict\n\n{markdown.text(said)}\n"
        for line in lines:
            say(line)
        _append("GITHUB_STEP_SUMMARY", summary)
        _append("GITHUB_OUTPUT", f"verdict={verdict}\nexit-code={code}\n")


def _append(variable: str, text: str) -> None:
    """To one of the files that GitHub's runner reads after a step, where it runs us."""
    path = os.environ.get(variable)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror}.") from error


def told(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--openmetrics`` and ``--github``, and an ``Ending`` as ``end``."""

    @click.option(
        "--openmetrics", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
        help="Write the result for node_exporter's textfile collector too, however it ends.",
    )  # fmt: skip
    @click.option("--github", is_flag=True, help="Tell GitHub's runner too: annotations, the "
                  "job's summary, the outputs 'verdict' and 'exit-code'.")  # fmt: skip
    @functools.wraps(command)
    def run(*, openmetrics: Path | None, github: bool, **options: Any) -> int:
        _refuse_no_folder(openmetrics)
        asked = options["sweep_name"] or "", options["against"] or ""
        end = Ending(openmetrics, github, *asked, began_s=time.time())
        try:
            code = command(end=end, **options)
        except BaseException as error:
            try:
                end.tell(_code(error), error)
            except (BenchError, output.ReaderGoneError) as also:
                say(f"bench: {also}")
            raise
        end.tell(code)
        return code

    return run


def _refuse_no_folder(path: Path | None) -> None:
    """ResultsError before anything is measured: a file that never comes is told by nobody."""
    if path is not None and not path.parent.is_dir():
        raise ResultsError(f"cannot write {path}: no such folder.", "Make it, or choose another.")


def _code(error: BaseException) -> int:
    """With what ``bench`` will exit."""
    if isinstance(error, BenchError):
        return error.exit_code
    if isinstance(error, output.ReaderGoneError):
        return READER_GONE
    if isinstance(error, KeyboardInterrupt):  # SIGTERM and SIGHUP come as such, with their number
        return 128 + int(getattr(error, "number", signal.SIGINT))
    return _DEFECT
