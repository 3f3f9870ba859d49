"""What a new user waits for: from a fresh clone on a bare Debian to its first row, and its table.

Needs root, Debian's archive and a package index. The bare Debian is a folder, made once; a start
has it below an overlay, in a mount namespace of its own, so that nothing of a start is left.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.figures import ROOT, Figure

STARTS = 3
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("python3", "python3-venv", "git", "ca-certificates", "gcc", "libc6-dev")
"""What `.ci/run` has before it calls `make`: with its dependencies all but an engine."""
ROW_S, TABLE_S = 30.0, 125.0
_PATIENCE_S = 900.0

# The host's cgroups, and nothing else of it; dockerd's layers are no overlay's business.
_INSIDE = """\
set -eu
cd "$1"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" root
mount --bind "$1/engine" root/var/lib/limitbench
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount --rbind /sys root/sys
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
cd root
pivot_root . mnt
umount -l /mnt
cd /root/limitbench
trap './bench engine stop >/dev/null 2>&1' EXIT
trap 'exit 143' TERM
./bench sweep cpu 2>&1
"""
_STEPS = {
    "set-up": r"^bench: done$",
    "engine": r"^Starting a private Docker engine",
    "row": r"^cpus=\S+: CPUs achieved",
    "table": r"^--cpus ",
}
"""What is told → how its line begins. Seconds are from the command to that line."""


def measure() -> list[Figure]:
    """Medians of three starts."""
    bare = _bare()
    starts = [_start(bare) for _ in range(STARTS)]
    medians = {
        step: statistics.median(start[step] for start in starts) for step in (*_STEPS, "end")
    }
    said = ", ".join(f"{step} {seconds:.1f}" for step, seconds in medians.items())
    detail = f"medians of {STARTS} starts, s after the command: {said}"
    why = (
        f"{said} s after the command; the windows and warm-ups alone are 87.5 s, and packages come "
        "from wherever this host has them from."
    )
    return [
        Figure("`./bench sweep cpu` in a fresh clone, to its first row", "the goal",
               medians["row"], ROW_S, "s", detail, explanation=why),
        Figure("`./bench sweep cpu` in a fresh clone, to its table", "the goal",
               medians["table"], TABLE_S, "s", detail, explanation=why),
    ]  # fmt: skip


def _bare() -> Path:
    """The folder of the bare Debian."""
    folder = ROOT / ".cache" / f"bare-{SUITE}"
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as made:
            subprocess.run(
                ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
                 f"--include={','.join(PACKAGES)}", SUITE, f"{made}/root", MIRROR], check=True,
            )  # fmt: skip
            Path(made, "root").rename(folder)
    return folder


def _start(bare: Path) -> dict[str, float]:
    """When each step was told, in seconds from the command; ``end`` is that of the command."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache", prefix="start-") as made:
        where = Path(made)
        for name in ("upper/root", "upper/etc/ssl/certs", "upper/var/lib/limitbench", "work",
                     "root", "engine"):  # fmt: skip
            (where / name).mkdir(parents=True)
        # How this host reaches the network.
        for name in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
            shutil.copy(Path("/") / name, where / "upper" / name)
        clone = where / "upper" / "root" / "limitbench"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
            "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
            # Not that of an engine of this host, whose process is seen from there.
            "BENCH_ENGINE_DIR": "/var/lib/limitbench/bare",
        }  # fmt: skip
        return _timed(["unshare", "--mount", "sh", "-c", _INSIDE, "sh", made, str(bare)],
                      environment)  # fmt: skip


def _timed(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    before = time.monotonic()
    found: dict[str, float] = {}
    lines: list[str] = []
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        given_up = threading.Timer(_PATIENCE_S, os.killpg, (process.pid, signal.SIGTERM))
        given_up.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            for step, begins in _STEPS.items():
                if step not in found and re.search(begins, line):
                    found[step] = time.monotonic() - before
        given_up.cancel()
    found["end"] = time.monotonic() - before
    if process.returncode != 0 or len(found) <= len(_STEPS):
        raise RuntimeError(f"a start came to {sorted(found)} of its steps:\n{''.join(lines)}")
    return found
