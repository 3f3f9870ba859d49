"""What a container did with memory."""

from __future__ import annotations

import statistics

from harness.judge import counters
from harness.limits import parse_cpu_list
from harness.model import ContainerRecord


def reached_bytes(container: ContainerRecord) -> float | None:
    """How much the growing workload had touched when it was killed, refused or content."""
    return None if container.memory is None else float(container.memory.touched_bytes)


def was_killed(container: ContainerRecord) -> float | None:
    """1 where the kernel killed in this container for memory, 0 where it did not."""
    if not _is_asked(container):
        return None
    kills = counters.of_memory(container, "oom_kills")
    if kills is not None:
        return float(kills > 0)
    # With a server that was killed its cgroup is gone: then the engine's word is all there is.
    return float(container.memory.killed if container.memory else bool(container.oom_killed))


def stands_still(container: ContainerRecord) -> float | None:
    """1 where its tasks wait for memory with nobody to be killed for it (v1, under_oom)."""
    last = container.memory_last
    if container.memory is None or last is None or last.under_oom is None:
        return None
    return float(last.under_oom)


def kept_bytes(container: ContainerRecord) -> float | None:
    """The page cache that is still there at the end, of a workload that wrote page cache alone."""
    if container.memory is None or container.memory.kind != "file":
        return None
    kept = counters.of_memory(container, "file_bytes")
    return None if kept is None else float(kept)


def other_nodes_bytes(container: ContainerRecord) -> float | None:
    """Its memory on nodes that ``--cpuset-mems`` does not name, in bytes."""
    wanted, last = container.requested.cpuset_mems, container.memory_last
    if wanted is None or last is None or last.node_bytes is None:
        return None
    mine = parse_cpu_list(wanted)
    return float(sum(size for node, size in enumerate(last.node_bytes) if node not in mine))


def _is_asked(container: ContainerRecord) -> bool:
    """Whether it is about memory: the probe's growth, and what runs as it does without us."""
    return any((container.memory, container.batch, container.requests))


def limit_hits(container: ContainerRecord) -> float | None:
    """So often the kernel had to reclaim at the limit."""
    return _more(container, "limit_hits")


def high_hits(container: ContainerRecord) -> float | None:
    """So often it slowed the workload at memory.high (v2)."""
    return _more(container, "high_hits")


def _more(container: ContainerRecord, counter: str) -> float | None:
    """Where memory is asked about: other loads meet no limit because of what they are."""
    more = counters.of_memory(container, counter)
    return None if not _is_asked(container) or more is None else float(more)


def peak_memory_bytes(container: ContainerRecord) -> float | None:
    """The kernel's own peak of memory without swap."""
    last = container.memory_last
    if not _is_asked(container) or last is None or last.peak_bytes is None:
        return None
    return float(last.peak_bytes)


def peak_swap_bytes(container: ContainerRecord) -> float | None:
    """The most swap in any sample of the trial; it may have been more between two of them."""
    if not _is_asked(container) or container.peak_swap_bytes is None:
        return None
    return float(container.peak_swap_bytes)


NEAR_LIMIT = 0.8
"""Up to this share of the limit nothing is reclaimed yet; from the limit on everything is."""


def _page_s(container: ContainerRecord, *, beyond: bool) -> float | None:
    """Time for each page touched first, well below the memory limit or beyond it."""
    report = container.memory
    limit = container.requested.memory_bytes
    if report is None or not report.step_bytes:
        return None
    pages = report.step_bytes / 4096
    ends = [(i + 1) * report.step_bytes for i in range(len(report.step_ns))]
    chosen = [
        ns
        for end, ns in zip(ends, report.step_ns, strict=True)
        if (limit is not None and end > limit if beyond
            else limit is None or end <= NEAR_LIMIT * limit)
    ]  # fmt: skip
    # The mean and not the median: reclaim comes in bursts, and the time that it takes is meant.
    return statistics.fmean(chosen) / pages / 1e9 if chosen else None


def fresh_page_s(container: ContainerRecord) -> float | None:
    """Time to touch a page for the first time below the limit, in seconds."""
    return _page_s(container, beyond=False)


def swapping_page_s(container: ContainerRecord) -> float | None:
    """Time to touch a page for the first time once others must go, in seconds."""
    return _page_s(container, beyond=True)


def churn_page_s(container: ContainerRecord) -> float | None:
    """Time to touch a page again, in an order of no locality, in seconds."""
    report = container.memory
    if report is None or not report.churn_pages:
        return None
    return report.churn_ns / report.churn_pages / 1e9


def churn_max_s(container: ContainerRecord) -> float | None:
    """The longest that one of those pages took, in seconds."""
    report = container.memory
    return report.churn_max_ns / 1e9 if report is not None and report.churn_pages else None


def churn_rate(container: ContainerRecord) -> float | None:
    """Pages touched again, a second."""
    page_s = churn_page_s(container)
    return 1 / page_s if page_s else None
