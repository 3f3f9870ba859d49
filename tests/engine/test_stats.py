"""docker stats' frames: the CLI's own formulas, and which frames can be used."""

from __future__ import annotations

import functools
import json
import logging
import operator
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.engine.stats import DockerStats, cpu_percent, memory_bytes, usable_frames
from harness.limits import from_engine


def frame(
    total: int, system: int, before: tuple[int, int] | None, online: int = 2
) -> dict[str, Any]:
    out: dict[str, Any] = {
        "read": "2026-01-01T00:00:01Z",
        "cpu_stats": {
            "cpu_usage": {"total_usage": total},
            "system_cpu_usage": system,
            "online_cpus": online,
        },
        "precpu_stats": {"cpu_usage": {"total_usage": 0}},
        "memory_stats": {"usage": 1000, "stats": {"total_inactive_file": 300}},
    }
    if before:
        out["precpu_stats"] = {
            "cpu_usage": {"total_usage": before[0]}, "system_cpu_usage": before[1],
        }  # fmt: skip
    return out


def test_cpu_percent_is_the_clis() -> None:
    # half a CPU over one second of two CPUs: 0.5e9 / 2e9 * 2 * 100
    assert cpu_percent(frame(1_500_000_000, 12_000_000_000, (1_000_000_000, 10**10))) == 50


@pytest.mark.parametrize(
    "stats",
    [
        frame(5, 10, None),  # the first frame: precpu is all zeros, system absent
        frame(5, 10, (1, 10)),  # the system's counter has not moved
        {}, {"cpu_stats": None}, {"cpu_stats": {"cpu_usage": None}},
    ],
)  # fmt: skip
def test_frames_that_say_nothing_are_none_and_not_zero(stats: dict[str, Any]) -> None:
    assert cpu_percent(stats) is None


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({"usage": 1000, "stats": {"total_inactive_file": 300}}, 700),  # v1
        ({"usage": 1000, "stats": {"inactive_file": 200}}, 800),  # v2
        ({"usage": 1000, "stats": {"inactive_file": 2000}}, 1000),
        ({"usage": 1000}, 1000),
        ({}, None),
    ],
)
def test_memory_is_the_clis(memory: dict[str, Any], expected: int | None) -> None:
    assert memory_bytes({"memory_stats": memory}) == expected


def test_only_frames_whose_whole_interval_lies_in_the_window_are_usable() -> None:
    lines = [
        (at, json.dumps(frame(i * 500, i * 2000 + 1, ((i - 1) * 500, (i - 1) * 2000 + 1))).encode())
        for i, at in enumerate((0, 10, 20, 30, 40))
    ]
    found = usable_frames(lines, start_ns=5, end_ns=35)
    assert [f.cpu_percent for f in found] == [50.0, 50.0]  # those at 20 and at 30
    assert usable_frames(lines, start_ns=11, end_ns=19) == ()
    assert usable_frames([(0, b"{garbage")], start_ns=-1, end_ns=1) == ()


def test_inspects_zeros_mean_not_set() -> None:
    limits = from_engine(
        {"NanoCpus": 500_000_000, "CpuQuota": 0, "CpuShares": 0, "CpusetCpus": "", "Memory": 0}
    )
    assert limits.cpus == 0.5
    assert limits.cpu_quota_us is None
    assert limits.cpu_shares is None
    assert limits.cpuset_cpus is None
    assert limits.memory_bytes is None


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAME = b'{"read": "x"}\n'
CHUNK = b"%x\r\n%s\r\n" % (len(FRAME), FRAME)


@pytest.fixture
def answered(tmp_path: Path) -> Iterator[Callable[[bytes], tuple[DockerStats, socket.socket]]]:
    """Answers a stream's request with these bytes: the stream, and the engine's end of it."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "engine"))
    listening.listen()
    api = docker.APIClient(base_url=f"unix://{tmp_path}/engine", version="1.41", timeout=5)
    accepted = []

    def answer(said: bytes) -> tuple[DockerStats, socket.socket]:
        stream = DockerStats(api, "some")
        accepted.append(listening.accept()[0])
        accepted[-1].recv(65536)
        accepted[-1].sendall(said)
        return stream, accepted[-1]

    yield answer
    for one in (*accepted, api, listening):
        one.close()


def until(true: Callable[[], object]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.002)
    raise AssertionError("not within a second")


def below(stream: DockerStats) -> Any:
    """The response of http.client, and the file that it reads from."""
    until(lambda: stream._lines)
    assert stream._answer is not None
    response = stream._answer.raw._original_response
    return response, response.fp


def test_a_stream_that_is_closed_leaves_nothing_open_for_the_interpreter_s_end(
    answered: Callable[[bytes], tuple[DockerStats, socket.socket]],
) -> None:
    stream, engine = answered(CHUNKED + CHUNK)
    response, file = below(stream)
    assert not file.closed
    stream.close()
    assert (response.closed, response.fp, file.closed) == (True, None, True)
    assert not stream._thread.is_alive()
    engine.settimeout(1)
    assert engine.recv(1) == b""  # the connection is closed, and not kept for another request
    stream.close()


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b""])
def test_a_stream_that_ends_or_breaks_off_closes_its_response(
    answered: Callable[[bytes], tuple[DockerStats, socket.socket]], end: bytes
) -> None:
    stream, engine = answered(CHUNKED + CHUNK)
    response, file = below(stream)
    engine.sendall(end)
    engine.shutdown(socket.SHUT_RDWR)
    until(lambda: not stream._thread.is_alive())
    assert (response.closed, response.fp, file.closed) == (True, None, True)
    stream.close()


def test_a_stream_that_is_closed_before_its_answer_does_not_begin(
    answered: Callable[[bytes], tuple[DockerStats, socket.socket]],
) -> None:
    stream, engine = answered(b"")
    closing = threading.Thread(target=stream.close)
    closing.start()
    until(lambda: stream._closed)
    engine.sendall(CHUNKED + CHUNK)
    closing.join(2)
    assert not stream._thread.is_alive()
    assert stream._lines == []


def test_a_stream_that_is_followed_for_hours_keeps_one_window(
    answered: Callable[[bytes], tuple[DockerStats, socket.socket]],
) -> None:
    stream, engine = answered(CHUNKED)
    counts = []
    told = 0
    for _ in range(5):
        start_ns = time.monotonic_ns()
        for _ in range(4):
            told += 1
            body = json.dumps(
                frame(told * 500, told * 2000 + 1, ((told - 1) * 500, (told - 1) * 2000 + 1))
            ).encode()
            before = list(stream._lines)
            engine.sendall(b"%x\r\n%s\n\r\n" % (len(body) + 1, body))
            until(functools.partial(operator.ne, stream._lines, before))
        assert len(stream.frames(start_ns, time.monotonic_ns())) == 3
        counts.append(len(stream._lines))
    assert counts == [4, 5, 5, 5, 5]  # those of the window, and the one before it
    stream.close()


def test_what_came_of_a_stream_is_logged_once_and_not_in_its_window(
    answered: Callable[[bytes], tuple[DockerStats, socket.socket]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = logging.getLogger("harness.engine.stats")
    monkeypatch.setattr(log, "propagate", False)
    log.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.DEBUG, logger=log.name):
            streaming, _ = answered(CHUNKED + CHUNK * 2)
            until(lambda: len(streaming._lines) == 2)
            assert not caplog.records
            streaming.close()
            streaming.close()
            until(lambda: not streaming._thread.is_alive())
            refused, _ = answered(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            until(lambda: not refused._thread.is_alive())
            broken, engine = answered(CHUNKED + CHUNK)
            until(lambda: broken._lines)
            engine.close()
            until(lambda: not broken._thread.is_alive())
    finally:
        log.removeHandler(caplog.handler)
    first, second, third = caplog.messages
    assert first.endswith(" ms, 2 in all, closed by us")
    assert second.endswith("no frame, 0 in all, refused with 500")
    assert "1 in all, broken by " in third
