"""The kernel's files about a container, whatever the cgroup version.

Where its cgroups are on v1 and v2, what they count, what holds for them.

The secret of this folder is where the kernel keeps things, and in what form: others that read such
files (the host's root cgroup, the sampler on an engine's host) have names and meaning from here.
"""

from __future__ import annotations

from harness.cgroup.counters import CounterReader
from harness.cgroup.frozen import frozen_by
from harness.cgroup.limits import LimitReader
from harness.cgroup.mounts import everywhere
from harness.cgroup.named import NamedCgroup, is_populated, of_path, of_process, of_unit
from harness.cgroup.ours import limit_parent, parent_name, remove_empty_parents, remove_parent
from harness.cgroup.parsing import parse_flat
from harness.cgroup.paths import (
    CONTROLLERS,
    FOLDERS,
    CgroupPaths,
    delegated_controllers,
    locate,
    outside,
    read_only_mount,
    root_usage_path,
    swap_accounted,
)
from harness.cgroup.state import (
    STATE_FILES,
    cpus_below,
    effective_limits,
    kernel_limits,
    limited_above,
    memory_counters,
    tightest_of,
)
from harness.cgroup.tasks import thread_ids
from harness.cgroup.v1 import V1
from harness.cgroup.v2 import V2
from harness.cgroup.version import CgroupVersion, File, RawSample
from harness.limits import parse_int

VERSIONS: dict[int, CgroupVersion] = {version.number: version for version in (V1, V2)}
"""By the number that an engine tells."""

__all__ = [
    "CONTROLLERS",
    "FOLDERS",
    "STATE_FILES",
    "V1",
    "V2",
    "VERSIONS",
    "CgroupPaths",
    "CgroupVersion",
    "CounterReader",
    "File",
    "LimitReader",
    "NamedCgroup",
    "RawSample",
    "cpus_below",
    "delegated_controllers",
    "effective_limits",
    "everywhere",
    "frozen_by",
    "is_populated",
    "kernel_limits",
    "limit_parent",
    "limited_above",
    "locate",
    "memory_counters",
    "of_path",
    "of_process",
    "of_unit",
    "outside",
    "parent_name",
    "parse_flat",
    "parse_int",
    "read_only_mount",
    "remove_empty_parents",
    "remove_parent",
    "root_usage_path",
    "swap_accounted",
    "thread_ids",
    "tightest_of",
]
