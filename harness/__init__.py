"""limitbench: what container resource limits really do on a host.

The words (axis, point, trial, plan, run, sample, window, law, verdict) are defined in
``harness.model``; data flows one way::

    sweep name ─▶ plan ─▶ runner ─▶ store ─▶ analysis ─▶ check ─▶ report, plots
                           │  ▲
                  engine ◀─┘  └── sampler ◀── cgroup counters, docker stats, host

Everything to the right of ``store`` works without an engine and can be repeated on old runs.

For notebooks, ``import harness`` is enough, and costs next to nothing until something is asked
for: ``harness.runs()`` lists the runs, ``harness.load(run)`` gives one as tidy frames, and the
``harness.plot_…`` functions draw. They are ``harness.api``'s; docs/notebooks.md describes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from harness.api import (
        ComparedRuns,
        Results,
        compare,
        figures,
        load,
        load_several,
        plot,
        plot_achieved,
        plot_gaps,
        plot_growth,
        plot_heat,
        plot_pages,
        plot_pressure,
        plot_reached,
        plot_responses,
        plot_shares,
        plot_throttling,
        plot_timeline,
        runs,
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
    "ComparedRuns",
    "Results",
    "__version__",
    "compare",
    "figures",
    "load",
    "load_several",
    "plot",
    "plot_achieved",
    "plot_gaps",
    "plot_growth",
    "plot_heat",
    "plot_pages",
    "plot_pressure",
    "plot_reached",
    "plot_responses",
    "plot_shares",
    "plot_throttling",
    "plot_timeline",
    "runs",
]
