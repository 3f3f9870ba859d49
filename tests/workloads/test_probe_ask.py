"""The probe's ask mode, as a plain process against servers of our own on loopback.

Nothing here asserts a speed: the machine may be busy. Only what holds on any machine.
"""

from __future__ import annotations

import contextlib
import platform
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.image import probe_binary
from harness.measure import protocol
from tests.probing import MS, running

pytestmark = [pytest.mark.alone, pytest.mark.slow]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answer = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def probe() -> Path:
    return probe_binary(platform.machine()).path


class Serving(socketserver.ThreadingTCPServer):
    """A thread a connection, each answering what ``answer`` makes of what came; b"" closes."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, answer: Answer) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    while asked := self.request.recv(65536):
                        answered = answer(asked)
                        self.request.sendall(answered)
                        if not answered or b"close" in answered:
                            return

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextlib.contextmanager
def serving(answer: Answer = lambda _: OK) -> Iterator[int]:
    with Serving(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.port
        finally:
            server.shutdown()
            thread.join()


def measure(
    probe: Path, port: int, *more: str, warmup_ms: int = 50, window_ms: int = 400
) -> dict[str, Any]:
    options = ("--port", str(port), "--deadline", "20", "--connections", "8", *more)
    with running(probe, "ask", *options) as asking:
        assert asking.hear() == {"probe": "ready", "version": 1, "mode": "ask"}
        asking.tell(f"go {warmup_ms * MS} {window_ms * MS}")
        time.sleep((warmup_ms + window_ms + 20) / 1e3)
        asking.tell("stop")
        report = asking.hear()
        assert asking.end() == (0, "")
    assert protocol.requests(report).offered == report["offered"]  # the harness can read it
    return report


def test_requests_are_due_at_their_rate_whatever_the_server_does(probe: Path) -> None:
    with serving() as port:
        report = measure(probe, port, "--rate", "100", "--arrivals", "fixed")
    assert report["offered"] in (39, 40, 41)
    assert report["completed"] == report["offered"]
    assert (report["errors"], report["unfinished"], report["first_error"]) == (0, 0, None)
    quantiles = [report[f"latency_{one}_ns"] for one in ("p50", "p90", "p99", "p999", "max")]
    assert quantiles == sorted(quantiles)
    assert sum(report["latency_histogram"]) == report["offered"]


def test_random_arrivals_follow_from_the_seed(probe: Path) -> None:
    with serving() as port:
        found = [
            measure(probe, port, "--rate", "200", "--arrivals", "poisson", "--seed", seed,
                    window_ms=200)["offered"]
            for seed in ("5", "5", "6", "7", "8")
        ]  # fmt: skip
    assert found[0] == found[1]
    assert len(set(found)) > 1  # 40 on average, give or take 6


def stalls(after: int, for_s: float) -> Answer:
    """A server that stands still once, for all that ask it."""
    lock, count = threading.Lock(), [0]

    def answer(_asked: bytes) -> bytes:
        with lock:
            count[0] += 1
            if count[0] == after:
                time.sleep(for_s)
        return OK

    return answer


def test_a_stall_counts_for_all_that_were_due_in_it(probe: Path) -> None:
    load = ("--rate", "100", "--arrivals", "fixed")
    with serving(stalls(10, 0.3)) as port:
        report = measure(probe, port, *load, window_ms=600)
    # 30 were due in the stall, and waited for 150 ms on average: half of all that were due.
    slow = [
        count
        for edge, count in zip(
            report["latency_edges_ns"], report["latency_histogram"], strict=False
        )
        if edge >= 90 * MS
    ]
    assert sum(slow) >= 15
    assert report["latency_max_ns"] >= 250 * MS


def test_without_a_rate_a_stall_is_one_slow_request_a_connection(probe: Path) -> None:
    """What a load would say that waits for each answer: that is why a rate is the default."""
    with serving(stalls(10, 0.3)) as port:
        report = measure(probe, port, "--connections", "1", warmup_ms=0, window_ms=600)
    assert report["offered"] > 10
    assert report["latency_p50_ns"] < 250 * MS <= report["latency_max_ns"]


def test_what_is_not_answered_counts_as_long_as_it_waited(probe: Path) -> None:
    release = threading.Event()
    asked = [0]

    def never(_asked: bytes) -> bytes:
        asked[0] += 1
        if asked[0] > 1:  # the first one asks whether it is ready
            release.wait(10)
        return OK

    with serving(never) as port:
        try:
            report = measure(probe, port, "--rate", "50", "--arrivals", "fixed", window_ms=200)
        finally:
            release.set()
    assert report["completed"] == 0
    assert report["unfinished"] == report["offered"] > 0
    assert report["latency_p50_ns"] > 1_000 * MS  # it was waited for at the end


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 503"),
        (b"", "the server closed the connection"),
    ],
)
def test_errors_are_counted_and_the_first_is_told(probe: Path, answer: bytes, said: str) -> None:
    with serving(lambda asked: OK if b"/ready" in asked else answer) as port:
        report = measure(probe, port, "--rate", "100", "--ready-path", "/ready")
    assert report["errors"] > 0
    assert report["completed"] == 0
    assert report["first_error"].startswith(said)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n" + b"x" * 20_000,
    ],
)
def test_an_answer_is_whole_however_its_length_is_told(probe: Path, answer: bytes) -> None:
    with serving(lambda _: answer) as port:
        report = measure(probe, port, "--rate", "50", "--arrivals", "fixed")
    assert (report["errors"], report["first_error"]) == (0, None)
    assert report["completed"] == report["offered"] > 0


def test_redis_is_asked_and_its_errors_are_errors(probe: Path) -> None:
    def answer(asked: bytes) -> bytes:
        if b"PING" in asked:
            return b"+PONG\r\n"
        return b"+OK\r\n" if b"SET" in asked else b"$5\r\nhello\r\n"

    load = ("--protocol", "redis", "--rate", "200", "--writes", "50")
    with serving(answer) as port:
        report = measure(probe, port, *load)
    assert report["completed"] == report["offered"] > 0
    refusing: Answer = lambda asked: b"+PONG\r\n" if b"PING" in asked else b"-OOM no memory\r\n"  # noqa: E731
    with serving(refusing) as port:
        report = measure(probe, port, *load)
    assert report["errors"] == report["offered"]
    assert report["first_error"] == "-OOM no memory"


def test_a_ramp_asks_more_often_towards_its_end(probe: Path) -> None:
    with serving() as port:
        report = measure(probe, port, "--rate", "50", "--to-rate", "150", "--arrivals", "fixed",
                         window_ms=600)  # fmt: skip
    assert 50 <= report["offered"] <= 62  # 60 at the mean rate


def test_a_server_that_is_not_there_ends_it_with_why(probe: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = str(taken.getsockname()[1])
        with running(probe, "ask", "--port", port, "--deadline", "9", "--ready-s", "1") as asking:
            code, errors = asking.end()
    assert code == 1
    assert errors == f"probe: port {port} gave no answer within 1 s: Connection refused\n"


def test_a_server_that_refuses_its_ready_path_is_not_ready(probe: Path) -> None:
    refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    with serving(lambda _: refusal) as port:
        options = ("--port", str(port), "--deadline", "9", "--ready-s", "1", "--path", "/x")
        with running(probe, "ask", *options) as asking:
            code, errors = asking.end()
    assert code == 1
    assert "within 1 s: HTTP/1.1 404 Not Found" in errors


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--port and --deadline are needed"),
        (("--port", "0", "--deadline", "1"), "--port takes a whole number"),
        (("--port", "1", "--deadline", "1", "--protocol", "ftp"), "--protocol does not take"),
        (("--port", "1", "--deadline", "1", "--to-rate", "9"), "--to-rate needs --rate"),
    ],
)
def test_a_bad_command_line_is_misuse(probe: Path, options: tuple[str, ...], said: str) -> None:
    with running(probe, "ask", *options) as asking:
        code, errors = asking.end()
    assert code == 2
    assert said in errors
