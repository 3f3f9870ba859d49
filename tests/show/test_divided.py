"""Work divided among copies of a process: of one alone, since pytest itself has threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from functools import partial
from typing import Any

from harness.show.divided import divided

BEGIN = """\
import json, os, signal, sys, time
from harness.show.divided import divided
HERE = os.getpid()

def who(number):
    time.sleep(0.05)
    return number, "here" if os.getpid() == HERE else "copy"

def told(pieces):
    with divided(pieces) as results:
        print(json.dumps(results()))

"""


def divide(script: str) -> Any:
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


def test_copies_take_part_and_results_are_in_order() -> None:
    found = divide("told([lambda i=i: who(i) for i in range(12)])")
    assert [number for number, _ in found] == list(range(12))
    several = len(os.sched_getaffinity(0)) > 1
    assert {whose for _, whose in found} == ({"here", "copy"} if several else {"here"})


def test_what_a_killed_copy_owes_is_done_here() -> None:
    found = divide("""\
def piece(number):
    if os.getpid() != HERE:
        os.kill(os.getpid(), signal.SIGKILL)
    return who(number)

told([lambda i=i: piece(i) for i in range(6)])
""")
    assert found == [[i, "here"] for i in range(6)]


def test_an_exception_of_a_piece_is_raised_here() -> None:
    found = divide("""\
def piece(number):
    time.sleep(0.05)
    if number == 4:
        raise ValueError("of this piece")

try:
    told([lambda i=i: piece(i) for i in range(6)])
except ValueError as error:
    print(json.dumps(str(error)))
""")
    assert found == "of this piece"


def test_more_pieces_than_a_byte_counts() -> None:
    assert divide("told([lambda i=i: i for i in range(700)])") == list(range(700))


def test_copies_end_with_the_block() -> None:
    found = divide("""\
try:
    with divided([lambda: time.sleep(30)] * 4):
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print(json.dumps("none"))
""")
    assert found == "none"


def test_nothing_is_divided_beside_threads() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        with divided([os.getpid] * 4) as results:
            assert results() == [os.getpid()] * 4
    finally:
        end.set()
        thread.join()


def test_one_piece_is_done_here() -> None:
    with divided([partial(int, 1)]) as results:
        assert results() == [1]
