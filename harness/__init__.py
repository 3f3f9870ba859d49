"""limitbench: what container resource limits really do on a host.

Data flows one way, and each stage is a folder (CONTRIBUTING.md defines the words)::

    plan ─▶ measure ─▶ store ─▶ judge ─▶ comparison ─▶ show
             │   ▲
    engine ◀─┘   └── cgroup, host

``plan`` makes points and their trials of a sweep's name or file; ``measure`` executes them on an
``engine`` and observes containers by ``cgroup`` and ``host``; ``store`` keeps each trial before
the next begins; ``judge`` holds the trials against the laws; ``comparison`` holds runs against
each other; ``show`` makes frames, figures and reports of them.

At the ground lie ``limits`` (each limit, described once), ``model`` (the types that cross a
room), ``errors`` and ``interrupts``. Other questions have a folder each: ``inspection`` (a
container that somebody else runs), ``audit`` (the sources of numbers), ``doctor`` (this host),
``claims`` (what textbooks say of containers, put to the test), ``sizing`` (the least limit at which
a goal holds).
``cli`` is a file a verb, and the only one that prints, prompts and exits.

The order of reading is not quite that of importing: ``measure`` asks ``judge`` whether a trial
counts, and whether a point needs more of them. What stands to the right of ``store`` knows no
engine and can be repeated on old runs, on any machine.

For notebooks, ``import harness`` is enough, and costs next to nothing until something is asked
for: ``harness.runs()`` lists the runs, ``harness.load(run)`` gives one as tidy frames, and the
``harness.plot_…`` functions draw. They are ``harness.api``'s; docs/notebooks.md describes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from harness.api import (
        Claim,
        Claims,
        ComparedRuns,
        FleetHosts,
        Results,
        compare,
        figures,
        history,
        load,
        load_claims,
        load_fleet,
        load_several,
        plot,
        plot_achieved,
        plot_answers,
        plot_claimed,
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
        runs,
        simulated_fleet,
    )
else:
    # Loaded when first asked for: pandas and matplotlib take longer than most commands do.
    def __getattr__(name: str) -> object:
        if name in __all__:
            import importlib  # noqa: PLC0415

            found = getattr(importlib.import_module("harness.api"), name)
            globals()[name] = found
            return found
        raise AttributeError(f"module 'harness' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "Claim",
    "Claims",
    "ComparedRuns",
    "FleetHosts",
    "Results",
    "__version__",
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
