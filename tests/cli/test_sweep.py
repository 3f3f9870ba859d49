"""What a sweep says where nothing of it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli.sweep import conclude
from harness.errors import MeasurementError
from harness.plan.axes import Options
from tests.runs import stored


def test_a_run_whose_every_trial_is_damaged_has_one_line(tmp_path: Path) -> None:
    path = stored(tmp_path, options=Options(values="0.5", repeats=1))
    (path / "trials.jsonl").write_text("no trial\n")
    with pytest.raises(MeasurementError, match=r"no trial of .* counts: .*damaged"):
        conclude(path, as_json=False, strict=False)
