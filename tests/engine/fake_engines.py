"""Engines that are none: servers on sockets that answer as one does, and a dockerd."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a private engine takes root")

SERVER = """\
import http.server, json, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    body = json.dumps({"ApiVersion": "1.44", "Version": "99.0"}).encode()
    def address_string(self): return "-"
    def log_message(self, *args): pass
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
"""
"""An engine, as far as telling its version makes one."""

FAKE_DOCKERD = f"""\
#!{sys.executable}
{SERVER}
config = json.load(open(sys.argv[1].removeprefix("--config-file=")))
path = config["hosts"][0].removeprefix("unix://")
open(config["data-root"] + ".starts", "a").write(f"{{os.getpid()}}\\n")
print('level=info msg="API listen"', flush=True)
Server(path, Handler).serve_forever()
"""


@contextlib.contextmanager
def engine_at(path: Path, *, says: bytes | None = None) -> Iterator[str]:
    """A server that answers like an engine, or with other words."""
    scope: dict[str, Any] = {}
    exec(SERVER, scope)
    if says is not None:
        scope["Handler"].body = says
    server = scope["Server"](str(path), scope["Handler"])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def mute_socket(path: Path) -> Iterator[str]:
    """It accepts connections, and never says a word."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield f"unix://{path}"


def make_context(home: Path, name: str, endpoint: object, *, current: bool = False) -> None:
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (folder / "meta.json").write_text(json.dumps(meta))
    if current:
        (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))
