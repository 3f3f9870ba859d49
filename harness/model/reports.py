"""What the probe says at the end of a trial, by its mode: of itself, or of whom it asked or ran."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.pairs import NO_PAIRS, Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadReport:
    """What one thread of the probe saw from inside, between its own two edges."""

    t_start_ns: int
    """The first moment of the window at which the thread ran."""
    t_end_ns: int
    """The first moment at or after the window's end at which the thread ran."""
    cpu_ns: int
    """Thread CPU clock (CLOCK_THREAD_CPUTIME_ID) over the window."""
    work: int
    """Units of fixed work done."""
    gaps: int
    """Off-CPU gaps over the threshold."""
    gap_total_ns: int
    gap_max_ns: int
    cpus: Pairs = NO_PAIRS
    """(CPU, units of work done while on it): where the thread ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideReport:
    """The probe's JSON object: the truth from inside, in the engine host's CLOCK_MONOTONIC."""

    t_start_ns: int
    t_end_ns: int
    gap_threshold_ns: int
    threads: tuple[ThreadReport, ...]
    gap_histogram: tuple[int, ...] = ()
    """Counts of gaps by length over all threads; bin i spans edges[i] <= gap < edges[i+1]."""
    gap_edges_ns: tuple[int, ...] = ()
    """len(gap_histogram) + 1 log-spaced edges; the last bin is open above."""
    gap_list: Pairs = NO_PAIRS
    """(start, length) of gaps in ns, start since the window's, over all threads: the first ones of
    each thread, as many as the probe has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """What the probe's memory mode saw: how far it came, and what each step took."""

    kind: str
    t_start_ns: int | None = None
    t_end_ns: int | None = None
    """The end of growth: the target, a refusal, or the moment at which the kill was seen. Both
    are None where growth never began."""
    target_bytes: int
    step_bytes: int
    touched_bytes: int
    killed: bool
    """True where the kernel killed the process that grew."""
    errno: int
    """Of the refusal (ENOSPC on a full tmpfs), 0 where there was none."""
    step_ns: tuple[int, ...]
    churn_pages: int
    """Pages touched again, in a fixed order of no locality, once the target was reached."""
    churn_ns: int
    churn_max_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstReport:
    """What the probe's burst mode saw: response times from each piece's due time on, in ns.

    A piece that was not finished counts with the time that it had waited: an overload must not
    look quick. The quantiles are exact, by nearest rank; None where no piece was due.
    """

    t_start_ns: int
    t_end_ns: int
    cost_ns: int
    rate_hz: int
    offered: int
    completed: int
    unfinished: int
    response_p50_ns: int | None = None
    response_p90_ns: int | None = None
    response_p99_ns: int | None = None
    response_max_ns: int | None = None
    response_edges_ns: tuple[int, ...]
    response_histogram: tuple[int, ...]
    cpu_ns: int
    """Thread CPU clocks over the window, all threads together."""
    cpus: tuple[tuple[int, int], ...] = ()
    """(CPU, chunks of work done on it), as often as a thread met it: where the threads ran."""
    backlog: int | None = None
    """Of those offered, not finished at the window's end, however soon the load was stopped after
    it; None in a run of before this was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IoReport:
    """What the probe's io mode saw: the I/Os of its window, and how long each took, in ns.

    Latencies are those of the I/Os that were due in the window: at a rate from then on, else from
    the moment at which each was asked for. One that was not done counts with the time that it had
    waited. Quantiles are by nearest rank, to within 0.8 % and never too low; None where none was
    due.
    """

    t_start_ns: int
    t_end_ns: int
    operation: str
    way: str
    order: str
    block_bytes: int
    file_bytes: int
    """In whole blocks."""
    depth: int
    rate_hz: int | None = None
    filesystem: int | None = None
    """Where the file lies: f_type of statfs(2); None where it could not be opened."""
    open_ns: int
    """How long opening it took: for a write to a file of the image it is copied up then."""
    first_ns: int | None = None
    """How long the first I/O took; None where it was not done."""
    refused: str | None = None
    """What failed: ``open`` and ``layout`` (the file was not to be had) before the load began,
    ``io`` within it; None = nothing."""
    errno: int
    """Of that failure (EINVAL: no direct I/O there; ENOSPC: full; EIO); 0 where there was none."""
    errors: int
    """So many of the ``depth`` threads met an error in their load, and stopped at it."""
    ios: int
    """That ended within the window."""
    bytes: int
    """Of those."""
    offered: int
    """Due in the window."""
    completed: int
    unfinished: int
    """Of those, not done when the load was told to stop."""
    latency_p50_ns: int | None = None
    latency_p90_ns: int | None = None
    latency_p99_ns: int | None = None
    latency_p999_ns: int | None = None
    latency_max_ns: int | None = None
    latency_edges_ns: tuple[int, ...]
    latency_histogram: tuple[int, ...]
    """Counts over all offered; bin i spans edges[i] <= latency < edges[i+1], the first one also all
    below, the last one all above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeReport:
    """What the probe's take mode saw: how many units it got, and what refused the next."""

    kind: str
    t_start_ns: int | None = None
    t_end_ns: int | None = None
    """The refusal, or the moment at which the kill was seen; both are None where it never began."""
    most: int
    taken: int
    """In the kind's unit: tasks (all of its container), descriptors, bytes, ns of CPU time."""
    errno: int
    """Of the refusal, 0 where there was none."""
    signal: int
    """That ended who took, 0 where none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReport:
    """What whoever asked a server saw: the requests of its window, and how long each took, in ns.

    Latencies are those of the requests that were due in the window, at a rate from then on, else
    from the moment at which each was asked. One that was not answered counts with the time that it
    had waited; one that was answered by an error counts as an error, and with no latency.
    Quantiles are by nearest rank, to within 0.8 % and never too low; None where none was due.
    """

    t_start_ns: int
    t_end_ns: int
    offered: int
    """Due in the window."""
    completed: int
    errors: int
    unfinished: int
    """Of those, not answered when the load had stopped."""
    done: int
    """Answered within the window, whenever they were due."""
    first_error: str | None = None
    latency_p50_ns: int | None = None
    latency_p90_ns: int | None = None
    latency_p99_ns: int | None = None
    latency_p999_ns: int | None = None
    latency_max_ns: int | None = None
    latency_edges_ns: tuple[int, ...] = ()
    latency_histogram: tuple[int, ...] = ()
    late_p99_ns: int | None = None
    """How late the load itself was, while a connection was free; None where it does not tell."""
    late_max_ns: int | None = None
    cpu_ns: int | None = None
    """CPU time of the load, over ``ran_ns``: more than the window."""
    ran_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """What a program that ran to its end came to."""

    t_start_ns: int
    t_end_ns: int
    cpu_ns: int
    """Its own, and of those of its children that have ended (RUSAGE_CHILDREN)."""
    exit_code: int
    signal: int
    """That ended it, 0 where none did."""
