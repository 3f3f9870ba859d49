"""The Python API of notebooks: what ``import harness`` offers.

Runs come as ``Results`` of tidy pandas frames (``results``), two of them are compared
(``comparing``), and the ``plot_…`` functions draw (``drawing``); runs of claims come as ``Claims``.
"""

from harness.api.claims import Claim, Claims, load_claims, plot_claimed
from harness.api.comparing import ComparedRuns, compare
from harness.api.drawing import (
    Drawn,
    figures,
    plot,
    plot_achieved,
    plot_answers,
    plot_gaps,
    plot_growth,
    plot_heat,
    plot_killed,
    plot_latencies,
    plot_lifecycle,
    plot_neighbour,
    plot_pages,
    plot_pressure,
    plot_reached,
    plot_reclaimed,
    plot_responses,
    plot_shares,
    plot_storage,
    plot_taken,
    plot_throttling,
    plot_timeline,
)
from harness.api.hosts import FleetHosts, load_fleet, simulated_fleet
from harness.api.results import (
    RESULTS_VARIABLE,
    RUN_VARIABLE,
    Results,
    Runs,
    load,
    load_several,
    runs,
)
from harness.api.since import history

__all__ = [
    "RESULTS_VARIABLE",
    "RUN_VARIABLE",
    "Claim",
    "Claims",
    "ComparedRuns",
    "Drawn",
    "FleetHosts",
    "Results",
    "Runs",
    "compare",
    "figures",
    "history",
    "load",
    "load_claims",
    "load_fleet",
    "load_several",
    "plot",
    "plot_achieved",
    "plot_answers",
    "plot_claimed",
    "plot_gaps",
    "plot_growth",
    "plot_heat",
    "plot_killed",
    "plot_latencies",
    "plot_lifecycle",
    "plot_neighbour",
    "plot_pages",
    "plot_pressure",
    "plot_reached",
    "plot_reclaimed",
    "plot_responses",
    "plot_shares",
    "plot_storage",
    "plot_taken",
    "plot_throttling",
    "plot_timeline",
    "runs",
    "simulated_fleet",
]
