"""Limits that are read again and again, through files that stay open."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cgroup import CounterReader, LimitReader, kernel_limits, locate
from harness.errors import MeasurementError
from tests.trees import ID, crun_host, v1_host, v2_host


@pytest.mark.parametrize("host", [v1_host, v2_host, crun_host])
def test_they_are_those_that_one_reading_tells(
    host: Callable[[Path], Path], tmp_path: Path
) -> None:
    paths = locate(77, ID, host(tmp_path))
    reader = LimitReader(paths)
    try:
        first = reader.read()
        assert first == kernel_limits(paths)
        assert reader.read() is first  # the same bytes are not parsed again
        folder = paths.folder("cpu")
        assert folder is not None
        name, text = (("cpu.cfs_quota_us", "70000") if paths.version == 1
                      else ("cpu.max", "70000 1000000"))  # fmt: skip
        (folder / name).write_text(f"{text}\n")
        assert reader.read() == kernel_limits(paths) != first
    finally:
        reader.close()


def test_too_many_open_files_are_told_and_not_taken_for_files_that_are_not_there(
    tmp_path: Path,
) -> None:
    paths = locate(77, ID, v1_host(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = next(n for n in range(3, 4096) if not Path(f"/proc/self/fd/{n}").exists())
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        for kind in (LimitReader, CounterReader):
            with pytest.raises(MeasurementError, match="may not open as many files") as caught:
                kind(paths)
            assert "ulimit -n" in caught.value.remedy
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
