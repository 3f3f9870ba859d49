"""What a cgroup version knows: its files, what their text counts, why a counter is absent.

A counter is one row of its version's table (``harness.cgroup.v1``, ``.v2``): the field of
``model.Sample``, the file, the key in it, and why a file that is there may not hold it. What is
read at a tick, what with the details, how text becomes a sample and what is told as absent follow
from the rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from harness.cgroup.parsing import parse_flat, parse_pressure, sum_of
from harness.limits import parse_int
from harness.model import DeviceIo, MemoryCounters, Sample

File = tuple[str, str]
"""(controller, name)"""

Form = Callable[[bytes], Mapping[str, int]]
"""How a file's text becomes numbers by key."""

NUMBER = "number"
"""The key of a file that holds one number alone."""

UNREAD = "its file cannot be read"


def one_number(raw: bytes) -> Mapping[str, int]:
    """The form of a file with one number."""
    value = parse_int(raw)
    return {} if value is None else {NUMBER: value}


def no_numbers(_raw: bytes) -> Mapping[str, int]:
    """The form of a file that is parsed as a whole."""
    return _NOTHING


flat: Form = parse_flat
"""The form of a file of ``key value`` lines."""

pressure: Form = parse_pressure
"""The form of a pressure file: the totals of ``some`` and ``full``."""


@dataclass(frozen=True, slots=True)
class CounterFile:
    """One file of a cgroup that holds counters."""

    controller: str
    name: str
    form: Form
    missing: str
    """Why it can be absent, or refuse to be read."""
    at_every_tick: bool = False
    """Else it is one of the details: what costs three times as much on 2 CPUs and more with every
    CPU, since the kernel adds up counts of each when it is asked."""
    no_folder: str = ""
    """Why the container can be in no cgroup of its controller, where that is a reason of its
    own."""

    @property
    def file(self) -> File:
        """Its controller and name."""
        return self.controller, self.name


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of ``model.Sample``: the sum of a key in each of ``files``, in its unit."""

    field: str
    key: str
    files: tuple[CounterFile, ...]
    unsaid: str = UNREAD
    """Why the files can be there and not tell it."""
    scale: int = 1
    """What one of the kernel's units is in that of the field."""


@dataclass(frozen=True, slots=True)
class DeviceFiles:
    """The files that count a container's I/O, device by device; of the details."""

    files: tuple[CounterFile, ...]
    parse: Callable[[Sequence[bytes]], tuple[DeviceIo, ...]]
    """Of their texts, each of which was read."""


class RawSample(NamedTuple):
    """The bytes of one moment.

    A tuple and no dataclass: of a window there are thousands, made in a fifth of the time.
    """

    t_mono_ns: int
    span_ns: int
    """How long the read of the CPU counter took: large where we were interrupted in it."""
    files: tuple[bytes | None, ...]
    """Of ``CgroupVersion.tick_files``."""
    details: tuple[bytes | None, ...] = ()
    """Of ``CgroupVersion.detail_files``; empty where they were not read at this moment."""


class CgroupVersion(ABC):
    """The files of one cgroup version. What all versions share is here; V1 and V2 are the two."""

    number: ClassVar[int]
    counters: ClassVar[tuple[Counter, ...]]
    """The CPU's usage first: its file is read first, and is the root cgroup's too."""
    device_files: ClassVar[DeviceFiles]
    percpu_file: ClassVar[CounterFile | None]
    """CPU time of each CPU, read at the window's edges; None where the version keeps none."""
    no_percpu: ClassVar[str]
    """Why there is none, where the file is there or the version has no such file."""
    threads_file: ClassVar[str]
    """The ids of the threads in a cgroup, none of those below it."""
    inner: ClassVar[str | None]
    """The cgroup within a container's scope that crun keeps its processes and limits in."""

    def __init__(self) -> None:
        files = list(dict.fromkeys(file for counter in self.counters for file in counter.files))
        self._ticks = tuple(file for file in files if file.at_every_tick)
        self._details = (
            *(file for file in files if not file.at_every_tick),
            *self.device_files.files,
        )
        self._of_ticks = _Reads(self.counters, self._ticks)
        self._of_details = _Reads(self.counters, self._details)

    @property
    def tick_files(self) -> tuple[File, ...]:
        """What is read at every tick, the CPU counter first."""
        return tuple(file.file for file in self._ticks)

    @property
    def detail_files(self) -> tuple[File, ...]:
        """What is read at the edges and a few times a second."""
        return tuple(file.file for file in self._details)

    @property
    def usage_files(self) -> tuple[File, ...]:
        """CPU time, and that of each CPU where it is kept: the root cgroup has both as well."""
        percpu = (self.percpu_file.file,) if self.percpu_file else ()
        return (self._ticks[0].file, *percpu)

    @abstractmethod
    def hierarchy(self, controller: str) -> str:
        """The folder of /sys/fs/cgroup that a controller's hierarchy is mounted at."""

    @abstractmethod
    def is_root(self, folder: Path) -> bool:
        """Whether a folder is the true root of its hierarchy, and not a cgroup mounted as one."""

    @abstractmethod
    def memory_counters(self, folder: Path | None, scope: Path | None) -> MemoryCounters:
        """The memory cgroup's state now; ``scope`` is around ``folder`` where crun is (v2)."""

    def sample(self, raw: RawSample, percpu: bytes | None = None) -> Sample:
        """Counters of a raw sample. What a file does not hold, or was not read, is None."""
        found = self._of_ticks.values(raw.files)
        if raw.details:
            found |= self._of_details.values(raw.details)
            found["devices"] = self._devices(raw.details)
        return Sample(t_mono_ns=raw.t_mono_ns, usage_percpu_ns=_each_cpu(percpu), **found)

    def _devices(self, details: Sequence[bytes | None]) -> tuple[DeviceIo, ...] | None:
        first, last = self._details.index(self.device_files.files[0]), len(self._details)
        texts = [text for text in details[first:last] if text is not None]
        return self.device_files.parse(texts) if len(texts) == last - first else None

    def usage(self, texts: Sequence[bytes | None]) -> tuple[int | None, tuple[int, ...] | None]:
        """CPU time in ns, and that of each CPU, from the texts of ``usage_files``."""
        usage = self.counters[0]
        values = usage.files[0].form(texts[0] or b"")
        value = values.get(usage.key)
        return (
            None if value is None else value * usage.scale,
            _each_cpu(texts[1]) if self.percpu_file else None,
        )

    def absent(
        self, first: Sample, unread: Collection[File], no_folder: Mapping[str, str]
    ) -> dict[str, str]:
        """The counters that a container's first sample, details included, does not have, and why.

        ``unread`` are the files that could not be read; ``no_folder`` tells of each controller that
        the container has no cgroup of why, or nothing where the version knows it.
        """
        out = {
            counter.field: self._why(counter, unread, no_folder)
            for counter in self.counters
            if getattr(first, counter.field) is None
        }
        if first.devices is None:
            first_file = self.device_files.files[0]
            out["devices"] = no_folder.get(first_file.controller) or first_file.missing
        if first.usage_percpu_ns is None:
            file = self.percpu_file
            gone = file is not None and (file.file in unread or file.controller in no_folder)
            why = file and (no_folder.get(file.controller) or file.missing)
            out["usage_percpu_ns"] = (gone and why) or self.no_percpu
        return out

    @staticmethod
    def _why(counter: Counter, unread: Collection[File], no_folder: Mapping[str, str]) -> str:
        for file in counter.files:
            if file.controller in no_folder:
                return no_folder[file.controller] or file.no_folder or file.missing
            if file.file in unread:
                return file.missing
        return counter.unsaid


class _Reads:
    """Some counters of a table, laid out for the files that are read together.

    Thousands of samples are parsed after a window: most counters are one key of one file, as it is.
    """

    def __init__(self, counters: Sequence[Counter], files: Sequence[CounterFile]) -> None:
        mine = [counter for counter in counters if counter.files[0] in files]
        at = {file: i for i, file in enumerate(files)}
        self._forms = tuple(file.form for file in files)
        self._plain = tuple(
            (one.field, one.key, at[one.files[0]])
            for one in mine
            if len(one.files) == one.scale == 1
        )
        self._other = tuple(
            (one.field, one.key, one.scale, tuple(at[file] for file in one.files))
            for one in mine
            if not len(one.files) == one.scale == 1
        )

    def values(self, texts: Sequence[bytes | None]) -> dict[str, Any]:
        """Each counter's value by its field, None where there is none; a text is parsed once."""
        held = [
            form(text) if text else _NOTHING for form, text in zip(self._forms, texts, strict=True)
        ]
        out: dict[str, Any] = {field: held[i].get(key) for field, key, i in self._plain}
        for field, key, scale, places in self._other:
            total = sum_of(*[held[i].get(key) for i in places])
            out[field] = None if total is None else total * scale
        return out


_NOTHING: Mapping[str, int] = {}


def _each_cpu(text: bytes | None) -> tuple[int, ...] | None:
    try:
        return tuple(int(field) for field in text.split()) if text else None
    except ValueError:
        return None


_NO_PSI = "this kernel keeps no pressure (PSI: CONFIG_PSI, boot option psi=1)"


def pressure_counters(no_folder: str = "") -> tuple[Counter, ...]:
    """Pressure, which both versions have from the v2 cgroup (Documentation/accounting/psi.rst)."""
    files = {
        what: CounterFile(
            "unified", f"{what}.pressure", pressure, missing=_NO_PSI, no_folder=no_folder
        )
        for what in ("cpu", "memory", "io")
    }
    return tuple(
        Counter(
            f"{what}_{share}_us",
            share,
            (file,),
            "full pressure of the CPU is told since kernel 5.13"
            if (what, share) == ("cpu", "full")
            else f"its {what}.pressure has no such line",
        )
        for what, file in files.items()
        for share in ("some", "full")
    )
