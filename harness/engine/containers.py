"""Containers through the Docker Engine API: the boundary that the rest of the harness sees.

``Engine`` and ``Container`` are the Protocols at that boundary; ``DockerEngine`` is the real one,
``tests/fakes.py`` the other. Only this folder imports docker.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import docker
import docker.errors
import requests
import urllib3

from harness import probe
from harness.engine import image, packing
from harness.engine.connect import Connection
from harness.engine.stats import DockerStats, StatsStream
from harness.errors import (
    EngineError,
    EngineRefusedError,
    MeasurementError,
    NotSupportedError,
    UsageError,
)
from harness.interrupts import held_back
from harness.limits import PODMAN, SHARES_RANGE
from harness.model import (
    ContainerSpec,
    EngineFacts,
    Limits,
    ProgramImage,
    RunningContainer,
    Workload,
    WorkloadFacts,
)
from harness.probe import SCRATCH

LABEL = "org.limitbench.run"
"""Every container of ours bears it, with the run's name: that is how ``bench clean`` finds them."""


SAMPLER_CGROUP = "/cgroup"
"""Where a sampler's container has its host's /sys/fs/cgroup."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended, as the engine says."""

    exit_code: int
    oom_killed: bool | None
    """None where this engine does not tell."""


def _runtime_version(runtime: str, components: dict[str, str]) -> str:
    """Docker names the component as the runtime; Podman says ``crun version 1.8.1`` and more."""
    said = components.get(runtime) or components.get(f"OCI Runtime ({runtime})", "")
    found = re.search(r"\d\S*", said.partition("\n")[0])
    return found[0] if found else "unknown"


class Container(Protocol):
    """One container of a trial."""

    @property
    def id(self) -> str:
        """The engine's own id of it."""
        ...

    def start(self) -> int:
        """Start it; the pid of its first process on the engine's host."""
        ...

    def read_line(self, timeout_s: float) -> str:
        """The next line of its output. EngineError is not raised: TimeoutError, EOFError are."""
        ...

    def has_line(self) -> bool:
        """Whether ``read_line`` would return, or fail, at once."""
        ...

    def write_line(self, text: str) -> None:
        """A line to its standard input."""
        ...

    def signal(self, name: str) -> None:
        """A signal to its first process; none where it has ended."""
        ...

    def limits(self) -> Limits:
        """The limits as the engine reads them back."""
        ...

    def follow_stats(self) -> StatsStream:
        """Begin to collect docker stats."""
        ...

    def wait(self, timeout_s: float) -> Exit:
        """How it ended; TimeoutError where it is still running."""
        ...

    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        ...

    def remove(self) -> None:
        """End and remove it, whatever its state; gone already is well."""
        ...


class Engine(Protocol):
    """What the runner needs of an engine."""

    def facts(self) -> EngineFacts:
        """What the engine says of itself."""
        ...

    def prepare_images(self, workloads: Iterable[Workload]) -> WorkloadFacts:
        """Have the image of each workload there, and the probe's."""
        ...

    def create(self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float) -> Container:
        """A container as specified, attached and not yet started.

        Its workload ends by itself ``deadline_s`` after its start, whatever happens to us.
        """
        ...

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        """A container of the probe's image that may read its host's cgroups, not yet started."""
        ...

    def remove_all(self, run: str | None) -> int:
        """Remove the containers of a run, or of all runs; how many there were."""
        ...


@contextlib.contextmanager
def _engine_errors(doing: str) -> Iterator[None]:
    """Turn what the SDK and its transport raise into one line of ours."""
    try:
        yield
    except docker.errors.APIError as error:
        said = f"{error.explanation or error}"
        raise EngineRefusedError(
            f"the engine refused to {doing}: {said}{_in_other_words(said)}.", "See `bench doctor`."
        ) from error
    except (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError,
            OSError) as error:  # fmt: skip
        raise EngineError(
            f"the engine stopped answering (while trying to {doing}).",
            "See `bench engine status` and the engine's log; `bench clean` removes what is left.",
        ) from error


def _in_other_words(refusal: str) -> str:
    """What the kernel meant, where the runtime tells a file's name and no more."""
    words = refusal.lower()
    if "cpu.cfs_quota_us" in words and "invalid argument" in words:
        # kernel/sched/core.c, tg_cfs_schedulable_down; v2 takes the smaller of the two instead.
        return " (on cgroup v1: a cgroup above may have a smaller share of CPU time than this)"
    return ""


def facts_from(
    info: dict[str, Any], version: dict[str, Any], connection: Connection
) -> EngineFacts:
    """The facts in the answers to ``/info`` and ``/version``."""
    components = {c["Name"]: c.get("Version", "") for c in version.get("Components") or []}
    runtime = info.get("DefaultRuntime") or "unknown"
    return EngineFacts(
        host=connection.host,
        name=PODMAN if _is_podman(version) else "Docker",
        version=version.get("Version", "unknown"),
        api_version=connection.api.api_version,
        cgroup_version=int(info.get("CgroupVersion") or 1),
        cgroup_driver=info.get("CgroupDriver") or "unknown",
        runtime=runtime,
        runtime_version=_runtime_version(runtime, components),
        storage_driver=info.get("Driver") or "unknown",
        architecture=info.get("Architecture") or "unknown",
        kernel=info.get("KernelVersion") or "unknown",
        cpus=int(info.get("NCPU") or 0),
        memory_bytes=int(info.get("MemTotal") or 0),
        private=connection.private,
        warnings=_warnings(info),
        rootless=bool(info.get("Rootless"))  # Podman's
        or any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
    )


def _is_podman(version: dict[str, Any]) -> bool:
    return any(one["Name"] == "Podman Engine" for one in version.get("Components") or ())


_SUPPORTED = {
    "MemoryLimit": "No memory limit support",
    "SwapLimit": "No swap limit support",
    "CpuCfsQuota": "No cpu cfs quota support",
    "CpuCfsPeriod": "No cpu cfs period support",
    "CPUShares": "No cpu shares support",
    "CPUSet": "No cpuset support",
    "PidsLimit": "No pids limit support",
}
"""What ``/info`` says of each limit, and Docker's warning where it says no."""


def _warnings(info: dict[str, Any]) -> tuple[str, ...]:
    """The engine's own warnings, and those that Podman leaves to the flags."""
    told = [str(one).removeprefix("WARNING: ") for one in info.get("Warnings") or ()]
    missing = [text for flag, text in _SUPPORTED.items() if info.get(flag) is False]
    return (*told, *(text for text in missing if text not in told))


class DockerEngine:
    """The real engine: Docker's API on whatever ``engine.connect`` found."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._api = connection.api
        self._image_id: str | None = None
        self._programs: dict[ProgramImage, str] = {}
        self._said_version: dict[str, Any] | None = None
        self._cgroup_version: str | None = None

    def _podman(self) -> bool:
        """Whether it is Podman that answers, which is asked once."""
        if self._said_version is None:
            with _engine_errors("tell its version"):
                self._said_version = self._api.version()
        return _is_podman(self._said_version)

    def _tells_oom_kills(self) -> bool:
        """Whether ``OOMKilled`` is true after each kill of PID 1 for memory.

        Podman 4.3's never is, 5.8's was. Docker's is on cgroup v1; on v2 containerd looks into a
        file that goes with PID 1, and of two such kills one was not told (20.10).
        """
        if self._cgroup_version is None:
            with _engine_errors("tell its facts"):
                self._cgroup_version = str(self._api.info().get("CgroupVersion") or 1)
        return self._cgroup_version == "1" and not self._podman()

    def refuse_runtime(self, runtime: str | None) -> None:
        """NotSupportedError where the engine would start a container with another runtime.

        Podman starts all of them with its own default, whatever is asked for, even ``nosuch``.
        """
        if runtime is None or not self._podman():
            return
        facts = self.facts()
        if runtime != facts.runtime:
            raise NotSupportedError(
                f"not supported by this engine: {facts.name} {facts.version} ignores --runtime "
                f"{runtime} and starts each container with {facts.runtime}.",
                "Name the runtime in a containers.conf, start a second service with it, and "
                "compare the two with --engine-host.",
            )

    def facts(self) -> EngineFacts:
        """``/info`` and ``/version`` of the engine."""
        with _engine_errors("tell its facts"):
            info, version = self._api.info(), self._api.version()
        return facts_from(info, version, self._connection)

    def prepare_images(self, workloads: Iterable[Workload] = ()) -> WorkloadFacts:
        """Build the images that can be built here for the engine's architecture, and load them.

        The id follows from the content, so an image that is there needs no second look.
        """
        with _engine_errors("tell its architecture"):
            architecture = self._api.info().get("Architecture") or "unknown"
        binary = image.probe_binary(architecture)
        self._image_id = self._load(image.build_image(binary))
        programs = {one.program: one.name for one in workloads if one.program is not None}
        for program in programs:
            self._programs[program.image] = self._program_image(program.image, architecture)
        return WorkloadFacts(
            image_id=self._image_id,
            probe_sha256=binary.sha256,
            compiler=binary.compiler,
            programs=tuple(
                (name, self._programs[program.image]) for program, name in programs.items()
            ),
        )

    def _load(self, archive: image.ImageArchive) -> str:
        with _engine_errors("load an image"):
            try:
                self._api.inspect_image(archive.id)
            except docker.errors.ImageNotFound:
                for _ in self._api.load_image(archive.archive):
                    pass
                self._api.inspect_image(archive.id)
        return archive.id

    def _program_image(self, source: ProgramImage, architecture: str) -> str:
        """The id of a program's image. Nothing is pulled: what is not here is told."""
        if source.pack is not None:
            return self._load(packing.pack(source.pack, architecture, package=source.package))
        if source.archive is not None:
            return self._load_file(Path(source.archive))
        try:
            with _engine_errors("look for an image"):
                return str(self._api.inspect_image(source.reference)["Id"])
        except EngineRefusedError:
            raise UsageError(
                f"the engine has no image {source.reference}.",
                f"docker pull {source.reference}, or docker load it on a host without a registry.",
            ) from None

    def _load_file(self, path: Path) -> str:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read the image {path}: {error.strerror}.", "") from None
        with _engine_errors(f"load {path.name}"):
            said = "".join(str(line.get("stream", "")) for line in self._api.load_image(content))
            match = re.search(r"Loaded image(?: ID)?: (\S+)", said)
            if match is None:
                raise UsageError(f"{path} holds no image.", "Make one with docker save.")
            return str(self._api.inspect_image(match[1])["Id"])

    def create(self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float) -> Container:
        """Create it with the limits and with nothing else that it does not need."""
        self.refuse_runtime(spec.runtime)
        program = spec.workload.program
        if self._image_id is None or (program and program.image not in self._programs):
            self.prepare_images([spec.workload])
        with _engine_errors("create a container"):
            host_config = self._api.create_host_config(
                network_mode="none",
                cap_drop=["ALL"],
                read_only=True,
                security_opt=["no-new-privileges"],
                pids_limit=spec.limits.pids_limit or 1100,  # the probe's most threads, and itself
                # The engine need not log what we read through the attached stream.
                log_config=docker.types.LogConfig(type="none"),
                mounts=_scratch(spec.workload),
                runtime=spec.runtime,
                **engine_settings(spec.limits),
            )
            return self._created(
                self._programs[program.image] if program else self._image_id,
                command=_command(spec.workload, deadline_s),
                working_dir=PROGRAM_FOLDER if program else None,
                name=name,
                labels={LABEL: run},
                stdin_open=True,
                network_disabled=True,
                # A new volume belongs to root; without capabilities its owner alone can write.
                user="0:0" if spec.workload.kind == "file" else None,
                host_config=host_config,
            )

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        """Its host's /sys/fs/cgroup read-only and the host's cgroup namespace; nothing else.

        It must be on time beside containers that use every CPU, so it may raise its own priority
        and has the largest shares. (An rtprio limit would need no capability of its own, but runc
        sets it with those that are left, and is refused.)
        """
        if self._image_id is None:
            self.prepare_images()
        with _engine_errors("create the sampler's container"):
            host_config = self._api.create_host_config(
                network_mode="none",
                cap_drop=["ALL"],
                cap_add=["SYS_NICE"],
                read_only=True,
                security_opt=["no-new-privileges"],
                pids_limit=8,
                log_config=docker.types.LogConfig(type="none"),
                binds={"/sys/fs/cgroup": {"bind": SAMPLER_CGROUP, "mode": "ro"}},
                cpu_shares=SHARES_RANGE[1],
                cgroupns="host",
            )
            return self._created(
                self._image_id,
                command=list(command),
                name=name,
                labels={LABEL: run},
                stdin_open=True,
                network_disabled=True,
                user="0:0",  # another user's process would not keep the capability
                host_config=host_config,
            )

    def _created(self, image: str | None, **chosen: Any) -> DockerContainer:
        """A new container with its stream; where there is none, it does not stay.

        An engine goes on with a request whose client is gone, and may be done after we have looked
        for what is left (Podman 5.8, which takes half a second on a slow CPU): so an interrupt
        waits for its answer.

        StdinOnce closes the probe's standard input when we vanish; the SDK sets it itself for
        stdin_open without detach. The probe ends at that end of input.
        """
        container_id = ""
        try:
            with held_back():
                container_id = self._api.create_container(image, **chosen)["Id"]
            stream = self._api.attach_socket(
                container_id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            tells = self._tells_oom_kills()
        except BaseException:
            with contextlib.suppress(docker.errors.APIError, requests.RequestException):
                if container_id:
                    _remove(self._api, container_id)
            raise
        return DockerContainer(self._api, container_id, stream, tells_oom_kills=tells)

    def remove_all(self, run: str | None) -> int:
        """Force-remove the containers that bear our label."""
        label = LABEL if run is None else f"{LABEL}={run}"
        with _engine_errors("remove containers"):
            found = self._api.containers(all=True, filters={"label": label})
            for container in found:
                _remove(self._api, container["Id"])
        return len(found)

    # --- containers of others: looked at, never touched ---

    def find(self, name: str) -> RunningContainer:
        """The running container of that name or id, or of the only name or id that begins so.

        UsageError where there is none or there are several; MeasurementError where it is not
        running.
        """
        with _engine_errors("list its containers"):
            listed = [
                (one["Id"], [n.lstrip("/") for n in one["Names"] or []], one["State"])
                for one in self._api.containers(all=True)
            ]
        id_ = choose_container(name, listed)
        with _engine_errors("describe a container"):
            told = self._api.inspect_container(id_)
        state = told["State"]
        if not state["Running"]:
            raise MeasurementError(
                f"{told['Name'].lstrip('/')} is not running: {state['Status']}, exit code "
                f"{state['ExitCode']}{', OOM-killed' if state['OOMKilled'] else ''}.",
                "Start it first.",
            )
        return RunningContainer(
            id=id_,
            name=told["Name"].lstrip("/"),
            image=told["Config"]["Image"],
            pid=int(state["Pid"]),
            state=state["Status"],
            started_at=state["StartedAt"],
            limits=limits_from_inspect(told["HostConfig"]),
        )

    def follow_stats(self, container_id: str) -> StatsStream:
        """Begin to collect docker stats of a container, ours or not."""
        return DockerStats(self._api, container_id)

    def how_it_ended(self, container_id: str) -> Exit | None:
        """How a container ended; None while it runs. LookupError where it is gone."""
        with _engine_errors("tell how a container ended"):
            try:
                state = self._api.inspect_container(container_id)["State"]
            except docker.errors.NotFound:
                raise LookupError(container_id) from None
        return None if state["Running"] else _exit(state, tells_oom_kills=self._tells_oom_kills())


def _exit(state: dict[str, Any], *, tells_oom_kills: bool) -> Exit:
    """How a container ended by its ``State``, whose ``OOMKilled: false`` may mean nothing."""
    killed = bool(state["OOMKilled"])
    return Exit(int(state["ExitCode"]), killed if killed or tells_oom_kills else None)


Listed = tuple[str, list[str], str]
"""A container's id, names and state."""


def choose_container(name: str, listed: Sequence[Listed]) -> str:
    """The id of the container that a user means by a name, an id, or the beginning of one."""
    wanted = name.lstrip("/")
    exact = [id_ for id_, names, _ in listed if wanted in names or wanted == id_]
    if exact:
        return exact[0]
    begin = [
        (id_, names[0] if names else id_[:12])
        for id_, names, _ in listed
        if id_.startswith(wanted) or any(one.startswith(wanted) for one in names)
    ]
    if len(begin) == 1:
        return begin[0][0]
    running = sorted(names[0] if names else id_[:12] for id_, names, state in listed
                     if state in ("running", "paused"))  # fmt: skip
    if begin:
        raise UsageError(f"'{name}' can be: {', '.join(sorted(n for _, n in begin)[:8])}.",
                         "Write more of it.")  # fmt: skip
    hint = f"Running: {', '.join(running[:8])}." if running else "No container runs on it."
    raise UsageError(f"no container '{name}' on this engine.", hint)


PROGRAM_FOLDER = "/dev/shm"
"""Where a program starts: the one place that it may write to, memory charged to its container.

A tmpfs of our own would not do: runc gives it the mode of the folder that the engine makes for the
working directory, which is root's (libcontainer/rootfs_linux.go, ``mountToRootfs``).
"""


def _command(workload: Workload, deadline_s: float) -> list[str]:
    if workload.program is None:
        return probe.command(workload, deadline_s)
    values = {"{threads}": str(workload.threads), "{seconds}": str(round(deadline_s))}
    command = []
    for word in workload.program.command:
        for name, value in values.items():
            word = word.replace(name, value)  # noqa: PLW2901 - each name in turn
        command.append(word)
    return command


def _scratch(workload: Workload) -> list[docker.types.Mount]:
    """What a workload may write to: a volume on the engine's disk, or a tmpfs; mostly nothing."""
    if workload.kind == "file":
        return [docker.types.Mount(SCRATCH, None, type="volume")]
    if workload.kind == "tmpfs":
        size = 2 * (workload.target_bytes or 0)  # the memory limit is to be met first
        return [docker.types.Mount(SCRATCH, None, type="tmpfs", tmpfs_size=size,
                                   tmpfs_mode=0o1777)]  # fmt: skip
    return []


def engine_settings(limits: Limits) -> dict[str, Any]:
    """Our limits as the SDK's host config names them; what is not set is not sent."""
    wanted = {
        "nano_cpus": None if limits.cpus is None else round(limits.cpus * 1e9),
        "cpu_quota": limits.cpu_quota_us,
        "cpu_period": limits.cpu_period_us,
        "cpu_shares": limits.cpu_shares,
        "cpuset_cpus": limits.cpuset_cpus,
        "cpuset_mems": limits.cpuset_mems,
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_swap_bytes,
        "mem_reservation": limits.memory_reservation_bytes,
        "kernel_memory": limits.kernel_memory_bytes,
        "mem_swappiness": limits.memory_swappiness,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def limits_from_inspect(host_config: dict[str, Any]) -> Limits:
    """Limits as the engine's ``inspect`` gives them; its zeros mean "not set".

    Quota and period beside NanoCpus are Podman's, which derives them; nobody can ask for both.
    """
    nano = host_config.get("NanoCpus") or 0
    swappiness = host_config.get("MemorySwappiness")
    return Limits(
        cpus=nano / 1e9 if nano else None,
        cpu_quota_us=None if nano else host_config.get("CpuQuota") or None,
        cpu_period_us=None if nano else host_config.get("CpuPeriod") or None,
        cpu_shares=host_config.get("CpuShares") or None,
        cpuset_cpus=host_config.get("CpusetCpus") or None,
        cpuset_mems=host_config.get("CpusetMems") or None,
        memory_bytes=host_config.get("Memory") or None,
        memory_swap_bytes=host_config.get("MemorySwap") or None,
        memory_reservation_bytes=host_config.get("MemoryReservation") or None,
        kernel_memory_bytes=host_config.get("KernelMemory") or None,
        memory_swappiness=None if swappiness == -1 else swappiness,  # -1: Podman's "not set"
        pids_limit=host_config.get("PidsLimit") or None,
    )


class DockerContainer:
    """One real container, with its attached stream."""

    def __init__(
        self, api: docker.APIClient, container_id: str, stream: Any, *, tells_oom_kills: bool
    ) -> None:
        self._api = api
        self._tells_oom_kills = tells_oom_kills
        self._id = container_id
        self._stream = stream
        # The SDK wraps the hijacked connection; below it lies the socket (TLS has none below).
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._frames = bytearray()
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._inspect: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The engine's own id of it (64 hexadecimal digits)."""
        return self._id

    def start(self) -> int:
        """Start it; the pid of its first process on the engine's host."""
        with _engine_errors("start a container"):
            self._api.start(self._id)
            self._inspect = self._api.inspect_container(self._id)
        return int(self._inspect["State"]["Pid"])

    def limits(self) -> Limits:
        """The limits in the engine's ``inspect``, taken right after the start."""
        return limits_from_inspect(self._inspect["HostConfig"])

    def read_line(self, timeout_s: float) -> str:
        """The next line of standard output, without its end.

        TimeoutError where none came in time; EOFError where the container ended first.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            line, found, rest = self._stdout.partition(b"\n")
            if found:
                self._stdout = bytearray(rest)
                return line.decode(errors="replace")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no line within {timeout_s:g} s")
            self._socket.settimeout(left)
            try:
                chunk = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise EOFError("the attached stream broke") from error
            if not chunk:
                raise EOFError("the container ended its output")
            self._frames += chunk
            self._demultiplex()

    def has_line(self) -> bool:
        """Whether a line is there, or the end of the output; waits for nothing."""
        while b"\n" not in self._stdout:
            self._socket.settimeout(0)
            try:
                chunk = self._socket.recv(65536)
            except BlockingIOError:
                return False
            except OSError:
                return True
            if not chunk:
                return True
            self._frames += chunk
            self._demultiplex()
        return True

    def _demultiplex(self) -> None:
        # Docker's stream format: 1 byte stream (1 stdout, 2 stderr), 3 bytes zero, 4 bytes length
        while len(self._frames) >= 8:
            kind, length = struct.unpack_from(">BxxxI", self._frames)
            if len(self._frames) < 8 + length:
                return
            payload = self._frames[8 : 8 + length]
            del self._frames[: 8 + length]
            target = self._stderr if kind == 2 else self._stdout
            target += payload

    def write_line(self, text: str) -> None:
        """A line to standard input; EOFError where the container is gone."""
        try:
            self._socket.settimeout(5)
            self._socket.sendall(text.encode() + b"\n")
        except OSError as error:
            raise EOFError("the container's standard input is closed") from error

    def signal(self, name: str) -> None:
        """A signal to its first process; none where it has ended (the engine says 409 then)."""
        with contextlib.suppress(EngineRefusedError), _engine_errors("signal a container"):
            self._api.kill(self._id, signal=name)

    def stderr(self) -> str:
        """What came on standard error so far."""
        return self._stderr.decode(errors="replace").strip()

    def follow_stats(self) -> StatsStream:
        """Begin to collect docker stats in a thread that sleeps in the socket."""
        return DockerStats(self._api, self._id)

    def wait(self, timeout_s: float) -> Exit:
        """How it ended; TimeoutError where it still runs after that time."""
        deadline = time.monotonic() + timeout_s
        while True:
            state = self._state(last=time.monotonic() >= deadline)
            if state is not None and not state["Running"]:
                return _exit(state, tells_oom_kills=self._tells_oom_kills)
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the container still runs after {timeout_s:g} s")
            time.sleep(0.01)

    def _state(self, *, last: bool) -> dict[str, Any] | None:
        """Its state; None where the engine cannot tell at this moment and will be asked again.

        Podman (4.3) reads /proc/PID/cgroup to describe a container, and answers 500 where the
        process ends just then.
        """
        try:
            with _engine_errors("tell how a container ended"):
                state: dict[str, Any] = self._api.inspect_container(self._id)["State"]
                return state
        except EngineRefusedError as refused:
            cause = refused.__cause__
            if last or not (isinstance(cause, docker.errors.APIError) and cause.is_server_error()):
                raise
            return None

    def remove(self) -> None:
        """Close the stream, then kill and remove the container; gone already is well."""
        # From the outside in: the SDK's response flushes what it holds when it is collected, which
        # Python 3.14 calls an error once that is closed; and its close leaves the socket open.
        for opened in (getattr(self._stream, "_response", None), self._stream, self._socket):
            with contextlib.suppress(OSError):
                if opened is not None:
                    opened.close()
        with _engine_errors("remove a container"):
            _remove(self._api, self._id)


_REMOVE_TIMEOUT_S = 5.0


def _remove(api: docker.APIClient, container_id: str) -> None:
    """Kill and remove a container; gone already is well.

    Podman (4.3) kills it by a signal that it refuses, with 500, to one that ends just then; asked
    again it removes it.
    """
    deadline = time.monotonic() + _REMOVE_TIMEOUT_S
    while True:
        try:
            api.remove_container(container_id, force=True, v=True)
            return
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if not error.is_server_error() or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
