"""Where ``bench`` begins: a signal that comes while it still loads ends it without a word.

Python answers Ctrl-C by a traceback from wherever its imports are. So until the command line
listens, which then tells what was interrupted, the kernel answers, as it does SIGTERM and SIGHUP: a
shell sees 130, 143 or 129. Python's own start comes before any line of ours: ``.venv/bin/bench`` is
begun with SIGINT blocked (buildtools/setup-venv); elsewhere a Ctrl-C in those 20 ms is Python's.
"""

from __future__ import annotations

import signal


def main() -> None:
    """The entry point ``bench``, and ``python -m harness``."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    from harness import cli  # noqa: PLC0415 - what takes the time

    cli.main()


if __name__ == "__main__":
    main()
