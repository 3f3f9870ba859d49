"""What a process may have for itself: ``--ulimit``, which the kernel calls its resource limits.

The soft one is in force; the process may raise it up to the hard one. Docker takes both in the
kernel's own units, bytes and seconds, where a shell's ``ulimit`` counts in KiB; one number alone
sets both (setrlimit(2), proc(5); go-units, ``ParseUlimit``).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import PlanError
from harness.limits.forms import UNLIMITED, Form
from harness.limits.row import Limit, held, limit, of_own, plain

_PAIR = re.compile(r"(-1|\d{1,20})(?::(-1|\d{1,20}))?")
_MOST = (1 << 63) - 1


def soft_and_hard(text: str) -> tuple[int, int]:
    """Both limits of a text such as ``1024`` or ``1024:4096``; UNLIMITED for -1.

    Raises PlanError where the text is no such limit, or the soft one is above the hard one.
    """
    match = _PAIR.fullmatch(text.strip())
    if not match:
        raise PlanError(f"'{text:.100}' is no ulimit.", "Write 1024, 1024:4096 (soft:hard), or -1.")
    soft = int(match[1])
    hard = soft if match[2] is None else int(match[2])
    if max(soft, hard) > _MOST:
        raise PlanError(f"the ulimit {text} is out of range.", f"The engine takes up to {_MOST}.")
    if hard != UNLIMITED and (soft > hard or soft == UNLIMITED):
        raise PlanError(f"the soft ulimit of {text} is above the hard one.", "Write soft:hard.")
    return soft, hard


def _text(soft: int, hard: int) -> str:
    return f"{soft}" if soft == hard else f"{soft}:{hard}"


ULIMIT = Form(
    "soft, or soft:hard", str, metavar="SOFT[:HARD]",
    read=lambda text: _text(*soft_and_hard(text)),
)  # fmt: skip


def _told(name: str, value: str) -> list[dict[str, Any]]:
    """An entry of the engine's list, to which each ``--ulimit`` adds its own."""
    soft, hard = soft_and_hard(value)
    return [{"Name": name, "Soft": soft, "Hard": hard}]


def _read(name: str, told: Sequence[dict[str, Any]] | None) -> str | None:
    names = (name, f"RLIMIT_{name.upper()}")  # as Docker and as Podman call it
    mine = (one for one in told or () if one.get("Name") in names)
    return next((_text(int(one["Soft"]), int(one["Hard"])) for one in mine), None)


def _held(line: str) -> Any:
    """A line of /proc/PID/limits: ``Max open files   1024   4096   files``."""
    pattern = re.compile(rb"^" + line.encode() + rb"\s+(\w+)\s+(\w+)", re.MULTILINE)

    def parse(raw: bytes | None) -> str | None:
        found = pattern.search(raw or b"")
        if found is None:
            return None
        both = [UNLIMITED if one == b"unlimited" else int(one) for one in found.groups()]
        return _text(*both)

    reading = of_own("process", "limits", parse=parse)
    return held(reading, reading)


def _ulimit(name: str, what: str, rule: str, source: str, made: str = "") -> Any:
    return limit(Limit(
        option=f"--ulimit {name}", form=ULIMIT, help=what,
        create="ulimits", inspect="Ulimits", update=None,
        to_engine=functools.partial(_told, name), from_engine=functools.partial(_read, name),
        kernel=f"ulimit_{name}", compare=plain, rule=rule, source=source,
        made=made or "Set on the first process, from which others inherit it.",
    ))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ulimits:
    """What can be asked for; each a text, ``soft`` or ``soft:hard``."""

    ulimit_nofile: str | None = _ulimit(
        "nofile", "most open files of a process",
        "One more than the highest descriptor that a process may have; the next fails with EMFILE.",
        "getrlimit(2), RLIMIT_NOFILE; fs/file.c",
    )  # fmt: skip
    ulimit_nproc: str | None = _ulimit(
        "nproc", "most processes and threads of the container's user",
        "Counted over all tasks of the user, in every container and on the host; the next clone "
        "fails with EAGAIN. Root and who has CAP_SYS_RESOURCE or CAP_SYS_ADMIN are exempt.",
        "getrlimit(2), RLIMIT_NPROC; kernel/fork.c, copy_process",
        "Set on the first process. Where it is set, a container of a sweep runs as a user of its "
        "own, 65533, that nothing else on a host has.",
    )  # fmt: skip
    ulimit_fsize: str | None = _ulimit(
        "fsize", "most bytes of a file",
        "A write beyond it ends the process by SIGXFSZ; where that is ignored, it fails with "
        "EFBIG.",
        "getrlimit(2), RLIMIT_FSIZE; mm/filemap.c, generic_write_check_limits",
    )  # fmt: skip
    ulimit_stack: str | None = _ulimit(
        "stack", "most bytes of the first thread's stack",
        "A stack that grows beyond it ends the process by SIGSEGV; the program's arguments lie in "
        "it.",
        "getrlimit(2), RLIMIT_STACK; mm/mmap.c, acct_stack_growth",
    )  # fmt: skip
    ulimit_memlock: str | None = _ulimit(
        "memlock", "most bytes of locked memory",
        "Counted in whole pages; mlock fails with ENOMEM, at a limit of 0 with EPERM. Who has "
        "CAP_IPC_LOCK is exempt, which root in a container has not by default.",
        "getrlimit(2), RLIMIT_MEMLOCK; mm/mlock.c, do_mlock",
    )  # fmt: skip
    ulimit_cpu: str | None = _ulimit(
        "cpu", "most seconds of CPU time of a process",
        "At the soft limit SIGXCPU, then each second again; at the hard one SIGKILL, which comes "
        "first where both are the same.",
        "getrlimit(2), RLIMIT_CPU; kernel/time/posix-cpu-timers.c, check_process_timers",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class UlimitsHeld:
    """What the kernel holds for the first process."""

    ulimit_nofile: str | None = _held("Max open files")
    ulimit_nproc: str | None = _held("Max processes")
    ulimit_fsize: str | None = _held("Max file size")
    ulimit_stack: str | None = _held("Max stack size")
    ulimit_memlock: str | None = _held("Max locked memory")
    ulimit_cpu: str | None = _held("Max cpu time")
