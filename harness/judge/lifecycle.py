"""The engine's commands that are timed, with their laws."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model import Expectation, Lifecycle, Scale

COMMANDS: Mapping[str, str] = {
    "create": "create",
    "start_call": "start, answered",
    "ready": "ready after that",
    "exec": "exec, to its end",
    "top": "top",
    "logs": "logs",
    "copy": "cp of 4 KiB",
    "rename": "rename",
    "commit": "commit",
    "pause": "pause",
    "unpause": "unpause",
    "update_memory": "update --memory",
    "update_shares": "update --cpu-shares",
    "update_cpuset": "update --cpuset-cpus",
    "update_cpus": "update --cpu-quota",
    "update_acts": "update that throttles",
    "restart": "restart, no grace",
    "kill": "kill, to its end",
    "stop": "stop, not heeded",
    "stop_heeded": "stop, heeded",
    "remove": "rm",
}
"""What is timed → its title, in the order in which a trial does it. ``NAME_s`` is its metric.

From the request to the engine's answer, where no more is said; ``ready`` is known to some ms.
Updates are timed until the kernel's file holds the limit, ``update_acts`` until the container's
first period is throttled under a quota that it had not before, ``stop`` with a grace time of
``Lifecycle.GRACE_S``.
"""
SLOWEST_STOP_S = 10.0
"""Beyond the grace time; moby gives up waiting for the exit of what it killed sooner."""
_WINDOW_S = 0.5
"""Five periods, in which the CPU after an update is counted (``measure.lifecycle``)."""
_CPU_TOLERANCE = 0.01
"""As of any quota; see docs/decisions/003."""


def expectations(tick_ns: int, *, beside_others: bool) -> tuple[Expectation, ...]:
    """The laws of a lifecycle, whatever its limits; ``tick_ns`` is the host's scheduler tick.

    Beside others that want every CPU, the new quota is a ceiling: no limit guarantees CPU.
    """
    grace, updated = float(Lifecycle.GRACE_S), Lifecycle.UPDATED_CPUS
    # The kernel charges a running task at the tick, at either edge of the window.
    tolerance = max(_CPU_TOLERANCE, tick_ns / 1e9 / (_WINDOW_S * updated))
    return (
        Expectation(
            metric="updated_cpus", value=updated,
            low=-1.0 if beside_others else -tolerance, high=tolerance, law="update-in-force",
            text="one period after its update is answered, a new quota is what is used",
            source="Documentation/scheduler/sched-bwc.rst", bound="quota",
        ),
        Expectation(
            metric="paused_cpus", value=0.0, low=0.0, high=0.0, scale=Scale.ABSOLUTE,
            law="paused", text="CPU used while paused = 0",
            source="Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst", bound="freezer",
        ),
        Expectation(
            metric="stop_s", value=grace, low=0.0, high=SLOWEST_STOP_S, scale=Scale.ABSOLUTE,
            law="stop-grace", text="stop takes the whole grace time where SIGTERM is not heeded",
            source="moby daemon/stop.go; man 7 signal (PID 1 of a namespace)", bound="grace time",
            settles=(),  # its room is that of a slow engine
        ),
    )  # fmt: skip
