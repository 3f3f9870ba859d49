"""Findings of a cgroup that was named by itself, without an engine: what it is, what is unseen."""

from __future__ import annotations

from collections.abc import Iterator

from harness.inspection.findings.entry import Evidence, Said, entry
from harness.inspection.setters import container_id
from harness.wording import agreeing, counted


@entry(
    id="cgroup-of-engine",
    subject="cgroup",
    grade="note",
    condition="The cgroup that was named bears the id of an engine's container, whose engine was "
    "not asked.",
    remedy="bench inspect CONTAINER asks it.",
    source="moby daemon/oci_linux.go: the cgroup's path ends in the container's id",
)
def _of_engine(of: Evidence) -> Iterator[Said]:
    id_ = container_id(of.seen.named.path) if of.seen.named else ""
    if id_:
        yield Said("it is an engine's container: what was asked for, and what docker stats says, "
                   "its engine alone tells", f"bench inspect {id_[:12]}")  # fmt: skip


@entry(
    id="cgroup-with-others",
    subject="cgroup",
    grade="note",
    condition="It has no cgroup of its own in a hierarchy of v1 that counts CPU or memory: its "
    "processes are in another one there, mostly with others, whose figures are not its own.",
    remedy="Of a systemd unit: CPUAccounting=yes, MemoryAccounting=yes.",
    source="/proc/PID/cgroup; systemd.resource-control(5)",
)
def _with_others(of: Evidence) -> Iterator[Said]:
    elsewhere = of.seen.named.elsewhere if of.seen.named else {}
    counted_in = {one: elsewhere[one] for one in ("cpu", "cpuacct", "memory") if one in elsewhere}
    for path in dict.fromkeys(counted_in.values()):
        which = [one for one, at in counted_in.items() if at == path]
        yield Said(f"its processes are in {path} for {', '.join(which)}: no figure of that is told")


@entry(
    id="cgroup-threaded",
    subject="cgroup",
    grade="note",
    condition="It is a threaded cgroup (v2): CPU is counted and limited for its threads alone, "
    "memory only for the whole domain.",
    remedy="bench inspect --cgroup with the path of its domain.",
    source="Documentation/admin-guide/cgroup-v2.rst, Threads",
)
def _threaded(of: Evidence) -> Iterator[Said]:
    domain = of.seen.named.threaded if of.seen.named else ""
    if domain:
        yield Said(f"it is threaded: memory is accounted for and limited in its domain {domain}",
                   f"bench inspect --cgroup {domain}")  # fmt: skip


@entry(
    id="cgroup-of-several",
    subject="cgroup",
    grade="note",
    condition="There are processes in cgroups below it: its figures are those of all together. On "
    "v2 processes are only in cgroups that hand no controller further down.",
    remedy="Name one of them with --cgroup: systemd-cgls shows them.",
    source="Documentation/admin-guide/cgroup-v2.rst, No Internal Process Constraint",
)
def _of_several(of: Evidence) -> Iterator[Said]:
    below = of.seen.named.below if of.seen.named else 0
    if below:
        have = agreeing(below, "has", "have")
        yield Said(f"{counted(below, 'cgroup')} below it {have} processes: what is told is of all "
                   "together, and no limit of one of them")  # fmt: skip


@entry(
    id="cgroup-root-unseen",
    subject="cgroup",
    grade="note",
    condition="The root of its hierarchy is not visible here: this is another cgroup namespace, or "
    "only a part of the tree is mounted. Limits above what is visible bind it unseen.",
    remedy="Run bench on the host, or in a container with --cgroupns=host and its /sys/fs/cgroup.",
    source="cgroup_namespaces(7)",
)
def _root_unseen(of: Evidence) -> Iterator[Said]:
    if of.seen.root_unseen:
        yield Said("what is above it is not visible from here (another cgroup namespace, or a part "
                   "of the tree): a limit there would bind it unseen")  # fmt: skip
