"""A registry of our own for experiments: Debian's ``docker-registry``, on loopback, for a while.

It listens on a port that the kernel chose, keeps all in a temporary folder, and ends with the
context, or with this process, however that ends. Every engine takes plain HTTP from 127.0.0.0/8
(moby registry/config.go) as long as it runs in this host's network namespace.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.engine.install import find_tool
from harness.errors import EngineError

PACKAGE = "docker-registry"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_READY_S = 20.0
_ANSWER_S = 20.0
_STOP_S = 10.0
_LISTENS = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_ASKED = re.compile(r'"(GET|HEAD) /v2/')
_BLOB = re.compile(r'"GET /v2/\S+/blobs/(sha256:[0-9a-f]{64}) ')
_CONFIGURATION = {
    "version": "0.1",
    # The access log tells what the engine fetched, whatever the engine itself says.
    "log": {"level": "info", "accesslog": {"disabled": False}},
    "http": {"addr": "127.0.0.1:0", "secret": "of one experiment"},
}


class Registry:
    """One that runs. ``address`` is ``127.0.0.1:PORT``, with which an image's name begins."""

    def __init__(self, address: str, log: Path) -> None:
        self.address, self._log = address, log

    def asked(self) -> bool:
        """Whether any image was asked for so far."""
        return _ASKED.search(self._log.read_text(errors="replace")) is not None

    def fetched(self) -> list[str]:
        """The digests of all blobs (layers and configurations) that were fetched so far."""
        return _BLOB.findall(self._log.read_text(errors="replace"))

    def layers(self, repository: str, tag: str) -> list[str]:
        """The digests of an image's layers as the registry keeps them: compressed."""
        manifest = json.loads(self._ask("GET", f"{repository}/manifests/{tag}"))
        return [layer["digest"] for layer in manifest["layers"]]

    def combine(self, repository: str, tag: str, of: Mapping[str, str]) -> str:
        """Have a manifest list under that tag: architecture → tag of what was pushed; its digest.

        ``docker manifest push`` and ``docker buildx imagetools create`` do it so.
        """
        listed = []
        for architecture, pushed in of.items():
            content = self._ask("GET", f"{repository}/manifests/{pushed}")
            listed.append(
                {
                    "mediaType": json.loads(content).get("mediaType", _OCI_MANIFEST),
                    "size": len(content),
                    "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
                    "platform": {"architecture": architecture, "os": "linux"},
                }
            )
        whole = {"schemaVersion": 2, "mediaType": _MANIFEST_LIST, "manifests": listed}
        body = json.dumps(whole).encode()
        self._ask("PUT", f"{repository}/manifests/{tag}", body)
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Accept": f"{_MANIFEST}, {_OCI_MANIFEST}"}
        if body is not None:
            headers["Content-Type"] = _MANIFEST_LIST
        asked = urllib.request.Request(
            f"http://{self.address}/v2/{path}", data=body, method=method, headers=headers
        )
        # No proxy of the environment is to be asked for a loopback address.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=_ANSWER_S) as answer:
                content: bytes = answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise EngineError(f"the registry at {self.address} refused {path}: {error}.") from error
        return content


def installed() -> bool:
    """Whether there is a docker-registry to run."""
    return find_tool(PACKAGE) is not None


@contextlib.contextmanager
def registry() -> Iterator[Registry]:
    """A registry that is empty, for as long as the context lasts; EngineError without one."""
    program = find_tool(PACKAGE)
    if program is None:
        raise EngineError("there is no registry to run.", f"apt-get install {PACKAGE}")
    with tempfile.TemporaryDirectory(prefix="limitbench-registry-") as made:
        folder = Path(made)
        log, configuration = folder / "log", folder / "configuration.yml"
        storage = {"storage": {"filesystem": {"rootdirectory": str(folder / "data")}}}
        configuration.write_text(json.dumps(_CONFIGURATION | storage))  # JSON is YAML
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*_dying_with_us(), program, "serve", str(configuration)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, env={},
            )  # fmt: skip
        try:
            yield Registry(_address(process, log), log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _dying_with_us() -> Sequence[str]:
    """So that none is left where this process is killed (prctl(2), PR_SET_PDEATHSIG)."""
    found = find_tool("setpriv")
    return (found, "--pdeathsig", "KILL") if found else ()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, once it does: it says so itself."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := _LISTENS.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.02)
    said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise EngineError(f"{PACKAGE} did not start: {said[-1]}.", f"apt-get install {PACKAGE}")
