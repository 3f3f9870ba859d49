"""The metrics: each a number of one trial, with its unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.judge import io, lifecycle, serving, taking
from harness.judge.cpu import (
    achieved_cpus,
    finished_rate,
    inside_cpus,
    late_gap_s,
    late_share,
    longest_gap_s,
    outside_cpus,
    pressure,
    response_s,
    source_error,
    stats_cpus,
    stats_error,
    throttled_rate,
    throttled_share,
    typical_gap_s,
    unfinished_share,
    work_per_cpu_s,
)
from harness.judge.memory import (
    churn_max_s,
    churn_page_s,
    churn_rate,
    fresh_page_s,
    high_hits,
    kept_bytes,
    limit_hits,
    other_nodes_bytes,
    peak_memory_bytes,
    peak_swap_bytes,
    reached_bytes,
    stands_still,
    swapping_page_s,
    was_killed,
)
from harness.judge.metric import Beside, Better, Metric, Sensitivity, Step
from harness.judge.surroundings import foreign_cpus, harness_cpus, steal_cpus
from harness.model import ContainerRecord, Point, Program, TrialRecord

__all__ = ["METRICS", "Beside", "Better", "Metric", "Sensitivity", "Step", "metric_error",
           "metrics_of"]  # fmt: skip


def _container(function: Callable[[ContainerRecord], float | None]
               ) -> Callable[[TrialRecord, int], float | None]:  # fmt: skip
    return lambda trial, i: function(trial.containers[i])


def _response(quantile: str) -> Callable[[TrialRecord, int], float | None]:
    return lambda trial, i: response_s(trial.containers[i], quantile)


def _request(quantile: str) -> Callable[[TrialRecord, int], float | None]:
    return lambda trial, i: serving.request_s(trial.containers[i], quantile)


def _io_latency(quantile: str) -> Callable[[TrialRecord, int], float | None]:
    return lambda trial, i: io.latency_s(trial.containers[i], quantile)


def _pressure(counter: str) -> Callable[[TrialRecord, int], float | None]:
    return lambda trial, i: pressure(trial.containers[i], counter)


def _host(function: Callable[[TrialRecord], float | None]
          ) -> Callable[[TrialRecord, int], float | None]:  # fmt: skip
    return lambda trial, i: function(trial) if i == 0 else None


def _ratio(trial: TrialRecord, i: int) -> float | None:
    """CPU time of this container over that of the trial's last one."""
    if i == len(trial.containers) - 1:
        return None
    mine, last = (achieved_cpus(trial.containers[j]) for j in (i, -1))
    return None if mine is None or not last else mine / last


def _ratio_error(trial: TrialRecord, i: int) -> float:
    return source_error(trial.containers[i]) + source_error(trial.containers[-1])


def _start_s(trial: TrialRecord) -> float | None:
    """From the request to start to the workload's being ready."""
    start, ready = (trial.phases_s.get(name) for name in ("start", "ready"))
    return None if start is None or ready is None else start + ready


def _done_rate(container: ContainerRecord) -> float | None:
    """What a workload is there for: pieces of work, or pages touched again, a second."""
    rate = finished_rate(container)
    return churn_rate(container) if rate is None else rate


def _of_run(_trial: TrialRecord, _i: int) -> None:
    """A number of two points together (``judge.neighbour``): no trial has it by itself."""


def _said(name: str) -> Callable[[TrialRecord, int], float | None]:
    """What was timed or counted once in a trial, by a program or of an engine's command."""
    return lambda trial, i: dict(trial.containers[i].metrics).get(name)


_COMMANDS = Sensitivity(
    why="the engine's own work; 20 ms is what people can notice", relative=0.25, absolute=0.02
)

_EXACT = Sensitivity(
    why="it is exact: any difference is another limit",
    better=Better.LAW,
    absolute=0.5,
    most=1,
    of_growth=True,
)

_OF_A_DISK = Sensitivity(
    why="disks scatter by some percent between runs", better=Better.HIGHER,
    relative=0.10, of_growth=True,
)  # fmt: skip
_PSI = "pressure: one second in twenty"

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "cpus", "CPUs achieved", "CPUs", _container(achieved_cpus), "CPUs",
            error=_container(source_error),
            compared=Sensitivity(
                why="the law's own tolerance, and counters move by the tick", better=Better.LAW,
                relative=0.01, step=Step.SHARE_OF_WINDOW, most=3,
            ),
        ),
        Metric("inside_cpus", "CPUs by the workload's own clocks", "CPUs", _container(inside_cpus)),
        Metric(
            "stats_cpus", "CPUs by docker stats", "CPUs", _container(stats_cpus), "stats",
            error=_container(stats_error), beside=Beside.WIDE_TERMINAL,
        ),
        Metric(
            "outside_cpus", "CPUs used outside the cpuset", "CPUs", _container(outside_cpus),
            "elsewhere",
            compared=Sensitivity(
                why="it is exactly 0 where a cpuset holds: 1 ms a second is a leak",
                absolute=0.001, most=1,
            ),
        ),
        Metric(
            "ratio", "CPU time against the last container", "1", _ratio, "CPU ratio",
            error=_ratio_error,
            compared=Sensitivity(
                why="half of the law's tolerance: a formula for weights moves it by 13 %",
                better=Better.LAW, relative=0.01, step=Step.SHARE_OF_WINDOW, most=3,
            ),
        ),
        Metric(
            "tail_vs_alone", "slowest responses, alone = 1", "1", _of_run, "tail/alone",
            beside=Beside.PAGE,
        ),
        Metric(
            "done_vs_alone", "work done, alone = 1", "1", _of_run, "done/alone",
            beside=Beside.PAGE,
        ),
        Metric(
            "throttled_share", "throttled periods", "share", _container(throttled_share), "thrott.",
            compared=Sensitivity(why="one period in twenty", absolute=0.05, step=Step.PERIOD,
                                 most=3),
            beside=Beside.TERMINAL, of_trials=True,
        ),
        Metric(
            "throttled_rate", "throttled time a second", "s/s", _container(throttled_rate),
            "thr. time",
            compared=Sensitivity(why="throttled time is summed over run queues", relative=0.05,
                                 absolute=0.02),
        ),
        Metric(
            "gap_s", "typical off-CPU gap", "s", _container(typical_gap_s), "gap",
            compared=Sensitivity(why="a typical gap ends at a tick", relative=0.10, step=Step.TICK),
        ),
        Metric(
            "gap_p99_s", "99 % off-CPU gap", "s", _container(late_gap_s), "gap 99 %",
            compared=Sensitivity(why="tails scatter, and end at a tick", relative=0.20,
                                 step=Step.TICK),
        ),
        Metric(
            "gap_max_s", "longest off-CPU gap", "s", _container(longest_gap_s), "gap max",
            compared=Sensitivity(why="the largest of few", relative=0.25, step=Step.TICK),
            beside=Beside.TERMINAL, of_trials=True,
        ),
        Metric(
            "work_rate", "work per CPU second", "units/s", _container(work_per_cpu_s), "work rate",
            compared=Sensitivity(why="frequency, caches and neighbours move it by 1 to 2 %",
                                 relative=0.03, better=Better.HIGHER),
        ),
        Metric(
            "start_s", "start under the limit", "s", _host(_start_s), "start",
            compared=Sensitivity(
                why="the engine's own work; 20 ms is what people can notice", relative=0.25,
                absolute=0.02, of_growth=True,
            ),
            of_trials=True,
        ),
        *(
            Metric(
                f"{name}_s", title, "s", _said(f"{name}_s"), title,
                compared=_COMMANDS, beside=Beside.PAGE,
            )
            for name, title in lifecycle.COMMANDS.items()
        ),
        Metric(
            "paused_cpus", "CPUs used while paused", "CPUs", _said("paused_cpus"), "paused",
            compared=Sensitivity(why="it is exactly 0", absolute=0.001, most=1),
        ),
        Metric(
            "updated_cpus", "CPUs used after the update", "CPUs", _said("updated_cpus"), "updated",
            compared=Sensitivity(
                why="the law's own tolerance", better=Better.LAW, relative=0.01,
                absolute=0.002, most=3,
            ),
        ),
        Metric("response_p50_s", "median response", "s", _response("p50"), "resp. 50 %"),
        Metric(
            "response_p99_s", "99 % response", "s", _response("p99"), "resp. 99 %",
            compared=Sensitivity(why="the tail of random arrivals", relative=0.20, step=Step.TICK),
            beside=Beside.TERMINAL,
        ),
        Metric(
            "response_max_s", "longest response", "s", _response("max"), "resp. max",
            beside=Beside.TERMINAL,
        ),
        Metric("request_p50_s", "median answer", "s", _request("p50"), "answer 50 %",
               beside=Beside.PAGE),
        Metric("request_p90_s", "90 % answer", "s", _request("p90"), "answer 90 %"),
        Metric(
            "request_p99_s", "99 % answer", "s", _request("p99"), "answer 99 %",
            compared=Sensitivity(why="the tail of random arrivals", relative=0.20, step=Step.TICK),
            beside=Beside.TERMINAL,
        ),
        Metric("request_p999_s", "99.9 % answer", "s", _request("p999"), "answer 99.9 %",
               beside=Beside.PAGE),
        Metric("request_max_s", "longest answer", "s", _request("max"), "answer max",
               beside=Beside.PAGE),
        Metric(
            "request_rate", "requests answered a second", "1/s", _container(serving.request_rate),
            "answers/s",
            compared=Sensitivity(
                why="what a limit leaves unanswered; arrivals scatter", relative=0.10,
                better=Better.HIGHER,
            ),
            beside=Beside.TERMINAL,
        ),
        Metric(
            "request_errors", "requests answered by an error", "count",
            _container(serving.request_errors), "errors",
            compared=Sensitivity(why="a server that holds makes none", absolute=0.5, most=1),
            beside=Beside.TERMINAL,
        ),
        Metric("load_cpus", "CPUs used by the load", "CPUs", _container(serving.load_cpus),
               "load CPUs", beside=Beside.PAGE),
        Metric("load_late_s", "99 % lateness of the load itself", "s",
               _container(serving.load_late_s), "load late"),
        Metric(
            "wall_s", "time to the end", "s", _container(serving.wall_s), "wall",
            compared=Sensitivity(
                why="as work per CPU second: caches, frequency and neighbours", relative=0.03,
                step=Step.TICK,
            ),
            beside=Beside.TERMINAL,
        ),
        Metric(
            "cpu_s", "CPU time to the end", "s", _container(serving.cpu_s), "CPU time",
            compared=Sensitivity(
                why="as work per CPU second: caches, frequency and neighbours", relative=0.03,
                step=Step.TICK,
            ),
            beside=Beside.TERMINAL,
        ),
        Metric(
            "exit_code", "exit code", "count", _container(serving.exit_code), "exit",
            compared=_EXACT, beside=Beside.TERMINAL,
        ),
        Metric("unfinished_share", "work not finished", "share", _container(unfinished_share)),
        Metric("late_share", "work late at the window's end", "share", _container(late_share),
               "work late"),
        Metric(
            "done_rate", "work done a second", "units/s", _container(_done_rate), "done/s",
            compared=Sensitivity(
                why="what is left undone beside a neighbour", relative=0.10, better=Better.HIGHER
            ),
        ),
        Metric(
            "reached_bytes", "memory reached", "bytes", _container(reached_bytes), "reached",
            compared=Sensitivity(
                why="the law's tolerance: page tables and batches of pages", better=Better.LAW,
                relative=0.01, absolute=512 * 1024, most=3, of_growth=True,
            ),
        ),
        Metric(
            "taken", "units taken", "count", _container(taking.taken), "taken", compared=_EXACT
        ),
        Metric(
            "taken_bytes", "bytes taken", "bytes", _container(taking.taken_bytes), "taken",
            compared=Sensitivity(
                why="a page; beyond a limit on memory the law's tolerance", better=Better.LAW,
                absolute=512 * 1024, most=1, of_growth=True,
            ),
        ),
        Metric(
            "taken_cpu_s", "CPU time taken", "s", _container(taking.taken_cpu_s), "taken",
            compared=Sensitivity(
                why="the law's tolerance: the kernel counts it in ticks", better=Better.LAW,
                absolute=0.45, most=1, of_growth=True,
            ),
        ),
        Metric(
            "taken_together", "tasks of all containers", "count", _host(taking.taken_together),
            "together", compared=_EXACT,
        ),
        Metric(
            "refusal", "refused by", "refusal", _container(taking.refusal), "refused",
            compared=_EXACT, beside=Beside.PAGE,
        ),
        Metric(
            "tasks_refused", "tasks that pids.max refused", "count",
            _container(taking.tasks_refused), "pids.events", beside=Beside.PAGE,
        ),
        Metric(
            "charged_bytes", "files charged to the container", "bytes",
            _container(taking.charged_bytes), "charged",
        ),
        Metric("oom_killed", "killed for memory", "yes", _container(was_killed), "OOM kill"),
        Metric(
            "other_nodes_bytes", "memory on other nodes", "bytes", _container(other_nodes_bytes),
            "elsewhere",
            compared=Sensitivity(why="as much as its law allows", absolute=1 << 20, most=1,
                                 of_growth=True),
        ),
        Metric("under_oom", "stands still at the limit", "yes", _container(stands_still), "stands"),
        Metric(
            "kept_bytes", "page cache kept", "bytes", _container(kept_bytes), "kept",
            compared=Sensitivity(
                why="as much as its law allows", better=Better.HIGHER, relative=0.05,
                absolute=1 << 20, of_growth=True,
            ),
            beside=Beside.TERMINAL,
        ),
        Metric(
            "limit_hits", "limit met", "count", _container(limit_hits), "hits",
            beside=Beside.TERMINAL,
        ),
        Metric(
            "high_hits", "slowed at memory.high", "count", _container(high_hits),
            beside=Beside.PAGE,
        ),
        Metric(
            "peak_bytes", "peak of memory", "bytes", _container(peak_memory_bytes), "peak",
            compared=Sensitivity(
                why="the kernel's own number; as the law's tolerance", relative=0.01,
                absolute=512 * 1024, of_growth=True,
            ),
            beside=Beside.PAGE,
        ),
        Metric(
            "peak_swap_bytes", "peak of swap", "bytes", _container(peak_swap_bytes), "swap",
            beside=Beside.TERMINAL,
        ),
        Metric(
            "fresh_page_s", "time per page, first touch", "s", _container(fresh_page_s), "page",
            beside=Beside.TERMINAL,
        ),
        Metric(
            "swapping_page_s", "the same beyond the limit", "s", _container(swapping_page_s),
            "swapping",
            compared=Sensitivity(why="the disk behind the swap", relative=0.25, absolute=1e-6,
                                 of_growth=True),
            beside=Beside.TERMINAL,
        ),
        Metric(
            "io_bytes_rate", "bytes a second", "bytes/s", _container(io.bytes_a_second), "I/O",
            compared=_OF_A_DISK,
            beside=Beside.TERMINAL,
        ),
        Metric(
            "file_rate", "files made, renamed and removed a second", "1/s",
            _container(io.files_a_second), "files", compared=_OF_A_DISK,
        ),
        Metric(
            "io_rate", "I/Os a second", "1/s", _container(io.ios_a_second), "I/Os",
            beside=Beside.PAGE,
        ),
        Metric(
            "io_p50_s", "median latency of an I/O", "s", _io_latency("p50"), "I/O 50 %",
            beside=Beside.PAGE,
        ),
        Metric(
            "io_p99_s", "99 % latency of an I/O", "s", _io_latency("p99"), "I/O 99 %",
            compared=Sensitivity(
                why="the tail of a disk's queue", relative=0.25, absolute=20e-6, of_growth=True
            ),
            beside=Beside.TERMINAL,
        ),
        Metric(
            "io_max_s", "longest latency of an I/O", "s", _io_latency("max"), "I/O max",
            beside=Beside.PAGE,
        ),
        Metric(
            "io_open_s", "opening the file", "s", _container(io.open_s), "open", beside=Beside.PAGE
        ),
        Metric(
            "file_kept", "found after its container is removed", "yes", _said("file_kept"), "kept",
            compared=_EXACT,
        ),
        Metric("io_first_s", "the first I/O", "s", _container(io.first_s), "first I/O"),
        Metric("io_unfinished_share", "I/Os not done", "share", _container(io.unfinished_share)),
        Metric("io_errno", "error that ended the I/O", "count", _container(io.errno), "errno"),
        Metric(
            "io_charged_bytes", "charged to the container", "bytes", _container(io.charged_bytes),
            "charged", beside=Beside.TERMINAL,
        ),
        Metric(
            "io_device_bytes_rate", "bytes a second by the device's counters", "bytes/s",
            io.device_bytes_a_second, "counted", beside=Beside.WIDE_TERMINAL,
        ),
        Metric(
            "io_device_rate", "I/Os a second by the device's counters", "1/s",
            io.device_ios_a_second, "bios",
        ),
        Metric("io_ratio", "bytes of I/O against the last container", "1", io.ratio, "I/O ratio"),
        Metric("churn_page_s", "time per page, touched again", "s", _container(churn_page_s)),
        Metric("churn_max_s", "longest of them", "s", _container(churn_max_s)),
        Metric(
            "cpu_some", "some task waited for a CPU", "share", _pressure("cpu_some_us"), "CPU wait",
            compared=Sensitivity(why=_PSI, absolute=0.05), beside=Beside.PAGE,
        ),
        Metric("cpu_full", "all tasks waited for a CPU", "share", _pressure("cpu_full_us")),
        Metric("memory_some", "some waited for memory", "share", _pressure("memory_some_us")),
        Metric(
            "memory_full", "all waited for memory", "share", _pressure("memory_full_us"),
            "mem. wait",
            compared=Sensitivity(why=_PSI, absolute=0.05, of_growth=True), beside=Beside.PAGE,
        ),
        Metric("io_some", "some waited for a disk", "share", _pressure("io_some_us")),
        Metric(
            "io_full", "all waited for a disk", "share", _pressure("io_full_us"), "disk wait",
            compared=Sensitivity(why=_PSI, absolute=0.05, of_growth=True), beside=Beside.PAGE,
        ),
        Metric(
            "foreign_cpus", "CPUs used by others", "CPUs", _host(foreign_cpus), of_trials=True
        ),
        Metric("harness_cpus", "CPUs used by the harness", "CPUs", _host(harness_cpus)),
        Metric(
            "steal_cpus", "CPUs stolen by the hypervisor", "CPUs", _host(steal_cpus),
            of_trials=True,
        ),
    )
}  # fmt: skip
"""Every number that is derived from a trial, by name: all that is known of a metric is its entry.
What it is compared by gates on the larger of its effect and the host's own noise (``bench
calibrate``)."""


def metrics_of(point: Point) -> Mapping[str, Metric]:
    """The metrics of a point: ``METRICS``, and those that its programs say of themselves."""
    own = {
        metric.name: Metric(metric.name, metric.name, metric.unit, _said(metric.name))
        for spec in point.containers
        if isinstance(spec.workload, Program)
        for metric in spec.workload.description.metrics
    }
    return {**own, **METRICS}


def metric_error(metric: Metric, i: int, valid: Sequence[TrialRecord]) -> float:
    """The share by which a metric's source may miss in all of these trials alike."""
    if metric.error is None:
        return 0.0
    return max((metric.error(trial, i) or 0.0 for trial in valid), default=0.0)
