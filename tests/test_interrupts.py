"""Signals that come in the middle of what must not be cut in two."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from harness.interrupts import held_back


def test_an_interrupt_comes_after_and_once_though_another_thread_could_take_it() -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    done: list[str] = []
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - what comes after is the point
            with held_back():
                for _ in range(3):
                    os.kill(os.getpid(), signal.SIGINT)
                    stop.wait(0.01)
                done.append("the step")
            done.append("never")
    finally:
        stop.set()
        other.join()
    assert done == ["the step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_ignored_and_an_error_passes() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(ValueError, match="broken"), held_back():  # noqa: PT012 - as above
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError("broken")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_both_handlers_are_put_back_though_one_raises_in_between() -> None:
    """A SIGINT that comes when its own handler is back, and that of SIGTERM not yet."""
    before = signal.getsignal(signal.SIGTERM)
    real = signal.signal

    def put(number: int, handler: Any) -> object:
        found = real(number, handler)
        if number == signal.SIGINT and handler is signal.default_int_handler:
            raise KeyboardInterrupt
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "signal", put)
        with pytest.raises(KeyboardInterrupt), held_back():
            pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_elsewhere_than_in_the_main_thread_it_does_nothing() -> None:
    found: list[object] = []

    def inside() -> None:
        with held_back():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
