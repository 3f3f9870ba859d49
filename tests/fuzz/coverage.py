"""``python -m tests.fuzz.coverage TARGET``: one of ``tests.malformed`` by the code that it reaches.

By atheris (``pip install atheris``, no dependency), with the options that libFuzzer has, such as
``-max_total_time=60``. Its corpus begins with the target's sound inputs. An exception that is not
one of ours ends it, and the input is in the file that it names.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

# Whatever is imported here reports the branches that it takes; the libraries below it do not.
with atheris.instrument_imports(include=["harness"]):
    from tests.malformed import TARGETS


def main() -> None:
    """It does not return: libFuzzer exits."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.coverage TARGET …\nKnown: {', '.join(TARGETS)}")
    target = TARGETS[sys.argv[1]]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], corpus, *sys.argv[2:]], target.refuses)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
