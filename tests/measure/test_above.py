"""The cgroups above a trial's container, sampled with it."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from harness import cgroup
from harness.host.neighbours import Census
from harness.measure.above import Above
from harness.measure.observer import LocalObserver, OpenCgroup
from tests.sampling import VirtualSampling
from tests.trees import ID, PODS, pod_files, pod_host


class Clock:
    """Virtual time, in whose middle the pod has used up ten periods."""

    def __init__(self, tmp_path: Path, version: int) -> None:
        self.now, self._tmp_path, self._version = 0, tmp_path, version

    def now_ns(self) -> int:
        return self.now

    def sleep_ns(self, duration_ns: int) -> None:
        self.now += max(0, duration_ns)
        periods = 10 if self.now > 500_000_000 else 0
        stat = f"usage_usec 0\nnr_periods {periods}\nnr_throttled {periods}\n"
        pod_files(self._tmp_path, self._version, PODS[1], {"cpu/cpu.stat": stat})


@pytest.mark.parametrize("version", [1, 2])
def test_a_trial_has_the_counters_of_what_caps_above(tmp_path: Path, version: int) -> None:
    paths = cgroup.locate(77, ID, pod_host(tmp_path, version))
    quota = (
        {"cpu/cpu.cfs_quota_us": "80000\n", "cpu/cpu.cfs_period_us": "100000\n"}
        if version == 1
        else {"cpu/cpu.max": "80000 100000\n"}
    )
    clock = Clock(tmp_path, version)
    pod_files(tmp_path, version, PODS[1], quota)
    clock.sleep_ns(0)
    opened = OpenCgroup(
        cgroup.CounterReader(paths),
        functools.partial(cgroup.kernel_limits, paths),
        functools.partial(cgroup.effective_limits, paths),
        functools.partial(cgroup.memory_counters, paths),
        Above(paths),
    )
    observer = LocalObserver(
        [(77, ID)], 10, opening=lambda pid, id_: opened, sampling=VirtualSampling(clock),
        census=lambda: Census(tmp_path / "nowhere"),
    )  # fmt: skip
    window = observer.window(0, 1_000_000_000)
    observer.close()
    assert len(window.samples) == 1  # the container's alone
    ((pod,),) = window.above
    assert (pod.at, pod.kernel.cpu_quota_us) == (PODS[1], 80_000)
    assert pod.first is not None
    assert pod.last is not None
    assert (pod.first.nr_throttled, pod.last.nr_throttled) == (0, 10)
