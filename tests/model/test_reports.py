"""What a report leaves out where it is None can be read back."""

from __future__ import annotations

import dataclasses

import pytest

from harness.model import reports

REPORTS = [one for one in vars(reports).values() if dataclasses.is_dataclass(one)]


@pytest.mark.parametrize("report", REPORTS, ids=lambda one: one.__name__)
def test_what_may_be_none_may_be_missing(report: type) -> None:
    for field in dataclasses.fields(report):
        if "None" in str(field.type):
            assert field.default is None, field.name
