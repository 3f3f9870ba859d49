"""What the experiments of ``harness.claims`` may do with a real engine.

A few of Docker's verbs, with its own words for what is asked (``create`` takes the keywords of
docker-py's ``create_host_config``), each bounded in time and with the engine's refusal as an
``EngineRefusedError``. Whatever an experiment makes (containers, images, volumes) bears our label
and is removed when the laboratory closes; nothing that it did not make is ever touched.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import docker
import docker.errors
import docker.types

from harness import cgroup
from harness.engine import leftovers, tarred
from harness.engine.boundary import LABEL, Engine
from harness.engine.confined import confinement
from harness.engine.connect import Connection
from harness.engine.container import remove
from harness.engine.images import EngineImages
from harness.engine.install import find_tool
from harness.engine.refusals import engine_errors
from harness.engine.shelf import Shelf, clear
from harness.errors import EngineRefusedError
from harness.interrupts import held_back
from harness.model import EngineFacts

REPOSITORY = "limitbench-claims"
"""All images that experiments name are called so, with a tag that begins with the run's name."""
WAIT_S = 60.0
PIDS = 64


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program in a container, or one that was executed in it, came to."""

    exit_code: int
    output: str
    """Standard output."""
    errors: str = ""
    """Standard error; empty where the engine gives both as one."""
    oom_killed: bool = False
    """As the engine says."""


class Box:
    """A container of an experiment."""

    def __init__(self, api: docker.APIClient, container_id: str, name: str) -> None:
        self._api, self.id, self.name = api, container_id, name

    def inspect(self) -> dict[str, Any]:
        """Everything that the engine tells of it."""
        with engine_errors("inspect a container"):
            told: dict[str, Any] = self._api.inspect_container(self.id)
        return told

    @property
    def host_config(self) -> dict[str, Any]:
        """The limits and mounts as the engine holds them (``HostConfig``)."""
        found: dict[str, Any] = self.inspect()["HostConfig"]
        return found

    @property
    def state(self) -> dict[str, Any]:
        """``State``: Status, Running, Pid, ExitCode, OOMKilled, StartedAt and more."""
        found: dict[str, Any] = self.inspect()["State"]
        return found

    @property
    def pid(self) -> int:
        """Of its first process on the engine's host; 0 where none runs."""
        return int(self.state["Pid"])

    def start(self) -> Box:
        """Start it; itself, so that ``create(…).start()`` is a container that runs."""
        with engine_errors("start a container"):
            self._api.start(self.id)
        return self

    def stop(self, grace_s: int | None = None) -> float:
        """``docker stop``; the seconds that it took. None: the grace time that Docker gives."""
        began = time.monotonic()
        with engine_errors("stop a container"):
            self._api.stop(self.id, timeout=grace_s)
        return time.monotonic() - began

    def kill(self, signal: str = "SIGKILL") -> None:
        """``docker kill``."""
        with engine_errors("signal a container"):
            self._api.kill(self.id, signal=signal)

    def pause(self) -> None:
        """``docker pause``."""
        with engine_errors("pause a container"):
            self._api.pause(self.id)

    def unpause(self) -> None:
        """``docker unpause``."""
        with engine_errors("unpause a container"):
            self._api.unpause(self.id)

    def restart(self, grace_s: int = 0) -> None:
        """``docker restart``, without a grace time unless one is given."""
        with engine_errors("restart a container"):
            self._api.restart(self.id, timeout=grace_s)

    def rename(self, name: str) -> None:
        """``docker rename``."""
        with engine_errors("rename a container"):
            self._api.rename(self.id, name)
        self.name = name

    def update(self, *, nano_cpus: int | None = None, **limits: Any) -> list[str]:
        """``docker update`` with docker-py's keywords; the engine's warnings.

        ``nano_cpus`` is ``--cpus``, which docker-py knows at ``create`` alone: it goes by itself.
        """
        with engine_errors("update a container"):
            if nano_cpus is None:
                told = self._api.update_container(self.id, **limits)
            else:
                url = self._api._url("/containers/{0}/update", self.id)
                answer = self._api._post_json(url, data={"NanoCpus": nano_cpus})
                told = self._api._result(answer, json=True)
        return list(told.get("Warnings") or [])

    def wait(self, timeout_s: float = WAIT_S) -> Ended:
        """How it ended, with what it said; TimeoutError where it still runs after that time."""
        deadline = time.monotonic() + timeout_s
        while (state := self.state)["Running"]:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the container still runs after {timeout_s:g} s")
            time.sleep(0.01)
        return Ended(
            int(state["ExitCode"]),
            self.logs(),
            self.logs(errors=True),
            bool(state.get("OOMKilled")),
        )

    def logs(self, *, errors: bool = False, timestamps: bool = False) -> str:
        """``docker logs``: standard output, or standard error, of all its starts."""
        with engine_errors("read the logs of a container"):
            said: bytes = self._api.logs(
                self.id, stdout=not errors, stderr=errors, timestamps=timestamps
            )
        return said.decode(errors="replace")

    def await_line(self, text: str, timeout_s: float = WAIT_S) -> None:
        """Until its logs hold that text; TimeoutError where they do not in time, or it ended."""
        deadline = time.monotonic() + timeout_s
        while text not in self.logs():
            if time.monotonic() >= deadline or not self.state["Running"]:
                if text in self.logs():
                    return
                raise TimeoutError(f"the container did not say {text!r}")
            time.sleep(0.02)

    def says(self, text: str, timeout_s: float = WAIT_S) -> bool:
        """Whether it says that text before it ends; TimeoutError where neither comes in time."""
        try:
            self.await_line(text, timeout_s)
        except TimeoutError:
            if self.state["Running"]:
                raise
            return False
        return True

    def execute(self, *words: str, user: str = "") -> Ended:
        """``docker exec`` of the hand with these words, to its end."""
        with engine_errors("execute in a container"):
            made = self._api.exec_create(self.id, ["/hand", *words], user=user)
            out, err = self._api.exec_start(made["Id"], demux=True)
            told = self._api.exec_inspect(made["Id"])
        return Ended(
            int(told["ExitCode"]), (out or b"").decode(errors="replace"),
            (err or b"").decode(errors="replace"),
        )  # fmt: skip

    def commit(self, name: str) -> str:
        """``docker commit`` under a name of ``Laboratory.tag``; the image's id."""
        repository, _, tag = name.partition(":")
        with engine_errors("commit a container"):
            return str(self._api.commit(self.id, repository=repository, tag=tag)["Id"])

    def top(self) -> list[dict[str, str]]:
        """``docker top``: a mapping a process, title → text."""
        with engine_errors("list the processes of a container"):
            told = self._api.top(self.id)
        return [dict(zip(told["Titles"], row, strict=False)) for row in told["Processes"]]

    def stats(self) -> dict[str, Any]:
        """One frame of ``docker stats``, with the one before it (takes a second or two)."""
        with engine_errors("read the stats of a container"):
            told: dict[str, Any] = self._api.stats(self.id, stream=False)
        return told

    def changes(self) -> list[dict[str, Any]]:
        """``docker diff``."""
        with engine_errors("tell the changes of a container"):
            return list(self._api.diff(self.id) or [])

    def put(self, folder: str, files: Mapping[str, bytes], mode: int = 0o644) -> None:
        """``docker cp`` into the container: files by name, below a folder that is there."""
        with engine_errors("copy into a container"):
            self._api.put_archive(self.id, folder, tarred.tar_of(files, mode))

    def get(self, path: str) -> bytes:
        """``docker cp`` of one file out of the container."""
        with engine_errors("copy out of a container"):
            pieces, _ = self._api.get_archive(self.id, path)
            content = b"".join(pieces)
        return tarred.first_file(content)

    def events(self) -> list[dict[str, Any]]:
        """``docker events`` of it up to now, when it is gone too: each with Action and timeNano."""
        with engine_errors("tell the events of a container"):
            now = datetime.fromisoformat(self._api.info()["SystemTime"]).timestamp() + 0.001
            # By the SDK's session and not its events(), which waits without end.
            answer = self._api.get(
                f"{self._api.base_url}/v{self._api.api_version}/events",
                params={
                    "since": "0", "until": f"{now:.6f}",
                    "filters": json.dumps({"type": ["container"], "container": [self.id]}),
                },
                timeout=WAIT_S,
            )  # fmt: skip
            answer.raise_for_status()
        return [json.loads(line) for line in answer.text.splitlines()]

    def remove(self, *, volumes: bool = False, force: bool = True) -> None:
        """``docker rm``; with ``volumes``, ``docker rm -v``."""
        with engine_errors("remove a container"):
            self._api.remove_container(self.id, v=volumes, force=force)


class Owner(Engine, Protocol):
    """What a laboratory needs of the engine that it belongs to."""

    @property
    def images(self) -> EngineImages:
        """The images that limitbench makes."""
        ...

    def refuse_runtime(self, runtime: str | None) -> None:
        """NotSupportedError where it would start a container with another runtime."""
        ...

    def elsewhere(self) -> str | None:
        """What it is known by where it is on another host; None where it shares this one's."""
        ...


class Laboratory:
    """A real engine, for experiments; use it as a context manager: its end removes all it made."""

    def __init__(self, connection: Connection, engine: Owner, *, run: str) -> None:
        self._connection, self.run_name = connection, run
        self._api = connection.api
        self.engine = engine
        """For what is measured as sweeps are."""
        self._numbers = itertools.count(1)
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self._image = ""
        self._parent = ""
        self.images = Shelf(self._api, self.labels)
        """Docker's verbs for images; what is made by them goes at the end."""

    @cached_property
    def facts(self) -> EngineFacts:
        """What the engine says of itself, asked once."""
        return self.engine.facts()

    @property
    def hand(self) -> str:
        """The id of the hand's image, which is loaded at its first use (workloads/hand)."""
        if not self._image:
            self._image = self.engine.images.own("hand").id
        return self._image

    @contextlib.contextmanager
    def asking(self, doing: str) -> Iterator[docker.APIClient]:
        """The API, with what goes wrong as one line: ``with lab.asking("tag an image") as api``."""
        with engine_errors(doing):
            yield self._api

    def name(self) -> str:
        """A new name, for whatever an experiment makes."""
        return f"{REPOSITORY}-{self.run_name}-{next(self._numbers)}"

    @property
    def labels(self) -> dict[str, str]:
        """What all of ours bear: found by them, it is removed though we were killed."""
        return {LABEL: self.run_name, leftovers.PROCESS_LABEL: leftovers.mark()}

    def create(  # noqa: PLR0913 - each is a word of `docker create`
        self,
        *words: str,
        image: str | None = None,
        entrypoint: Sequence[str] | None = None,
        user: str | None = None,
        volumes: Sequence[str] | None = None,
        stop_signal: str | None = None,
        stop_timeout_s: int | None = None,
        working_dir: str | None = None,
        **host: Any,
    ) -> Box:
        """A container of the hand's image, not started: ``words`` are its command.

        ``host`` are the keywords of docker-py's ``create_host_config`` (``mem_limit``, ``binds``,
        ``tmpfs``, …). It is confined as every container of ours is, but for its root, which may be
        written to, and its logs, which are kept.
        """
        chosen = {
            **confinement(),
            "read_only": False,
            "log_config": docker.types.LogConfig(type="json-file"),
            "pids_limit": PIDS,
            **host,
        }
        self.engine.refuse_runtime(host.get("runtime"))
        name = self.name()
        # What the engine makes after we were interrupted, nobody would remove.
        with held_back(), engine_errors("create a container"):
            made = self._api.create_container(
                image or self.hand,
                command=list(words) or None,
                entrypoint=list(entrypoint) if entrypoint is not None else None,
                name=name,
                user=user,
                volumes=list(volumes) if volumes else None,
                environment=leftovers.environment(),
                stop_signal=stop_signal,
                working_dir=working_dir,
                labels=self.labels,
                host_config=self._api.create_host_config(
                    **{key: value for key, value in chosen.items() if value is not None}
                ),
                **({} if stop_timeout_s is None else {"stop_timeout": stop_timeout_s}),
            )
        return Box(self._api, made["Id"], name)

    def run(self, *words: str, timeout_s: float = WAIT_S, **options: Any) -> Ended:
        """``docker run --rm`` to its end; ``options`` as of ``create``."""
        box = self.create(*words, **options)
        try:
            return box.start().wait(timeout_s)
        finally:
            with contextlib.suppress(EngineRefusedError):
                box.remove(volumes=True)

    def volume(self) -> str:
        """A new named volume; its name."""
        name = self.name()
        with held_back(), engine_errors("create a volume"):
            self._api.create_volume(name, labels=self.labels)
        return name

    def cgroup_parent(self) -> str:
        """A cgroup of our own for ``create(cgroup_parent=…)``: the engine makes it."""
        self._parent = cgroup.parent_name(f"{REPOSITORY}-{self.run_name}", self.facts.cgroup_driver)
        return self._parent

    def volume_names(self) -> set[str]:
        """``docker volume ls``: those of others too."""
        with engine_errors("list its volumes"):
            return {one["Name"] for one in self._api.volumes().get("Volumes") or []}

    def remove_volume(self, name: str) -> None:
        """``docker volume rm``."""
        with engine_errors("remove a volume"):
            self._api.remove_volume(name)

    def folder(self) -> Path:
        """A new folder of this host in which whoever is in a container may write."""
        self._folders.append(tempfile.TemporaryDirectory(prefix=f"{REPOSITORY}-"))
        # All may write to the inner one, and only who may enter the outer one comes to it.
        inner = Path(self._folders[-1].name, "shared")
        inner.mkdir()
        inner.chmod(0o777)
        return inner

    def command_line(self, *words: str) -> Ended:
        """The docker command with these words, on this engine, for claims about the command itself.

        FileNotFoundError where it is not installed.
        """
        program = find_tool("docker")
        if program is None:
            raise FileNotFoundError("docker")
        done = subprocess.run(
            [program, *words], env={**os.environ, "DOCKER_HOST": self.facts.host},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=WAIT_S, check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def named(self, name: str) -> Box:
        """The container of that name, which is there."""
        with engine_errors("inspect a container"):
            told = self._api.inspect_container(name)
        return Box(self._api, told["Id"], name)

    def tag(self) -> str:
        """A new name of an image, ``REPOSITORY:TAG``. What bears it is removed at the end."""
        # The mark is what tells, should we be killed, that nobody needs it any more.
        return f"{REPOSITORY}:{self.run_name}-{next(self._numbers)}-{leftovers.brief_mark()}"

    def close(self) -> None:
        """Remove all containers, named images and volumes of this run; gone already is well."""
        try:
            self.engine.remove_all(self.run_name)
            remove_made(self._api, self.run_name)
            if self._parent:
                cgroup.remove_parent(self._parent)
        finally:
            while self._folders:
                self._folders.pop().cleanup()

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def remove_made(api: docker.APIClient, run: str) -> None:
    """Remove the images that bear a name of that run, and its volumes, containers being gone."""
    with engine_errors("remove images and volumes"):
        for found in api.images(filters={"reference": f"{REPOSITORY}:{run}-*"}):
            for name in found.get("RepoTags") or []:
                if name.removeprefix("localhost/").startswith(f"{REPOSITORY}:{run}-"):
                    with contextlib.suppress(docker.errors.NotFound):
                        api.remove_image(name, force=True)
        clear(api, run)
        for found in api.volumes(filters={"label": f"{LABEL}={run}"}).get("Volumes") or []:
            with contextlib.suppress(docker.errors.NotFound):
                api.remove_volume(found["Name"], force=True)
        for found in api.containers(all=True, filters={"label": f"{LABEL}={run}"}):
            remove(api, found["Id"])


def refusal(ask: Callable[[], object]) -> str:
    """What the engine says where it refuses that; empty where it does it."""
    try:
        ask()
    except EngineRefusedError as error:
        return " ".join(error.message.split())
    return ""
