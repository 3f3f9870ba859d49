"""What the engine's commands take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness import limits as rules
from harness.errors import PlanError
from harness.limits import EngineCpus
from harness.model import ContainerSpec, Lifecycle, Limits, Point, Spin
from harness.plan.axes.axis import (
    Axis,
    NoSuchValueError,
    Options,
    number,
    point,
    texts,
    with_limits,
)

FREE, BUSY = "free", "busy"
DEFAULT_LIFECYCLE = (FREE, "cpus=0.05", "memory=16m", BUSY)
LIFECYCLE_S = 5.0
"""What a trial takes where nothing slows it, the grace time of one stop included."""


def _lifecycle(options: Options, cpus: EngineCpus) -> Iterable[Point]:
    default = (FREE, "cpus=0.05") if options.quick else DEFAULT_LIFECYCLE
    for text in texts(options, default):
        option, _, value = text.partition("=")
        varied: dict[str, Any] = {}
        if option == "cpus":
            # As a quota: what was created with --cpus takes no --cpu-quota in an update (moby,
            # daemon/container.go), and the SDK's update knows no --cpus.
            share = number(value)
            if not 0 < share <= cpus.most:
                raise PlanError(f"{text} is out of range.", f"Give 0.01 to {cpus.most:g}.")
            quota_us = round(share * rules.DEFAULT_PERIOD_US)
            varied = {"cpu_quota_us": quota_us, "cpu_period_us": rules.DEFAULT_PERIOD_US}
        elif option == "memory":
            size = rules.parse_size(value)
            varied = {"memory_bytes": size, "memory_swap_bytes": size}
        elif text not in (FREE, BUSY):
            raise NoSuchValueError(f"'{text}' is no condition.")
        one = ContainerSpec(limits=with_limits(options.fixed, **varied), workload=Lifecycle())
        load = ContainerSpec(limits=Limits(), workload=Spin(threads=cpus.count))
        yield point("lifecycle", "lifecycle", text, one, *([load] if text == BUSY else []))


AXES = (
    Axis(
        "lifecycle", "under", "what create, exec, pause, update, stop … take under limits",
        "--values free,cpus=0.05,memory=16m,busy", _lifecycle,
        metric="updated_cpus", apart=True,
    ),
)  # fmt: skip
