"""``python -m tests.vm SUITE [-- ARGUMENTS OF PYTEST]``: the tests with containers, elsewhere."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from tests.vm import image, machine

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limitbench" / "vm"


def say(text: str) -> None:
    sys.stderr.write(f"vm: {text}\n")


def hear(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """The exit code of what ran in the machine; 4 where there was no machine, or it did not end."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    parser.add_argument("suite", help=f"of Debian, such as {' or '.join(image.SUITES)}")
    parser.add_argument("--all", action="store_true",
                        help="every test with containers, not the selection for CI")  # fmt: skip
    parser.add_argument("--run", metavar="SCRIPT",
                        help="a shell script to run in the checkout instead of the tests; what it "
                        "leaves in /root/results comes back")  # fmt: skip
    parser.add_argument("--give", type=Path, metavar="FOLDER",
                        help="a folder to lay into the machine's checkout")  # fmt: skip
    parser.add_argument("--build", action="store_true", help="build the image, boot nothing")
    parser.add_argument("--minutes", type=float, default=40, help="at the most (default: 40)")
    parser.add_argument("--results", type=Path, default=None, metavar="FOLDER",
                        help="where what comes back goes (default: in the cache)")  # fmt: skip
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    asked, for_pytest = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    started = time.monotonic()
    try:
        found = image.have_image(asked.suite, CACHE, say)
        ready = time.monotonic()
        if asked.build:
            say(f"The image is in {found.disk.parent} ({ready - started:.0f} s).")
            return 0
        results = (asked.results or CACHE / "results" / asked.suite).resolve()
        job = machine.Job(
            asked.run or pytest_command(for_pytest, everything=asked.all),
            seconds=round(asked.minutes * 60),
            given=asked.give,
        )
        done = machine.run(found, job, results, hear)
    except image.VmError as error:
        say(str(error))
        return 4
    how = "emulated" if done.emulated else "under KVM"
    say(f"{asked.suite}, {how}: exit code {done.code} after {ready - started:.0f} s for the image "
        f"and {time.monotonic() - ready:.0f} s in the machine; results in {results}.")  # fmt: skip
    return done.code


_CPU = "tests/docker/test_sweep_cpu.py"
ESSENTIAL = (
    "tests/docker/test_sweep_limits.py",
    "tests/docker/test_sweep_io.py",
    "tests/docker/test_kernel.py",
    f"{_CPU}::test_a_quota_five_percent_off_is_found_by_its_numbers_and_by_the_read_back",
    f"{_CPU}::test_the_wrong_containers_cgroup_is_rejected",
)
"""What differs from host to host: every limit against its law. Ten minutes under emulation."""


def pytest_command(arguments: list[str], *, everything: bool) -> str:
    """A script: the selection that CI has time for, or all tests with containers.

    What fails is run once more, as ``make test`` does it.
    """
    chosen = arguments or (["tests/docker"] if everything else list(ESSENTIAL))
    pytest = "python -m pytest -m engine -o cache_dir=/tmp/pytest --durations=15 --color=no"
    return f"""\
{pytest} --junit-xml=/root/results/junit.xml {shlex.join(chosen)}
code=$?
[ $code -eq 1 ] || exit $code
echo "=== what failed, once more ==="
exec {pytest} --junit-xml=/root/results/again.xml --last-failed --last-failed-no-failures=none
"""


if __name__ == "__main__":
    sys.exit(main())
