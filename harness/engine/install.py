"""Getting a dockerd where there is none: Debian's ``docker.io``, or Ubuntu's, by apt-get.

Nothing but the packages changes: Debian's own service neither starts now nor at the next boot.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from harness import cgroup, privileges
from harness.errors import EngineError, UsageError

PACKAGE = "docker.io"
_UNITS = ("docker.service", "docker.socket", "containerd.service")
_UNIT_FOLDERS = ("etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system")
_POLICY = "usr/sbin/policy-rc.d"
_OURS = """\
#!/bin/sh
# limitbench put this here while it installs docker.io: no service is to be started by that.
exit 101
"""
_UPDATE_TIMEOUT_S = 600
_INSTALL_TIMEOUT_S = 1800
_OTHERS_TIMEOUT_S, _POLL_S = 300, 0.1


class Policy(StrEnum):
    """``BENCH_INSTALL_ENGINE``: what may be done where no dockerd is installed."""

    AUTO = "auto"
    """Asks where somebody can be asked, else says so and installs."""
    ASK = "ask"
    """Installs only where a person says yes."""
    NEVER = "never"


def find_tool(name: str) -> str | None:
    """A system program's path. ``sbin`` beside each ``bin`` of PATH counts as on PATH.

    It is not there for root where ``su`` was called without ``-``.
    """
    return shutil.which(name, path=_search_path())


def unfit() -> str:
    """Why no private dockerd can be run here, or empty where one can, once it is installed."""
    if sys.platform != "linux":
        return "containers need Linux"
    if os.geteuid() != 0:
        return "a private one takes root"
    if not privileges.has(privileges.SYS_ADMIN):
        return "this root may not mount (no CAP_SYS_ADMIN), as in a container without privileges"
    if fixed := cgroup.read_only_mount():
        return f"{fixed} is mounted read-only, as in a container: no limit can be set"
    if find_tool("unshare") is None:
        return "the command unshare (util-linux) is not on PATH"
    return ""


def obstacle() -> str:
    """Why there is no dockerd and none may be installed, or empty where one is or may be."""
    policy = _policy()
    if find_tool("dockerd") is not None:
        return ""
    if find_tool("apt-get") is None:
        return "dockerd is not installed, and there is no apt-get to install it"
    if policy is Policy.NEVER:
        return f"dockerd is not installed, and BENCH_INSTALL_ENGINE={policy}"
    return ""


def have_dockerd(
    say: Callable[[str], None],
    ask: Callable[[str], bool] | None,
    *,
    root: Path = Path("/"),
) -> str:
    """The path of dockerd, installed if need be and allowed; EngineError where it is not.

    ``root`` is where Debian is.
    """
    _policy()  # one that is not known is told, needed or not
    _wait_for_others(say, root)  # first: dpkg has dockerd in its place before what that runs
    found = find_tool("dockerd")
    if found is not None:
        return found
    require_consent(ask)
    _install(say, root)
    found = find_tool("dockerd")
    if found is None:
        raise EngineError(
            f"{PACKAGE} is installed, but there is no dockerd on PATH.",
            "Add its folder (/usr/sbin) to PATH.",
        )
    return found


def require_consent(ask: Callable[[str], bool] | None) -> None:
    """EngineError where no dockerd may be installed here. ``ask`` as for ``have_dockerd``."""
    refusal = obstacle() or _refusal(_policy(), ask)
    if refusal:
        raise EngineError(
            f"no engine can be started: {refusal}.",
            f"Install Docker (on Debian or Ubuntu: apt-get install {PACKAGE}, or set "
            "BENCH_INSTALL_ENGINE=auto), or name an engine with --engine-host.",
        )


def _refusal(policy: Policy, ask: Callable[[str], bool] | None) -> str:
    if ask is None:
        nobody = "dockerd is not installed, and nobody is at a terminal to allow that"
        return nobody if policy is Policy.ASK else ""
    question = f"dockerd is not installed. Install the package {PACKAGE} (280 MB) with apt-get?"
    return "" if ask(question) else "dockerd is not installed, and was not wanted"


def _policy() -> Policy:
    value = os.environ.get("BENCH_INSTALL_ENGINE") or Policy.ASK
    try:
        return Policy(value)
    except ValueError:
        raise UsageError(
            f"BENCH_INSTALL_ENGINE={value} is not known.", "Set it to auto, ask or never."
        ) from None


def _search_path() -> str:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    beside = [f"{folder[:-3]}sbin" for folder in folders if folder.endswith("/bin")]
    return os.pathsep.join([*folders, *(sbin for sbin in beside if sbin not in folders)])


def _wait_for_others(say: Callable[[str], None], root: Path) -> None:
    try:
        lock = _open_lock(root)
    except OSError:  # then nobody installs into it
        return
    try:
        # Not without end: anybody may hold it.
        until, told = time.monotonic() + _OTHERS_TIMEOUT_S, False
        while time.monotonic() < until:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    say(f"Waiting for {PACKAGE}, which another process is installing.")
                told = True
                time.sleep(_POLL_S)
    finally:
        os.close(lock)


def _open_lock(root: Path) -> int:
    # It is on a folder that every Debian has: nothing is left behind.
    return os.open((root / _POLICY).parent, os.O_RDONLY | os.O_DIRECTORY)


def _install(say: Callable[[str], None], root: Path) -> None:
    lock = _open_lock(root)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find_tool("dockerd") is not None:  # another process was quicker
            return
        say(f"dockerd is not installed: installing the package {PACKAGE} with apt-get.")
        try:
            _apt(["update"], _UPDATE_TIMEOUT_S)
        except EngineError as error:  # one source of many may be down
            say(f"{error.message} Going on with the package lists that are there.")
        with _services_kept_off(root):
            # --no-remove: docker.io would else drive out a containerd.io that others need.
            _apt(["install", "--yes", "--no-remove", "--no-install-recommends", PACKAGE],
                 _INSTALL_TIMEOUT_S)  # fmt: skip
        say(f"Installed {PACKAGE}; its own service stays off.")
    except OSError as error:
        raise EngineError(
            f"{PACKAGE} cannot be installed: {error.filename}: {error.strerror}.",
            "Install Docker yourself, or name an engine with --engine-host.",
        ) from error
    finally:
        os.close(lock)


def _apt(arguments: Sequence[str], timeout_s: float) -> None:
    """Run apt-get without a question; EngineError with its last word where it fails."""
    apt = find_tool("apt-get")
    assert apt is not None
    environment = {
        **os.environ,
        "PATH": _search_path(),
        "LC_ALL": "C",
        "DEBIAN_FRONTEND": "noninteractive",
        "APT_LISTCHANGES_FRONTEND": "none",
        # Ubuntu's needrestart would restart services that have nothing to do with us.
        "NEEDRESTART_SUSPEND": "1",
    }
    options = ["-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold"]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            [apt, *options, *arguments],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,  # a Ctrl-C must not reach dpkg in the middle of a package
        )  # fmt: skip
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _interrupt(process)
            code = -1
            output.write(f"\nE: it took more than {timeout_s:g} s\n")
        except BaseException:
            _interrupt(process)
            raise
        output.seek(0)
        said = [line.strip() for line in output if line.strip()] or [f"exit code {code}"]
    if code != 0:
        errors = [line for line in said if line.startswith("E: ")] or said
        why = errors[-1].removeprefix("E: ").rstrip(".")
        raise EngineError(
            f"`apt-get {' '.join(arguments)}` failed: {why}.",
            "Mend that, or install Docker yourself, or name an engine with --engine-host.",
        )


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """End apt-get at its next safe point: it puts SIGINT off while dpkg runs."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _services_kept_off(root: Path) -> Iterator[None]:
    """While packages are installed, no service of theirs is started or enabled.

    ``policy-rc.d`` is Debian's switch for that (invoke-rc.d(8)). One that is there is put back as
    it was, whatever happens; what a killed process of ours left is known by its text.
    """
    new = [unit for unit in _UNITS if not _has_unit(root, unit)]
    policy = root / _POLICY
    aside = policy.with_name("policy-rc.d.before-limitbench")
    if not os.path.lexists(aside) and os.path.lexists(policy) and not _is_ours(policy):
        policy.rename(aside)
    try:
        policy.unlink(missing_ok=True)
        policy.write_text(_OURS)
        policy.chmod(0o755)
        yield
    finally:
        if os.path.lexists(aside):
            aside.replace(policy)
        else:
            policy.unlink(missing_ok=True)
        systemctl = find_tool("systemctl")
        came = [unit for unit in new if _has_unit(root, unit)]
        if systemctl is not None and came:
            # Only what came with this installation; `systemctl enable docker` has it back.
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    [systemctl, "disable", *came],
                    stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
                )  # fmt: skip


def _has_unit(root: Path, unit: str) -> bool:
    return any((root / folder / unit).exists() for folder in _UNIT_FOLDERS)


def _is_ours(policy: Path) -> bool:
    try:
        return policy.read_text() == _OURS
    except (OSError, UnicodeDecodeError):
        return False
