"""The block device that containers keep their data on, where a sweep limits its rates.

Somebody's own that is mounted, of which a file is used for as long as a container runs; else a loop
device on a file in the private engine's folder, with an ext4 of its own. That one is as quick as
the page cache behind it: a limit binds and not a disk, and what it does is seen alone.

The engine itself mounts it, in a volume of each container: it may have a mount namespace of its
own, where nothing arrives that is mounted here. A file's name says which bench made it, so the next
command finds file and loop device where that bench was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker.types

from harness import units
from harness.engine import daemon, leftovers
from harness.engine.boundary import Device
from harness.engine.install import find_tool
from harness.engine.trusted import make_private
from harness.errors import BenchError, MeasurementError, UsageError
from harness.interrupts import held_back
from harness.model import BlockDevice
from harness.mountinfo import parse

SIZE_BYTES = 512 << 20
_SPARE = 3
"""So many times its size must be free where the file is to lie: a sweep fills no disk."""
_TIMEOUT_S = 60.0
_TOOLS = {"losetup": "mount", "mkfs.ext4": "e2fsprogs"}
"""Each with Debian's package."""
_NAME_ONE = "Name a disk that is mounted: --device /dev/sdb."
_OURS = "limitbench-"
_IMAGE = ".img"


@contextlib.contextmanager
def lent(named: str | None, *, root: Path | None = None) -> Iterator[Device]:
    """The device for one run; nothing of ours is left on it afterwards.

    UsageError where what was named is no device that is mounted; MeasurementError where none can
    be made here.
    """
    if named:
        yield _named(named)
        return
    with _loop(root or folder()) as found:
        yield found


def refusal(named: str | None) -> BenchError | None:
    """Why no device can be had here, without making one; None where one can."""
    if not named:
        return _no_loop(folder())
    try:
        _named(named)
    except UsageError as why:
        return why
    return None


def device_mount(device: Device, target: str) -> docker.types.Mount:
    """What has an engine mount it in a container: a volume that goes with that."""
    options = {"type": device.facts.filesystem, "device": device.source}
    return docker.types.Mount(
        target, None, type="volume", no_copy=True,
        driver_config=docker.types.DriverConfig("local", options),
    )  # fmt: skip


def folder() -> Path:
    """Where files of loop devices lie."""
    return daemon.folder() / "devices"


def remove_left(*, unknown: bool = False, root: Path | None = None) -> int:
    """Remove the devices of benches that died; how many there were.

    With ``unknown`` those too of whose bench nothing is known. The containers that used them must
    be gone. MeasurementError where one cannot be removed.
    """
    at = root or folder()
    wanted = {"died", "unknown"} if unknown else {"died"}
    found = [one for one in _images(at) if leftovers.bench_of_tag(one.stem) in wanted]
    for image in found:
        _remove(image)
    _remove_empty(at)
    return len(found)


# --- a loop device ---------------------------------------------------------------------------


@contextlib.contextmanager
def _loop(at: Path) -> Iterator[Device]:
    if why := _no_loop(at):
        raise why
    image = at / f"{_OURS}{leftovers.brief_mark()}{_IMAGE}"
    try:
        with held_back():
            make_private(at)
            _allocate(image)
            _call("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
            # Who runs in a container is not always root, and root without its capabilities is
            # nobody special: so its root folder is as /tmp is.
            _call("debugfs", "-w", "-R", "set_inode_field <2> mode 041777", str(image))
            loop = _call("losetup", "--find", "--show", str(image))
        yield Device(facts_of(loop, "ext4", made=True), loop)
    finally:
        with held_back():
            _remove(image)
            _remove_empty(at)


def _no_loop(at: Path) -> MeasurementError | None:
    if os.geteuid() != 0:
        return MeasurementError(
            "only root can make a loop device.", "Run the command as root, on the engine's host."
        )
    for tool, package in _TOOLS.items():
        if find_tool(tool) is None:
            return MeasurementError(
                f"{tool} is not installed, so no loop device can be made.",
                f"Install {package}. {_NAME_ONE}",
            )
    near = next(one for one in (at, *at.parents) if one.exists())
    free = shutil.disk_usage(near).free
    if free < _SPARE * SIZE_BYTES:
        return MeasurementError(
            f"a loop device takes {units.size(SIZE_BYTES)} in {at}, and leaves "
            f"{units.size(2 * SIZE_BYTES)}: only {units.size(free)} are free.",
            f"Free some, or set BENCH_ENGINE_DIR. {_NAME_ONE}",
        )
    return None


def _allocate(image: Path) -> None:
    """All of it: where a disk fills up later, a write to a hole would fail in a container."""
    with image.open("xb") as file:
        image.chmod(0o600)
        try:
            os.posix_fallocate(file.fileno(), 0, SIZE_BYTES)
        except OSError as error:
            raise MeasurementError(
                f"{image} cannot be made: {error.strerror}.", "Set BENCH_ENGINE_DIR to elsewhere."
            ) from None


def _images(at: Path) -> list[Path]:
    """Files of loop devices; none where there are none, or they are not ours to see."""
    try:
        return sorted(at.glob(f"{_OURS}*{_IMAGE}"))
    except OSError:
        return []


def _remove(image: Path) -> None:
    """The loop device, and what it was made of; what is gone already is well.

    A loop device that a container still has mounted goes with that (LO_FLAGS_AUTOCLEAR).
    """
    for loop in _loops_on(image):
        _call("losetup", "--detach", loop)
    image.unlink(missing_ok=True)


def _loops_on(image: Path) -> list[str]:
    """Loop devices on a file, by what the kernel says of each."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # detached meanwhile
            if backing.read_text().strip() == str(image):
                found.append(f"/dev/{backing.parents[1].name}")
    return found


def _remove_empty(at: Path) -> None:
    with contextlib.suppress(OSError):  # others' are in it
        at.rmdir()


def _call(tool: str, *words: str) -> str:
    """A program's output; MeasurementError with what it complained of."""
    program = find_tool(tool) or tool
    try:
        done = subprocess.run(
            [program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise MeasurementError(f"{tool} does not work: {error}.", _NAME_ONE) from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise MeasurementError(
            f"no loop device can be had here: {said.rstrip('.')}.",
            "Run bench on the engine's host, or name a disk that is mounted: --device /dev/sdb.",
        )
    return done.stdout.strip()


# --- somebody's own --------------------------------------------------------------------------


def _named(path: str) -> Device:
    """A device that is mounted: its file system is there, and it is never formatted."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise UsageError(f"--device {path}: {error.strerror}.", "Name one of `lsblk`.") from None
    if not stat.S_ISBLK(found.st_mode):
        raise UsageError(f"--device {path} is no block device.", "Name one of `lsblk`.")
    for one in parse(Path("/proc/self/mountinfo").read_bytes()):
        # btrfs has numbers of its own, and names its device all the same.
        if _number(found.st_rdev) == one.device or _same(one.source, path):
            return Device(facts_of(path, one.kind, made=False), path)
    raise UsageError(
        f"--device {path} is not mounted.",
        "Mount it: a file on it is used, and it is never formatted. Without --device a loop "
        "device is made.",
    )


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


# --- facts -----------------------------------------------------------------------------------


def facts_of(path: str, filesystem: str, *, made: bool, sysfs: Path = Path("/sys")) -> BlockDevice:
    """What the kernel says of a device, or of the whole disk that a partition is of."""
    number = _number(Path(path).stat().st_rdev)
    at = (sysfs / "dev/block" / number).resolve()
    if (at / "partition").exists():
        at = at.parent
        number = _text(at / "dev")
        path = f"/dev/{at.name}"
    schedulers = _text(at / "queue/scheduler")
    active = schedulers.partition("[")[2].partition("]")[0]
    rotational = _text(at / "queue/rotational")
    return BlockDevice(
        path=path,
        number=number,
        filesystem=filesystem,
        scheduler=active or schedulers or None,
        rotational=rotational == "1" if rotational else None,
        io_cost=_io_cost(number, sysfs),
        made=made,
    )


def _io_cost(number: str, sysfs: Path) -> bool | None:
    """Whether io.cost weighs this device (io.cost.qos of the v2 root); None without the file."""
    try:
        lines = (sysfs / "fs/cgroup/io.cost.qos").read_text().splitlines()
    except OSError:
        return None
    return any(one.split()[0] == number and "enable=1" in one.split() for one in lines if one)


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
