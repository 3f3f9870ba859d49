"""``python -m tests.vm.upgrade``: what docs/upgrade.md tells, done again.

A baseline on bookworm's engine, checked on forky's: the jump of the shares' ratio must be found,
with its cause, and nothing else that decides. Some 10 minutes emulated, the images not counted.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.vm import image, machine
from tests.vm.__main__ import CACHE, hear, say

BENCH = "python -m tests.vm.emulated"
BEFORE = f"""
{BENCH} sweep tests/vm/upgrade.toml || exit
{BENCH} baseline set --name bookworm || exit
cp -r baselines /root/results/
"""
UNDER_TEST = "kernel,engine,runtime,weights"
AFTER = f"""
{BENCH} check --against bookworm --repeats 6; echo "nothing allowed: exit code $?"
{BENCH} check --against bookworm --repeats 6 --allow {UNDER_TEST} --markdown /root/results/check.md
"""
CAUSE = "the conversion of shares to weights changed"


def main() -> int:
    """0 where the check was red for the ratio of shares, and for its containers' CPU alone."""
    folder = CACHE / "results" / "upgrade"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        before = run("bookworm", BEFORE, folder / "bookworm")
        if before.code:
            say(f"no baseline: exit code {before.code}")
            return 4
        after = run("forky", AFTER, folder / "forky", before.results / "baselines")
    except image.VmError as error:
        say(str(error))
        return 4
    report = after.results / "check.md"
    if not report.exists():
        say(f"nothing was checked: exit code {after.code}")
        return 4
    red = [
        line
        for line in report.read_text().splitlines()
        if line.startswith("- ") and "regressed:" in line
    ]
    found = after.code == 1 and bool(red) and all(CAUSE in line for line in red)
    say(f"{len(red)} regressed, {'all by' if found else 'not all by'} the weights' formula; the "
        f"report is {report}")  # fmt: skip
    return 0 if found else 1


def run(suite: str, script: str, results: Path, given: Path | None = None) -> machine.Outcome:
    """A script in a machine of that suite."""
    found = image.have_image(suite, CACHE, say)
    return machine.run(found, machine.Job(script, seconds=1200, given=given), results, hear)


if __name__ == "__main__":
    sys.exit(main())
