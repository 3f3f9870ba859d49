"""A fleet: what is asked of many hosts, how far each has come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.asked import Plan
from harness.model.compared import Digest
from harness.model.measured import ForCheck, WriterProcess


class HostStatus(StrEnum):
    """How far a host of a fleet has come."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    """Its run is stored; what it says is another question."""
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    """No worker of its name was there for as long as it was waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetHost:
    """One host of a fleet."""

    name: str
    status: HostStatus = HostStatus.WAITING
    run: str | None = None
    """The folder of its run, below the results folder; None as long as there is none."""
    reason: str = ""
    """Why it failed, or what it is waited for; empty where there is nothing to say."""
    attempts: int = 0
    """So often its measurement was begun or gone on with, as far as the host told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of each host: a plan, or claims. Data alone, never code."""

    plan: Plan | None = None
    purpose: ForCheck | None = None
    """With a plan: the check that it is made for, whose baseline may be named ``{host}``."""
    claims: tuple[str, ...] = ()
    """Names of claims and topics; without a plan, all where it is empty."""
    seed: int = 1
    """Of the claims' order; a plan has its own."""

    @property
    def kind(self) -> str:
        """``sweep``, ``check`` or ``claims``: the command that does the same on one host."""
        if self.plan is None:
            return "claims"
        return "sweep" if self.purpose is None else "check"

    @property
    def about(self) -> str:
        """What it is about, as the name of a folder says it."""
        return self.plan.sweep if self.plan else "claims"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One host's part of a fleet, as it travels to that host."""

    schema: int
    fleet: str
    host: str
    order: Order
    baseline: Digest | None = None
    """What the order's check is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a host says of a task; its run, if there is one, travels beside it."""

    host: str
    run: str | None
    """As the run is called there."""
    code: int
    """The exit code of what measured: 0 where the run is whole."""
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideRun:
    """What a fleet adds to a run: where it belongs to, and what the worker took meanwhile."""

    schema: int
    fleet: str
    host: str
    """The worker's name, which need not be the host's own."""
    attempts: int
    worker_cpu_s: float
    """CPU time of the worker's process from the task's begin to its end."""
    elapsed_s: float
    worker_cpus: str
    """The CPUs that the worker's own threads were kept on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What ``fleet-ID.json`` holds: one command over many hosts."""

    schema: int
    id: str
    kind: str
    """Its order's."""
    command: str
    plan_digest: str
    """SHA-256 of the order: the same for every host of the fleet."""
    started: str
    scheduler: str
    order: Order
    hosts: tuple[FleetHost, ...]
    baselines: str = ""
    """Of a check: the folder of the baselines."""
    ended: str = ""
    writer: WriterProcess | None = None
    """Who collects, while it does."""
