"""Findings of what the program goes by, against what it may use."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.inspection.findings.cpu import THROTTLED_NOTED
from harness.inspection.findings.entry import Evidence, Said, entry
from harness.inspection.program import AT_ONCE_LEAST, AT_ONCE_SHARE
from harness.wording import agreeing, counted


@entry(
    id="program-sees-more-cpus",
    subject="program",
    grade="note",
    condition="Its affinity has more CPUs than its quota comes to (rounded up), more threads than "
    f"that can run at once ({AT_ONCE_SHARE:.0%} of the looks at them or more, {AT_ONCE_LEAST} at "
    f"the least), and it or a cgroup above is throttled in {THROTTLED_NOTED:.0%} of its periods or "
    "more. They spend a period's quota together, and then all of them stand still. Many programs "
    "take one thread for each CPU that they see. It is not told of a program with few threads, "
    "which has nothing to gain.",
    remedy="Let it run no more threads at once than its quota has CPUs: GOMAXPROCS (Go before "
    "1.25), -XX:ActiveProcessorCount (Java), DOTNET_PROCESSOR_COUNT, PYTHON_CPU_COUNT, "
    "OMP_NUM_THREADS, its own number of workers; or raise --cpus.",
    source="docs/programs.md: what each runtime goes by, with its source",
)
def _sees_more(of: Evidence) -> Iterator[Said]:
    sees, at_once = of.seen.program.affinity_cpus, of.seen.program.threads_at_once
    limit, throttled = of.use.cpus_limit, of.use.most_throttled.throttled_share
    if sees is None or at_once is None or not limit or throttled is None:
        return
    fits = math.ceil(limit)
    if sees > fits and at_once > fits and throttled >= THROTTLED_NOTED:
        yield Said(
            f"it sees {counted(sees, 'CPU')}, may use {limit:g}, and runs {at_once} threads at "
            "once: they spend a period's quota together, then all of them stand still",
            f"Let it run {fits}: GOMAXPROCS={fits} (Go before 1.25), "
            f"-XX:ActiveProcessorCount={fits}, DOTNET_PROCESSOR_COUNT={fits}, "
            f"PYTHON_CPU_COUNT={fits}, OMP_NUM_THREADS={fits}, its own number of workers; or "
            "raise --cpus.",
        )


@entry(
    id="cpus-isolated",
    subject="program",
    grade="note",
    condition="It may run on several CPUs, and some of them are isolated (isolcpus=, or a cpuset "
    "partition): the scheduler does not spread threads over those. Each stays where it began, and "
    "all can share one CPU beside others that are idle.",
    remedy="Give it CPUs that are not isolated, or let its threads choose their own (taskset, "
    "sched_setaffinity).",
    source="/sys/devices/system/cpu/isolated; Documentation/admin-guide/kernel-parameters.txt: "
    "isolcpus=",
)
def _isolated(of: Evidence) -> Iterator[Said]:
    may, isolated = of.seen.program.affinity_cpus, of.seen.program.isolated_cpus
    if isolated and may and may > 1:
        are = agreeing(isolated, "is", "are")
        yield Said(f"{isolated} of the {may} CPUs that it may run on {are} isolated: its threads "
                   "are not spread over them")  # fmt: skip
