"""The real engine, behind ``boundary.Engine``: Docker's API."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import platform
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests
import urllib3

from harness import cgroup, limits
from harness.engine import altered, leftovers, place, storage
from harness.engine.attached import MOST_LINE_BYTES
from harness.engine.boundary import (
    LABEL,
    SAMPLER_CGROUP,
    Container,
    Device,
    Exit,
    StatsStream,
)
from harness.engine.choice import choose_container
from harness.engine.client import ANSWER_TIMEOUT_S
from harness.engine.confined import (
    CGROUP_ROOT,
    SAMPLER_BYTES,
    confinement,
    memory_cap_bytes,
    read_only,
)
from harness.engine.connect import Connection
from harness.engine.container import DockerContainer, remove
from harness.engine.device import device_mount
from harness.engine.facts import facts_from, is_podman
from harness.engine.images import EngineImages
from harness.engine.laboratory import Laboratory
from harness.engine.refusals import engine_errors
from harness.engine.state import exit_of, is_running, why_not
from harness.engine.stats import DockerStats
from harness.errors import (
    EngineError,
    EngineRefusedError,
    MeasurementError,
    NotSupportedError,
)
from harness.interrupts import held_back
from harness.limits import SHARES_RANGE
from harness.model import (
    Batch,
    ContainerSpec,
    EngineFacts,
    Io,
    Limits,
    Loader,
    Program,
    ProgramImage,
    RunningContainer,
    Scratch,
    Workload,
    WorkloadFacts,
)

_PROGRAM_FOLDER = "/dev/shm"
"""Where a program starts: the one place that it may write to, memory charged to its container.

A tmpfs of our own would not do: runc gives it the mode of the folder that the engine makes for the
working directory, which is root's (libcontainer/rootfs_linux.go, ``mountToRootfs``).
"""

USER_ALONE = "65533:65533"
"""Whose tasks are counted over all of the host: of a number that no distribution gives away, nor
systemd (https://systemd.io/UIDS-GIDS), and that lies within a user namespace's usual 65536. Root
would be exempt, and 65534 is what daemons and other sweeps run as."""
_ASK_S = 0.5


class DockerEngine:
    """The real engine: Docker's API on whatever ``engine.connect`` found."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._api = connection.api
        self.images = EngineImages(connection.api)
        self._image_id: str | None = None
        self._programs: dict[ProgramImage, str] = {}
        self._device: Device | None = None
        self._said_version: dict[str, Any] | None = None
        self._said_info: dict[str, Any] | None = None

    def _podman(self) -> bool:
        """Whether it is Podman that answers, which is asked once."""
        if self._said_version is None:
            with engine_errors("tell its version"):
                self._said_version = self._api.version()
        return is_podman(self._said_version)

    def _tells_oom_kills(self) -> bool:
        """Whether ``OOMKilled`` is true after each kill of PID 1 for memory.

        Podman 4.3's never is, 5.8's was. Docker's is on cgroup v1; on v2 containerd looks into a
        file that goes with PID 1, and of two such kills one was not told (20.10).
        """
        return str(self._info().get("CgroupVersion") or 1) == "1" and not self._podman()

    def _info(self) -> dict[str, Any]:
        """What it says of itself and of its host that does not change, which is asked once."""
        if self._said_info is None:
            with engine_errors("tell its facts"):
                self._said_info = self._api.info()
        return self._said_info

    def _memory_bytes(self) -> int:
        """Of its host, which a container's memory is to stay below; 0 where it limits none."""
        info = self._info()
        return int(info.get("MemTotal") or 0) if info.get("MemoryLimit") else 0

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

    def elsewhere(self) -> str | None:
        """What an engine on another host is known by here; None where it shares this one's kernel.

        A socket may lead to another machine (Docker Desktop, ssh -L), a TCP port to this one: so
        its own answers count.
        """
        with engine_errors("tell where it is"):
            info = self._api.info()
        here = info.get("KernelVersion") == platform.release()
        host = self._connection.host
        if here and (host.startswith("unix://") or info.get("Name") == platform.node()):
            return None
        # Podman makes up another id for each answer (pkg/api/handlers/compat/info.go).
        known = host if self._podman() else info.get("ID") or host
        return f"engine-{hashlib.sha256(str(known).encode()).hexdigest()[:32]}"

    def facts(self) -> EngineFacts:
        """``/info`` and ``/version`` of the engine, and what this host tells of it."""
        with engine_errors("tell its facts"):
            info, version = self._api.info(), self._api.version()
        facts = facts_from(info, version, self._connection)
        return place.seen_from_here(facts, info)

    def prepare_images(self, workloads: Iterable[Workload] = ()) -> WorkloadFacts:
        """Have the image of each workload there, and the probe's: chosen before, or made here."""
        workloads = list(workloads)
        loads = [one.load for one in workloads]
        workloads += [one for one in loads if isinstance(one, Loader)]
        storage.refuse_to_fill(workloads, self._info().get("DockerRootDir") or "")
        probe = self.images.own("probe")
        self._image_id = probe.id
        programs = {
            (one.name, one.description): one.description.image
            for one in workloads
            if isinstance(one, Program)
        }
        for source in programs.values():
            self._programs[source] = self.images.program(source).id
        return WorkloadFacts(
            image_id=probe.id,
            probe_sha256=probe.binary_sha256,
            compiler=probe.compiler or "unknown: the image was loaded",
            programs=tuple(
                (name, self._programs[source]) for (name, _), source in programs.items()
            ),
        )

    def no_device(self) -> EngineError | None:
        """Why it can be lent no device of this host; None where it can."""
        if not place.is_here(self._connection.host, self._info()):
            return EngineError(
                f"the engine {self._connection.host} runs elsewhere: a disk of this host is none "
                "of its own.",
                "Run bench on the engine's host.",
            )
        if self._podman():
            return NotSupportedError(
                "Podman is lent no device: what a volume is to mount, it takes from no request of "
                "Docker's.",
                "Use a Docker engine.",
            )
        return None

    def keep_data_on(self, device: Device) -> None:
        """Where ``/scratch`` lies, and what rates are about, of containers that need a device."""
        if why := self.no_device():
            raise why
        self._device = device

    def create(
        self, *, name: str, run: str, spec: ContainerSpec, deadline_s: float, together: int = 1
    ) -> Container:
        """Create it with the limits and with nothing else that it does not need."""
        return self._create(name, run, spec, deadline_s, together, {})

    def create_load(
        self, *, name: str, run: str, server: Container, spec: ContainerSpec, deadline_s: float
    ) -> Container:
        """In the server's network namespace, whose loopback is all that either has.

        It is to be on time beside a server that uses every CPU, so it has the largest shares.
        """
        limits_of_load = dataclasses.replace(spec.limits, cpu_shares=SHARES_RANGE[1])
        spec = dataclasses.replace(spec, limits=limits_of_load)
        network = {"network_mode": f"container:{server.id}"}
        return self._create(name, run, spec, deadline_s, 1, network)

    def _create(  # noqa: PLR0913, PLR0917 - what `create` has, and its network
        self,
        name: str,
        run: str,
        spec: ContainerSpec,
        deadline_s: float,
        together: int,
        network: dict[str, str],
    ) -> Container:
        self.refuse_runtime(spec.runtime)
        workload = spec.workload
        source = workload.description.image if isinstance(workload, Program) else None
        if self._image_id is None or (source and source not in self._programs):
            self.prepare_images([workload])
        told = limits.to_engine(spec.limits)
        scratch = workload.scratch
        if cap_bytes := memory_cap_bytes(spec, self._memory_bytes(), together):
            told["mem_limit"] = cap_bytes
        if spec.cgroup_parent:
            told["cgroup_parent"] = spec.cgroup_parent
        if self._device is not None:
            told = limits.placed(told, self._device.facts.path)
        image = self._programs[source] if source else self._image_id
        with contextlib.ExitStack() as made, engine_errors("create a container"):
            folder = self._folder(made) if scratch and scratch.type == "bind" else None
            if isinstance(workload, Io) and workload.place == "image":
                lab = self.laboratory(run=run)
                image = altered.with_file(lab, made, str(image), workload.file_bytes)
            command, by_probe = workload.command_line(deadline_s), isinstance(workload, Batch)
            if by_probe:
                told_of = self.images.inspect(str(image)) or {}
                command = altered.run_by_probe(told_of, command, deadline_s)
                lab = self.laboratory(run=run)
                image = altered.with_probe(lab, made, str(image), str(self._image_id))
            host_config = self._api.create_host_config(
                mounts=self._mounts(scratch, folder),
                runtime=spec.runtime,
                **(confinement() | storage.writable(scratch) | network),
                **told,
            )
            created = self._created(
                image,
                command=command,
                entrypoint=altered.PROBE_FIRST if by_probe else None,
                working_dir=_PROGRAM_FOLDER if source else None,
                name=name,
                labels={LABEL: run},
                stdin_open=True,
                network_disabled=not network,
                user=_user(spec),
                host_config=host_config,
            )
            created.afterwards = made.pop_all()  # only with the container from now on
        return created

    def _mounts(self, scratch: Scratch | None, folder: Path | None) -> list[docker.types.Mount]:
        if scratch is None or scratch.type != "device":
            return storage.mounts(scratch, folder)
        if self._device is None:
            raise MeasurementError(
                "this workload needs a device, and its command has none.",
                "`bench sweep io` makes one.",
            )
        return [device_mount(self._device, scratch.folder)]

    def _folder(self, made: contextlib.ExitStack) -> Path:
        """A folder of this host for a bind mount; EngineRefusedError of an engine on another."""
        if self.elsewhere() is not None:
            raise EngineRefusedError(
                "a folder of this host cannot be mounted: the engine is on another one.",
                "Run bench on the engine's host, or leave bind out of --values.",
            )
        with held_back():
            folder = storage.make_folder()
            made.callback(storage.remove_folder, folder)
        return folder

    def create_sampler(self, *, name: str, run: str, command: Sequence[str]) -> Container:
        """Its host's cgroups read-only and the host's cgroup namespace; no other path of it.

        It must be on time beside containers that use every CPU, so it may raise its own priority
        and has the largest shares. (An rtprio limit would need no capability of its own, but runc
        sets it with those that are left, and is refused.)
        """
        if self._image_id is None:
            self.prepare_images()
        version = cgroup.VERSIONS[int(self._info().get("CgroupVersion") or 1)]
        folders = dict.fromkeys(version.hierarchy(one) for one in (*cgroup.CONTROLLERS, "unified"))
        while True:
            try:
                return self._sampler(folders, command=list(command), name=name, labels={LABEL: run})
            except EngineRefusedError as refused:
                # Which hierarchies of v1 a host has, the engine tells only by refusing the others.
                missing = [one for one in folders if one and f"{CGROUP_ROOT}/{one}" in str(refused)]
                if not missing:
                    raise
                folders = dict.fromkeys(one for one in folders if one not in missing)

    def _sampler(self, folders: Iterable[str], **chosen: Any) -> DockerContainer:
        with engine_errors("create the sampler's container"):
            host_config = self._api.create_host_config(
                **confinement(),
                cap_add=["SYS_NICE"],
                pids_limit=8,
                mem_limit=min(SAMPLER_BYTES, self._memory_bytes() // 2) or None,
                mounts=[read_only(CGROUP_ROOT, SAMPLER_CGROUP, one) for one in folders],
                cpu_shares=SHARES_RANGE[1],
                cgroupns="host",
            )
            return self._created(
                self._image_id,
                most_line_bytes=SAMPLER_BYTES,  # it tells all its samples in one
                stdin_open=True,
                network_disabled=True,
                user="0:0",  # another user's process would not keep the capability
                host_config=host_config,
                **chosen,
            )

    def _created(
        self, image: str | None, *, most_line_bytes: int = MOST_LINE_BYTES, **chosen: Any
    ) -> DockerContainer:
        """A new container with its stream; where there is none, it does not stay.

        An engine goes on with a request whose client is gone, and may be done after we have looked
        for what is left (Podman 5.8, which takes half a second on a slow CPU): so an interrupt
        waits for its answer.

        StdinOnce closes the probe's standard input when we vanish; the SDK sets it itself for
        stdin_open without detach. The probe ends at that end of input.
        """
        container_id = ""
        chosen["labels"][leftovers.PROCESS_LABEL] = leftovers.mark()
        chosen["environment"] = leftovers.environment()
        try:
            with held_back():
                container_id = self._api.create_container(image, **chosen)["Id"]
            with engine_errors(f"attach to {container_id[:12]}"):
                stream = self._api.attach_socket(
                    container_id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                )
            tells = self._tells_oom_kills()
        except BaseException:
            with contextlib.suppress(docker.errors.APIError, requests.RequestException):
                if container_id:
                    remove(self._api, container_id)
            raise
        return DockerContainer(
            self._api, container_id, stream, tells_oom_kills=tells, most_line_bytes=most_line_bytes
        )

    def laboratory(self, *, run: str, side: str = "") -> Laboratory:
        """What may do more with it than a window needs; what it makes bears the run's name."""
        return Laboratory(self._connection, self, run=run)

    def remove_all(self, run: str | None) -> int:
        """Force-remove the containers that bear our label."""
        label = LABEL if run is None else f"{LABEL}={run}"
        with engine_errors("remove containers"):
            found = self._api.containers(all=True, filters={"label": label})
            for container in found:
                remove(self._api, container["Id"])
        return len(found)

    def await_answer(self, timeout_s: float) -> bool:
        """Whether it answers (again) within that time; asked twice a second."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException,
                                     urllib3.exceptions.HTTPError, OSError):  # fmt: skip
                # By the SDK's session and not its ping(), which waits as long as for an image.
                if self._api.get(f"{self._api.base_url}/_ping", timeout=ANSWER_TIMEOUT_S).ok:
                    return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_ASK_S)

    def left_behind(self, *, unknown: bool = False) -> list[str]:
        """The ids of the containers of ours whose bench has died.

        With ``unknown`` those too of whose bench nothing is known: it may run on another host.
        """
        with engine_errors("list its containers"):
            found = self._api.containers(all=True, filters={"label": LABEL})
        wanted = {"died", "unknown"} if unknown else {"died"}
        return [one["Id"] for one in found if leftovers.bench_of(one) in wanted]

    def remove(self, container_ids: Iterable[str]) -> None:
        """Force-remove these containers."""
        with engine_errors("remove containers"):
            for container_id in container_ids:
                remove(self._api, container_id)

    # --- containers of others: looked at, never touched ---

    def find(self, name: str) -> RunningContainer:
        """The running container of that name or id, or of the only name or id that begins so.

        UsageError where there is none or there are several; MeasurementError where it is not
        running.
        """
        with engine_errors("list its containers"):
            listed = [
                (one["Id"], [n.lstrip("/") for n in one["Names"] or []], one["State"])
                for one in self._api.containers(all=True)
            ]
        try:
            return self.describe(choose_container(name, listed))
        except LookupError:
            raise MeasurementError(f"{name} has just been removed.", "") from None

    def listed(self) -> list[tuple[str, str]]:
        """(id, name) of each container that ``docker ps`` lists: what runs, and what restarts."""
        with engine_errors("list its containers"):
            return [
                (one["Id"], (one["Names"] or [one["Id"][:12]])[0].lstrip("/"))
                for one in self._api.containers()
            ]

    def describe(self, container_id: str) -> RunningContainer:
        """A running container. LookupError where it is gone; MeasurementError where none runs."""
        with engine_errors("describe a container"):
            try:
                told = self._api.inspect_container(container_id)
            except docker.errors.NotFound:
                raise LookupError(container_id) from None
        state = told["State"]
        if not is_running(state):
            raise why_not(told)
        return RunningContainer(
            id=container_id,
            name=told["Name"].lstrip("/"),
            image=told["Config"]["Image"],
            pid=int(state["Pid"]),
            state=state["Status"],
            started_at=state["StartedAt"],
            limits=limits.from_engine(told["HostConfig"]),
            restarts=int(told.get("RestartCount") or 0),
        )

    def follow_stats(self, container_id: str) -> StatsStream:
        """Begin to collect docker stats of a container, ours or not."""
        return DockerStats(self._api, container_id)

    def limits_of(self, container_id: str) -> Limits:
        """Its limits as the engine holds them now. LookupError where it is gone."""
        with engine_errors("describe a container"):
            try:
                told = self._api.inspect_container(container_id)
            except docker.errors.NotFound:
                raise LookupError(container_id) from None
        return limits.from_engine(told["HostConfig"])

    def how_it_ended(self, container_id: str) -> Exit | None:
        """How a container ended; None while it runs. LookupError where it is gone."""
        with engine_errors("tell how a container ended"):
            try:
                state = self._api.inspect_container(container_id)["State"]
            except docker.errors.NotFound:
                raise LookupError(container_id) from None
        return (
            None if is_running(state) else exit_of(state, tells_oom_kills=self._tells_oom_kills())
        )


def _user(spec: ContainerSpec) -> str | None:
    """Who runs in it; None = whom the image says."""
    scratch = spec.workload.scratch
    # A program's volume has the owner that its folder has in the image.
    of_root = scratch and scratch.type in storage.OWNED_BY_ROOT
    if of_root and not isinstance(spec.workload, Program):
        return "0:0"  # a new volume belongs to root; without capabilities its owner alone can write
    return USER_ALONE if spec.limits.ulimit_nproc else None
