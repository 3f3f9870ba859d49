"""On which disk a command goes on: on that of what was measured before, and nowhere silently."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from harness.cli.device import device_option, refuse_another, refuse_unneeded
from harness.errors import UsageError
from harness.model import (
    BlockDevice,
    ContainerSpec,
    Io,
    Limits,
    Outcome,
    Point,
    Spin,
    TrialRecord,
)


def trial(*, made: bool) -> TrialRecord:
    disk = BlockDevice(path="/dev/loop7" if made else "/dev/sdb", number="8:16",
                       filesystem="ext4", made=made)  # fmt: skip
    return TrialRecord(
        index=0, block=0, point_id="", outcome=Outcome.COMPLETED, started_at="", device=disk
    )


def point(load: Io | Spin | None = None, limits: Limits | None = None) -> Point:
    spec = ContainerSpec(limits=limits or Limits(), workload=load or Spin())
    return Point(id="one", axis="file", value="", containers=(spec,))


@pytest.mark.parametrize(
    ("made", "typed", "refused"),
    [
        (True, None, None),
        (True, "/dev/sdb", "measured on a loop device, and not on /dev/sdb"),
        (False, None, "measured on /dev/sdb, and not on a loop device"),
        (False, "/dev/sdb", None),
    ],
)
def test_what_was_measured_on_one_disk_goes_on_upon_no_other(
    made: bool, typed: str | None, refused: str | None
) -> None:
    @click.command
    @device_option
    def go_on() -> None:
        refuse_another([trial(made=made)])

    ended = CliRunner().invoke(go_on, ["--device", typed] if typed else [])
    assert (ended.exception is None) is (refused is None)
    if refused:
        assert isinstance(ended.exception, UsageError)
        assert refused in str(ended.exception)


def test_a_disk_of_the_environment_may_be_there_for_nothing_and_a_typed_one_not() -> None:
    @click.command
    @device_option
    def go() -> None:
        refuse_unneeded(point())

    assert CliRunner().invoke(go, [], env={"BENCH_DEVICE": "/dev/sdb"}).exception is None
    assert isinstance(CliRunner().invoke(go, ["--device", "/dev/sdb"]).exception, UsageError)


@pytest.mark.parametrize(
    "about",
    [point(limits=Limits(device_write_bps=4 << 20)), point(Io(place="device"))],
    ids=["fixed", "kept"],
)
def test_a_disk_is_named_for_a_limit_that_is_fixed_and_for_what_is_kept_there(about: Point) -> None:
    @click.command
    @device_option
    def go() -> None:
        refuse_unneeded(about)

    assert CliRunner().invoke(go, ["--device", "/dev/sdb"]).exception is None
