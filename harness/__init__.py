"""limitbench: what container resource limits really do on a host.

The words (axis, point, trial, plan, run, sample, window, law, verdict) are defined in
``harness.model``; data flows one way::

    sweep name ─▶ plan ─▶ runner ─▶ store ─▶ analysis ─▶ check ─▶ report, plots
                           │  ▲
                  engine ◀─┘  └── sampler ◀── cgroup counters, docker stats, host

Everything to the right of ``store`` works without an engine and can be repeated on old runs.
"""

from __future__ import annotations

__version__ = "0.1.0"
