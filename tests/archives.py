"""Images for archives of them, made here and small."""

from __future__ import annotations

import io
import json

from harness.engine.archive import Content, Described
from harness.engine.image import archive_of_files
from harness.engine.saved import unpack


def content(name: str, *contents: bytes, architecture: str = "x86_64") -> Content:
    """An image as ``docker save`` would give it, unpacked."""
    files = {f"/{number}": content for number, content in enumerate(contents)}
    made = archive_of_files(files, architecture, tag=name, settings={})
    found = unpack(io.BytesIO(made.archive))
    return Content(
        described=Described(
            id=made.id,
            names=(name,),
            architecture=json.loads(found.config)["architecture"],
            layers=found.digests,
            layer_bytes=found.lengths,
            config_bytes=len(found.config),
            compiler="cc 12",
            binary_sha256="0" * 64,
            workloads=("spin",),
        ),
        config=found.config,
        layers=found.layers,
    )


TWO = (content("limitbench/one:1", b"first"), content("limitbench/two:2", b"second" * 1000))
