"""Containers' cgroups on v1 and v2: where they are, what they count, what holds for them.

The secret of this folder is where the kernel keeps things, and in what form: others that read such
files (the host's root cgroup, the sampler on an engine's host) have names and meaning from here.
"""

from __future__ import annotations

from harness.cgroup.counters import (
    DETAIL_FILES,
    PERCPU_FILE,
    TICK_FILES,
    CounterReader,
    File,
    RawSample,
    absent_counters,
    parse_sample,
)
from harness.cgroup.parsing import parse_flat, parse_int, parse_pressure
from harness.cgroup.paths import (
    CgroupPaths,
    delegated_controllers,
    locate,
    root_usage_path,
    swap_accounted,
)
from harness.cgroup.state import STATE_FILES, effective_limits, kernel_limits, memory_counters

__all__ = [
    "DETAIL_FILES",
    "PERCPU_FILE",
    "STATE_FILES",
    "TICK_FILES",
    "CgroupPaths",
    "CounterReader",
    "File",
    "RawSample",
    "absent_counters",
    "delegated_controllers",
    "effective_limits",
    "kernel_limits",
    "locate",
    "memory_counters",
    "parse_flat",
    "parse_int",
    "parse_pressure",
    "parse_sample",
    "root_usage_path",
    "swap_accounted",
]
