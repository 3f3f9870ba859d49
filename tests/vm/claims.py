"""``python -m tests.vm.claims SUITE…``: columns of docs/claims.md for engines not on this host.

``bench claims`` in the machine of each suite (bookworm, forky), an hour emulated; its result is
laid into docs/claims/, from which ``make docs`` makes the page.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.vm import image, machine
from tests.vm.__main__ import CACHE, hear, say

BENCH = "python -m tests.vm.emulated"
SCRIPT = f"""
{BENCH} claims --results /root/runs --seed 1; code=$?
cp -r /root/runs /root/results/
{BENCH} report --results /root/runs --format json --anonymous --output /root/results/claims.json
exit $code
"""
RECORDED = Path(__file__).parents[2] / "docs" / "claims"
SECONDS = 5400


def main() -> int:
    """The worst exit code of ``bench claims``; 4 where there was no machine, or no result."""
    worst = 0
    for suite in sys.argv[1:]:
        folder = CACHE / "results" / f"claims-{suite}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            found = image.have_image(suite, CACHE, say)
            done = machine.run(found, machine.Job(SCRIPT, seconds=SECONDS), folder, hear)
        except image.VmError as error:
            say(str(error))
            return 4
        result = folder / "claims.json"
        if not result.exists():
            say(f"{suite}: no result, exit code {done.code}")
            return 4
        shutil.copyfile(result, RECORDED / f"v2-{suite}.json")
        say(f"{suite}: exit code {done.code}; recorded in docs/claims/v2-{suite}.json")
        worst = max(worst, done.code)
    return worst


if __name__ == "__main__":
    sys.exit(main())
