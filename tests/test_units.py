"""Values in words: each unit in its own form, nothing without a sign of its own, no unit twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import units
from harness.judge.metrics import METRICS
from harness.units import MIB


@pytest.mark.parametrize(
    ("unit", "value", "number", "text", "short"),
    [
        ("CPUs", 0.49913, "0.4991", "0.4991", "0.499"),
        ("s", 0.0482, "48.2", "48.2 ms", "48.2 ms"),
        ("s", 8e-6, "0.0", "8 µs", "8 µs"),
        ("s", 1.2, "1200.0", "1.20 s", "1.20 s"),
        ("bytes", 31.77 * MIB, "31.77", "31.77 MiB", "31.8 MiB"),
        ("share", 0.983, "98.3", "98.3%", "98%"),
        ("share", 1.0, "100.0", "100%", "100%"),
        ("count", 17441.0, "17441", "17441", "17441"),
        ("count", 1234567.5, "1234567.5", "1234567.5", "1234567.5"),
        ("yes", 1.0, "yes", "yes", "yes"),
        ("yes", 0.5, "50% yes", "50% yes", "50% yes"),
        ("1", 1.98765, "1.988", "1.988", "1.988"),
        ("ops/s", 12345.6, "1.235e+04", "1.235e+04", "1.235e+04"),
    ],
)
def test_a_value_in_each_of_its_forms(
    unit: str, value: float, number: str, text: str, short: str
) -> None:
    written = units.of(unit)
    assert (written.number(value), written.text(value), written.short(value)) == (
        number, text, short,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "change", "said"),
    [
        ("CPUs", 0.0012, "+0.0012"),
        ("s", -0.0013, "-1.3 ms"),
        ("bytes", 0.5 * MIB, "+0.50 MiB"),
        ("share", 0.05, "+5.0 points"),  # not 5 % of it
        ("yes", -1.0, "-1"),
        ("1", 0.0, "0"),
    ],
)
def test_a_difference_is_told_in_the_values_unit(unit: str, change: float, said: str) -> None:
    assert units.of(unit).difference(change) == said


@given(st.sampled_from([metric.unit for metric in METRICS.values()]), st.floats(-1e-12, 1e-12))
def test_what_is_rounded_to_nothing_has_no_sign(unit: str, nothing: float) -> None:
    assert units.relative(nothing) == "0.00%"
    if unit not in ("1", "s/s", "units/s", "yes", "count"):  # these round to digits, not to zero
        assert not units.of(unit).difference(nothing).startswith(("+", "-"))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        ("5.46 MiB", "5.47 MiB", "5.46–5.47 MiB"),
        ("-0.10%", "+0.21%", "-0.10–+0.21%"),
        ("120 µs", "1.5 ms", "120 µs–1.5 ms"),
        ("0.4991", "0.5004", "0.4991–0.5004"),
        ("1e+04", "2e+04", "1e+04–2e+04"),
        ("no", "yes", "no–yes"),
        ("50% yes", "yes", "50% yes–yes"),
        ("yes", "yes", "yes"),
    ],
)
def test_an_interval_names_its_unit_once(low: str, high: str, said: str) -> None:
    assert units.from_to(low, high, "–") == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (4.2e-6, "4.2 µs"),
        (40e-6, "40 µs"),
        (0.0014, "1.4 ms"),
        (0.0746, "75 ms"),
        (1.048, "1.05 s"),
    ],
)
def test_a_time_in_two_or_three_digits(seconds: float, said: str) -> None:
    assert units.round_duration(seconds) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.983, "98 %"), (0.0042, "0.4 %"), (0.0005, "< 0.1 %"), (0.0, "0 %"), (0.0996, "10 %")],
)
def test_a_share_in_one_or_two_digits(share: float, said: str) -> None:
    assert units.round_percent(share) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [(812 << 10, "812 KiB"), (32.1 * MIB, "32.1 MiB"), (23.5 * 1024 * MIB, "23.5 GiB")],
)
def test_a_size_in_the_largest_unit_that_fits(size_bytes: float, said: str) -> None:
    assert units.size(size_bytes) == said
