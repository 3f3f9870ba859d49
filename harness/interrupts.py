"""Interrupts held back, for as long as half a step would leave something behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_ENDING = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
"""The signals that ask us to end: the terminal's end, a service manager's, Ctrl-C."""


@contextmanager
def held_back() -> Iterator[None]:
    """What comes meanwhile comes right after, once.

    By handlers and by no signal mask: one holds for a thread alone, another thread of ours takes
    the signal, and Python raises it in the main one all the same. Elsewhere than in the main thread
    nothing is ever raised, and nothing to be held back. What is ignored stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    try:
        with ExitStack() as stack:
            for number in _ENDING:
                stack.enter_context(_kept(number, came))
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _kept(number: signal.Signals, came: list[int]) -> Iterator[None]:
    """One signal; its handler is put back whatever the other raises in between."""
    before = signal.getsignal(number)
    if not callable(before) and before is not signal.SIG_DFL:
        yield
        return
    try:
        signal.signal(number, lambda signum, _frame: came.append(signum))
        yield
    finally:
        signal.signal(number, before)
