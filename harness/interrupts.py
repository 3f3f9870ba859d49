"""Ctrl-C and SIGTERM held back, for as long as half a step would leave something behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    before = {
        number: handler
        for number in _SIGNALS
        if callable(handler := signal.getsignal(number)) or handler is signal.SIG_DFL
    }
    for number in before:
        signal.signal(number, lambda signum, _frame: came.append(signum))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
