"""``python -m tests.vm.emulated …`` is ``bench …`` with the bounds of an emulated machine.

The command knows no such machine and gets no option for one: its surroundings are replaced here.
"""

from __future__ import annotations

import dataclasses
from typing import Any
from unittest.mock import patch

from harness.cli import main
from harness.measure import runner
from harness.measure.runner import Surroundings
from tests.docker import measuring

assert measuring.EMULATED, "only a machine of tests.vm is one"

real_surroundings = runner.real_surroundings


def emulated(*args: Any, **options: Any) -> Surroundings:
    real = real_surroundings(*args, **options)
    return dataclasses.replace(real, engine_cpus=measuring.ENGINE_CPUS)


if __name__ == "__main__":
    with patch.object(runner, "real_surroundings", emulated):
        main()
