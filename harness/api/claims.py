"""Runs of ``bench claims`` for notebooks."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from harness.api.results import results_folder
from harness.errors import ResultsError, UsageError
from harness.show.claims import figure
from harness.show.claims import view as views
from harness.show.report.markdown import text
from harness.store import claims as store
from harness.store.claims import ClaimsRun
from harness.store.folder import SAMPLE_RUNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Claim:
    """One claim with what was found of it. Shown by itself in a notebook, it is its story."""

    def __init__(self, row: views.Row) -> None:
        self._row = row
        self.id = row.text.id
        self.sentence = row.text.sentence
        """As people meet it."""
        self.korean = row.text.korean
        self.verdict = row.verdict.value
        """``holds``, ``refuted``, ``inconclusive`` or ``not exercisable``."""
        self.said = row.result.finding.said
        """The evidence in one sentence."""
        self.numbers = dict(row.result.finding.numbers)
        """The same by name, with units in the names."""
        self.story = row.text.story
        self.by_hand = row.text.by_hand

    def __repr__(self) -> str:
        return f"<{self.id}: {self.verdict}: {self.said}>"

    def _repr_markdown_(self) -> str:
        commands = "\n".join(self.by_hand)
        return (
            f"> {text(self.sentence)}\n>\n> {text(self.korean)}\n\n"
            f"**{self.verdict}**: {text(self.said)}.\n\n{text(self.story)}\n\n"
            f"```console\n{commands}\n```\n"
        )


class Claims:
    """One run of claims. ``claims["pause-freezes"]`` is one of them."""

    def __init__(self, run: ClaimsRun) -> None:
        self.run = run
        """The records behind it."""
        self._rows = {row.text.id: row for row in views.build(run).rows}

    def __repr__(self) -> str:
        return f"<{self.name}: {self.headline}>"

    def __getitem__(self, claim_id: str) -> Claim:
        if claim_id not in self._rows:
            raise UsageError(f"{self.name} has no claim {claim_id!r}.", "See its table.")
        return Claim(self._rows[claim_id])

    @property
    def name(self) -> str:
        """The name of the run and of its folder."""
        return self.run.info.name

    @property
    def headline(self) -> str:
        """What came out, in one line."""
        return views.build(self.run).headline

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a claim, with its verdict.

        ``id``, ``topic``, ``sentence``, ``korean``, ``verdict``, ``expected`` (``""`` where nothing
        is known), ``surprises`` (bool), ``said``, ``took_s``.
        """
        return pd.DataFrame(
            {
                "id": row.text.id, "topic": row.text.topic, "sentence": row.text.sentence,
                "korean": row.text.korean, "verdict": row.verdict.value,
                "expected": row.result.expected.value if row.result.expected else "",
                "surprises": row.result.surprises, "said": row.result.finding.said,
                "took_s": row.result.took_s,
            }
            for row in self._rows.values()
        )  # fmt: skip

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """A row a number of the evidence: ``id``, ``name`` (with its unit), ``value``."""
        return pd.DataFrame(
            [
                {"id": row.text.id, "name": name, "value": value}
                for row in self._rows.values()
                for name, value in row.result.finding.numbers
            ],
            columns=["id", "name", "value"],
        )


def load_claims(run: str | Path | None = None, *, results: str | Path | None = None) -> Claims:
    """One run of claims: by name, a part of it, or path; without ``run`` the newest of one's own.

    Where there is none, the sample that comes with limitbench. ResultsError where there is nothing.

    >>> import harness
    >>> harness.load_claims("sample-claims")["shares-cap-a-lone-container"].verdict
    'refuted'
    """
    folder = results_folder(results)
    if run is not None:
        found = store.find(folder, str(run))
        if not isinstance(found, ClaimsRun):
            raise ResultsError(f"{found.info.name} is no run of claims.", "Use harness.load.")
        return Claims(found)
    every, _ = store.listed(folder)
    own = [one for one in every if not one.path.name.startswith(SAMPLE_RUNS)]
    if not every:
        raise ResultsError(f"no run of claims in {folder}.", "`bench claims` makes one.")
    return Claims((own or every)[0])


def plot_claimed(claims: Claims) -> Figure:
    """What claims promise in numbers, beside what was measured: a line a claim.

    UsageError where the run measured none that promises a number.

    >>> import harness
    >>> figure = harness.plot_claimed(harness.load_claims("sample-claims"))
    >>> "claimed" in figure.get_suptitle()
    True
    """
    if not figure.has_claimed(claims.run):
        raise UsageError(
            f"{claims.name} measured no claim that promises a number.", "`bench claims cpu shares`."
        )
    return figure.claimed(claims.run)
