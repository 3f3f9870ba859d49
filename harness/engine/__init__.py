"""The engine: which one, its containers, the probe's image, the private daemon.

The only folder that imports docker. What the rest of the harness needs is named here.
"""

from __future__ import annotations

from harness.engine.connect import (
    Connection,
    find_engine,
    obtain_engine,
    private_engine_obstacle,
    start_private,
)
from harness.engine.containers import Container, DockerEngine, Engine, engine_settings
from harness.engine.image import workloads_root
from harness.engine.sides import Sides

__all__ = [
    "Connection",
    "Container",
    "DockerEngine",
    "Engine",
    "Sides",
    "engine_settings",
    "find_engine",
    "obtain_engine",
    "private_engine_obstacle",
    "start_private",
    "workloads_root",
]
