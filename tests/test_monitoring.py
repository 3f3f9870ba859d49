"""docs/monitoring: promtool and node_exporter, real ones, take what limitbench writes.

Debian has both (prometheus, prometheus-node-exporter); ``.ci/run`` brings them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.comparison import changes
from harness.model import Compared
from harness.show.report.openmetrics import Attempt, document
from tests.digests import digest, law, point, spread
from tests.runs import HOSTILE

MONITORING = Path(__file__).parents[1] / "docs" / "monitoring"
RULES = yaml.safe_load((MONITORING / "limitbench.rules.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "limitbench.dashboard.json").read_text())
FAMILY = re.compile(r"\blimitbench_check_\w+")

pytestmark = pytest.mark.slow


def tool(name: str) -> str:
    """A program's path; without it the test is skipped, where everything is required it fails."""
    path = shutil.which(name)
    if path is None and os.environ.get("BENCH_REQUIRE_ENGINE", "") not in ("", "0"):
        pytest.fail(f"{name} is not installed")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def promtool(*args: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("promtool"), *args], input=said, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def attempt(compared: Compared | None, code: int, name: str = "cpu") -> str:
    return document(
        Attempt(
            code=code, sweep=name, baseline="default", ended_s=time.time(), duration_s=1.5,
            compared=compared,
        )
    )  # fmt: skip


def every_metric(name: str = "cpus=0.5") -> Compared:
    """A comparison of what has a relative change, an absolute one, and one of each unit."""
    series = {
        "cpus": spread(0.5), "throttled_share": spread(0.5), "gap_s": spread(0.05),
        "work_rate": spread(1e6), "peak_bytes": spread(1e8), "outside_cpus": [0.0] * 10,
    }  # fmt: skip
    one = digest(point(series, point_id=name, laws=[law()]))
    return changes.compare(one, one)


FILES = {
    "same": attempt(every_metric(), 0),
    "hostile": attempt(every_metric(f'{HOSTILE} \\ " \n # EOF \udc80'), 1, HOSTILE),
    "no verdict": attempt(None, 4),
}


@pytest.mark.parametrize("name", FILES)
def test_promtool_takes_the_file_and_finds_nothing_to_improve(name: str) -> None:
    done = promtool("check", "metrics", said=FILES[name])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_refuses_a_file_made_wrong_on_purpose() -> None:
    wrong = FILES["same"].replace('point="cpus=0.5"', 'point="cpus="0.5"')
    assert promtool("check", "metrics", said=wrong).returncode != 0
    bare = re.sub("# HELP.*\n", "", FILES["same"])
    assert "no help text" in promtool("check", "metrics", said=bare).stderr


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a node_exporter that collects the files in it alone."""
    folder, log = tmp_path / "textfiles", tmp_path / "log"
    folder.mkdir()
    command = [
        tool("prometheus-node-exporter"), "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={folder}", "--web.listen-address=127.0.0.1:0",
    ]  # fmt: skip
    with log.open("w") as out, subprocess.Popen(command, stderr=out) as process:
        try:
            yield folder, listening(log)
        finally:
            process.terminate()


def listening(log: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = re.search(r"Listening on.*address=(127\.0\.0\.1:\d+)", log.read_text())
        if found is not None:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def scraped(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def test_node_exporter_collects_every_sample(exporter: tuple[Path, str]) -> None:
    folder, address = exporter
    # Two sweeps of one host beside each other, and one that failed before its sweep was known.
    (folder / "cpu.prom").write_text(FILES["same"])
    (folder / "hostile.prom").write_text(FILES["hostile"])
    (folder / "failed.prom").write_text(attempt(None, 2, ""))
    text = scraped(address)
    assert "node_textfile_scrape_error 0" in text
    samples = [line for line in text.splitlines() if line.startswith("limitbench_check_")]
    written = [
        line
        for path in folder.iterdir()
        for line in path.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert len(samples) == len(written) > 60
    (folder / "cpu.prom").write_text(FILES["same"].replace("} 1\n", "} 1 1795739889000\n"))
    assert "node_textfile_scrape_error 1" in scraped(address)  # so there are no time stamps in it


def test_the_rules_are_valid_and_each_alert_fires_when_it_should() -> None:
    done = promtool("check", "rules", str(MONITORING / "limitbench.rules.yml"))
    assert done.returncode == 0, done.stderr
    done = promtool("test", "rules", str(MONITORING / "limitbench.test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    tested = yaml.safe_load((MONITORING / "limitbench.test.yml").read_text())["tests"]
    fired = {
        one["alertname"]
        for test in tested
        for one in test["alert_rule_test"]
        if "exp_alerts" in one
    }
    assert fired == {rule["alert"] for rule in RULES}


def test_the_tests_of_the_rules_find_what_is_wrong_in_them(tmp_path: Path) -> None:
    shutil.copy(MONITORING / "limitbench.test.yml", tmp_path)
    good = (MONITORING / "limitbench.rules.yml").read_text()
    for right, wrong in (
        ("exit_code == 1", "exit_code == 9"), ("exit_code == 2", "exit_code == 9"),
        ("for: 49h", "for: 40h"), ("> 2 * 86400", "> 3 * 86400"), ("[7d]", "[1h]"),
    ):  # fmt: skip
        assert right in good
        (tmp_path / "limitbench.rules.yml").write_text(good.replace(right, wrong))
        done = promtool("test", "rules", str(tmp_path / "limitbench.test.yml"))
        assert done.returncode != 0, right


def queries() -> list[str]:
    """The dashboard's queries, with a value in place of each variable."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert len(found) > 10
    return [re.sub(r"\$\w+", "some.*", one) for one in found]


def test_the_dashboards_queries_are_valid(tmp_path: Path) -> None:
    rules = [{"record": f"q{i}", "expr": query} for i, query in enumerate(queries())]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stderr


def test_rules_and_dashboard_ask_for_what_is_written() -> None:
    written = set(FAMILY.findall(FILES["same"]))
    variables: list[Any] = DASHBOARD["templating"]["list"]
    asked = json.dumps(RULES) + "".join(queries()) + json.dumps(variables)
    found = set(FAMILY.findall(asked))
    assert len(found) > 10
    assert found <= written
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
