"""The sampler of this host: a process of the probe, which reads the files that stay open here.

No interpreter runs in the window: a thread of Python is woken in several times what a read takes
(docs/decisions/005). The process has its descriptors from us and reads nothing else but the host's
counters; where permitted it runs at the lowest real-time priority, as a container that takes every
CPU would otherwise delay its reads by up to a scheduler slice. Where the containers are pinned and
leave it a CPU, it keeps to that one. It ends with us, whatever ends us: its input does.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harness.cgroup import CgroupVersion
from harness.engine.image import probe_binary
from harness.errors import EngineError, MeasurementError
from harness.host.counters import host_files
from harness.measure.clock import SystemClock
from harness.measure.sampled import Asked, Ending, SamplerError, Talk, Window, options

_ROOM_MIB = 1 << 12
"""Its samples may take so much memory, of which it takes what they need: 270 MB an hour of one
container."""
_DEADLINE_S = 10_000_000
"""The most that the probe takes: its input ends it, which is ours."""
_LATE_NS = 5_000_000
"""Who was not woken from being told to begin until the beginning was kept from it; a start that is
a moment away when it is told is none to keep."""
_CHUNK_BYTES = 1 << 20
_ENDS_S = 1.0


class Reader(Protocol):
    """One container's counters; ``cgroup.CounterReader`` is the real one."""

    absent: dict[str, str]
    """Counters that there are none of, each with why."""

    @property
    def version(self) -> CgroupVersion:
        """Whose files they are."""
        ...

    @property
    def descriptors(self) -> Sequence[Sequence[int | None]]:
        """Of every tick, of the details, of the window's edges; None for what is not there."""
        ...

    def close(self) -> None:
        """Give its descriptors back."""
        ...


class Sampling(Protocol):
    """Who samples a window; ``Sampler`` is the real one."""

    def window(self, start_ns: int, duration_ns: int, ending: Ending | None = None) -> Window:
        """See ``Sampler.window``."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class StartSampling(Protocol):
    """Begins a ``Sampling`` of some readers; ``Sampler`` is the real one."""

    def __call__(
        self, readers: Sequence[Reader], cadence_hz: float, measured: frozenset[int] | None = None
    ) -> Sampling:
        """See ``Sampler``."""
        ...


class Sampler:
    """A process for one window of some containers.

    ``measured`` are the CPUs that they are pinned to, which it leaves to them where it can; None
    where they may run on any. MeasurementError where it cannot be started.
    """

    def __init__(
        self, readers: Sequence[Reader], cadence_hz: float, measured: frozenset[int] | None = None
    ) -> None:
        host, paths = host_files()
        try:
            program = _program()
        except EngineError as error:
            raise MeasurementError(
                f"the sampler cannot be had for this host: {error.message.rstrip('.')}.",
                "Install a C compiler with a static C library (Debian: apt-get install gcc "
                "libc6-dev), or limitbench from a wheel, which carries the program.",
            ) from None
        command = [str(program), "sample", *options(cadence_hz, len(readers), paths, measured)]
        command += ["--deadline", str(_DEADLINE_S), "--room-mib", str(_ROOM_MIB)]
        command += [word for one in readers for word in ("--files", _listed(one.descriptors))]
        kept = [fd for one in readers for fds in one.descriptors for fd in fds if fd is not None]
        try:
            self._process = _Process(command, kept)
        except PermissionError as error:
            raise SamplerFailedError(
                f"the sampler cannot be started: {error}.",
                "Set XDG_CACHE_HOME to a folder of a file system that is not mounted noexec.",
            ) from None
        except OSError as error:
            raise SamplerFailedError(
                f"the sampler cannot be started: {error}.",
                "See `ulimit -n` and `ulimit -u`: so many files and processes it may have.",
            ) from None
        try:
            asked = Asked([one.version for one in readers], host)
            self._talk = Talk(self._process, asked, SystemClock())
        except SamplerError as error:
            self.close()
            raise _idle(error) from None
        except BaseException:
            self.close()
            raise

    def window(self, start_ns: int, duration_ns: int, ending: Ending | None = None) -> Window:
        """From the moment of CLOCK_MONOTONIC on, or from now where that is past.

        A tick that comes later than one whole interval is missed: it is counted and skipped, never
        made up for, so that deadlines do not drift. The last read is made once the duration is
        over, whatever the cadence, or where ``ending`` is seen. SamplerFailedError where the
        process does not see it through, or began later than it was told to.
        """
        in_time = time.monotonic_ns() < start_ns
        try:
            told = self._talk.window(f"from {start_ns}", start_ns, duration_ns, ending)
            late_ns = told.start_ns - start_ns
            if in_time and late_ns > _LATE_NS:  # a load may have begun before it
                raise SamplerError(f"it began {late_ns / 1e6:.0f} ms late: others had the CPUs")
        except SamplerError as error:
            raise _idle(error) from None
        window = told.window
        last_ns = self._process.heard_cpu_ns + window.cost.cpu_ns  # its process is one of ours
        return replace(
            window,
            host_first=replace(window.host_first, harness_cpu_ns=told.used_ns),
            host_last=replace(window.host_last, harness_cpu_ns=last_ns),
        )

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.close()


class SamplerFailedError(MeasurementError):
    """It was there, and did not do its work."""


def _idle(error: SamplerError) -> SamplerFailedError:
    return SamplerFailedError(f"the sampler does not do its work: {error}.", "Try again.")


@functools.cache
def _program() -> Path:
    """Found or compiled once: that takes longer than to start it."""
    return probe_binary(platform.machine(), fetch=False).path


def _listed(descriptors: Sequence[Sequence[int | None]]) -> str:
    """As the probe takes them: ``3,-,5:7,8:9``."""
    return ":".join(",".join("-" if fd is None else str(fd) for fd in fds) for fds in descriptors)


class _Process:
    """A conversation by lines with a process of our own, which is no part of a terminal's job."""

    def __init__(self, command: Sequence[str], descriptors: Sequence[int]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=descriptors, process_group=0, bufsize=0,
        )  # fmt: skip
        assert self._process.stdout is not None
        # Not select(), which takes no descriptor beyond 1023.
        self._poll = select.poll()
        self._poll.register(self._process.stdout, select.POLLIN)
        self._heard: list[bytes] = []
        self.heard_cpu_ns = 0
        """What this process had used when the line that was read last began to come."""

    def read_line(self, timeout_s: float) -> str:
        """TimeoutError where none came in time; EOFError where it ended first."""
        assert self._process.stdout is not None
        until = time.monotonic() + timeout_s
        while not (self._heard and self._heard[-1].endswith(b"\n")):
            left_s = until - time.monotonic()
            if left_s <= 0 or not self._poll.poll(math.ceil(left_s * 1000)):
                raise TimeoutError(f"it told nothing for {timeout_s:g} s")
            if not self._heard:
                self.heard_cpu_ns = time.process_time_ns()
            chunk = os.read(self._process.stdout.fileno(), _CHUNK_BYTES)
            if not chunk:
                raise EOFError(f"it ended{' within what it told' if self._heard else ''}")
            self._heard.append(chunk)
        line, self._heard = b"".join(self._heard), []
        return line.decode(errors="replace")

    def write_line(self, text: str) -> None:
        """EOFError where it is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{text}\n".encode())
        except OSError as error:
            raise EOFError("it ended") from error

    def stderr(self) -> str:
        """What it wrote there, or what ended it; nothing while it runs."""
        assert self._process.stderr is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            if (code := self._process.wait(_ENDS_S)) < 0:
                return f"a signal ended it ({signal.strsignal(-code) or -code})"
            return self._process.stderr.read().decode(errors="replace").strip()
        return ""

    def close(self) -> None:
        """Leave neither the process nor a pipe."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
