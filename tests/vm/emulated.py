"""``python -m tests.vm.emulated …`` is ``bench …`` with the bounds of an emulated machine."""

from __future__ import annotations

from harness.cli import main
from tests.docker import measuring

assert measuring.EMULATED, "only a machine of tests.vm is one"  # importing it has set the bounds

if __name__ == "__main__":
    main()
