"""One boot of an image: the checkout goes in, a command runs, what it wrote comes out.

There is no network. A tar archive on a disk is how files get in, and out again; the second serial
port is what the command says. KVM where it works, else software emulation: the first costs nothing,
the second is about ten times slower and works everywhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engine.image import hand_binary, probe_binary
from tests.vm.image import ROOT, Image, VmError

CPUS = 2
MEMORY_MIB = 4096
RESULTS_BYTES = 1 << 30
BOOT_S = 180
"""Beyond the command's own time: to boot, hand back and power off. Emulated 35 s are usual."""
_KVM_PROBE_S = 15

# mitigations=off, no_timer_check, nowatchdog: an emulated CPU has no time for them. tsc: the
# emulated one is steady, and the kernel would find it slow and take a worse clock. apparmor=0:
# Debian's engine would load a profile by a program that minbase does not have.
_KERNEL = (
    "root=/dev/disk/by-id/virtio-root rw console=ttyS0 panic=-1 mitigations=off apparmor=0 "
    "tsc=reliable clocksource=tsc no_timer_check nokaslr audit=0 nowatchdog quiet "
    "systemd.unit=graphical.target"
)


@dataclass(frozen=True, slots=True)
class Job:
    """What a machine is booted for. ``given`` is a folder that it finds in its checkout."""

    command: Sequence[str] | str
    """The words of a command, or the text of a shell script; it runs in the checkout."""
    seconds: int
    """How long it may take, the boot and the end not counted."""
    given: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended in the machine. ``results`` is what it left in ``/root/results``."""

    code: int
    results: Path
    emulated: bool


def run(
    image: Image, job: Job, results: Path, hear: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Boot, do the job, hand back, power off: within its time and ``BOOT_S``.

    The machine is gone when this returns or raises, and the folder ``results`` holds what came
    back. ``hear`` gets each line that the command says. VmError where no exit code came back.
    """
    results.mkdir(parents=True, exist_ok=True)
    accelerator = _accelerator(image)
    emulated = accelerator[1].startswith("tcg")
    told = {
        "LIMITBENCH_VM_SECONDS": str(job.seconds),
        "LIMITBENCH_TEST_EMULATED": "1" if emulated else "",
    }
    boot_log = results / "boot.log"
    with tempfile.TemporaryDirectory(prefix="limitbench-vm-", dir="/var/tmp") as temporary:
        checkout, out = Path(temporary) / "checkout", Path(temporary) / "results"
        _pack(checkout, job, told)
        with out.open("wb") as file:
            file.truncate(RESULTS_BYTES)
        qemu = [
            *_qemu(accelerator, boot_log),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", _KERNEL),
            *_drive("root", image.disk, snapshot=True),
            *_drive("swap", image.swap, snapshot=True),
            *_drive("checkout", checkout, snapshot=True),
            *_drive("results", out, snapshot=False),
        ]
        _boot(qemu, job.seconds + BOOT_S, hear)
        _unpack(out, results)
    try:
        code = int((results / "exit-code").read_text())
    except (OSError, ValueError):
        raise VmError(f"the machine told no exit code; its console is in {boot_log}.") from None
    return Outcome(code, results, emulated)


# --- what goes in and comes out ------------------------------------------------------------------


def _pack(archive: Path, job: Job, environment: Mapping[str, str]) -> None:
    """The checkout as it is now, what git ignores left out; the probe, compiled; the command."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    script = job.command
    if not isinstance(script, str):
        script = f"exec {shlex.join(script)}"
    exports = "".join(f"export {name}={shlex.quote(v)}\n" for name, v in environment.items())
    with tarfile.open(archive, "w") as tar:
        for name in sorted(filter(None, listed.split("\0"))):
            if os.path.lexists(ROOT / name):  # else it was deleted, and git does not know yet
                tar.add(ROOT / name, name, recursive=False)
        # Where a wheel carries it: the machine needs no compiler.
        for one in (probe_binary("x86_64"), hand_binary("x86_64")):
            tar.add(one.path, f"workloads/{one.program}/bin/{one.program}-x86_64")
        if job.given is not None:
            tar.add(job.given, job.given.name)
        for name, text in ((".vm/command", script), (".vm/environment", exports)):
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    # A disk is whole sectors.
    with archive.open("ab") as file:
        file.truncate(-(-archive.stat().st_size // 65536) * 65536)


def _unpack(disk: Path, results: Path) -> None:
    with contextlib.suppress(tarfile.ReadError), tarfile.open(disk, "r:") as tar:
        tar.extractall(results, filter="data")


# --- qemu ----------------------------------------------------------------------------------------


def _drive(name: str, path: Path, *, snapshot: bool) -> list[str]:
    # What is written to a snapshot goes to a file without a name, and with qemu.
    keeping = "snapshot=on" if snapshot else "cache=unsafe"
    return [
        "-drive", f"file={path},format=raw,if=none,id={name},{keeping}",
        "-device", f"virtio-blk-pci,drive={name},serial={name}",
    ]  # fmt: skip


def _qemu(accelerator: Sequence[str], boot_log: Path | str) -> list[str]:
    return [
        "qemu-system-x86_64", "-machine", "q35", *accelerator, "-smp", str(CPUS),
        "-m", str(MEMORY_MIB), "-nodefaults", "-nic", "none", "-display", "none", "-no-reboot",
        "-serial", f"file:{boot_log}", "-serial", "stdio",
    ]  # fmt: skip


def _accelerator(image: Image) -> list[str]:
    """KVM where a kernel boots under it, else emulation.

    That is tried, with a bound: there are hosts where /dev/kvm opens, and a machine hangs.
    """
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        kvm = ["-accel", "kvm", "-cpu", "host"]
        probe = [*_qemu(kvm, "/dev/stdout"), "-kernel", str(image.kernel), "-append",
                 "console=ttyS0 panic=-1 root=/dev/none"]  # fmt: skip
        heard: list[str] = []
        with contextlib.suppress(VmError):
            _boot(probe, _KVM_PROBE_S, heard.append)
        if any("Kernel panic" in line for line in heard):
            return kvm
    # Nehalem: the least that the wheels of numpy and pyarrow run on.
    return ["-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "Nehalem"]


def _boot(qemu: Sequence[str], seconds: float, hear: Callable[[str], None]) -> None:
    """Run qemu until the machine powers off; VmError where it does not in time. Never outlived."""
    with _signals_raise(), tempfile.TemporaryFile("w+") as trouble:
        process = subprocess.Popen(
            qemu, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=trouble, text=True,
            errors="replace", env={**os.environ, "TMPDIR": "/var/tmp"},
        )  # fmt: skip
        assert process.stdout is not None
        lines = process.stdout

        def listen() -> None:
            for line in lines:
                hear(line.rstrip())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise VmError(f"the machine did not power off within {seconds:g} s.") from None
        finally:
            _end(process)
            listener.join(10)
            lines.close()
        if code != 0:
            trouble.seek(0)
            said = trouble.read().strip().splitlines() or [f"exit code {code}"]
            raise VmError(f"qemu failed: {said[-1]}")


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP end us by way of every ``finally``, as Ctrl-C does."""

    def leave(signum: int, _frame: object) -> None:
        sys.exit(128 + signum)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
