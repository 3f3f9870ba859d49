"""How a command has a block device for its run, where its plan is about one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from harness.errors import UsageError
from harness.plan.build import on_device

if TYPE_CHECKING:
    from harness.engine.boundary import Device, Engine
    from harness.engine.docker_engine import DockerEngine
    from harness.model import BlockDevice, Plan, Point, TrialRecord

_NAMED, _LENT = "harness.device.named", "harness.device.lent"


def _note(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    ctx.find_root().meta[_NAMED] = value


device_option = click.option(
    "--device", metavar="PATH", envvar="BENCH_DEVICE", expose_value=False, callback=_note,
    help="Of sweeps of I/O: a disk that is mounted, e.g. /dev/sdb.  [default: a loop device, made "
    "and removed]  [env: BENCH_DEVICE]",
)  # fmt: skip


def refuse_unneeded(point: Point) -> None:
    """UsageError where --device was typed for what keeps no data on it; $BENCH_DEVICE may stand."""
    ctx = click.get_current_context()
    typed = ctx.get_parameter_source("device") is click.core.ParameterSource.COMMANDLINE
    if typed and not on_device(point):
        raise UsageError("--device does nothing here: no data and no limit is about a disk.",
                         "Leave it away.")  # fmt: skip


def refuse_another(before: Iterable[TrialRecord]) -> None:
    """UsageError where what was measured on a named disk would go on upon another."""
    was = next((one.device for one in before if one.device is not None), None)
    if was is None:
        return
    named: str | None = click.get_current_context().find_root().meta.get(_NAMED)
    if was.made and named is not None:
        raise UsageError(f"it was measured on a loop device, and not on {named}.",
                         "Leave --device away.")  # fmt: skip
    if not was.made and named is None:
        raise UsageError(f"it was measured on {was.path}, and not on a loop device.",
                         f"Name that disk: --device {was.path}.")  # fmt: skip


def have_device(plan: Plan, engine: Engine) -> BlockDevice | None:
    """Have the engine keep data on a device until the command ends; None where no point needs one.

    MeasurementError where an engine is not on this host, or no device can be had.
    """
    from harness.engine import device

    if not any(map(on_device, plan.points)):
        return None
    ctx = click.get_current_context().find_root()
    lent: Device | None = ctx.meta.get(_LENT)
    if lent is None:
        lent = ctx.meta[_LENT] = ctx.with_resource(device.lent(ctx.meta.get(_NAMED)))
    engine.keep_data_on(lent)
    return lent.facts


def without_device(engine: DockerEngine | None) -> str:
    """Why no device can be had, for a command that does without one; empty where one can.

    Without an engine it is the private one, which is started here.
    """
    from harness.engine import device

    named = click.get_current_context().find_root().meta.get(_NAMED)
    why = (engine.no_device() if engine else None) or device.refusal(named)
    return "" if why is None else str(why)
