"""An image of a Debian suite that can run the tests: kernel, engine, Python, all dependencies.

Made by mmdebstrap from Debian's packages and by pip from ``requirements-dev.lock``, once, into a
cache. The checkout itself is no part of it: ``machine`` hands that in at every boot.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[2]
SUITES = ("bookworm", "forky")
"""Those that were built and booted; Debian's other names may do as well."""

MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    "systemd-sysv", "udev", "dbus", "docker.io", "iptables", "podman", "crun", "python3",
    "docker-registry", "stress-ng", "fio", "procps", "busybox-static", "linux-image-cloud-amd64",
)  # fmt: skip
OF_SUITE = {"forky": ("docker-cli",)}
"""What bookworm has in its package of the engine."""
TOOLS = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "qemu-system-x86_64": "qemu-system-x86"}
"""What must be on the host, and Debian's packages of it."""

DISK_BYTES = 6 << 30
"""Of the root file system: sparse, so that only what is in it takes room."""
SWAP_BYTES = 1 << 30
ENVIRONMENT = "/opt/limitbench"
"""Where the virtual environment with all dependencies is in the machine."""
CHECKOUT = "/root/limitbench"

_PATIENCE_S = 1200


class VmError(Exception):
    """What is wrong, and what to do about it, in one line."""


@dataclass(frozen=True, slots=True)
class Image:
    """What is booted: files that no machine ever writes to."""

    suite: str
    kernel: Path
    initrd: Path
    disk: Path
    swap: Path


def have_image(suite: str, cache: Path, say: Callable[[str], None]) -> Image:
    """The image of a suite, built now where the cache has none of this very recipe.

    VmError where it cannot be built.
    """
    have_tools(say)
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{suite}-{_recipe(suite)}"
    with _lock(cache):
        if not folder.is_dir():
            for old in cache.glob(f"{suite}-*"):
                shutil.rmtree(old)
            say(f"Building the image of {suite} in {folder}: this takes minutes, and is done once.")
            with tempfile.TemporaryDirectory(dir=cache, prefix=".making-") as made:
                _build(suite, Path(made), say)
                Path(made).rename(folder)
                Path(made).mkdir()  # for TemporaryDirectory to remove
    return Image(suite, *(folder / name for name in ("vmlinuz", "initrd", "disk", "swap")))


def have_tools(say: Callable[[str], None]) -> None:
    """Have what an image and a machine take installed; VmError where that cannot be."""
    # mke2fs is in sbin, where no user looks.
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise VmError(f"not installed: {', '.join(missing)}. As root: apt-get install them.")
    say(f"Installing {', '.join(missing)} with apt-get.")
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        _run(["apt-get", "-qq", *arguments], DEBIAN_FRONTEND="noninteractive")


def _recipe(suite: str) -> str:
    """What the image depends on: this file and the locked dependencies."""
    digest = hashlib.sha256(suite.encode())
    for file in (Path(__file__), ROOT / "requirements-dev.lock"):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _build(suite: str, folder: Path, say: Callable[[str], None]) -> None:
    if os.geteuid() != 0:
        raise VmError("an image is built by root alone: its files belong to root.")
    root = folder / "root"
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]
    # A mirror may lag behind a suite that moves daily. Its signature is checked all the same.
    late = "--aptopt=Acquire::Check-Valid-Until false"
    packages = ",".join((*PACKAGES, *OF_SUITE.get(suite, ())))
    _run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", late,
          f"--include={packages}", *left_out, suite, str(root), MIRROR])  # fmt: skip
    _add_dependencies(root, folder)
    _configure(root)
    say(f"Writing the disk: {_versions(root)}.")
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        (found,) = (root / "boot").glob(pattern)
        shutil.move(found, folder / name)
    for name, size in (("disk", DISK_BYTES), ("swap", SWAP_BYTES)):
        with (folder / name).open("wb") as file:
            file.truncate(size)
    _run(["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(root), str(folder / "disk")])
    _run(["mkswap", str(folder / "swap")])
    shutil.rmtree(root)


def _versions(root: Path) -> str:
    status = (root / "var/lib/dpkg/status").read_text()
    wanted = ("docker.io", "runc", "podman", "crun", "python3", "linux-image-cloud-amd64")
    found = [
        f"{name} {version[1]}"
        for name in wanted
        if (version := re.search(rf"^Package: {re.escape(name)}\n(?:.+\n)*?Version: (\S+)", status,
                                 re.MULTILINE))
    ]  # fmt: skip
    return ", ".join(found)


def wanted_by(lock: str, python: str) -> str:
    """Of a lock file what another Python of Linux wants; pip goes by the one that it runs in."""
    target = {"python_version": python, "python_full_version": f"{python}.0"}
    kept = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock):
        name, _, rest = block.partition(" \\\n")
        named, _, marker = name.partition(" ; ")
        if not marker or Marker(marker).evaluate(target):
            kept.append(f"{named} \\\n{rest}" if rest else block)
    return "\n".join(kept)


def _add_dependencies(root: Path, folder: Path) -> None:
    """A virtual environment at ``ENVIRONMENT``, filled and compiled here: the machine is slow."""
    inside = ["chroot", str(root), "python3"]
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    python = _run([*inside, "-c", asked]).strip()
    environment = root / ENVIRONMENT.lstrip("/")
    site = environment / "lib" / f"python{python}" / "site-packages"
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)]
    abis = [f"--abi={name}" for name in (f"cp{python.replace('.', '')}", "abi3", "none")]
    requirements = folder / "requirements"
    requirements.write_text(wanted_by((ROOT / "requirements-dev.lock").read_text(), python))
    _run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--root-user-action=ignore", "--no-compile", "--require-hashes", "--only-binary=:all:",
         "--ignore-requires-python",  # pip means the one that it runs in; the lock knows the other
         f"--python-version={python}", "--implementation=cp", *abis, *platforms,
         "--target", str(site), "--requirement", str(requirements)],
        TMPDIR=str(folder),  # pip moves from there to the target
    )  # fmt: skip
    (site / "limitbench.pth").write_text(f"{CHECKOUT}\n")
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (environment / "bin").mkdir()
    for name in ("python", "python3"):
        (environment / "bin" / name).symlink_to("/usr/bin/python3")
    bench = environment / "bin" / "bench"
    bench.write_text(f"#!{ENVIRONMENT}/bin/python\nfrom harness.__main__ import main\n\nmain()\n")
    bench.chmod(0o755)
    # Some packages carry files for other Pythons, which are no fault here.
    subprocess.run(
        [*inside, "-m", "compileall", "-q", "-j0", ENVIRONMENT, "/usr/lib/python3"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_PATIENCE_S, check=False,
    )  # fmt: skip


GUEST = """\
#!/bin/sh
# What the machine does: take the checkout, do what it was booted for, hand back, power off.
exec </dev/null >/dev/ttyS1 2>&1
disk=/dev/disk/by-id/virtio-
mkdir -p {checkout} /root/results
tar -xf "$disk"checkout -C {checkout} && cd {checkout} || exit 1
export PATH={environment}/bin:$PATH HOME=/root LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1
export BENCH_REQUIRE_ENGINE=1 BENCH_INSTALL_ENGINE=never
. ./.vm/environment
timeout --kill-after=10 "$LIMITBENCH_VM_SECONDS" sh .vm/command
echo $? >/root/results/exit-code
journalctl --no-pager --unit=docker.service >/root/results/docker.log 2>&1
tar -cf "$disk"results -C /root/results .
sync
"""

_UNIT = """\
[Unit]
Description=What this machine was booted for
# In a cgroup of its own: dockerd in the root cgroup would report no swap limit.
After=docker.service multi-user.target
Wants=docker.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/limitbench-guest
ExecStopPost=/bin/systemctl --no-block poweroff
OOMScoreAdjust=-900
"""

_DAEMON = {
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "ip-forward": False,
    # Docker 29's default store would know our image by another id than every older engine.
    "features": {"containerd-snapshotter": False},
}

# What would wake up in the middle of a measurement.
_MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "fstrim.timer", "man-db.timer", "systemd-tmpfiles-clean.timer", "getty@tty1.service",
    "serial-getty@ttyS0.service", "systemd-networkd-wait-online.service",
    "podman.socket", "podman.service", "podman-restart.service", "podman-auto-update.timer",
    "podman-clean-transient.service", "docker-registry.service",
)  # fmt: skip


def _configure(root: Path) -> None:
    guest = GUEST.format(checkout=CHECKOUT, environment=ENVIRONMENT)
    files = {
        "etc/hostname": "limitbench-vm\n",
        "etc/hosts": "127.0.0.1 localhost limitbench-vm\n",
        "etc/fstab": "/dev/disk/by-id/virtio-root / ext4 noatime 0 1\n"
        "/dev/disk/by-id/virtio-swap none swap sw 0 0\n",
        "etc/docker/daemon.json": json.dumps(_DAEMON, indent=2) + "\n",
        "usr/local/sbin/limitbench-guest": guest,
        "etc/systemd/system/limitbench.service": _UNIT,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "usr/local/sbin/limitbench-guest").chmod(0o755)
    units = root / "etc/systemd/system"
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    # Not wanted by multi-user.target itself, after which it comes.
    wants = units / "graphical.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "limitbench.service").symlink_to("/etc/systemd/system/limitbench.service")


def _run(command: Sequence[str], **environment: str) -> str:
    """A command's standard output; VmError with its last words where it fails."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C", **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise VmError(f"{command[0]} took more than {_PATIENCE_S} s.") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-5:]
        raise VmError(f"{' '.join(command[:4])} … failed: {' / '.join(said)}")
    return done.stdout
