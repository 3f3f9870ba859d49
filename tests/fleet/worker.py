"""A worker whose `bench` has a fake engine.

``python -m tests.fleet.worker ADDRESS NAME FOLDER [CA CERT KEY]``
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from harness.cli.dialogue import say
from harness.fleet import reach
from harness.fleet.host import Child, Host
from harness.fleet.worker import Joining, serve


def main(address: str, name: str, folder: str, *tls: str) -> None:
    ca, cert, key = map(Path, tls) if tls else (None, None, None)
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    cpus = frozenset(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "tests.fleet.bench"]
    host = Host(name, root, lambda task: Child(command, task, cpus))
    joining = Joining(
        address,
        reach.security(reach.certificates(ca, cert, key)),
        name,
        {"cpus": "0-1", "most": 2},
        root / "dask",
    )
    try:
        with reach.quiet():
            asyncio.run(serve(joining, host, say))
    finally:
        host.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
