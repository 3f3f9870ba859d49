"""How a value of a unit is written. Standard library only.

A metric names its unit; here stands what such a value is written in, and in how many digits: as a
bare number of a column whose head bears the unit, in words, in few letters, as a difference. What
Docker writes (``64m``) is ``limits``' matter: that is its syntax, and is read again.
"""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


def signed(value: float, form: str) -> str:
    """A number with its sign, which one that is rounded to nothing does not have."""
    said = f"{value:{form}}"
    return said if said.strip("+-0.") else said.lstrip("+-")


def relative(share: float, digits: int = 2) -> str:
    """A change or an error as a share of what it is of: ``+0.21%``."""
    return f"{signed(share * 100, f'+.{digits}f')}%"


def percent(share: float) -> str:
    """A part of a whole: ``98.3%``, ``0%``."""
    return f"{share:.1%}" if 0.001 < share < 0.999 else f"{share:.0%}"


def duration(seconds: float) -> str:
    """A time as people read it: ``73 µs``, ``48.2 ms``, ``1.20 s``."""
    if 0 < abs(seconds) < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def round_duration(seconds: float) -> str:
    """A time in two or three digits: ``40 µs``, ``1.4 ms``, ``75 ms``, ``1.05 s``."""
    ms = seconds * 1e3
    if ms >= 999.5:
        return f"{seconds:.3g} s"
    if ms < 0.0995:
        return f"{ms * 1e3:.0f} µs" if ms >= 0.00995 else f"{ms * 1e3:.1f} µs"
    return f"{ms:.0f} ms" if ms >= 9.95 else f"{ms:.1f} ms"


def round_size(size_bytes: float) -> str:
    """A size in MiB, in two or three digits."""
    mib = size_bytes / MIB
    return f"{mib:.0f} MiB" if mib >= 99.5 else f"{mib:.3g} MiB"


def round_percent(share: float) -> str:
    """A part of a whole in one or two digits: ``98 %``, ``0.4 %``, ``< 0.1 %``, ``0 %``."""
    percent = share * 100
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.0f} %" if percent >= 9.95 or not percent else f"{percent:.1f} %"


def milliseconds(time_ns: int) -> str:
    """A time that the kernel was built or set with, as exactly as it is known: ``4 ms``."""
    return f"{time_ns / 1e6:g} ms"


def size(size_bytes: float) -> str:
    """Bytes as people read them: ``812 KiB``, ``32.1 MiB``, ``23.5 GiB``."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes / 1024:.0f} KiB"


def whether(value: float) -> str:
    """What is so or not; of several trials the median, which may lie between."""
    return "no" if value == 0 else "yes" if value == 1 else f"{value:.0%} yes"


def refusal(code: float) -> str:
    """What refused: an errno's name, that of the signal -code; of several the median, if any."""
    if code == 0:
        return "nothing"
    if code != int(code):
        return "not one thing"
    if code > 0:
        return errno.errorcode.get(int(code), f"errno {code:.0f}")
    try:
        return signal.Signals(int(-code)).name
    except ValueError:
        return f"signal {-code:.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What values of a unit are written in, and how."""

    name: str = ""
    """Of a unit that is written as it is: ``CPUs``, ``ops/s``."""
    label: str = ""
    """What it is written in where that is another one: ``ms``, ``MiB``, ``%``."""
    factor: float = 1.0
    """From the unit itself to what is written."""
    digits: str = ".4g"
    """The format of a number, so scaled."""
    words: Callable[[float], str] | None = None
    """A value with its unit, where that is more than number and label."""
    few: Callable[[float], str] | None = None
    """The same where a column has no room for all digits."""
    apart: str = ""
    """What a difference is told in, where the label would be misread."""

    @property
    def axis(self) -> str:
        """The unit of a figure's axis; a column's head tells by itself what is written as it is."""
        return self.label or self.name

    def number(self, value: float) -> str:
        """A value without its unit: ``48.2``, ``0.4991``."""
        if self.words is not None and not self.label:
            return self.words(value)
        return f"{value * self.factor:{self.digits}}"

    def text(self, value: float) -> str:
        """A value with its unit: ``48.2 ms``, ``98.3%``, ``5.60 MiB``."""
        if self.words is not None:
            return self.words(value)
        return f"{self.number(value)} {self.label}".rstrip()

    def short(self, value: float) -> str:
        """The same in few letters: ``98%``, ``31.8 MiB``."""
        return self.text(value) if self.few is None else self.few(value)

    def offset(self, change: float) -> str:
        """How far a value lies from another, without the unit: ``+1.3``."""
        return signed(change * self.factor, f"+{self.digits}")

    def difference(self, change: float) -> str:
        """The same with its unit: ``+1.3 ms``, ``-0.50 MiB``, ``+5.0 points``."""
        if self.words is refusal:  # codes have no distance
            return "another" if change else "the same"
        return f"{self.offset(change)} {self.apart or self.label}".rstrip()

    def span(self, low: float, high: float) -> str:
        """From one value to another: ``5.46–5.47 MiB``; one where they are written alike."""
        return from_to(self.text(low), self.text(high), "–")


def from_to(low: str, high: str, dash: str) -> str:
    """An interval of two values in words, the unit once: ``5.46–5.47 MiB``, ``-0.1 … +0.2%``."""
    if low == high:
        return low
    number = _NUMBER.match(high)
    return f"{low.removesuffix(high[number.end() :]) if number else low}{dash}{high}"


_NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+][0-9]+)?")


_UNITS: Mapping[str, Unit] = {
    "1": Unit(),
    "CPUs": Unit(name="CPUs", digits=".4f", few=lambda cpus: f"{cpus:.3f}"),
    "s": Unit(label="ms", factor=1e3, digits=".1f", words=duration),
    "bytes": Unit(label="MiB", factor=1 / MIB, digits=".2f",
                  few=lambda size_bytes: f"{size_bytes / MIB:.1f} MiB"),
    "bytes/s": Unit(label="MiB/s", factor=1 / MIB, digits=".2f"),
    "1/s": Unit(name="1/s", digits=".0f"),
    "share": Unit(label="%", factor=100.0, digits=".1f", words=percent,
                  few=lambda share: f"{share:.0%}", apart="points"),
    "count": Unit(digits=".10g"),
    "yes": Unit(words=whether),
    "refusal": Unit(words=refusal),
}  # fmt: skip


def of(unit: str) -> Unit:
    """How values of that unit are written; in four digits, and as they are, where none is known."""
    return _UNITS.get(unit) or Unit(name=unit)


def cpus(value: float) -> str:
    """CPUs in words that agree with the number: ``0.5 CPUs``, ``1 CPU``."""
    return f"{value:g} CPU" if value == 1 else f"{value:g} CPUs"
