"""Workloads of the user's own: their files, their output, and what is wrong with either."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import workloads_root
from harness.errors import PlanError
from harness.judge import laws
from harness.measure import conversation
from harness.model import (
    Ask,
    Batch,
    LoadProgram,
    Plan,
    Program,
    ProgramImage,
    ProgramMetric,
    Requests,
    Scratch,
    Server,
    Serving,
)
from harness.plan import build as planning
from harness.plan import programs
from harness.plan.axes import Options
from tests.fakes import CPUS, ENGINE_FACTS, HOST_FACTS

GOOD = """
command = ["busybox", "yes"]
ready = "^go"
[image]
reference = "busybox:latest"
[[metric]]
name = "rate"
unit = "ops/s"
pattern = "rate ([0-9.]+)"
[[metric]]
name = "loops"
key = "loops"
"""


def write(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text)
    return str(file)


def test_a_file_says_what_runs(tmp_path: Path) -> None:
    program = programs.find(write(tmp_path, GOOD), tmp_path)
    assert program.name == "mine"
    found = program.description
    assert found.command == ("busybox", "yes")
    assert found.image == ProgramImage(reference="busybox:latest")
    assert [metric.name for metric in found.metrics] == ["rate", "loops"]
    assert found.stop_signal == "SIGTERM"


def test_an_archive_lies_beside_its_file(tmp_path: Path) -> None:
    text = GOOD.replace('reference = "busybox:latest"', 'archive = "image.tar"')
    found = programs.find(write(tmp_path, text), tmp_path).description
    assert found.image.archive == str(tmp_path / "image.tar")


def test_stress_ng_comes_with_the_product() -> None:
    found = programs.find("stress-ng", workloads_root()).description
    assert found.image.pack == "stress-ng"
    assert "{threads}" in found.command
    # As stress-ng 0.15 and 0.17 print it
    said = (
        "stress-ng: info:  [29806] dispatching hogs: 1 cpu\n"
        "stress-ng: metrc: [29806] stressor       bogo ops real time  usr time  sys time\n"
        "stress-ng: metrc: [29806]                           (secs)    (secs)    (secs)\n"
        "stress-ng: metrc: [29806] cpu                5329      2.00      1.94      0.01"
        "      2669.44        2742.84        97.32          2400\n"
    )
    values = {m.name: conversation.metric_value(m, said) for m in found.metrics}
    assert values == {"bogo_ops": 5329.0, "bogo_rate": 2742.84}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("command = [", "comand = ["), "command"),
        (('command = ["busybox", "yes"]', "command = []"), "command"),
        (('pattern = "rate ([0-9.]+)"', 'pattern = "rate (["'), "is no pattern"),
        (('pattern = "rate ([0-9.]+)"', 'pattern = "rate [0-9]"'), "needs a group"),
        (('key = "loops"', ""), "give a pattern or a key"),
        (('name = "loops"', 'name = "Loops per second"'), "metric.1.name"),
        (('reference = "busybox:latest"', ""), "give one of pack, reference and archive"),
        (("[image]", "stop-signal = 'SIGSTOP'\n[image]"), "stop-signal"),
        (("command", "command ="), "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(PlanError) as refused:
        programs.find(write(tmp_path, GOOD.replace(*change)), tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_workload_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="stress-ng"):
        programs.find("stress", workloads_root())
    with pytest.raises(PlanError, match="no workload"):
        programs.find(str(tmp_path / "nothing.toml"), tmp_path)


@pytest.mark.parametrize(
    ("metric", "said", "value"),
    [
        (ProgramMetric(name="x", pattern=r"x=(\d+)"), "x=1\nx=2", 2.0),
        (ProgramMetric(name="x", pattern=r"x=(\S+)"), "x=many", None),
        (ProgramMetric(name="x", pattern=r"x=(\d+)"), "", None),
        (ProgramMetric(name="x", key="x"), 'noise\n{"x": 1.5}\n["x"]\n{"y": 2}', 1.5),
        (ProgramMetric(name="x", key="x"), '{"x": "NaN"}', None),
        (ProgramMetric(name="x", key="x"), '{"x": {"y": 1}}', None),
    ],
)
def test_metrics_are_the_last_number_that_is_said(
    metric: ProgramMetric, said: str, value: float | None
) -> None:
    assert conversation.metric_value(metric, said) == value


# --- what serves, and what runs to its end ----------------------------------------------------

WEB = """
command = ["web", "--workers", "{threads}"]
[image]
pack = "web"
also = ["/usr/lib/web"]
files = { "/etc/web.conf" = "web.conf" }
volume = "/data"
[server]
port = 8080
ready = "/up"
start-cpu-s = 2.5
[server.load]
path = "/page"
rate = 300
to-rate = 600
"""
ASKED = """
command = ["db"]
image = { pack = "db" }
[server]
port = 5432
ready = "tcp"
[server.load]
command = ["asker", "--rate", "{rate}"]
rate = 50
latency = { pattern = "(?P<latency>[0-9]+) (?P<end_s>[0-9]+)", unit = "ms" }
"""


def found(folder: Path, text: str) -> Program:
    (folder / "web.conf").write_text("listen 8080\n")
    return programs.find(write(folder, text), folder)


def test_a_server_says_how_it_is_loaded(tmp_path: Path) -> None:
    server = found(tmp_path, WEB)
    assert isinstance(server, Server)
    assert server.description.image.also == ("/usr/lib/web",)
    assert server.description.image.files == (("/etc/web.conf", "listen 8080\n"),)
    assert server.scratch == Scratch(type="volume", folder="/data")
    asked = Requests(path="/page", rate_hz=300, to_rate_hz=600)
    assert server.serving == Serving(port=8080, ready="/up", start_cpu_s=2.5, requests=asked)
    assert (asked.arrivals, asked.connections, asked.protocol) == ("poisson", 64, "http")
    assert not server.saturates  # a limit is a ceiling of what it uses
    assert server.load.words == "asked 300 to 600 times a second at random over 64 connections"


def test_a_server_may_be_asked_by_a_program_of_its_own_image(tmp_path: Path) -> None:
    server = found(tmp_path, ASKED)
    assert isinstance(server, Server)
    load = server.load
    assert isinstance(load, LoadProgram)
    assert load.description.image == server.description.image
    assert load.command_line(30) == ["asker", "--rate", "50"]
    assert load.asker.latencies.unit_s == 1e-3


def test_a_batch_program_ends_by_itself(tmp_path: Path) -> None:
    batch = found(tmp_path, GOOD.replace('ready = "^go"\n', "") + "[batch]\ntimeout-s = 5\n")
    assert isinstance(batch, Batch)
    assert (batch.ends_by_itself, batch.timeout_s) == (True, 5.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("port = 8080", "port = 80"),
            "server.port: Input should be greater than or equal",
        ),
        (("port = 8080\n", ""), "server.port: Field required"),
        (('ready = "/up"', 'ready = "up"'), "server.ready: String should match"),
        (("rate = 300\n", ""), "to-rate needs rate"),
        (("rate = 300", "rate = 0"), "server.load.rate: Input should be greater"),
        (("rate = 300", "rates = 300"), "server.load.rates: Extra inputs"),
        (('"web.conf"', '"../secret"'), "'../secret' is no file beside this one"),
        (('"web.conf"', '"nowhere.conf"'), "nowhere.conf, which is to be in the image"),
        (('"/etc/web.conf"', '"etc/web.conf"'), "'etc/web.conf' is no path from the root"),
        (('pack = "web"', 'reference = "web"'), "also and files are for what is packed"),
        (('volume = "/data"', 'volume = "data"'), "image.volume: String should match"),
        (('path = "/page"', 'ready = "x"'), "ready is of a load that has a command"),
        (("[server]", "[batch]\n[server]"), "a [server] or a [batch], not both"),
    ],
)
def test_what_is_wrong_with_a_server_is_one_line(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(PlanError) as wrong:
        found(tmp_path, WEB.replace(*change))
    assert said in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("(?P<end_s>[0-9]+)", ""), "the pattern needs the group (?P<end_s>"),
        (("rate = 50", 'rate = 50\nprotocol = "redis"'), "protocol is of a load without a command"),
        (("latency =", "# latency ="), "a load that has a command needs latency"),
    ],
)
def test_what_is_wrong_with_a_program_that_asks_is_one_line(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(PlanError) as wrong:
        found(tmp_path, ASKED.replace(*change))
    assert said in str(wrong.value)


def test_a_batch_program_is_never_ready_first(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="from its first instruction: no ready"):
        found(tmp_path, GOOD + "[batch]\n")


@pytest.mark.parametrize("name", ["nginx", "redis", "postgres", "python", "hashing"])
def test_servers_come_with_the_product(name: str) -> None:
    server = programs.find(name, workloads_root())
    assert isinstance(server, Server)
    assert server.description.image.package
    load = server.load
    assert load.command_line(60)
    rate = load.requests.rate_hz if isinstance(load, Ask) else load.asker.rate_hz
    assert rate  # open-loop: nothing is left out in a stall


def test_pgbench_says_when_each_transaction_was_answered() -> None:
    server = programs.find("postgres", workloads_root())
    assert isinstance(server, Server)
    assert server.serving.asker is not None
    # As pgbench 15 logs under --rate: client, number, latency, script, s, us, lag behind schedule
    match = re.search(server.serving.asker.latencies.pattern, "0 199 2241 0 1175850568 995598 1020")
    assert match
    assert match.groupdict() == {"latency": "2241", "end_s": "1175850568", "end_us": "995598"}


# --- which sweeps take one ---------------------------------------------------------------------


def plan_of(sweep: str, **options: Any) -> Plan:
    return planning.build(sweep, Options(**options), cpus=CPUS)


@pytest.mark.parametrize(
    ("sweep", "values", "field"),
    [("cpu", "0.5", "cpus"), ("memory", "32m", "memory_bytes"), ("io", "4m", "device_write_bps")],
)
def test_a_program_takes_the_place_of_the_load(sweep: str, values: str, field: str) -> None:
    postgres = programs.find("postgres", workloads_root())
    (point,) = plan_of(sweep, values=values, workload=postgres).points
    (spec,) = point.containers
    assert isinstance(spec.workload, Server)
    assert getattr(spec.limits, field)
    assert spec.workload.place == ("device" if sweep == "io" else "volume")


def test_beside_others_a_program_is_the_first() -> None:
    nginx = programs.find("nginx", workloads_root())
    (point,) = plan_of("shares", values="1024:512", workload=nginx).points
    assert [type(spec.workload).__name__ for spec in point.containers] == ["Server", "Spin"]
    given = laws.Circumstances(engine=ENGINE_FACTS, host=HOST_FACTS)
    # It does not want its share, so no law says what the two get.
    assert {law.metric for law in laws.expectations(point, given)} == {"outside_cpus"}


def test_a_program_that_writes_nowhere_is_under_no_limit_of_a_disk() -> None:
    with pytest.raises(PlanError, match=r"'nginx' writes to no disk.*volume = "):
        plan_of("io", workload=programs.find("nginx", workloads_root()))


def test_other_sweeps_take_no_program() -> None:
    nginx = programs.find("nginx", workloads_root())
    with pytest.raises(PlanError, match=r"takes no --workload.*cpu, quota, period, shares, memory"):
        plan_of("pids", workload=nginx)
    loads = {
        type(spec.workload)
        for point in plan_of("all", workload=nginx).points
        for spec in point.containers
        if point.axis not in ("cpu", "quota", "period")
    }
    assert Server not in loads  # of the other axes of all it is no load
