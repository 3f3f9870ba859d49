"""This host's noise between runs of which nothing differs, as it is learnt from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.reference import digested
from harness.errors import ComparisonError
from harness.store import runs as store_runs

if TYPE_CHECKING:
    from harness.model import Digest, Noise
    from harness.store.runs import Run


def settled_digests(newest: Run, results: Path) -> list[Digest]:
    """Of the runs of that run's points since anything changed, up to it, the oldest first.

    ComparisonError where there are too few.
    """
    from harness.cli.history import of_folders
    from harness.comparison import settled

    names = settled.since_the_last_change(
        of_folders((results,)), newest.info.name, settled.MOST_DAYS_RUNS
    )
    return [digested(store_runs.find(results, one)) for one in names]


def keep_noise(digests: Sequence[Digest], baselines: Path) -> Noise:
    """Keep the noise between runs of which nothing differs, the oldest first.

    ComparisonError where they have nothing in common.
    """
    from harness.comparison import drift, settled
    from harness.comparison import noise as comparison_noise
    from harness.store import baselines as store_baselines

    newest = digests[-settled.MOST_RUNS :]
    floors = comparison_noise.floors(newest)
    if not floors:
        raise ComparisonError(
            "the runs have no point in common with 5 trials that count in each.",
            "Measure again with --repeats 10.",
        )
    return store_baselines.save_noise(baselines, digests, floors, drift.drifts(digests))
