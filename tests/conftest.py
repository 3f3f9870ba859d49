"""The engine of the tests that need one, and a world of its own for every test.

A test marked ``engine`` runs wherever an engine can be had, installed and started if need be. It
is skipped only where there is none and no means to get one, which is said loudly at the end; with
``BENCH_REQUIRE_ENGINE=1`` even that is a failure. Any other trouble with the engine always is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import EngineError
from tests.worlds import WORKER, own_engine, own_lock, remove_dead

if TYPE_CHECKING:
    from harness.engine.connect import Connection

NO_ENGINE = pytest.StashKey[str]()
ENGINE_TESTS = pytest.StashKey[int]()
MATPLOTLIB = Path(__file__).parents[1] / ".cache" / "matplotlib"
KEPT = {"BENCH_ENGINE_DIR", "BENCH_INSTALL_ENGINE", "BENCH_REQUIRE_ENGINE"}


def pytest_configure(config: pytest.Config) -> None:
    """What a script starts in the background ignores Ctrl-C, and its children inherit that."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)
    ):  # fmt: skip
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    _remove_dead_workers(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    marked = [item for item in session.items if item.get_closest_marker("engine")]
    session.config.stash[ENGINE_TESTS] = len(marked)


@pytest.fixture(scope="session")
def engine_connection(pytestconfig: pytest.Config) -> Iterator[Connection]:
    """The engine that `bench sweep` would use; one that this session started ends with it."""
    # Here, so that sessions without such tests do not load docker.
    from harness.engine import daemon  # noqa: PLC0415
    from harness.engine.connect import find_engine, obtain_engine, start_private  # noqa: PLC0415
    from harness.engine.docker_engine import DockerEngine  # noqa: PLC0415

    def say(text: str) -> None:
        if WORKER:  # its output goes nowhere
            return
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            pytestconfig.pluginmanager.getplugin("terminalreporter").write_line(f"\n{text}")

    with contextlib.ExitStack() as ours:
        try:
            if WORKER:
                own_lock()
                ours.enter_context(own_engine(lambda: start_private(say)))
            found = find_engine(None)
            connection = found or obtain_engine(None, say)
        except EngineError as error:
            if may_be_skipped():
                pytestconfig.stash[NO_ENGINE] = str(error)
                pytest.skip(f"no engine: {error}")
            raise
        if connection.private:
            DockerEngine(connection).remove_all(None)  # what a crash may have left in it
        yield connection
        if found is None and connection.private:
            daemon.stop()


def may_be_skipped() -> bool:
    """Whether an engine can fairly be missing here: it was not required, and cannot be had."""
    required = os.environ.get("BENCH_REQUIRE_ENGINE", "") not in ("", "0")
    may_install = os.environ.get("BENCH_INSTALL_ENGINE") == "auto" and shutil.which("apt-get")
    means = os.geteuid() == 0 and (shutil.which("dockerd") or may_install)
    return not required and not means


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if NO_ENGINE in config.stash:
        count = config.stash[ENGINE_TESTS]
        terminalreporter.section(f"{count} TESTS WITH REAL CONTAINERS WERE SKIPPED", red=True)
        terminalreporter.line(f"Why:        {config.stash[NO_ENGINE]}", red=True)
        terminalreporter.line(
            "What to do: run as root on Debian or Ubuntu, which installs and starts an engine, or "
            "set DOCKER_HOST to one. BENCH_REQUIRE_ENGINE=1 makes this a failure.",
            red=True,
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Of workers that an interrupt has killed nothing is left either."""
    _remove_dead_workers(config)


def _remove_dead_workers(config: pytest.Config) -> None:
    if getattr(config.option, "numprocesses", None) and not WORKER:
        remove_dead()


@pytest.fixture(autouse=True)
def world_of_its_own(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No test reads the user's settings or writes to the user's results."""
    for name in os.environ:
        if name.startswith("BENCH_") and name not in KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    # What matplotlib knows of the fonts it would find again for each home of a test, and say so
    # where that takes more than five seconds.
    monkeypatch.setenv("MPLCONFIGDIR", str(MATPLOTLIB))
    if request.node.get_closest_marker("engine"):
        request.getfixturevalue("engine_connection")  # by way of the user's DOCKER_HOST or context
    else:
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
