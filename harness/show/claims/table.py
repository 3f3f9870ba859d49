"""A run of claims as CSV, a row a claim."""

from __future__ import annotations

import csv
import io

from harness.show.claims.view import View
from harness.store.claims import documented

_COLUMNS = (
    "id", "topic", "sentence", "korean", "verdict", "expected", "surprises", "evidence", "because",
    "source", "took_s",
)  # fmt: skip


def as_csv(view: View) -> str:
    """The rows under stable names."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(documented(view.run)["results"])
    return out.getvalue()
